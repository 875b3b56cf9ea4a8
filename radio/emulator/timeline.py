"""Bursts of IQ on one sample clock, silence between them."""

from __future__ import annotations

from collections import deque

import numpy as np

from radio.arrays import Iq


class SampleTimeline:
    """Bursts in order of time. Where a burst overlaps the one before it, the later one is on the air."""

    __slots__ = ("_bursts",)

    def __init__(self) -> None:
        self._bursts: deque[tuple[int, Iq]] = deque()

    def add(self, first_sample: int, iq: Iq) -> None:
        """Put a burst on the timeline, at any place."""
        kept: deque[tuple[int, Iq]] = deque()
        end = first_sample + len(iq)
        while self._bursts and self._bursts[-1][0] + len(self._bursts[-1][1]) > first_sample:
            other_first, other = self._bursts.pop()
            if other_first + len(other) > end:
                kept.appendleft((max(other_first, end), other[max(0, end - other_first) :]))
            if other_first < first_sample:
                kept.appendleft((other_first, other[: first_sample - other_first]))
        kept.append((first_sample, iq))
        self._bursts.extend(sorted(kept, key=lambda burst: burst[0]))

    @property
    def is_empty(self) -> bool:
        """Return whether there is no burst at all."""
        return not self._bursts

    @property
    def end(self) -> int:
        """Return the sample after the last burst, 0 where there is none."""
        return self._bursts[-1][0] + len(self._bursts[-1][1]) if self._bursts else 0

    def window(self, first: int, end: int) -> Iq | None:
        """Return samples [first, end), or None where all is silence."""
        out: Iq | None = None
        for burst_first, iq in self._bursts:
            burst_end = burst_first + len(iq)
            if burst_end <= first:
                continue
            if burst_first >= end:
                break
            if burst_first <= first and burst_end >= end:
                return iq[first - burst_first : end - burst_first]
            if out is None:
                out = np.zeros(end - first, dtype=np.complex64)
            lo, hi = max(first, burst_first), min(end, burst_end)
            out[lo - first : hi - first] = iq[lo - burst_first : hi - burst_first]
        return out

    def starting_in(self, first: int, end: int) -> list[tuple[int, Iq]]:
        """Return the bursts whose first sample is in [first, end)."""
        return [burst for burst in self._bursts if first <= burst[0] < end]

    def forget_before(self, sample: int) -> None:
        """Drop the bursts that end at or before a sample."""
        while self._bursts and self._bursts[0][0] + len(self._bursts[0][1]) <= sample:
            self._bursts.popleft()
