"""What the hub tells while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class RfServing:
    """The emulator takes UEs from now on."""

    endpoint: str
    """Where UEs join."""
    scenario: str
    """Name of the scenario."""
    seed: int
    """Seed of all randomness."""
    sample_rate_hz: int
    ues: tuple[str, ...]
    """The UEs of the scenario."""
    come_and_go: bool
    """They may join and leave as they like; else virtual time waits for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeJoined:
    """A UE's radio joined."""

    ue: str
    again: bool
    """It had been there before."""


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
    """Those that are waited for."""
    hub_block: int
    waited_s: float
    """Wall time since something moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeOutOfReach:
    """From this block on a UE hears nobody, and nobody hears it: the scenario wants it so."""

    ue: str
    hub_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UeBackInReach:
    """From this block on a UE hears the others again, and they hear it."""

    ue: str
    hub_block: int


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
    """Blocks of 1 ms that were mixed."""
    wall_s: float
    """Wall time from the first block to the last."""
    mixing_s: float
    """Processor time the blocks took."""


HubEvent: TypeAlias = (
    RfServing
    | UeJoined
    | UeRefused
    | AirStarted
    | WaitingFor
    | UeOutOfReach
    | UeBackInReach
    | UeLeft
    | UeLost
    | AirEnded
)
