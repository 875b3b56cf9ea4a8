"""SCI format 0 anywhere in a recording: every PRB is tried, and the two transmissions of an SCI are added up.

Both carry the same bits with the same scrambling, so that the LLRs of one agree with those of the other. Only pairs
that agree, of which one at least failed alone, are decoded together.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Llrs
from radio.phy.lte.channels.pscch import PscchCandidates, PscchReception, pscch_candidates
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.survey.control_evidence import MIN_AGREEMENT, agreement, alike
from radio.phy.lte.survey.subframe_timeline import RecordedSubframe

LONGEST_SPREAD = 20
"""Subframes between the two transmissions of an SCI; what comes later is another SC period's."""
_MIN_AGREEMENT_SIGMAS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeardControl:
    """An SCI, the subframe it was heard in, and how far its soft bits agree with its codeword (`control_evidence`)."""

    subframe: RecordedSubframe
    received: PscchReception
    agreement: float


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
        self._tried: deque[_Tried] = deque()

    def take(self, subframe: RecordedSubframe, prbs: Sequence[int]) -> list[HeardControl]:
        """Every SCI that this subframe brings to light when an SCI may stand on each of `prbs`."""
        while self._tried and self._tried[0].subframe.index < subframe.index - LONGEST_SPREAD:
            self._tried.popleft()
        candidates = pscch_candidates(self._carrier, subframe.grid, prbs)
        if not candidates.prbs.size:
            return []
        heard = []
        latest = _Tried(
            subframe=subframe,
            candidates=candidates,
            directions=candidates.llrs / np.linalg.norm(candidates.llrs, axis=1, keepdims=True),
            is_found=np.zeros(candidates.prbs.size, dtype=np.bool_),
        )
        places = {prb: i for i, prb in enumerate(candidates.prbs.tolist())}
        for received in candidates.decoded(self._carrier, candidates.llrs):
            i = places[received.prb]
            heard += self._heard(latest, i, received, candidates.llrs[i])
        if self._tried:
            heard += self._together(latest)
        self._tried.append(latest)
        return heard

    def _heard(self, tried: _Tried, place: int, received: PscchReception, llrs: Llrs) -> list[HeardControl]:
        """The SCI of a candidate with a good CRC; None if its soft bits show that the CRC is good by chance."""
        share = agreement(llrs, received.bits)
        if share < MIN_AGREEMENT:
            return []
        tried.is_found[place] = True
        return [HeardControl(subframe=tried.subframe, received=received, agreement=share)]

    def _together(self, latest: _Tried) -> list[HeardControl]:
        """SCIs that failed alone in at least one of two subframes and hold in the sum of both."""
        earlier = np.concatenate([tried.directions for tried in self._tried])
        owners = [(tried, i) for tried in self._tried for i in range(tried.candidates.prbs.size)]
        threshold = _MIN_AGREEMENT_SIGMAS / math.sqrt(earlier.shape[1])
        heard: list[HeardControl] = []
        for row, j in alike(earlier, latest.directions, threshold).tolist():
            tried, i = owners[row]
            if tried.is_found[i] and latest.is_found[j]:
                continue
            llrs = tried.candidates.llrs[i] + latest.candidates.llrs[j]
            for member, place in ((tried, i), (latest, j)):
                if member.is_found[place]:
                    continue
                for received in member.candidates.decoded(self._carrier, llrs[None, :], np.array([place])):
                    heard += self._heard(member, place, received, llrs)
        return heard
