"""Scapy layers for PC5 signalling: the messages of the `identity` profile and of TS 24.334 12.5.1.

`Pc5S() / DirectConnectionRequest(..., ies=[TargetUserInfoIe(...), ...])`: the message type follows from the message.
"""

from __future__ import annotations

from scapy.fields import (
    BitField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    IntField,
    PacketLenField,
    ShortField,
    X3BytesField,
    XByteField,
    XIntField,
    XStrFixedLenField,
)
from scapy.packet import Packet, bind_layers

from lab_scripts.dissectors.pc5s_ies import IP_CONFIGS, capabilities, ies, user_info

MESSAGES = {
    1: "Direct Connection Request",
    2: "Direct Connection Accept",
    3: "Direct Connection Reject",
    4: "Keepalive",
    5: "Keepalive Ack",
    6: "Release",
    7: "Release Accept",
    12: "Direct Security Mode Command",
    13: "Direct Security Mode Complete",
    14: "Direct Security Mode Reject",
    15: "Rekeying Request",
    16: "Rekeying Response",
    17: "Rekeying Trigger",
    0xF0: "Relay frame",
}
"""TS 24.334 12.5.1.1; 0xF0 is the lab's own."""
CAUSES = {
    1: "not allowed",
    2: "authentication failure",
    3: "layer-2 id conflict",
    4: "lack of resources",
    5: "IP version mismatch",
    6: "other",
    7: "algorithms mismatch",
    0x80: "time or key period",
    0x81: "mutual authentication policy",
}
REASONS = {1: "no longer needed", 2: "no longer allowed", 3: "no longer available"}


class Pc5S(Packet):
    """Message type and sequence number; the rest by type."""

    name = "PC5-S"
    fields_desc = [ByteEnumField("message_type", 1, MESSAGES), ShortField("sequence_number", 0)]


class DirectConnectionRequest(Packet):
    name = MESSAGES[1]
    fields_desc = [
        *user_info("user_info"),
        ByteEnumField("ip_address_config", 4, IP_CONFIGS),
        IntField("maximum_inactivity_period", 30),
        XStrFixedLenField("nonce_1", bytes(16), 16),
        capabilities(),
        XByteField("kd_sess_id_msb", 1),
        ies(),
    ]


class DirectConnectionAccept(Packet):
    name = MESSAGES[2]
    fields_desc = [ByteEnumField("ip_address_config", 4, IP_CONFIGS), ies()]


class DirectConnectionReject(Packet):
    name = MESSAGES[3]
    fields_desc = [ByteEnumField("cause", 2, CAUSES), ies()]


class Keepalive(Packet):
    """With counter 0 and a key confirmation it is the Confirm."""

    name = MESSAGES[4]
    fields_desc = [IntField("counter", 0), ies()]


class KeepaliveAck(Packet):
    name = MESSAGES[5]
    fields_desc = [IntField("counter", 0)]


class Release(Packet):
    name = MESSAGES[6]
    fields_desc = [ByteEnumField("reason", 1, REASONS)]


class SecurityModeCommand(Packet):
    name = MESSAGES[12]
    fields_desc = [
        capabilities(),
        XStrFixedLenField("nonce_2", bytes(16), 16),
        BitField("spare", 0, 1),
        BitField("eea", 0, 3),
        BitField("spare_2", 0, 1),
        BitField("eia", 0, 3),
        XByteField("kd_sess_id_lsb", 0),
        ies(),
    ]


class SecurityModeComplete(Packet):
    name = MESSAGES[13]
    fields_desc = [ies()]


class SecurityModeReject(Packet):
    name = MESSAGES[14]
    fields_desc = [ByteField("cause", 7), ies()]


class RekeyingRequest(Packet):
    name = MESSAGES[15]
    fields_desc = [
        capabilities(),
        XStrFixedLenField("nonce_1", bytes(16), 16),
        XByteField("kd_sess_id_msb", 1),
        ies(),
    ]


class RekeyingResponse(Packet):
    name = MESSAGES[16]
    fields_desc = [ies()]


class RelayFrame(Packet):
    """What a D2D proxy hands on: a PC5-S message with hop limit, path id and both ends' layer-2 ids."""

    name = MESSAGES[0xF0]
    fields_desc = [
        ByteField("hop_limit", 1),
        XIntField("path_id", 0),
        X3BytesField("origin_l2", 0),
        X3BytesField("destination_l2", 0),
        FieldLenField("length", None, length_of="pdu"),
        PacketLenField("pdu", Pc5S(), Pc5S, length_from=lambda packet: packet.length),
    ]


for _number, _message in {
    1: DirectConnectionRequest,
    2: DirectConnectionAccept,
    3: DirectConnectionReject,
    4: Keepalive,
    5: KeepaliveAck,
    6: Release,
    12: SecurityModeCommand,
    13: SecurityModeComplete,
    14: SecurityModeReject,
    15: RekeyingRequest,
    16: RekeyingResponse,
    0xF0: RelayFrame,
}.items():
    bind_layers(Pc5S, _message, message_type=_number)
