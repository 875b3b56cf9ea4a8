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

from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.dmrs import N_SSF, pssch_groups
from radio.phy.lte.grid.hopping import split_hopping_field
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.grid.riv import decode_riv
from radio.phy.lte.survey.dmrs_search import ReferenceProducts
from radio.phy.lte.survey.subframe_occupancy import Occupancy

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
    """Finds places in subframes and learns the pool from those that decode."""

    carrier: Carrier
    _offsets: Counter[int | None] = field(default_factory=Counter)
    _phases: Counter[int] = field(default_factory=Counter)

    def find(
        self,
        products: ReferenceProducts,
        occupancy: Occupancy,
        index: int,
        sci: SciFormat0,
        taken: npt.NDArray[np.bool_],
    ) -> list[Place]:
        """Places of a PSSCH of `sci` in subframe `index` off the PRBs `taken`, the likeliest first."""
        begin, length = allocation(sci, self.carrier.n_prb)
        starts = np.arange(self.carrier.n_prb - length + 1)
        n_taken = np.concatenate(([0], np.cumsum(taken)))
        starts = starts[(n_taken[starts + length] == n_taken[starts]) & occupancy.occupied(starts, length)]
        if not starts.size:
            return []
        ranked = []
        for coherence, first, n_ssf in self._clear(products, starts, sci, length, starts.size):
            place = _place(index, begin, sci, first, n_ssf)
            ranked.append((coherence + self._prior(place), place))
        ranked.sort(key=lambda item: -item[0])
        places = [place for _, place in ranked[:_MAX_PLACES]]
        if places:
            self._vote(places[0], 1)
        return places

    def find_expected(
        self,
        products: ReferenceProducts,
        occupancy: Occupancy,
        index: int,
        sci: SciFormat0,
        taken: npt.NDArray[np.bool_],
    ) -> Place | None:
        """The place that the pool as known so far gives to `sci`, if its reference signals are there."""
        begin, length = allocation(sci, self.carrier.n_prb)
        place = self._expected(index, begin, sci)
        n_starts = self.carrier.n_prb - length + 1
        if place is None or not 0 <= place.first < n_starts or taken[place.first : place.first + length].any():
            return None
        here = np.array([place.first])
        if not occupancy.occupied(here, length)[0]:
            return None
        return place if self._clear(products, here, sci, length, n_starts, n_ssf=place.n_ssf) else None

    def learn(self, place: Place) -> None:
        """Take in that the transmission at `place` decoded."""
        self._vote(place, _DECODED_VOTES)

    def _expected(self, index: int, begin: int, sci: SciFormat0) -> Place | None:
        """The place of an allocation in the pool as known so far; None where little is known or hopping hides it."""
        if sci.hopping or not self._offsets:
            return None
        (offset, n_offset), (phase, n_phase) = self._offsets.most_common(1)[0], self._phases.most_common(1)[0]
        if offset is None or min(n_offset, n_phase) < _DECODED_VOTES:
            return None
        return _place(index, begin, sci, begin + offset, (index - phase) % N_SSF)

    def _vote(self, place: Place, votes: int) -> None:
        self._offsets[place.offset] += votes
        self._phases[place.phase] += votes

    def _prior(self, place: Place) -> float:
        offset_share = self._offsets[place.offset] / max(self._offsets.total(), 1)
        phase_share = self._phases[place.phase] / max(self._phases.total(), 1)
        return _PRIOR_WEIGHT * (offset_share + phase_share)

    def _clear(
        self,
        products: ReferenceProducts,
        starts: npt.NDArray[np.int64],
        sci: SciFormat0,
        length: int,
        n_tries: int,
        n_ssf: int | None = None,
    ) -> list[tuple[float, int, int]]:
        """(coherence, first PRB, n_ssf) of every place whose reference signals are beyond chance in `n_tries` places.

        `n_ssf` None stands for any.
        """
        groups = pssch_groups(sci.group_destination_id, Mode.TM12)
        rows = groups if n_ssf is None else groups[n_ssf : n_ssf + 1]
        floor = _MIN_RELATIVE_ENERGY * products.peak
        n_products = groups.shape[1] * (length * SUBCARRIERS_PER_PRB - 1)
        threshold = math.sqrt(math.log(N_SSF * n_tries / _FALSE_ALARM) / n_products)
        coherence, energy = products.coherence(starts, length, rows)
        found = np.argwhere((coherence > threshold) & (energy > floor))
        return [(float(coherence[r, i]), int(starts[i]), int(r) if n_ssf is None else n_ssf) for r, i in found]


def _place(index: int, begin: int, sci: SciFormat0, first: int, n_ssf: int) -> Place:
    offset = None if sci.hopping else first - begin
    return Place(first=first, n_ssf=n_ssf, offset=offset, phase=(index - n_ssf) % N_SSF)
