"""Search for the PSSCH of an SCI format 0 whose resource pool is not known.

The reference signals show where a PSSCH stands, but those of other senders and of other pool subframes may be similar.
The recording also shows the pool: where its PRBs begin, and how its subframes are counted. This decides between similar
places.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.dmrs import N_SSF, pssch_groups, pssch_groups_of
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
    """(first, length) of the PRBs that an SCI allocates, counted inside the unknown pool. Raises RivError."""
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
    _phases: Counter[int | None] = field(default_factory=Counter)

    def find(
        self,
        products: ReferenceProducts,
        occupancy: Occupancy,
        index: int,
        sci: SciFormat0,
        allocated: tuple[int, int],
        taken: npt.NDArray[np.bool_],
    ) -> list[Place]:
        """Places of the PSSCH of `sci` in subframe `index`, the likeliest first.

        `allocated` is (first, length) of its allocation; `taken`, bool (n_prb,), marks the PRBs that are explained
        already and are not searched.
        """
        begin, length = allocated
        n_taken = np.concatenate(([0], np.cumsum(taken)))
        starts = np.flatnonzero((n_taken[length:] == n_taken[:-length]) & occupancy.everywhere(length))
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
        scis: Sequence[SciFormat0],
        allocations: Sequence[tuple[int, int]],
    ) -> list[Place | None]:
        """For each SCI the place that the pool gives to it, as far as the pool is known.

        The result is None for an SCI whose reference signals are not there. `allocations` are those of the SCIs.
        """
        found: list[Place | None] = [None] * len(scis)
        pool = self._pool(index)
        if pool is None:
            return found
        offset, n_ssf = pool
        by_width: dict[int, list[int]] = {}
        for i, (sci, (begin, length)) in enumerate(zip(scis, allocations, strict=True)):
            first = begin + offset
            n_starts = self.carrier.n_prb - length + 1
            if not sci.hopping and 0 <= first < n_starts and occupancy.everywhere(length)[first]:
                by_width.setdefault(length, []).append(i)
        for length, members in by_width.items():
            firsts = np.array([allocations[i][0] for i in members]) + offset
            groups = pssch_groups_of(np.array([scis[i].group_destination_id for i in members]), Mode.TM12)[:, n_ssf]
            coherence, energy = products.coherence_each(firsts, length, groups)
            threshold = _threshold(self.carrier.n_prb - length + 1, groups.shape[1], length)
            is_there = (coherence > threshold) & (energy > _MIN_RELATIVE_ENERGY * products.peak)
            for i in (members[j] for j in np.flatnonzero(is_there).tolist()):
                found[i] = _place(index, allocations[i][0], scis[i], allocations[i][0] + offset, n_ssf)
        return found

    def learn(self, place: Place) -> None:
        """Learn from the fact that the transmission at `place` decoded."""
        self._vote(place, _DECODED_VOTES)

    def _pool(self, index: int) -> tuple[int, int] | None:
        """First PRB of the pool and counter of subframe `index`, or None if too little is known."""
        if not self._offsets:
            return None
        (offset, n_offset), (phase, n_phase) = _most_common(self._offsets), _most_common(self._phases)
        if offset is None or phase is None or min(n_offset, n_phase) < _DECODED_VOTES:
            return None
        return offset, (index - phase) % N_SSF

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
    ) -> list[tuple[float, int, int]]:
        """(coherence, first PRB, n_ssf) of every place whose reference signals chance does not explain."""
        groups = pssch_groups(sci.group_destination_id, Mode.TM12)
        floor = _MIN_RELATIVE_ENERGY * products.peak
        coherence, energy = products.coherence(starts, length, groups)
        found = np.argwhere((coherence > _threshold(n_tries, groups.shape[1], length)) & (energy > floor))
        return [(float(coherence[r, i]), int(starts[i]), int(r)) for r, i in found]


def _threshold(n_tries: int, n_symbols: int, length: int) -> float:
    """Coherence that chance seldom exceeds at any of `n_tries` places with any counter."""
    n_products = n_symbols * (length * SUBCARRIERS_PER_PRB - 1)
    return math.sqrt(math.log(N_SSF * n_tries / _FALSE_ALARM) / n_products)


def _most_common(votes: Counter[int | None]) -> tuple[int | None, int]:
    """The value with most votes (the first of equal ones), and its number of votes."""
    return max(votes.items(), key=lambda item: item[1])


def _place(index: int, begin: int, sci: SciFormat0, first: int, n_ssf: int) -> Place:
    offset = None if sci.hopping else first - begin
    return Place(first=first, n_ssf=n_ssf, offset=offset, phase=(index - n_ssf) % N_SSF)
