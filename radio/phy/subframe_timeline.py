"""Where the subframes of a recording stand, and their grids.

Anchors are subframe starts known from synchronisation signals or found from reference signals; every other subframe
hangs on the anchor nearest to it, so that a drifting sample clock does no harm.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from radio.arrays import Grid, Iq
from radio.phy.acquisition import receive_back_off, subframe_grid
from radio.phy.numerology import Carrier

_LEAST_SHARE = 0.85
"""A last subframe cut shorter than this is not looked at; the guard symbol and one more may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A subframe's start in samples of the recording, and the carrier offset there."""

    start: float
    cfo_hz: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedSubframe:
    """One subframe: its number in the recording, where it starts, the carrier offset removed, and its grid."""

    index: int
    start: float
    cfo_hz: float
    grid: Grid


class Timeline:
    """The subframes of a recording on `anchors`, which must not be empty."""

    def __init__(self, carrier: Carrier, iq: Iq, anchors: Sequence[Anchor]) -> None:
        self._carrier = carrier
        self._length = iq.size
        margin = np.zeros(carrier.samples_per_subframe, dtype=np.complex64)
        self._padded = np.concatenate((margin, iq, margin))
        self._anchors = sorted(anchors, key=lambda anchor: anchor.start)
        step = carrier.samples_per_subframe
        first = self._anchors[0].start
        # A subframe that lacks less than a symbol at the beginning of the recording is its first one.
        origin = (first + carrier.fft_size) // step
        self._indices = [round(origin + (anchor.start - first) / step) for anchor in self._anchors]

    def index_at(self, start: float) -> int:
        """Number of the subframe that starts near `start`."""
        place = bisect.bisect_left([anchor.start for anchor in self._anchors], start)
        near = min(place, len(self._anchors) - 1)
        step = self._carrier.samples_per_subframe
        return self._indices[near] + round((start - self._anchors[near].start) / step)

    def subframes(self) -> Iterator[RecordedSubframe]:
        """Every whole subframe of the recording, in order."""
        step = self._carrier.samples_per_subframe
        index = 0
        while True:
            anchor_index, anchor = self._nearest(index)
            start = anchor.start + (index - anchor_index) * step
            if start + _LEAST_SHARE * step > self._length:
                return
            grid = subframe_grid(self._carrier, self._padded, round(start) + step, anchor.cfo_hz)
            if grid is not None:
                yield RecordedSubframe(index=index, start=start, cfo_hz=anchor.cfo_hz, grid=grid)
            index += 1

    def timing_of(self, subframe: RecordedSubframe, timing_error_samples: float) -> float:
        """Arrival in samples of the recording of something received in `subframe` with this timing error."""
        return round(subframe.start) + timing_error_samples - receive_back_off(self._carrier)

    def _nearest(self, index: int) -> tuple[int, Anchor]:
        place = bisect.bisect_left(self._indices, index)
        choices = range(max(place - 1, 0), min(place + 1, len(self._indices)))
        near = min(choices, key=lambda i: abs(self._indices[i] - index))
        return self._indices[near], self._anchors[near]
