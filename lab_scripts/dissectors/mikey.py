"""Scapy layers for MIKEY-SAKKE I_MESSAGEs (RFC 3830 6, RFC 6043 6, RFC 6509 4)."""

from __future__ import annotations

from scapy.fields import (
    BitEnumField,
    BitField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    StrFixedLenField,
    StrLenField,
    XIntField,
    XLongField,
    XStrLenField,
)
from scapy.packet import NoPayload, Packet

PAYLOADS = {
    0: "last",
    1: "KEMAC",
    4: "SIGN",
    5: "T",
    6: "ID",
    7: "CERT",
    9: "V",
    10: "SP",
    11: "RAND",
    12: "ERR",
    14: "IDR",
    21: "General Extension",
    26: "SAKKE",
}
"""Next payload (RFC 3830 6.1, RFC 6043 6.1, RFC 6509 4.1)."""
_ROLES = {1: "initiator", 2: "responder", 6: "initiator's KMS", 7: "responder's KMS", 8: "initiator", 9: "responder"}
_SIGNATURES = {2: "ECCSI"}
_SRTP_ID_OCTETS = 9


class _Payload(Packet):
    """A MIKEY payload: what follows is told by `next_payload`."""

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return _CLASSES.get(self.next_payload, self.default_payload_class(payload))


class Mikey(_Payload):
    """HDR (RFC 3830 6.1); the map info is kept as octets."""

    name = "MIKEY"
    fields_desc = [
        ByteField("version", 1),
        ByteEnumField("data_type", 26, {26: "SAKKE I_MESSAGE"}),
        ByteEnumField("next_payload", 5, PAYLOADS),
        BitField("v", 0, 1),
        BitEnumField("prf", 1, 7, {0: "HMAC-SHA-1", 1: "HMAC-SHA-256"}),
        XIntField("csb_id", 0),
        ByteField("n_cs", 0),
        ByteEnumField("map_type", 1, {0: "SRTP-ID", 1: "empty", 2: "GENERIC-ID"}),
        StrLenField("map_info", b"", length_from=lambda packet: _map_octets(packet)),
    ]

    def pre_dissect(self, s: bytes) -> bytes:
        self.generic_map_octets = _generic_map_octets(s) if len(s) > 10 and s[9] == 2 else 0
        return s


class MikeyT(_Payload):
    name = "MIKEY T"
    fields_desc = [
        ByteEnumField("next_payload", 0, PAYLOADS),
        ByteEnumField("ts_type", 0, {0: "NTP-UTC", 1: "NTP"}),
        XLongField("ts", 0),
    ]


class MikeyRand(_Payload):
    name = "MIKEY RAND"
    fields_desc = [
        ByteEnumField("next_payload", 0, PAYLOADS),
        FieldLenField("length", None, fmt="B", length_of="rand"),
        XStrLenField("rand", b"", length_from=lambda packet: packet.length),
    ]


class MikeyIdr(_Payload):
    name = "MIKEY IDR"
    fields_desc = [
        ByteEnumField("next_payload", 0, PAYLOADS),
        ByteEnumField("role", 1, _ROLES),
        ByteEnumField("id_type", 1, {0: "NAI", 1: "URI"}),
        FieldLenField("length", None, length_of="identity"),
        StrLenField("identity", b"", length_from=lambda packet: packet.length),
    ]


class MikeySp(_Payload):
    name = "MIKEY SP"
    fields_desc = [
        ByteEnumField("next_payload", 0, PAYLOADS),
        ByteField("policy_no", 0),
        ByteField("protocol", 0),
        FieldLenField("length", None, length_of="policy"),
        XStrLenField("policy", b"", length_from=lambda packet: packet.length),
    ]


class MikeyGeneralExtension(_Payload):
    name = "MIKEY General Extension"
    fields_desc = [
        ByteEnumField("next_payload", 0, PAYLOADS),
        ByteField("type", 245),
        FieldLenField("length", None, length_of="data"),
        XStrLenField("data", b"", length_from=lambda packet: packet.length),
    ]


class MikeySakke(_Payload):
    name = "MIKEY SAKKE"
    fields_desc = [
        ByteEnumField("next_payload", 0, PAYLOADS),
        ByteField("params", 1),
        ByteEnumField("id_scheme", 1, {1: "monthly tel URI", 2: "hashed UID"}),
        FieldLenField("length", None, length_of="sed"),
        XStrLenField("sed", b"", length_from=lambda packet: packet.length),
    ]


class MikeySign(Packet):
    """SIGN has no next payload: it is the last."""

    name = "MIKEY SIGN"
    fields_desc = [
        BitEnumField("type", 2, 4, _SIGNATURES),
        BitField("length", 129, 12),
        StrFixedLenField("signature", b"", length_from=lambda packet: packet.length),
    ]

    def default_payload_class(self, payload: bytes) -> type[Packet]:  # noqa: ARG002
        return NoPayload


_CLASSES: dict[int, type[Packet]] = {
    4: MikeySign,
    5: MikeyT,
    10: MikeySp,
    11: MikeyRand,
    14: MikeyIdr,
    21: MikeyGeneralExtension,
    26: MikeySakke,
}


def _map_octets(packet: Mikey) -> int:
    if packet.map_type == 0:
        return int(packet.n_cs) * _SRTP_ID_OCTETS
    return int(packet.generic_map_octets) if packet.map_type == 2 else 0


def _generic_map_octets(message: bytes) -> int:
    """Octets of a GENERIC-ID map: for each CS its ID, protocol, S|#P, policies, session data and SPI (RFC 6043 6.1.1)."""
    n_cs, at = message[8], 10
    for _ in range(n_cs):
        if at + 3 > len(message):
            return len(message) - 10
        at += 3 + (message[at + 2] & 0x7F)
        session_octets = int.from_bytes(message[at : at + 2], "big")
        at += 2 + session_octets
        spi_octets = message[at] if at < len(message) else 0
        at += 1 + spi_octets
    return at - 10
