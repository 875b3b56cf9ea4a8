"""The parts from which a link profile is made; the profiles of one entity share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.profile import LinkProfile
from prose_link.pc5s.core.request import Requests
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.upkeep import Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileParts:
    """The shared parts and limits of the entity, the procedure of repeated requests, and the upkeep."""

    desk: Desk
    limits: Limits
    requests: Requests
    upkeep: Upkeep


ProfileMaker: TypeAlias = Callable[[ProfileParts], LinkProfile]
"""A function that makes one profile for one entity."""
