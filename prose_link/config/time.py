"""The `[time]` section of a UE's configuration: the conditions for trust in its calendar clock (PROFILE 10)."""

from __future__ import annotations

from typing import Literal

from prose_link.config.section import Section
from prose_link.pc5s.core.own_clock import RequireKms


class TimeSection(Section):
    """After a time off, a clock that was set just above the last time known to be true looks like a right one."""

    require_kms: Literal["after-loss", "after-start", "never"] = "after-loss"
    """The cases in which the home KMS must have given the time before a link or a group key is set up: after the loss
    of the device's record, after every start, or never. With never, a start without the KMS reports that the time is
    not proven.
    """

    @property
    def requirement(self) -> RequireKms:
        """The requirement as the link's entity uses it."""
        return RequireKms(self.require_kms)
