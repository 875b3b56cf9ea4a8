"""Where the PSSCH of an SCI format 0 stands when its resource pool is not known.

The reference signals tell, but reference signals of other senders and other pool subframes may be alike. What the
recording shows of the pool, where its PRBs begin and how its subframes are counted, then decides.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid
from radio.phy.dmrs import pssch_dmrs
from radio.phy.dmrs_search import dmrs_coherence
from radio.phy.hopping import split_hopping_field
from radio.phy.layout import Mode, communication_layout
from radio.phy.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.riv import decode_riv
from radio.phy.sci import SciFormat0

_N_SSF = 10
_MAX_PLACES = 3
_FALSE_ALARM = 0.05
_MIN_RELATIVE_ENERGY = 1e-4
_DECODED_VOTES = 10
_PRIOR_WEIGHT = 0.3
"""Coherence that a place which fits the pool as known so far may lack against one that does not."""


def allocation(sci: SciFormat0, n_prb: int) -> tuple[int, int]:
    """(first, length) of an SCI's allocation inside the unknown pool. Raises RivError."""
    if sci.hopping:
        _, first, length = split_hopping_field(sci.riv, n_prb)
        return first, length
    return decode_riv(sci.riv, n_prb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A PSSCH at PRB `first` in the pool subframe with counter `n_ssf`.

    `offset` is where the pool then begins (None where hopping hides it), `phase` the subframe that has counter 0.
    """

    first: int
    n_ssf: int
    offset: int | None
    phase: int


@dataclass(slots=True)
class BlindPlaces:
    """Finds places in grids and learns the pool from those that decode."""

    carrier: Carrier
    _offsets: Counter[int | None] = field(default_factory=Counter)
    _phases: Counter[int] = field(default_factory=Counter)

    def find(self, grid: Grid, index: int, sci: SciFormat0, occupied: set[int]) -> list[Place]:
        """Places of a PSSCH of `sci` in subframe `index` off the PRBs `occupied`, the likeliest first."""
        begin, length = allocation(sci, self.carrier.n_prb)
        starts = [
            first
            for first in range(self.carrier.n_prb - length + 1)
            if occupied.isdisjoint(range(first, first + length))
        ]
        if not starts:
            return []
        ranked = []
        for coherence, first, n_ssf in self._clear(grid, np.array(starts, dtype=np.int64), sci, length):
            offset = None if sci.hopping else first - begin
            place = Place(first=first, n_ssf=n_ssf, offset=offset, phase=(index - n_ssf) % _N_SSF)
            ranked.append((coherence + self._prior(place), place))
        ranked.sort(key=lambda item: -item[0])
        places = [place for _, place in ranked[:_MAX_PLACES]]
        if places:
            self._vote(places[0], 1)
        return places

    def learn(self, place: Place) -> None:
        """Take in that the transmission at `place` decoded."""
        self._vote(place, _DECODED_VOTES)

    def _vote(self, place: Place, votes: int) -> None:
        self._offsets[place.offset] += votes
        self._phases[place.phase] += votes

    def _prior(self, place: Place) -> float:
        offset_share = self._offsets[place.offset] / max(self._offsets.total(), 1)
        phase_share = self._phases[place.phase] / max(self._phases.total(), 1)
        return _PRIOR_WEIGHT * (offset_share + phase_share)

    def _clear(
        self, grid: Grid, starts: npt.NDArray[np.int64], sci: SciFormat0, length: int
    ) -> list[tuple[float, int, int]]:
        """(coherence, first PRB, n_ssf) of every place whose reference signals are beyond chance."""
        symbols = np.array(communication_layout(Mode.TM12, self.carrier.cp).dmrs)
        floor = _MIN_RELATIVE_ENERGY * float(np.max(np.abs(grid)) ** 2)
        n_products = symbols.size * (length * SUBCARRIERS_PER_PRB - 1)
        threshold = math.sqrt(math.log(_N_SSF * starts.size / _FALSE_ALARM) / n_products)
        found: list[tuple[float, int, int]] = []
        for n_ssf in range(_N_SSF):
            dmrs = pssch_dmrs(length, sci.group_destination_id, n_ssf, Mode.TM12)
            coherence, energy = dmrs_coherence(grid, starts * SUBCARRIERS_PER_PRB, symbols, dmrs)
            clear = np.flatnonzero((coherence > threshold) & (energy > floor))
            found += [(float(coherence[i]), int(starts[i]), n_ssf) for i in clear]
        return found
