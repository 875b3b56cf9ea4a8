"""Events of a running hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class RfServing:
    """The emulator accepts UEs from now on."""

    endpoint: str
    """Endpoint where UEs join."""
    scenario: str
    """Name of the scenario."""
    seed: int
    """Seed of all randomness."""
    sample_rate_hz: int
    ues: tuple[str, ...]
    """The UEs of the scenario."""
    come_and_go: bool
    """Whether they may join and leave at any time; else virtual time waits for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeJoined:
    """A UE's radio joined."""

    ue: str
    again: bool
    """Whether it had joined before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeRefused:
    """A UE asked to join and was refused."""

    ue: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AirStarted:
    """Virtual time runs: all UEs are there, or the first one if UEs may come and go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFor:
    """Virtual time stands still because these UEs have to join (before block 0) or to continue."""

    ues: tuple[str, ...]
    """The UEs that are waited for."""
    hub_block: int
    waited_s: float
    """Wall time since the last progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UeOutOfReach:
    """From this block on a UE hears no other UE, and no other UE hears it: the scenario says so."""

    ue: str
    hub_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UeBackInReach:
    """From this block on a UE hears the others again, and they hear it."""

    ue: str
    hub_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UeLeft:
    """A UE left the air properly."""

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
