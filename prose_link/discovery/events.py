"""What a discovery entity tells its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDiscovered:
    """A group member or relay was heard for the first time."""

    message: str
    """Kind of the discovery message."""
    scope_id: int
    user_info_id: int
    prose_ue_id: int
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDiscovered:
    """A code that a filter asks for was heard for the first time. A code names nobody's layer-2 id."""

    message: str
    """Kind of the discovery message."""
    code: bytes
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLost:
    """What was heard before hasn't been for the validity time."""

    message: str
    """Kind of the discovery message."""
    scope_id: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLost:
    """A code heard before hasn't been for the validity time."""

    message: str
    """Kind of the discovery message."""
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Solicited:
    """Somebody asked for this UE; the answer goes out."""

    scope_id: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryUnprotected:
    """No key of a discovery group is held: its messages are sent without a MIC, and taken from anybody."""

    group_ids: frozenset[int]
    """Discovery group IDs without a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """A message of one's own goes out no more: its validity is over, or no key of this time is held."""

    message: str
    """Kind of the discovery message."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotListened:
    """Codes of a filter are taken no more, for the same reasons."""

    message: str
    """Kind of the discovery message."""
    code: bytes
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryDropped:
    """A discovery message was dropped and counted."""

    message: str
    """Kind of the discovery message."""
    why: str
    detail: str = ""


DiscoveryEvent: TypeAlias = (
    PeerDiscovered
    | CodeDiscovered
    | PeerLost
    | CodeLost
    | Solicited
    | DiscoveryUnprotected
    | NotSent
    | NotListened
    | DiscoveryDropped
)
