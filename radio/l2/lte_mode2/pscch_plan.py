"""PSCCH resources as sensing UEs use them: dealt out so that the ends of a link always hear each other's SCIs.

An SCI is sent in a pair of PSCCH subframes, and a UE that sends in both of them hears nothing of it. The pairs are
dealt to two classes; the end of a link with the lower layer-2 id takes one class, the other end the other. A UE keeps a
*seat*: a row of resources, one in each pair of its class, over which it hops from period to period by a step that
depends on the row. Two seats never meet on one resource, and two that share a pair in one period do not in all of the
next few, so that everybody comes to hear everybody (beyond the standard, where a UE draws a resource each time).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE
from radio.phy.lte.pools.mode2 import CommPool


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in the plan: its class, its row, and the pair it starts from."""

    of_lower_id: bool
    row: int
    column: int


class PscchPlan:
    """The seats of a pool, and the PSCCH resource that each has in a period."""

    def __init__(self, pool: CommPool) -> None:
        self._pool = pool
        by_pair: dict[tuple[int, ...], list[int]] = {}
        for n in range(pool.n_pscch_resources):
            by_pair.setdefault(tuple(sorted(index for index, _ in pool.pscch_resource(n))), []).append(n)
        pairs = [by_pair[pair] for pair in sorted(by_pair)]
        if len(pairs) == 1:
            pairs = [pairs[0][0::2], pairs[0][1::2]]
        self._columns = {False: pairs[0::2], True: pairs[1::2]}
        self._rows = {lower: min(map(len, columns)) for lower, columns in self._columns.items()}

    def seats(self, of_lower_id: bool) -> list[Seat]:
        """The seats of one class."""
        n_columns = len(self._columns[of_lower_id])
        return [Seat(of_lower_id, row, column) for row in range(self._rows[of_lower_id]) for column in range(n_columns)]

    def n_pscch(self, seat: Seat, period: int) -> int:
        """The PSCCH resource of a seat in an SC period."""
        columns = self._columns[seat.of_lower_id]
        return columns[(seat.column + self._step(seat.row, len(columns), period)) % len(columns)][seat.row]

    def seat_of(self, n_pscch: int, period: int) -> Seat | None:
        """The seat that has a PSCCH resource in an SC period; None for a resource that no seat hops over."""
        for of_lower_id, columns in self._columns.items():
            for column, resources in enumerate(columns):
                row = resources.index(n_pscch) if n_pscch in resources else self._rows[of_lower_id]
                if row < self._rows[of_lower_id]:
                    return Seat(of_lower_id, row, (column - self._step(row, len(columns), period)) % len(columns))
        return None

    def subframes(self, seat: Seat, period: int) -> frozenset[int]:
        """Indices of the PSCCH subframes that a seat sends in."""
        return frozenset(index for index, _ in self._pool.pscch_resource(self.n_pscch(seat, period)))

    def _step(self, row: int, n_columns: int, period: int) -> int:
        """A digit of the row number to base `n_columns`, in turn from period to period, and once in a turn 0.

        Two rows differ in some digit, and two columns where no step is taken: no two seats share all pairs of a turn,
        where a class has more than one pair (from 4 PSCCH subframes on).
        """
        if n_columns == 1:
            return 0
        turn = 1
        while n_columns ** (turn - 1) < max(self._rows.values()):
            turn += 1
        in_cycle = self._pool.period_start(period) % SUBFRAMES_PER_DFN_CYCLE // self._pool.sc_period
        return int(row // n_columns ** (in_cycle % turn) % n_columns)


@lru_cache(maxsize=8)
def pscch_plan(pool: CommPool) -> PscchPlan:
    """The plan of a pool."""
    return PscchPlan(pool)
