"""Scapy layer for PC5_DISCOVERY messages (TS 24.334 11.2.5; TS 23.003 24.3 for the application code).

Code and MIC of a restricted code's message are scrambled under a key no capture holds: they are shown as `..._on_air`.
"""

from __future__ import annotations

from scapy.fields import (
    BitEnumField,
    BitField,
    ConditionalField,
    XBitField,
    XByteField,
    XIntField,
    XStrFixedLenField,
    XStrLenField,
)
from scapy.packet import Packet

OPEN, RESTRICTED = 1, 2
RELAY, RELAY_SOLICITATION, GROUP, GROUP_SOLICITATION = 4, 5, 6, 7
CONTENTS = {
    0: "announcement or response",
    1: "query",
    RELAY: "relay announcement or response",
    RELAY_SOLICITATION: "relay solicitation",
    GROUP: "group member announcement or response",
    GROUP_SOLICITATION: "group member solicitation",
    8: "relay additional information",
}
"""Content type (TS 24.334 11.2.5, as its twin TS 24.554 11.2.1 has it)."""
_CODE_OCTETS = 23


def _is_code(packet: Packet) -> bool:
    return packet.content_type not in (RELAY, RELAY_SOLICITATION, GROUP, GROUP_SOLICITATION)


def _is_open_code(packet: Packet) -> bool:
    return bool(packet.discovery_type == OPEN and packet.content_type == 0)


def _is_restricted_code(packet: Packet) -> bool:
    return bool(packet.discovery_type == RESTRICTED and packet.content_type in (0, 1))


def _is_relay(packet: Packet) -> bool:
    return packet.content_type in (RELAY, RELAY_SOLICITATION)


def _is_group(packet: Packet) -> bool:
    return packet.content_type in (GROUP, GROUP_SOLICITATION)


def _is_group_solicitation(packet: Packet) -> bool:
    return bool(packet.content_type == GROUP_SOLICITATION)


def _spare_octets(packet: Packet) -> int:
    """Octets of a body behind its fields."""
    return {RELAY: 10, RELAY_SOLICITATION: 11, GROUP: 11, GROUP_SOLICITATION: 5}.get(packet.content_type, 0)


def _when(condition: object, *fields: object) -> list[object]:
    return [ConditionalField(field, condition) for field in fields]


class Pc5Discovery(Packet):
    """PC5_DISCOVERY, 29 octets: type, body of 23 octets by type, MIC, 8 LSB of the UTC-based counter."""

    name = "PC5_DISCOVERY"
    fields_desc = [
        BitEnumField("discovery_type", RESTRICTED, 2, {OPEN: "open", RESTRICTED: "restricted"}),
        BitEnumField("content_type", GROUP, 4, CONTENTS),
        BitEnumField("model", 1, 2, {1: "A", 2: "B"}),
        *_when(
            _is_open_code,
            BitEnumField("scope", 2, 2, {0: "global", 2: "country", 3: "PLMN"}),
            BitField("spare", 0, 1),
            BitField("e", 0, 1),
            BitField("mcc", 1, 10),
            BitField("mnc", 1, 10),
            XStrFixedLenField("temporary_identity", bytes(20), 20),
        ),
        *_when(
            lambda packet: _is_code(packet) and not _is_open_code(packet) and not _is_restricted_code(packet),
            XStrFixedLenField("code", bytes(_CODE_OCTETS), _CODE_OCTETS),
        ),
        *_when(_is_restricted_code, XStrFixedLenField("code_on_air", bytes(_CODE_OCTETS), _CODE_OCTETS)),
        *_when(_is_relay, XBitField("relay_service_code", 0, 24)),
        *_when(_is_group, XBitField("discovery_group_id", 0, 24)),
        *_when(lambda packet: not _is_code(packet), XBitField("user_info_id", 0, 48)),
        *_when(_is_group_solicitation, XBitField("target_user_info_id", 0, 48)),
        *_when(lambda packet: not _is_code(packet), XBitField("prose_ue_id", 0, 24)),
        *_when(lambda packet: packet.content_type == RELAY, XByteField("status", 0)),
        *_when(lambda packet: not _is_code(packet), XStrLenField("spare_octets", b"", length_from=_spare_octets)),
        *_when(lambda packet: not _is_restricted_code(packet), XIntField("mic", 0)),
        *_when(_is_restricted_code, XIntField("mic_on_air", 0)),
        XByteField("utc_counter_lsb", 0),
    ]
