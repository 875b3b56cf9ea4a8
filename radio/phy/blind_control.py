"""SCI format 0 anywhere in a recording: every PRB is tried, and the two transmissions of an SCI are added up.

Both carry the same bits with the same scrambling, so that the LLRs of one agree with those of the other. Only pairs
that agree, of which one at least failed alone, are decoded together.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Llrs
from radio.phy.numerology import Carrier
from radio.phy.pscch import PscchCandidates, PscchReception, pscch_candidates
from radio.phy.subframe_timeline import RecordedSubframe

LONGEST_SPREAD = 20
"""Subframes between the two transmissions of an SCI; what comes later is another SC period's."""
_MIN_AGREEMENT_SIGMAS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tried:
    """The candidates of one subframe; `directions` are their LLRs at unit length, `is_found` grows."""

    subframe: RecordedSubframe
    candidates: PscchCandidates
    directions: Llrs
    is_found: npt.NDArray[np.bool_]


class BlindControl:
    """Goes through the subframes of a recording in order."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._tried: deque[_Tried] = deque(maxlen=LONGEST_SPREAD)

    def take(self, subframe: RecordedSubframe) -> list[tuple[RecordedSubframe, PscchReception]]:
        """Every SCI this subframe brings to light, with the subframe it was heard in."""
        candidates = pscch_candidates(self._carrier, subframe.grid, range(self._carrier.n_prb))
        alone = candidates.decoded(self._carrier, candidates.llrs)
        latest = _Tried(
            subframe=subframe,
            candidates=candidates,
            directions=candidates.llrs / np.linalg.norm(candidates.llrs, axis=1, keepdims=True),
            is_found=np.array([received is not None for received in alone], dtype=np.bool_),
        )
        found = [(subframe, received) for received in alone if received is not None]
        for earlier in self._tried:
            found += self._together(earlier, latest)
        self._tried.append(latest)
        return found

    def _together(self, earlier: _Tried, latest: _Tried) -> list[tuple[RecordedSubframe, PscchReception]]:
        """SCIs that failed alone in at least one of two subframes and hold in the sum of both."""
        found: list[tuple[RecordedSubframe, PscchReception]] = []
        agreement = earlier.directions @ latest.directions.T * math.sqrt(latest.directions.shape[1])
        for i, j in np.argwhere(agreement > _MIN_AGREEMENT_SIGMAS):
            llrs = earlier.candidates.llrs[i] + latest.candidates.llrs[j]
            for tried, place in ((earlier, i), (latest, j)):
                if tried.is_found[place]:
                    continue
                (received,) = tried.candidates.only(int(place)).decoded(self._carrier, llrs[None, :])
                if received is not None:
                    tried.is_found[place] = True
                    found.append((tried.subframe, received))
        return found
