"""PSCCH reception of one communication pool: every candidate by itself, and both transmissions of an SCI together.

An SCI is sent twice, on two places of the pool that belong together (TS 36.213 14.2.1.1). Both carry the same bits with
the same scrambling, so their soft bits may be added: that is worth 3 dB, and more where one of the two has faded. A
receiver that knows the pool knows which places belong together. It keeps the soft bits of what failed alone, until the
second place has been heard or the SC period is over.

Most candidates hold noise, and a decoding attempt costs much. Alone only those are tried whose reference signal stands
out of the noise. Soft bits of noise don't agree with each other, those of two transmissions of one SCI do: only pairs
that agree are tried, but these however faint they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Grid, Llrs
from radio.phy.lte.channels.pscch import PscchReception, pscch_candidates
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import ScPool

_MIN_COHERENCE_ALONE = 0.2
"""Least correlation of neighbouring reference elements, relative to their energy, worth an attempt without a partner:
half of noise is below it, and nearly nothing that can be decoded alone."""
_MIN_AGREEMENT_SIGMAS = 1.5
"""How far soft bits of two places must agree, in deviations of the agreement of noise: 1 of 15 of noise alone is tried,
and nearly all there is at the SNR at which the sum can be decoded."""
_NOWHERE = -1


class ControlReceiver:
    """All PSCCH reception of one UE in one pool. Subframes of a period are received in order; any may be left out."""

    def __init__(self, carrier: Carrier, pool: ScPool) -> None:
        self._carrier = carrier
        self._pool = pool
        self._column_of = np.zeros(carrier.n_prb, dtype=np.int64)
        self._column_of[list(pool.pscch_prbs)] = range(len(pool.pscch_prbs))
        self._partner_subframe, self._partner_column = _partners(pool)
        self._span = range(0)
        self._subframes: tuple[int, ...] = ()
        self._kept_in = range(0)
        self._kept: npt.NDArray[np.float32] | None = None
        """Soft bits of places, float32 (PSCCH subframes, PRBs of the pool, e)."""
        self._is_waiting = np.zeros(self._partner_subframe.shape, dtype=np.bool_)
        """Whether what is kept of a place is of this period and failed alone."""

    def is_due(self, subframe: int) -> bool:
        """Whether an SCI may stand in `subframe`."""
        return subframe in self._subframes_around(subframe)

    def receive(self, subframe: int, grid: Grid) -> list[PscchReception]:
        """Every SCI that can be decoded from a PSCCH subframe and those of its period before it.

        `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude.
        """
        index = self._subframes_around(subframe).index(subframe)
        if self._kept_in != self._span:
            self._kept_in = self._span
            self._is_waiting[:] = False
        candidates = pscch_candidates(self._carrier, grid, self._pool.pscch_prbs, min_coherence=0.0)
        if not candidates.prbs.size:
            return []
        if self._kept is None:
            self._kept = np.zeros((*self._is_waiting.shape, candidates.llrs.shape[1]), dtype=np.float32)
        columns = self._column_of[candidates.prbs]
        rows, batch = _attempts(
            candidates.llrs,
            candidates.coherences >= _MIN_COHERENCE_ALONE,
            columns,
            self._partner_subframe[index],
            self._partner_column[index],
            self._kept,
            self._is_waiting,
        )
        found = candidates.decoded(self._carrier, batch, rows)
        self._kept[index, columns] = candidates.llrs
        self._is_waiting[index, columns] = True
        for column in (self._column_of[reception.prb] for reception in found):
            self._is_waiting[index, column] = False
        return list({reception.prb: reception for reception in found}.values())

    def _subframes_around(self, subframe: int) -> tuple[int, ...]:
        """The PSCCH subframes of the SC period that holds `subframe`; computed once in each period."""
        if subframe not in self._span:
            period = self._pool.period_of(subframe)
            self._span = range(self._pool.period_start(period), self._pool.period_start(period + 1))
            self._subframes = self._pool.pscch_subframes(period)
        return self._subframes


@njit(cache=True, nogil=True)
def _attempts(
    llrs: Llrs,
    is_likely: npt.NDArray[np.bool_],
    columns: npt.NDArray[np.int64],
    partner_subframe: npt.NDArray[np.int64],
    partner_column: npt.NDArray[np.int64],
    kept: Llrs,
    is_waiting: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], Llrs]:
    """What to decode in a subframe: int64 (n,) rows of `llrs`, and soft bits float32 (n, e).

    First the rows that are likely by themselves, then the sums of those with what was kept of their partners, where
    both agree.
    """
    n, e = llrs.shape
    rows = np.empty(2 * n, dtype=np.int64)
    batch = np.empty((2 * n, e), dtype=np.float32)
    count = 0
    for i in range(n):
        if is_likely[i]:
            rows[count] = i
            batch[count] = llrs[i]
            count += 1
    for i in range(n):
        subframe, column = partner_subframe[columns[i]], partner_column[columns[i]]
        if subframe < 0 or not is_waiting[subframe, column]:
            continue
        product = np.float32(0)
        own = np.float32(0)
        other = np.float32(0)
        for k in range(e):
            a, b = llrs[i, k], kept[subframe, column, k]
            product += a * b
            own += a * a
            other += b * b
        if product > _MIN_AGREEMENT_SIGMAS * np.sqrt(own * other / e):
            rows[count] = i
            for k in range(e):
                batch[count, k] = llrs[i, k] + kept[subframe, column, k]
            count += 1
    return rows[:count], batch[:count]


def _partners(pool: ScPool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Subframe and PRB of the place that belongs to each place of a pool, int64 (PSCCH subframes, PRBs); -1 for none.

    Both are counted inside the PSCCH pool.
    """
    prbs = pool.pscch_prbs
    subframes = np.full((len(pool.pscch_subframes(0)), len(prbs)), _NOWHERE, dtype=np.int64)
    columns = subframes.copy()
    for n in range(pool.n_pscch_resources):
        one, other = pool.pscch_resource(n)
        for (at, prb), (other_at, other_prb) in ((one, other), (other, one)):
            if at != other_at:
                subframes[at, prbs.index(prb)], columns[at, prbs.index(prb)] = other_at, prbs.index(other_prb)
    return subframes, columns
