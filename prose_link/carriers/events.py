"""What carriers tell, beside the PDUs that they bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHandedOn:
    """This UE, a D2D proxy, handed a frame of others on."""

    message: str
    """The PC5-S message inside, by its type octet: nothing has checked it."""
    origin_l2: int
    destination_l2: int
    to_l2: int
    """The neighbour that it was sent to."""
    hop_limit: int
    """Hops that were left when it went out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataHandedOn:
    """This UE, a D2D proxy, began to hand on protected PDUs from one UE to another; further ones are only counted."""

    origin_l2: int
    destination_l2: int
    to_l2: int
    """The neighbour that they are sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramesNotHandedOn:
    """This UE, a D2D proxy, dropped frames of others; told at the 1st, 2nd, 4th, 8th ... of each reason."""

    why: str
    frames: int
    """So many were dropped for this reason up to now."""
    neighbour_l2: int
    """Layer-2 id of the radio that sent the last one."""


CarrierEvent: TypeAlias = FrameHandedOn | DataHandedOn | FramesNotHandedOn
"""Everything that a carrier of the lab's own tells."""
