"""Scapy layers for the information elements of PC5 signalling: `identity` profile and TS 24.334 12.5.1."""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    BitEnumField,
    BitField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    FlagsField,
    IntField,
    PacketLenField,
    PacketListField,
    StrLenField,
    X3BytesField,
    XByteField,
    XShortField,
    XStrFixedLenField,
    XStrLenField,
)
from scapy.layers.inet6 import IP6Field
from scapy.packet import Packet

from lab_scripts.dissectors.mikey import Mikey

USER_INFO_TYPES = {1: "upper layer"}
IP_CONFIGS = {1: "DHCPv4 server", 2: "IPv6 router", 3: "DHCPv4 server and IPv6 router", 4: "not supported"}
ALGORITHM_BITS = [*(f"EIA{n}" for n in reversed(range(8))), *(f"EEA{n}" for n in reversed(range(8)))]
"""From the least significant bit up: EEA0 is bit 8 of the first octet (TS 24.301 9.9.3.36)."""


class Ie(Packet):
    """An optional information element."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def user_info(name: str) -> list[object]:
    """Length, type octet, value: the length counts the type octet."""
    return [
        FieldLenField(f"{name}_length", None, fmt="B", length_of=name, adjust=lambda packet, octets: octets + 1),
        ByteEnumField(f"{name}_type", 1, USER_INFO_TYPES),
        StrLenField(name, b"", length_from=lambda packet: max(0, getattr(packet, f"{name}_length") - 1)),
    ]


def capabilities() -> FlagsField:
    """UE security capabilities: offered algorithms as bits."""
    return FlagsField("ue_security_capabilities", 0, 16, ALGORITHM_BITS)


class UserInfoIe(Ie):
    name = "User Info"
    fields_desc = [XByteField("iei", 0x01), *user_info("user_info")]


class LinkLocalIe(Ie):
    name = "Link-local IPv6"
    fields_desc = [XByteField("iei", 0x03), IP6Field("address", "fe80::")]


class TargetUserInfoIe(Ie):
    name = "Target User Info"
    fields_desc = [XByteField("iei", 0x40), *user_info("user_info")]


class LinkL2IdIe(Ie):
    name = "Link L2 ID"
    fields_desc = [XByteField("iei", 0x41), ByteField("length", 3), X3BytesField("l2_id", 0)]


class ProfileAndFlagsIe(Ie):
    name = "Profile and flags"
    fields_desc = [
        XByteField("iei", 0x42),
        ByteField("length", 2),
        BitEnumField("kdf", 0, 4, {0: "fc33303", 1: "fc33536"}),
        BitField("profile", 1, 4),
        BitField("spare", 0, 4),
        BitEnumField("purpose", 0, 2, {0: "one-to-one", 1: "group"}),
        BitEnumField("mutual", 1, 2, {0: "not wanted", 1: "wanted", 2: "required"}),
    ]


class RequestHashIe(Ie):
    name = "Request hash"
    fields_desc = [
        XByteField("iei", 0x43),
        FieldLenField("length", None, fmt="B", length_of="hash"),
        XStrLenField("hash", b"", length_from=lambda packet: packet.length),
    ]


class KeyConfirmationIe(Ie):
    name = "Key confirmation"
    fields_desc = [
        XByteField("iei", 0x44),
        FieldLenField("length", None, fmt="B", length_of="confirmation"),
        XStrLenField("confirmation", b"", length_from=lambda packet: packet.length),
    ]


class GroupInfoIe(Ie):
    name = "Group info"
    fields_desc = [
        XByteField("iei", 0x46),
        FieldLenField("length", None, fmt="B", length_of="group_identity", adjust=lambda packet, octets: octets + 16),
        X3BytesField("group_l2_id", 0),
        XByteField("pgk_id", 1),
        IntField("epoch", 0),
        IntField("expiry_ntp_s", 0),
        ByteField("eea", 0),
        ByteEnumField("mode", 0, {0: "group identity", 1: "per member"}),
        XShortField("spare", 0),
        StrLenField("group_identity", b"", length_from=lambda packet: max(0, packet.length - 16)),
    ]


class Nonce2Ie(Ie):
    name = "Nonce_2"
    fields_desc = [XByteField("iei", 0x47), ByteField("length", 16), XStrFixedLenField("nonce_2", bytes(16), 16)]


class ChosenAlgorithmsIe(Ie):
    name = "Chosen algorithms"
    fields_desc = [
        XByteField("iei", 0x48),
        ByteField("length", 1),
        BitField("spare", 0, 1),
        BitField("eea", 0, 3),
        BitField("spare_2", 0, 1),
        BitField("eia", 0, 3),
    ]


class KdSessIdLsbIe(Ie):
    name = "KD-sess ID LSB"
    fields_desc = [XByteField("iei", 0x49), ByteField("length", 1), XByteField("kd_sess_id_lsb", 0)]


class IMessageIe(Ie):
    """TLV-E: the length has two octets."""

    name = "I_MESSAGE"
    fields_desc = [
        XByteField("iei", 0x78),
        FieldLenField("length", None, length_of="i_message"),
        PacketLenField("i_message", Mikey(), Mikey, length_from=lambda packet: packet.length),
    ]


class EncryptedPayloadIe(Ie):
    """SAKKE encapsulated data of the `ts24334` profile; TLV-E, since it has more than 255 octets."""

    name = "Encrypted payload"
    fields_desc = [
        XByteField("iei", 23),
        FieldLenField("length", None, length_of="payload_octets"),
        XStrLenField("payload_octets", b"", length_from=lambda packet: packet.length),
    ]


class UnknownIe(Ie):
    """An IE of an identifier not known here, taken as TLV."""

    name = "unknown IE"
    fields_desc = [
        XByteField("iei", 0),
        FieldLenField("length", None, fmt="B", length_of="value"),
        XStrLenField("value", b"", length_from=lambda packet: packet.length),
    ]


def _fixed(title: str, number: int, octets: int) -> type[Ie]:
    """An IE of TS 24.334 with a value of fixed length and no length octet."""
    fields = [XByteField("iei", number), XStrFixedLenField("value", bytes(octets), octets)]
    return type(f"{title} IE", (Ie,), {"name": title, "fields_desc": fields})


_TS_24334_FIXED = {
    7: ("Maximum inactivity period", 4),
    8: ("PRUK ID", 8),
    9: ("AUTS", 14),
    10: ("RAND", 16),
    15: ("LSB of KD ID", 2),
    16: ("MSB of KD ID", 2),
    17: ("KD ID", 4),
    18: ("KD freshness", 16),
    21: ("Re-auth flag", 1),
    22: ("Signature", 129),
    25: ("Relay service code", 3),
}
"""IEI -> name, octets (unconfirmed: as third-party code has them)."""
IES: dict[int, type[Ie]] = {
    0x01: UserInfoIe,
    0x03: LinkLocalIe,
    23: EncryptedPayloadIe,
    0x40: TargetUserInfoIe,
    0x41: LinkL2IdIe,
    0x42: ProfileAndFlagsIe,
    0x43: RequestHashIe,
    0x44: KeyConfirmationIe,
    0x46: GroupInfoIe,
    0x47: Nonce2Ie,
    0x48: ChosenAlgorithmsIe,
    0x49: KdSessIdLsbIe,
    0x78: IMessageIe,
    **{number: _fixed(title, number, octets) for number, (title, octets) in _TS_24334_FIXED.items()},
}


def ies() -> PacketListField:
    """The optional IEs of a message, each by its identifier."""
    return PacketListField("ies", [], next_cls_cb=_next_ie)


def _next_ie(_message: Packet, _done: list[Packet], _last: Any, rest: bytes) -> type[Ie] | None:
    return IES.get(rest[0], UnknownIe) if rest else None
