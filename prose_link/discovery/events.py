"""Events of a discovery entity."""

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
    """A code that a filter asks for was heard for the first time. A code holds no layer-2 id."""

    message: str
    """Kind of the discovery message."""
    code: bytes
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLost:
    """A group member or relay was not heard for the validity time."""

    message: str
    """Kind of the discovery message."""
    scope_id: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLost:
    """A code was not heard for the validity time."""

    message: str
    """Kind of the discovery message."""
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Solicited:
    """Another UE asked for this UE; the answer is sent."""

    scope_id: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryUnprotected:
    """No key of a discovery group is held: its messages are sent without MIC and accepted from any UE."""

    group_ids: frozenset[int]
    """Discovery group IDs without a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """An own message is sent no more: its validity is over, or no key for this time is held."""

    message: str
    """Kind of the discovery message."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotListened:
    """Codes of a filter are accepted no more, for the same reasons."""

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
