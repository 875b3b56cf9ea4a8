"""Search for synchronisation sources in the samples a UE receives: PSSS peaks first, then what stands at each.

The search goes on beside reception. Each millisecond of samples is pushed through `psss_search`; a peak waits until the
whole subframe around it has been received, and then goes through `acquisition`. Only sources that the UE could follow
are given: modes 1 and 2, a MIB-SL that decodes, and the carrier's own bandwidth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from radio.phy.dsp.sample_buffer import SampleBuffer
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.sync.acquisition import SyncSource, acquire, acquisition_span
from radio.phy.lte.sync.psss_search import PsssPeak, PsssSearch


class SlssSearch:
    """The search over one run of samples that follow on each other, a millisecond at a time."""

    def __init__(self, carrier: Carrier, first_sample: int) -> None:
        """Search from `first_sample` on."""
        self._carrier = carrier
        self._psss_search = PsssSearch(carrier)
        self._searched_to = first_sample
        self._peaks: list[PsssPeak] = []

    def sources(self, buffer: SampleBuffer) -> Iterator[tuple[SyncSource, float]]:
        """Search the samples that have come since the last call.

        Returns the sources with a PSBCH that fits the carrier, each with the start of its subframe.
        """
        self._find_peaks(buffer)
        peaks, self._peaks = self._peaks, []
        for peak in peaks:
            begin, end = acquisition_span(self._carrier, peak)
            if end > buffer.end_sample:
                self._peaks.append(peak)
                continue
            samples = buffer.view(begin, end - begin)
            if samples is None:
                continue
            source = acquire(self._carrier, samples, replace(peak, subframe_offset=peak.subframe_offset - begin))
            if source is not None and _is_usable(source, self._carrier):
                yield source, begin + source.subframe_start

    def _find_peaks(self, buffer: SampleBuffer) -> None:
        step = self._carrier.samples_per_subframe
        while (block := buffer.view(self._searched_to, step)) is not None:
            for peak in self._psss_search.push(block):
                self._peaks.append(replace(peak, subframe_offset=peak.subframe_offset + self._searched_to))
            self._searched_to += step


def _is_usable(source: SyncSource, carrier: Carrier) -> bool:
    mib = source.psbch.mib
    return mib is not None and source.slss.mode is Mode.TM12 and mib.bandwidth_prb == carrier.n_prb
