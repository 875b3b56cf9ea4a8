"""Judgement of this UE's calendar clock: whether to trust it, and how far it may raise the time floor.

Other parties can set a calendar clock: a user, a time server, a forged satellite signal. They can't set the monotonic
counter. So the clock is compared with the counter: both must advance equally, from the start on or from the last
contact with the home KMS. While they differ by more than W the clock is *out of step*: set-ups are refused with cause
0x80, and the clock doesn't raise the time floor, because a floor that is too high stays too high. This ends when the
clock is back in step, when the home KMS has given the time, or when the operator declares that the clock is right.

None of this helps against a clock that was set while the UE was off, or after the loss of its record: a time just above
the time floor looks right. So a UE may wait for a contact with its KMS before it sets up any link (`RequireKms`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prose_link.instant import Instant
from prose_link.pc5s.core.events import ClockApartFromKms, ClockBackInStep, ClockJumped
from prose_link.pc5s.core.replay import WINDOW_S


class RequireKms(StrEnum):
    """The cases in which the home KMS must have given the time before a link is set up (PROFILE 10)."""

    AFTER_LOSS = "after-loss"
    """After the loss of the device's record."""
    AFTER_START = "after-start"
    """After each start."""
    NEVER = "never"


@dataclass(slots=True)
class OwnClock:
    """The calendar clock of one UE, compared with its monotonic counter."""

    _offset_s: float | None = None
    _out_of_step: bool = False
    _disputed: bool = False
    _told: bool = False

    @property
    def out_of_step(self) -> bool:
        """Whether the clock has jumped. It decides nothing until it is back in step."""
        return self._out_of_step

    @property
    def may_raise_floor(self) -> bool:
        """Whether the clock is in step with the counter and the home KMS has not contradicted it."""
        return not (self._out_of_step or self._disputed)

    @property
    def told(self) -> bool:
        """Whether the home KMS has given the time since the start."""
        return self._told

    def observe(self, now: Instant) -> ClockJumped | ClockBackInStep | None:
        """Compare both clocks. Returns an event if the verdict changes."""
        offset_s = now.utc_s - now.counted_s
        if self._offset_s is None:
            self._offset_s = offset_s
        step_s = offset_s - self._offset_s
        was, self._out_of_step = self._out_of_step, abs(step_s) > WINDOW_S
        if self._out_of_step and not was:
            return ClockJumped(now_ntp_s=int(now.ntp_s), step_s=int(step_s))
        if was and not self._out_of_step:
            return ClockBackInStep(now_ntp_s=int(now.ntp_s))
        return None

    def trust(self, now: Instant) -> None:
        """Take the clock as right from now on, because the operator says so."""
        self._offset_s = now.utc_s - now.counted_s
        self._out_of_step = self._disputed = False

    def dispute(self) -> None:
        """Note that another process of the device corrected the floor: this UE's clock may be wrong too.

        The clock doesn't raise the floor until a contact of this process confirms it.
        """
        self._disputed = True

    def kms_contact(self, kms_ntp_s: float, now: Instant) -> ClockApartFromKms | None:
        """Start the comparison again from a contact with the home KMS.

        Returns an event if the KMS's time is more than W from the clock's. Either may be right: the clock doesn't raise
        the floor until a contact confirms it.
        """
        self.trust(now)
        self._told = True
        self._disputed = abs(now.ntp_s - kms_ntp_s) > WINDOW_S
        if self._disputed:
            return ClockApartFromKms(now_ntp_s=int(now.ntp_s), kms_ntp_s=int(kms_ntp_s))
        return None
