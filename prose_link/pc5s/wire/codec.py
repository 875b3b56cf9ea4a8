"""Encoding and decoding of PC5-S messages: one table of IEs for each message, and one way to write each (PROFILE 3).

Decoding is strict: IEs in the listed order, nothing repeated, nothing unknown, nothing after the last. So a message
that decodes encodes to the same octets, and `encode_head` of it is what the sender hashed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from prose_link.pc5s.wire import ies
from prose_link.pc5s.wire.framing import HEADER_OCTETS, read_fields, write_message
from prose_link.pc5s.wire.ies import Format, Ie, MalformedMessage
from prose_link.pc5s.wire.messages import (
    DirectAccept,
    DirectReject,
    DirectRequest,
    IpAddressConfig,
    Keepalive,
    KeepaliveAck,
    Message,
    MessageType,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    Release,
    ReleaseAccept,
    ReleaseReason,
)
from security.identifiers import MAX_IDENTITY_OCTETS, MIN_IDENTITY_OCTETS

IEI_USER_INFO: Final = 0x01
IEI_LINK_LOCAL: Final = 0x03
IEI_TARGET_USER_INFO: Final = 0x40
IEI_LINK_L2_ID: Final = 0x41
IEI_PROFILE: Final = 0x42
IEI_REQUEST_HASH: Final = 0x43
IEI_CONFIRMATION: Final = 0x44
IEI_GROUP_INFO: Final = 0x46
IEI_NONCE_2: Final = 0x47
IEI_ALGORITHMS: Final = 0x48
IEI_KD_SESS_ID_LSB: Final = 0x49
IEI_I_MESSAGE: Final = 0x78

_PROOFS = frozenset({IEI_I_MESSAGE, IEI_CONFIRMATION})
_USER_INFO_LENGTHS = range(1 + MIN_IDENTITY_OCTETS, 1 + MAX_IDENTITY_OCTETS + 1)
_GROUP_INFO_LENGTHS = range(
    ies.GROUP_INFO_FIXED_OCTETS + MIN_IDENTITY_OCTETS, min(256, ies.GROUP_INFO_FIXED_OCTETS + MAX_IDENTITY_OCTETS + 1)
)


def _exactly(n_octets: int) -> range:
    return range(n_octets, n_octets + 1)


def _octets(name: str, form: Format, iei: int, n_octets: int, *, optional: bool = False) -> Ie:
    return Ie(name, form, iei, _exactly(n_octets), ies.read_octets, ies.read_octets, optional)


def _i_message(*, optional: bool) -> Ie:
    return Ie("i_message", Format.TLV_E, IEI_I_MESSAGE, range(1, 1 << 16), ies.read_octets, ies.read_octets, optional)


def _value(name: str, n_octets: int, *, non_zero: bool = False) -> Ie:
    write, read = (ies.write_non_zero, ies.read_non_zero) if non_zero else (ies.write_number, ies.read_number)
    return Ie(name, Format.V, 0, _exactly(n_octets), write(n_octets), read)


_IP_CONFIG = Ie("ip_address_config", Format.V, 0, _exactly(1), ies.write_enum, ies.read_enum(IpAddressConfig))
_LINK_LOCAL = _octets("link_local", Format.TV, IEI_LINK_LOCAL, 16, optional=True)
_LINK_L2_ID = Ie("link_l2_id", Format.TLV, IEI_LINK_L2_ID, _exactly(3), ies.write_l2_id, ies.read_l2_id)
_PROFILE = Ie("profile", Format.TLV, IEI_PROFILE, _exactly(2), ies.write_profile, ies.read_profile)
_CAPABILITIES = Ie("capabilities", Format.V, 0, _exactly(2), ies.write_capabilities, ies.read_capabilities)
_NONCE_1 = _octets("nonce_1", Format.V, 0, 16)
_MSB = _value("kd_sess_id_msb", 1, non_zero=True)
_REQUEST_HASH = _octets("request_hash", Format.TLV, IEI_REQUEST_HASH, 32)
_CONFIRMATION = _octets("confirmation", Format.TLV, IEI_CONFIRMATION, 16)
_ACCEPTED = (
    _octets("nonce_2", Format.TLV, IEI_NONCE_2, 16),
    Ie("algorithms", Format.TLV, IEI_ALGORITHMS, _exactly(1), ies.write_algorithms, ies.read_algorithms),
    Ie("kd_sess_id_lsb", Format.TLV, IEI_KD_SESS_ID_LSB, _exactly(1), ies.write_number(1), ies.read_number),
    _i_message(optional=True),
    _CONFIRMATION,
)
_COUNTER = _value("counter", 4)

LAYOUTS: Final[Mapping[type[Message], tuple[Ie, ...]]] = {
    DirectRequest: (
        Ie("user_info", Format.LV, 0, _USER_INFO_LENGTHS, ies.write_user_info, ies.read_user_info),
        _IP_CONFIG,
        _value("maximum_inactivity_period_s", 4, non_zero=True),
        _NONCE_1,
        _CAPABILITIES,
        _MSB,
        _LINK_LOCAL,
        Ie(
            "target_user_info",
            Format.TLV,
            IEI_TARGET_USER_INFO,
            _USER_INFO_LENGTHS,
            ies.write_user_info,
            ies.read_user_info,
        ),
        _LINK_L2_ID,
        _PROFILE,
        Ie(
            "group_info",
            Format.TLV,
            IEI_GROUP_INFO,
            _GROUP_INFO_LENGTHS,
            ies.write_group_info,
            ies.read_group_info,
            optional=True,
        ),
        _i_message(optional=False),
    ),
    DirectAccept: (
        _IP_CONFIG,
        _LINK_LOCAL,
        Ie("user_info", Format.TLV, IEI_USER_INFO, _USER_INFO_LENGTHS, ies.write_user_info, ies.read_user_info),
        _LINK_L2_ID,
        _PROFILE,
        _REQUEST_HASH,
        *_ACCEPTED,
    ),
    DirectReject: (_value("cause", 1), _octets("request_hash", Format.TLV, IEI_REQUEST_HASH, 8)),
    Keepalive: (_COUNTER, dataclasses.replace(_CONFIRMATION, optional=True)),
    KeepaliveAck: (_COUNTER,),
    Release: (Ie("reason", Format.V, 0, _exactly(1), ies.write_enum, ies.read_enum(ReleaseReason)),),
    ReleaseAccept: (),
    RekeyingRequest: (_CAPABILITIES, _NONCE_1, _MSB, _i_message(optional=True)),
    RekeyingResponse: (_REQUEST_HASH, *_ACCEPTED),
    RekeyingTrigger: (),
}
"""The IEs of each message in the order of the wire, after type and sequence number."""

_KINDS: Final[Mapping[int, type[Message]]] = {kind.TYPE: kind for kind in LAYOUTS}


def encode(message: Message) -> bytes:
    """The octets of a message; raises MalformedMessage for values that have no encoding."""
    _check_together(message)
    return write_message(message.TYPE, message, LAYOUTS[type(message)])


def encode_head(message: Message) -> bytes:
    """The octets before the I_MESSAGE IE, or before the key confirmation where there is no I_MESSAGE (PROFILE 4)."""
    _check_together(message)
    head = tuple(ie for ie in LAYOUTS[type(message)] if ie.iei not in _PROOFS)
    return write_message(message.TYPE, message, head)


def decode(octets: bytes) -> Message:
    """The message these octets are; raises MalformedMessage, and nothing else, for any other octets."""
    if len(octets) < HEADER_OCTETS:
        raise MalformedMessage(f"{len(octets)} octets are no message")
    kind = _KINDS.get(octets[0])
    if kind is None:
        raise MalformedMessage(f"message type {octets[0]}")
    message = kind(**read_fields(octets, LAYOUTS[kind]))
    _check_together(message)
    return message


def message_type(octets: bytes) -> MessageType | None:
    """The type of a message by its first octet alone, None where the profile has no such type."""
    return _KINDS[octets[0]].TYPE if octets and octets[0] in _KINDS else None


def _check_together(message: Message) -> None:
    """What holds between the fields of a message."""
    match message:
        case DirectRequest():
            if (message.group_info is not None) != bool(message.profile.purpose):
                raise MalformedMessage("Group info goes with purpose group, and only with it")
        case Keepalive() if (message.confirmation is not None) != (message.counter == 0):
            raise MalformedMessage("a Confirm has counter 0, a Keepalive any other")
