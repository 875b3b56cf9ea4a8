"""Numbers of MIKEY's payloads and their fields, as the registries have them."""

from __future__ import annotations

from enum import IntEnum


class PayloadType(IntEnum):
    """Next payload numbers (RFC 3830 6.1; 14: RFC 6043; 21: RFC 4563 and 5410; 26: RFC 6509 4.1)."""

    LAST = 0
    KEMAC = 1
    PKE = 2
    DH = 3
    SIGN = 4
    T = 5
    ID = 6
    CERT = 7
    CHASH = 8
    V = 9
    SP = 10
    RAND = 11
    ERR = 12
    IDR = 14
    KEY_DATA = 20
    GENERAL_EXTENSION = 21
    SAKKE = 26


class TimestampType(IntEnum):
    """TS type (RFC 3830 6.6)."""

    NTP_UTC = 0
    NTP = 1
    COUNTER = 2


class IdType(IntEnum):
    """ID type (RFC 3830 6.7)."""

    NAI = 0
    URI = 1


class Role(IntEnum):
    """ID role (RFC 6043 6.6; 6 and 7: RFC 6509 4.4; 8 and 9: TS 33.180 E.2, where the data is a UID)."""

    INITIATOR = 1
    RESPONDER = 2
    KMS = 3
    PSK = 4
    APPLICATION = 5
    INITIATOR_KMS = 6
    RESPONDER_KMS = 7
    INITIATOR_UID = 8
    RESPONDER_UID = 9


ROLE_NAMES = {
    Role.INITIATOR: "IDRi, initiator",
    Role.RESPONDER: "IDRr, responder",
    Role.KMS: "IDRkms, KMS",
    Role.PSK: "IDRpsk, pre-shared key",
    Role.APPLICATION: "IDRapp, application",
    Role.INITIATOR_KMS: "IDRkmsi, initiator's KMS",
    Role.RESPONDER_KMS: "IDRkmsr, responder's KMS",
    Role.INITIATOR_UID: "IDRuidi, initiator's UID",
    Role.RESPONDER_UID: "IDRuidr, responder's UID",
}
TIMESTAMP_OCTETS = {TimestampType.NTP_UTC: 8, TimestampType.NTP: 8, TimestampType.COUNTER: 4}
MAC_OCTETS = {0: 0, 1: 20}
"""Octets of a MAC by algorithm: NULL, HMAC-SHA-1-160 (RFC 3830 6.2)."""
SIGNATURE_TYPE_ECCSI = 2
"""S type (RFC 6509 4.3)."""
