"""Synchronisation signals of a recording, stretch by stretch: both cyclic prefixes, both families of modes."""

from __future__ import annotations

from dataclasses import replace

from radio.arrays import Iq
from radio.phy.dsp.sample_source import ArraySource, SampleWindow, WindowReader
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.sync.acquisition import SyncSource, acquire
from radio.phy.lte.sync.psss_search import PsssSearch

_MIN_SSSS_METRIC_WITHOUT_MIB = 0.5
_MIN_PSSS_METRIC_WITHOUT_MIB = 0.4
_SUBFRAMES_OF_TAIL = 2
"""Searched after the end of the recording: the search lags behind what it is given."""
MARGIN_BEFORE_SUBFRAMES, MARGIN_AFTER_SUBFRAMES = 2, 4
"""What a window must hold on either side of its stretch."""
_STRETCH_SUBFRAMES = 40


class SyncSurvey:
    """Search for synchronisation signals in the samples of a recording, in order."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._search = PsssSearch(carrier, tuple(Cp))
        self._searched_to = -carrier.samples_per_subframe

    def sources(self, window: SampleWindow) -> list[SyncSource]:
        """Every synchronisation signal that the next window brings to light, in the order of time.

        Windows follow on each other and have margins of two subframes before and four after. Starts of subframes count
        from the first sample of the recording.
        """
        step = self._carrier.samples_per_subframe
        end = window.end + _SUBFRAMES_OF_TAIL * step if window.is_last else window.end
        if not window.has_signal:
            self._search = PsssSearch(self._carrier, tuple(Cp))
            self._searched_to = max(self._searched_to, end)
            return []
        sources: list[SyncSource] = []
        while self._searched_to < end:
            begin = self._searched_to
            block = window.view(begin, step)
            for peak in self._search.push(block):
                here = replace(peak, subframe_offset=peak.subframe_offset + begin - window.first_sample)
                source = acquire(self._carrier, window.iq, here)
                if source is None:
                    continue
                is_clear = source.slss.metric > _MIN_SSSS_METRIC_WITHOUT_MIB
                if source.psbch.mib is not None or (is_clear and peak.metric > _MIN_PSSS_METRIC_WITHOUT_MIB):
                    sources.append(replace(source, subframe_start=source.subframe_start + window.first_sample))
            self._searched_to += step
        return sorted(sources, key=lambda source: source.subframe_start)


def find_sources(iq: Iq, carrier: Carrier) -> list[SyncSource]:
    """Every synchronisation signal in `iq`, complex64 (n,), in the order of time.

    Starts count from the first sample. Raises SampleError if a sample is not a finite number.
    """
    step = carrier.samples_per_subframe
    reader = WindowReader(
        ArraySource(iq),
        before=MARGIN_BEFORE_SUBFRAMES * step,
        stretch=_STRETCH_SUBFRAMES * step,
        after=MARGIN_AFTER_SUBFRAMES * step,
    )
    survey = SyncSurvey(carrier)
    sources: list[SyncSource] = []
    while (window := reader.next()) is not None:
        sources += survey.sources(window)
    return sources
