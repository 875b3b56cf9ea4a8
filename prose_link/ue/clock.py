"""The clocks of one UE: the count of its samples, and the calendar it dates messages by."""

from __future__ import annotations

from prose_link.instant import Instant

MAX_CALENDAR_ERROR_S = 0.1
"""Largest difference between the count of samples and the system's calendar before the calendar is set again."""


class UeClock:
    """Computes the time from the samples that the radio has delivered.

    Args:
        sample_rate_hz: the rate of the samples.
        utc_s_at_power_on: UTC (Unix seconds) at sample 0.
        error_s: by how much the UE's own calendar is ahead of UTC.
    """

    def __init__(self, sample_rate_hz: int, utc_s_at_power_on: float, error_s: float = 0.0) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._utc_s_at_power_on = utc_s_at_power_on
        self._error_s = error_s
        self._samples_seen = 0
        self._machine_at_0_s: float | None = None
        self._machine_ahead_s = 0.0

    @property
    def samples_seen(self) -> int:
        """The sample after the last one taken."""
        return self._samples_seen

    @property
    def now(self) -> Instant:
        """The moment after the last sample taken, in the lab's time: without this UE's clock error."""
        mono_s = self._samples_seen / self._sample_rate_hz
        return Instant(mono_s=mono_s, utc_s=self._utc_s_at_power_on + mono_s)

    @property
    def own(self) -> Instant:
        """The same moment on this UE's own clocks, error included."""
        now = self.now
        machine_s = now.mono_s + self._machine_ahead_s
        return Instant(mono_s=now.mono_s, utc_s=now.utc_s + self._error_s, machine_s=machine_s)

    def advance_to(self, sample: int) -> None:
        """All samples before `sample` have come."""
        self._samples_seen = sample

    def step_own_calendar(self, by_s: float) -> None:
        """Move this UE's own calendar forward by so much, back if it is negative; its counter does not change."""
        self._error_s += by_s

    def set_calendar(self, utc_s: float, machine_s: float) -> None:
        """Set the calendar if the count of samples differs from it: air may stand still.

        `machine_s`: the machine's monotonic counter. It distinguishes such air from a calendar that was set. It is
        taken to have been 0 at sample 0, as the count of samples was, so that nothing jumps when it is first known.
        """
        mono_s = self.now.mono_s
        if self._machine_at_0_s is None:
            self._machine_at_0_s = machine_s - mono_s
        self._machine_ahead_s = machine_s - self._machine_at_0_s - mono_s
        if abs(utc_s - self.now.utc_s) > MAX_CALENDAR_ERROR_S:
            self._utc_s_at_power_on += utc_s - self.now.utc_s
