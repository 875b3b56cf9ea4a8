"""Encoding of PC5_DISCOVERY: 29 octets = type 1, body 23, MIC 4, counter LSB 1 (TS 24.334 11.2.5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prose_link.discovery.messages import (
    DiscoveryMessage,
    GroupMemberAnnouncement,
    GroupMemberResponse,
    GroupMemberSolicitation,
    OpenAnnouncement,
    RelayAnnouncement,
    RelayResponse,
    RelaySolicitation,
    RestrictedAnnouncement,
    RestrictedQuery,
    RestrictedResponse,
)
from prose_link.errors import ProseLinkError

PDU_OCTETS: Final = 29
BODY_OCTETS: Final = 23
MIC_OCTETS: Final = 4
CONTENT_OCTETS: Final = 1 + BODY_OCTETS
"""Type and body: what a MIC protects, besides the counter."""

_GROUP_MEMBER: Final = {"discovery_group_id": 3, "user_info_id": 6, "prose_ue_id": 3}
_RELAY: Final = {"relay_service_code": 3, "user_info_id": 6, "prose_ue_id": 3}
LAYOUTS: Final[Mapping[type[DiscoveryMessage], Mapping[str, int]]] = {
    OpenAnnouncement: {"code": BODY_OCTETS},
    RestrictedAnnouncement: {"code": BODY_OCTETS},
    RestrictedQuery: {"code": BODY_OCTETS},
    RestrictedResponse: {"code": BODY_OCTETS},
    GroupMemberAnnouncement: _GROUP_MEMBER,
    GroupMemberSolicitation: {
        "discovery_group_id": 3,
        "user_info_id": 6,
        "target_user_info_id": 6,
        "prose_ue_id": 3,
    },
    GroupMemberResponse: _GROUP_MEMBER,
    RelayAnnouncement: _RELAY | {"status": 1},
    RelaySolicitation: _RELAY,
    RelayResponse: _RELAY | {"status": 1},
}
"""Fields of each body in order, in octets; the rest is spare: sent as 0, ignored on receipt (TS 24.334 12.1A)."""

_KINDS: Final = {int(kind.TYPE): kind for kind in LAYOUTS}


class DiscoveryFormatError(ProseLinkError):
    """Octets that are no PC5_DISCOVERY message, or a message that has no encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryPdu:
    """A message with its protection; `content` is type and body as they stood on the air."""

    message: DiscoveryMessage
    content: bytes
    mic: bytes
    counter_lsb: int


def encode_content(message: DiscoveryMessage) -> bytes:
    """Type and body, 24 octets; raises DiscoveryFormatError for values that don't fit."""
    body = b"".join(_field(message, name, octets) for name, octets in LAYOUTS[type(message)].items())
    return bytes([message.TYPE]) + body.ljust(BODY_OCTETS, b"\0")


def encode(message: DiscoveryMessage, *, mic: bytes, counter: int) -> bytes:
    """All 29 octets: `mic` 4 octets, the 8 LSB of the UTC-based counter; raises DiscoveryFormatError."""
    if len(mic) != MIC_OCTETS:
        raise DiscoveryFormatError(f"a MIC has {MIC_OCTETS} octets, got {len(mic)}")
    return encode_content(message) + mic + bytes([counter & 0xFF])


def decode(octets: bytes) -> DiscoveryPdu:
    """The message of 29 octets; raises DiscoveryFormatError, and nothing else, for any other octets."""
    if len(octets) != PDU_OCTETS:
        raise DiscoveryFormatError(f"a PC5_DISCOVERY message has {PDU_OCTETS} octets, got {len(octets)}")
    kind = _KINDS.get(octets[0])
    if kind is None:
        raise DiscoveryFormatError(f"discovery message type {octets[0]:#04x}")
    fields: dict[str, int | bytes] = {}
    position = 1
    for name, length in LAYOUTS[kind].items():
        value = octets[position : position + length]
        fields[name] = value if name == "code" else int.from_bytes(value)
        position += length
    return DiscoveryPdu(
        message=kind(**fields),  # type: ignore[arg-type]
        content=octets[:CONTENT_OCTETS],
        mic=octets[CONTENT_OCTETS : CONTENT_OCTETS + MIC_OCTETS],
        counter_lsb=octets[-1],
    )


def _field(message: DiscoveryMessage, name: str, length: int) -> bytes:
    value = getattr(message, name)
    if isinstance(value, bytes):
        if len(value) != length:
            raise DiscoveryFormatError(f"{name} has {length} octets, got {len(value)}")
        return value
    if not 0 <= value < 1 << (8 * length):
        raise DiscoveryFormatError(f"{name} = {value} does not fit {length} octets")
    return int(value).to_bytes(length)
