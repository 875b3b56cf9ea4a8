"""The time as it is passed into protocol entities: they never read a clock."""

from __future__ import annotations

from dataclasses import dataclass

NTP_EPOCH_OFFSET_S = 2_208_988_800
"""Seconds from 1900-01-01 (NTP) to 1970-01-01 (Unix), RFC 5905 section 6."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on the clocks of a UE: `mono_s` runs timers, `utc_s` (Unix seconds) dates messages.

    `machine_s` is the machine's monotonic counter if that is another than `mono_s`: air that stands still stops the
    count of samples, but not the calendar.
    """

    mono_s: float
    utc_s: float
    machine_s: float | None = None

    @property
    def counted_s(self) -> float:
        """The monotonic counter with which the calendar clock is compared."""
        return self.mono_s if self.machine_s is None else self.machine_s

    @property
    def ntp_s(self) -> float:
        """UTC in seconds since 1900-01-01."""
        return self.utc_s + NTP_EPOCH_OFFSET_S
