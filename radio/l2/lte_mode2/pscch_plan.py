"""PSCCH resources as UEs use them: dealt out so that the ends of a link hear both transmissions of each other's SCIs.

An SCI is sent in a pair of PSCCH subframes. A UE that sends in both of them hears nothing of it, one that sends in one
of them hears half of it. So pairs that have no subframe in common belong together: of 4 subframes {0,1} and {2,3},
{0,2} and {1,3}, {0,3} and {1,2}. One of such a couple is dealt to a first class, the other to a second; the end of a
link with the lower layer-2 id takes the first class, the other end the second.

A sensing UE keeps a *seat*: a row of resources, one in each pair of its class, over which it hops from period to period
by a step that depends on the row. Two seats never meet on one resource, and two that share a pair in one period do not
in all of the next few, so that after some periods each UE has heard each other one. Seats of the same row and column in
both classes are each other's *mirror*: in each period they have the two pairs of one couple. Ends of a link that take
mirrored seats hear both transmissions of every SCI (beyond the standard, where a UE draws a resource each time).

A UE that selects at random draws within one pair a period; `common_pair` tells both ends of a link which, so that the
two pairs are a couple, and so that over the periods every resource comes equally often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE
from radio.phy.lte.pools.mode2 import CommPool


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in the plan: its class, its row, and the pair it starts from."""

    of_lower_id: bool
    row: int
    column: int

    @property
    def mirror(self) -> Seat:
        """The seat of the other class that this one hears whole."""
        return Seat(not self.of_lower_id, self.row, self.column)


class PscchPlan:
    """The seats of a pool, and the PSCCH resource that each has in a period."""

    def __init__(self, pool: CommPool) -> None:
        self._pool = pool
        by_pair: dict[tuple[int, ...], list[int]] = {}
        for n in range(pool.n_pscch_resources):
            by_pair.setdefault(tuple(sorted(index for index, _ in pool.pscch_resource(n))), []).append(n)
        if len(by_pair) == 1:
            (only,) = by_pair.values()
            self._columns = {False: [only[0::2]], True: [only[1::2]]}
        else:
            couples = _couples(sorted(by_pair))
            self._columns = {
                False: [by_pair[one] for one, _ in couples],
                True: [by_pair[other] for _, other in couples if other is not None],
            }
        self._rows = {lower: min(map(len, columns)) for lower, columns in self._columns.items()}

    def seats(self, of_lower_id: bool) -> list[Seat]:
        """The seats of one class."""
        n_columns = len(self._columns[of_lower_id])
        return [Seat(of_lower_id, row, column) for row in range(self._rows[of_lower_id]) for column in range(n_columns)]

    def n_pscch(self, seat: Seat, period: int) -> int:
        """The PSCCH resource of a seat in an SC period."""
        columns = self._columns[seat.of_lower_id]
        return columns[(seat.column + self._step(seat.row, len(columns), period)) % len(columns)][seat.row]

    def common_pair(self, period: int, one_l2: int, other_l2: int) -> Sequence[int]:
        """The PSCCH resources among which the first end of a link draws in an SC period: those of one pair.

        The other end, for which the ids are the other way round, gets those of the pair that has no subframe in common,
        as far as there is one. Periods and links get their couples, and the ends their side, as if by chance.
        """
        lower, higher = sorted((one_l2, other_l2))
        text = f"{self._in_cycle(period)}:{lower}:{higher}".encode()
        drawn = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
        n_columns = min(map(len, self._columns.values()))
        side = bool(drawn & 1) == (one_l2 == lower)
        return self._columns[side][(drawn >> 1) % n_columns]

    def n_apart(self, one: Seat, other: Seat) -> int:
        """In how many periods of a turn two seats have no subframe in common: each hears the other whole."""
        periods = range(max(self._turn(len(columns)) for columns in self._columns.values()))
        return sum(not self.subframes(one, period) & self.subframes(other, period) for period in periods)

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
        return int(row // n_columns ** (self._in_cycle(period) % self._turn(n_columns)) % n_columns)

    def _in_cycle(self, period: int) -> int:
        """Number of a period in its DFN cycle: UEs agree on it, however long each has counted."""
        return self._pool.period_start(period) % SUBFRAMES_PER_DFN_CYCLE // self._pool.sc_period

    def _turn(self, n_columns: int) -> int:
        """Periods after which all steps come again."""
        turn = 1
        while n_columns > 1 and n_columns ** (turn - 1) < max(self._rows.values()):
            turn += 1
        return turn


def _couples(pairs: list[tuple[int, ...]]) -> list[tuple[tuple[int, ...], tuple[int, ...] | None]]:
    """Pairs of subframes two by two, without a subframe in common as far as it goes; the last one may stay alone.

    Pairs are taken as the matches of a round-robin tournament: those of one round are disjoint.
    """
    n_players = 1 + max(pair[-1] for pair in pairs)
    n_rounds = n_players - 1 + n_players % 2

    def round_of(pair: tuple[int, ...]) -> int:
        first, second = pair
        return (first + (first if second == n_rounds else second)) % n_rounds

    left = sorted(pairs, key=lambda pair: (round_of(pair), pair))
    couples, alone = [], []
    while left:
        one = left.pop(0)
        other = next((pair for pair in left if not set(pair) & set(one)), None)
        if other is None:
            alone.append(one)
        else:
            left.remove(other)
            couples.append((one, other))
    return [*couples, *zip(alone[0::2], [*alone[1::2], *[None] * (len(alone) % 2)], strict=True)]


@lru_cache(maxsize=8)
def pscch_plan(pool: CommPool) -> PscchPlan:
    """The plan of a pool."""
    return PscchPlan(pool)
