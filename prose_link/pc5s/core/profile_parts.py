"""What a link profile is made from: what it shares with the other profiles of the same entity."""

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
    """The entity's desk and limits, the procedure of asking, and the upkeep of links that are up."""

    desk: Desk
    limits: Limits
    requests: Requests
    upkeep: Upkeep


ProfileMaker: TypeAlias = Callable[[ProfileParts], LinkProfile]
"""Makes one profile for one entity."""
