"""Encoding and decoding of the `ts24334` profile's messages (TS 24.334 11.4; IEIs as third-party code has them).

As strict as the `identity` profile's codec: what decodes encodes to the same octets, so that a signature over a message
without its Signature IE is over what its sender wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prose_link.pc5s.ts24334.messages import (
    ModeMessage,
    PlainReject,
    ProtectedAccept,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.wire import codec, ies
from prose_link.pc5s.wire.framing import HEADER_OCTETS, read_fields, write_message
from prose_link.pc5s.wire.ies import Format, Ie, MalformedMessage
from prose_link.pc5s.wire.messages import IpAddressConfig, Keepalive, KeepaliveAck, Release, ReleaseAccept
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.identifiers import MAX_IDENTITY_OCTETS, MIN_IDENTITY_OCTETS

IEI_USER_INFO: Final = 1
IEI_LINK_LOCAL: Final = 3
IEI_AUTS: Final = 9
IEI_RAND: Final = 10
IEI_KD_ID_LSB: Final = 15
IEI_KD_ID_MSB: Final = 16
IEI_KD_ID: Final = 17
IEI_KD_FRESHNESS: Final = 18
IEI_SIGNATURE: Final = 22
IEI_ENCRYPTED_PAYLOAD: Final = 23
IEI_GPI: Final = 24
IEI_RELAY_SERVICE_CODE: Final = 25

_USER_INFO_LENGTHS = range(1 + MIN_IDENTITY_OCTETS, 1 + MAX_IDENTITY_OCTETS + 1)


def _exactly(n_octets: int) -> range:
    return range(n_octets, n_octets + 1)


def _fixed(name: str, iei: int, n_octets: int) -> Ie:
    return Ie(name, Format.TV, iei, _exactly(n_octets), ies.read_octets, ies.read_octets, optional=True)


def _fixed_number(name: str, iei: int, n_octets: int) -> Ie:
    return Ie(name, Format.TV, iei, _exactly(n_octets), ies.write_number(n_octets), ies.read_number, optional=True)


_IP_CONFIG = Ie("ip_address_config", Format.V, 0, _exactly(1), ies.write_enum, ies.read_enum(IpAddressConfig))
_CAPABILITIES = Ie("capabilities", Format.V, 0, _exactly(2), ies.write_capabilities, ies.read_capabilities)
_CAUSE = Ie("cause", Format.V, 0, _exactly(1), ies.write_number(1), ies.read_number)
_SIGNATURE = _fixed("signature", IEI_SIGNATURE, SIGNATURE_OCTETS)
_LINK_LOCAL = _fixed("link_local", IEI_LINK_LOCAL, 16)

LAYOUTS: Final[Mapping[type[ModeMessage], tuple[Ie, ...]]] = {
    SignedRequest: (
        Ie("user_info", Format.LV, 0, _USER_INFO_LENGTHS, ies.write_user_info, ies.read_user_info),
        _IP_CONFIG,
        Ie("maximum_inactivity_period_s", Format.V, 0, _exactly(4), ies.write_non_zero(4), ies.read_non_zero),
        Ie("nonce_1", Format.V, 0, _exactly(16), ies.read_octets, ies.read_octets),
        _CAPABILITIES,
        Ie("kd_sess_id_msb", Format.V, 0, _exactly(1), ies.write_non_zero(1), ies.read_non_zero),
        _fixed_number("kd_id", IEI_KD_ID, 4),
        _fixed_number("relay_service_code", IEI_RELAY_SERVICE_CODE, 3),
        _SIGNATURE,
        _LINK_LOCAL,
    ),
    ProtectedAccept: (_IP_CONFIG, _LINK_LOCAL),
    PlainReject: (_CAUSE,),
    Keepalive: tuple(ie for ie in codec.LAYOUTS[Keepalive] if ie.name != "confirmation"),
    KeepaliveAck: codec.LAYOUTS[KeepaliveAck],
    Release: codec.LAYOUTS[Release],
    ReleaseAccept: codec.LAYOUTS[ReleaseAccept],
    SecurityModeCommand: (
        _CAPABILITIES,
        Ie("nonce_2", Format.V, 0, _exactly(16), ies.read_octets, ies.read_octets),
        Ie("algorithms", Format.V, 0, _exactly(1), ies.write_algorithms, ies.read_algorithms),
        Ie("kd_sess_id_lsb", Format.V, 0, _exactly(1), ies.write_number(1), ies.read_number),
        _fixed_number("kd_id_msb", IEI_KD_ID_MSB, 2),
        _fixed("kd_freshness", IEI_KD_FRESHNESS, 16),
        Ie("gpi", Format.TLV, IEI_GPI, range(1, 256), ies.read_octets, ies.read_octets, optional=True),
        Ie(
            "user_info",
            Format.TLV,
            IEI_USER_INFO,
            _USER_INFO_LENGTHS,
            ies.write_user_info,
            ies.read_user_info,
            optional=True,
        ),
        _SIGNATURE,
        Ie(
            "encrypted_payload",
            Format.TLV_E,
            IEI_ENCRYPTED_PAYLOAD,
            range(1, 1 << 16),
            ies.read_octets,
            ies.read_octets,
            optional=True,
        ),
    ),
    SecurityModeComplete: (_fixed_number("kd_id_lsb", IEI_KD_ID_LSB, 2),),
    SecurityModeReject: (_CAUSE, _fixed("rand", IEI_RAND, 16), _fixed("auts", IEI_AUTS, 14)),
}
"""The IEs of each message in the order of the wire, after type and sequence number (TS 24.334 11.4)."""

_KINDS: Final[Mapping[int, type[ModeMessage]]] = {int(kind.TYPE): kind for kind in LAYOUTS}


def encode(message: ModeMessage) -> bytes:
    """The octets of a message; raises MalformedMessage for values that have no encoding."""
    return write_message(message.TYPE, message, LAYOUTS[type(message)])


def encode_unsigned(message: SignedRequest | SecurityModeCommand) -> bytes:
    """The octets of a message without its Signature IE."""
    layout = tuple(ie for ie in LAYOUTS[type(message)] if ie.iei != IEI_SIGNATURE)
    return write_message(message.TYPE, message, layout)


def decode(octets: bytes) -> ModeMessage:
    """The message these octets are; raises MalformedMessage, and nothing else, for any other octets."""
    if len(octets) < HEADER_OCTETS:
        raise MalformedMessage(f"{len(octets)} octets are no message")
    kind = _KINDS.get(octets[0])
    if kind is None:
        raise MalformedMessage(f"message type {octets[0]}")
    return kind(**read_fields(octets, LAYOUTS[kind]))


def message_kind(octets: bytes) -> type[ModeMessage] | None:
    """The kind of a message by its first octet alone, None where the profile has no such type."""
    return _KINDS.get(octets[0]) if octets else None
