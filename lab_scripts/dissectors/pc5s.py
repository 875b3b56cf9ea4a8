"""Scapy layers for PC5 signalling of the `identity` profile (TS 24.334 12.5.1 with the profile's own IEs)."""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    FieldLenField,
    IntField,
    PacketListField,
    ShortField,
    StrLenField,
    XByteField,
    XShortField,
    XStrFixedLenField,
    XStrLenField,
)
from scapy.packet import NoPayload, Packet, bind_layers

from lab_scripts.dissectors.mikey import Mikey

MESSAGES = {
    1: "Direct Connection Request",
    2: "Direct Connection Accept",
    3: "Direct Connection Reject",
    4: "Keepalive",
    5: "Keepalive Ack",
    6: "Release",
    7: "Release Accept",
    15: "Rekeying Request",
    16: "Rekeying Response",
    17: "Rekeying Trigger",
}
"""TS 24.334 12.5.1.1."""
IES = {
    0x01: "User Info",
    0x03: "Link-local IPv6",
    0x40: "Target User Info",
    0x41: "Link L2 ID",
    0x42: "Profile and flags",
    0x43: "Request hash",
    0x44: "Key confirmation",
    0x46: "Group info",
    0x47: "Nonce_2",
    0x48: "Chosen algorithms",
    0x49: "KD-sess ID LSB",
    0x78: "I_MESSAGE",
}
_LINK_LOCAL, _I_MESSAGE = 0x03, 0x78
_LINK_LOCAL_OCTETS = 16


def _value_octets(packet: Packet) -> int:
    if packet.iei == _LINK_LOCAL:
        return _LINK_LOCAL_OCTETS
    return int(packet.length_e if packet.iei == _I_MESSAGE else packet.length)


class Pc5Ie(Packet):
    """An optional IE: TLV; without a length for the link-local address, TLV-E for the I_MESSAGE."""

    name = "PC5-S IE"
    fields_desc = [
        ByteEnumField("iei", 0x40, IES),
        ConditionalField(
            FieldLenField("length", None, fmt="B", length_of="value"),
            lambda packet: packet.iei not in (_LINK_LOCAL, _I_MESSAGE),
        ),
        ConditionalField(
            FieldLenField("length_e", None, fmt="H", length_of="value"), lambda packet: packet.iei == _I_MESSAGE
        ),
        XStrLenField("value", b"", length_from=_value_octets),
    ]

    def i_message(self) -> Mikey | None:
        """The MIKEY message inside, None for other IEs."""
        return Mikey(self.value) if self.iei == _I_MESSAGE else None

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def _ies() -> Any:
    return PacketListField("ies", [], Pc5Ie)


class Pc5S(Packet):
    """Message type and sequence number; the rest by type."""

    name = "PC5-S"
    fields_desc = [ByteEnumField("message_type", 1, MESSAGES), ShortField("sequence_number", 0)]


class _Body(Packet):
    def default_payload_class(self, payload: bytes) -> type[Packet]:  # noqa: ARG002
        return NoPayload


class DirectConnectionRequest(_Body):
    name = "Direct Connection Request"
    fields_desc = [
        FieldLenField("user_info_length", None, fmt="B", length_of="user_info", adjust=lambda packet, x: x + 1),
        ByteEnumField("user_info_type", 1, {1: "upper layer"}),
        StrLenField("user_info", b"", length_from=lambda packet: packet.user_info_length - 1),
        ByteField("ip_address_config", 4),
        IntField("maximum_inactivity_period", 30),
        XStrFixedLenField("nonce_1", bytes(16), 16),
        XShortField("ue_security_capabilities", 0),
        XByteField("kd_sess_id_msb", 1),
        _ies(),
    ]


class DirectConnectionAccept(_Body):
    name = "Direct Connection Accept"
    fields_desc = [ByteField("ip_address_config", 4), _ies()]


class DirectConnectionReject(_Body):
    name = "Direct Connection Reject"
    fields_desc = [XByteField("cause", 0), _ies()]


class Keepalive(_Body):
    name = "Keepalive"
    fields_desc = [IntField("counter", 0), _ies()]


class KeepaliveAck(_Body):
    name = "Keepalive Ack"
    fields_desc = [IntField("counter", 0)]


class Release(_Body):
    name = "Release"
    fields_desc = [XByteField("reason", 1)]


class RekeyingRequest(_Body):
    name = "Rekeying Request"
    fields_desc = [
        XShortField("ue_security_capabilities", 0),
        XStrFixedLenField("nonce_1", bytes(16), 16),
        XByteField("kd_sess_id_msb", 1),
        _ies(),
    ]


class RekeyingResponse(_Body):
    name = "Rekeying Response"
    fields_desc = [_ies()]


for _number, _layer in (
    (1, DirectConnectionRequest),
    (2, DirectConnectionAccept),
    (3, DirectConnectionReject),
    (4, Keepalive),
    (5, KeepaliveAck),
    (6, Release),
    (15, RekeyingRequest),
    (16, RekeyingResponse),
):
    bind_layers(Pc5S, _layer, message_type=_number)
