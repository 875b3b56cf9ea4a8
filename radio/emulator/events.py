"""What the hub tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class UeJoined:
    """A UE's radio joined; `again` when it had been there before."""

    ue: str
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UeRefused:
    """A UE asked to join and may not."""

    ue: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AirStarted:
    """All UEs are there, or the first of those that come and go: virtual time runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFor:
    """Virtual time stands still for want of these UEs: to join (before block 0) or to go on."""

    ues: tuple[str, ...]
    hub_block: int
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UeLeft:
    """A UE said goodbye."""

    ue: str
    hub_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UeLost:
    """A UE's process died, hung or broke the protocol."""

    ue: str
    hub_block: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AirEnded:
    """Virtual time ended."""

    why: str
    hub_blocks: int
    wall_s: float
    mixing_s: float
    """Processor time the blocks took."""


HubEvent: TypeAlias = UeJoined | UeRefused | AirStarted | WaitingFor | UeLeft | UeLost | AirEnded
