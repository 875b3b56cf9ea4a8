"""The link profiles of a UE: the one place that lists them. Another one is a folder, and a line here."""

from __future__ import annotations

from typing import Final

from prose_link.pc5s.core.profile_parts import ProfileMaker
from prose_link.pc5s.identity.profile import IdentityProfile
from prose_link.pc5s.ts24334.profile import Ts24334Profile

PROFILES: Final[tuple[ProfileMaker, ...]] = (IdentityProfile, Ts24334Profile)
