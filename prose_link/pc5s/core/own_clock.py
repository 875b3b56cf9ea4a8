"""Whether this UE's calendar clock can be believed, and how far it may raise the time floor.

A calendar clock can be set by others: by hand, by a time server, by a forged satellite. The monotonic counter can't. So
the calendar clock is held against the counter: both must run alike, from the first moment on or from the last contact
with the home KMS. While they are more than W apart the clock is *out of step*: set-ups are refused with cause 0x80, and
the clock doesn't raise the time floor, which it would spoil for good. That ends when the clock is back in step, when
the home KMS has told the time, or when the operator says that the clock is right.

Neither helps against a clock that was set while the UE was off, or had lost its record: just above the time floor it
looks like a right one. So a UE may wait for a contact with its KMS before it sets anything up (`RequireKms`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prose_link.instant import Instant
from prose_link.pc5s.core.events import ClockApartFromKms, ClockBackInStep, ClockJumped
from prose_link.pc5s.core.replay import WINDOW_S


class RequireKms(StrEnum):
    """When the home KMS must have told the time before anything is set up (PROFILE 10)."""

    AFTER_LOSS = "after-loss"
    """After the loss of the device's record."""
    AFTER_START = "after-start"
    """After each start."""
    NEVER = "never"


@dataclass(slots=True)
class OwnClock:
    """The calendar clock of one UE, held against its monotonic counter."""

    _offset_s: float | None = None
    _out_of_step: bool = False
    _disputed: bool = False
    _told: bool = False

    @property
    def out_of_step(self) -> bool:
        """Whether the clock has jumped, so that nothing is decided by it."""
        return self._out_of_step

    @property
    def may_raise_floor(self) -> bool:
        """Whether the clock is in step with the counter and was not contradicted by the home KMS."""
        return not (self._out_of_step or self._disputed)

    @property
    def told(self) -> bool:
        """Whether the home KMS has told the time since the start."""
        return self._told

    def observe(self, now: Instant) -> ClockJumped | ClockBackInStep | None:
        """Compare both clocks; an event where the verdict changes."""
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
        """Take the clock as it is now to be right: the operator says so."""
        self._offset_s = now.utc_s - now.counted_s
        self._out_of_step = self._disputed = False

    def dispute(self) -> None:
        """Another process of the device has heard from the home KMS that the floor was wrong: this clock may be too.

        It doesn't raise the floor until a contact of this process agrees with it.
        """
        self._disputed = True

    def kms_contact(self, kms_ntp_s: float, now: Instant) -> ClockApartFromKms | None:
        """Start anew from a contact with the home KMS; an event where its time is more than W from the clock's.

        Such a clock may be right or wrong: it doesn't raise the floor until a contact agrees with it.
        """
        self.trust(now)
        self._told = True
        self._disputed = abs(now.ntp_s - kms_ntp_s) > WINDOW_S
        if self._disputed:
            return ClockApartFromKms(now_ntp_s=int(now.ntp_s), kms_ntp_s=int(kms_ntp_s))
        return None
