"""Where the subframes of a recording stand, and their grids.

Anchors are subframe starts known from synchronisation signals or found from reference signals; every other subframe
hangs on the anchor nearest to it, so that a drifting sample clock does no harm. A long recording is worked through in
stretches: anchors are added as they are found, and those far behind are dropped.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from radio.arrays import Grid
from radio.phy.dsp.sample_source import SampleWindow
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.sync.acquisition import receive_back_off, subframe_grid

_LEAST_SHARE = 0.85
"""A last subframe cut shorter than this is not looked at; the guard symbol and one more may be missing."""
_KEPT_ANCHORS = 64
"""Anchors that stay when new ones come: more than the subframes that can still be asked for hang on."""


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


def holds_subframe(carrier: Carrier, start: float, n_samples: int) -> bool:
    """Whether a recording of (at least) `n_samples` holds enough of the subframe that starts at `start`.

    One that lacks less than a symbol at its beginning or the guard symbol and one more at its end is whole enough.
    """
    return start >= -carrier.fft_size and start + _LEAST_SHARE * carrier.samples_per_subframe <= n_samples


class Timeline:
    """Numbers of the subframes of a recording on `anchors`, which must not be empty."""

    def __init__(self, carrier: Carrier, anchors: Sequence[Anchor]) -> None:
        self._carrier = carrier
        step = carrier.samples_per_subframe
        first = min(anchor.start for anchor in anchors)
        # A subframe that lacks less than a symbol at the beginning of the recording is its first one.
        origin = int((first + carrier.fft_size) // step)
        self._anchors = [Anchor(start=first, cfo_hz=anchors[0].cfo_hz)]
        self._indices = [origin]
        self.extend(anchors)
        del self._anchors[0], self._indices[0]

    def extend(self, anchors: Iterable[Anchor]) -> None:
        """Add anchors; only the latest of all are kept."""
        for anchor in sorted(anchors, key=lambda anchor: anchor.start):
            index = self.index_at(anchor.start)
            place = bisect.bisect_right([known.start for known in self._anchors], anchor.start)
            self._anchors.insert(place, anchor)
            self._indices.insert(place, index)
        del self._anchors[:-_KEPT_ANCHORS], self._indices[:-_KEPT_ANCHORS]

    def index_at(self, start: float) -> int:
        """Number of the subframe that starts near `start`."""
        place = bisect.bisect_left([anchor.start for anchor in self._anchors], start)
        near = min(place, len(self._anchors) - 1)
        step = self._carrier.samples_per_subframe
        return self._indices[near] + round((start - self._anchors[near].start) / step)

    def at(self, index: int) -> Anchor:
        """Start and carrier offset of the subframe with this number."""
        place = bisect.bisect_left(self._indices, index)
        choices = range(max(place - 1, 0), min(place + 1, len(self._indices)))
        near = min(choices, key=lambda i: abs(self._indices[i] - index))
        anchor = self._anchors[near]
        step = self._carrier.samples_per_subframe
        return Anchor(start=anchor.start + (index - self._indices[near]) * step, cfo_hz=anchor.cfo_hz)

    def subframes(
        self, window: SampleWindow, first_index: int, end_sample: int | None = None
    ) -> Iterator[RecordedSubframe]:
        """Every subframe from `first_index` on that starts before `end_sample`, in order; None stands for the window's.

        A subframe that leaves the recording is left out.
        """
        end_sample = window.end if end_sample is None else end_sample
        index = first_index
        while True:
            place = self.at(index)
            if place.start >= end_sample or not holds_subframe(
                self._carrier, max(place.start, 0), window.recording_end
            ):
                return
            grid = subframe_grid(self._carrier, window.iq, round(place.start) - window.first_sample, place.cfo_hz)
            if grid is not None:
                yield RecordedSubframe(index=index, start=place.start, cfo_hz=place.cfo_hz, grid=grid)
            index += 1

    def timing_of(self, subframe: RecordedSubframe, timing_error_samples: float) -> float:
        """Arrival in samples of the recording of something received in `subframe` with this timing error."""
        return round(subframe.start) + timing_error_samples - receive_back_off(self._carrier)
