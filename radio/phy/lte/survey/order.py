"""Findings that become final out of order, handed on in the order of time.

What a survey finds may still change for a while: a block gains its repeats, an SCI is confirmed. A scanner holds a
finding until it can change no more; this queue then waits until nothing earlier can come. Both are bounded by a number
of subframes, and so is what waits here.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from radio.phy.lte.survey.findings import FindingSink, FoundBlock, FoundDiscovery, FoundSci

HORIZON_SUBFRAMES = 320
"""The longest SC period (TS 36.331 6.3.8 SL-PeriodComm)."""

_MAX_WITH_SYMBOLS = 256
"""Blocks that keep their equalised symbols, which are for a picture."""
_NO_SYMBOLS: Final = np.empty(0, dtype=np.complex64)

_Scanned = FoundSci | FoundBlock | FoundDiscovery


@dataclass(slots=True)
class TimeOrder:
    """Hands findings on to `sink` by their first subframe, then their PRB, then as they came.

    `patience` is how many subframes after its first one a finding is final at the latest.
    """

    sink: FindingSink
    patience: int
    _waiting: list[tuple[int, int, int, _Scanned]] = field(default_factory=list)
    _n_taken: int = 0
    _n_with_symbols: int = 0

    def take(self, finding: _Scanned) -> None:
        """Take a finding that is final."""
        if isinstance(finding, FoundBlock):
            self._n_with_symbols += 1
            if self._n_with_symbols > _MAX_WITH_SYMBOLS:
                finding = _without_symbols(finding)
        first, prb = _place(finding)
        heapq.heappush(self._waiting, (first, prb, self._n_taken, finding))
        self._n_taken += 1

    def pass_subframe(self, index: int) -> None:
        """Subframe `index` is done: hand on all findings that precede everything that may still come."""
        while self._waiting and self._waiting[0][0] < index - self.patience:
            self.sink.take(heapq.heappop(self._waiting)[-1])

    def finish(self) -> None:
        """Hand on all remaining findings."""
        while self._waiting:
            self.sink.take(heapq.heappop(self._waiting)[-1])


def _without_symbols(block: FoundBlock) -> FoundBlock:
    return FoundBlock(
        subframes=block.subframes,
        rvs=block.rvs,
        prbs=block.prbs,
        mcs=block.mcs,
        bits=block.bits,
        crc_ok=block.crc_ok,
        snr_db=block.snr_db,
        evm_db=block.evm_db,
        cfo_hz=block.cfo_hz,
        timing_samples=block.timing_samples,
        symbols=_NO_SYMBOLS,
        size_n_prb=block.size_n_prb,
    )


def _place(finding: _Scanned) -> tuple[int, int]:
    match finding:
        case FoundSci():
            return finding.subframe, finding.prb
        case FoundBlock():
            return finding.subframes[0], finding.prbs[0]
        case FoundDiscovery():
            return finding.subframes[0], finding.prb
