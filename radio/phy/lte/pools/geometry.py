"""The parts of every resource pool: its PRBs, its bitmap, its periods, and the uplink subframes.

TS 36.213 14.1.3, 14.2.3, 14.3.3. Subframes are the unwrapped counter whose value modulo 10240 is 10 * DFN + subframe
number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from radio.errors import RadioError
from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE

SUBFRAMES_PER_FRAME = 10
_UPLINK_SUBFRAMES = {
    None: frozenset(range(10)),
    0: frozenset((2, 3, 4, 7, 8, 9)),
    1: frozenset((2, 3, 7, 8)),
    2: frozenset((2, 7)),
    3: frozenset((2, 3, 4)),
    4: frozenset((2, 3)),
    5: frozenset((2,)),
    6: frozenset((2, 3, 4, 7, 8)),
}
"""By uplink-downlink configuration, None for FDD (TS 36.211 Table 4.2-2)."""


class PoolError(RadioError):
    """Pool parameters that contradict each other or their range."""


def is_uplink_subframe(subframe: int, tdd_config: int | None) -> bool:
    """Whether a subframe is an uplink one; all are with FDD. Raises PoolError for an unknown configuration."""
    if tdd_config not in _UPLINK_SUBFRAMES:
        raise PoolError(f"uplink-downlink configuration {tdd_config} is not one of 0..6")
    return subframe % SUBFRAMES_PER_FRAME in _UPLINK_SUBFRAMES[tdd_config]


@lru_cache(maxsize=64)
def prb_pool(prb_num: int, prb_start: int, prb_end: int, n_rb_sl: int) -> tuple[int, ...]:
    """PRBs of a pool: S1 <= q < S1 + M or S2 - M < q <= S2 (TS 36.213 14.1.3). Raises PoolError."""
    low = range(prb_start, prb_start + prb_num)
    high = range(prb_end - prb_num + 1, prb_end + 1)
    prbs = tuple(q for q in range(n_rb_sl) if q in low or q in high)
    if not prbs:
        raise PoolError(f"prb-Num {prb_num}, prb-Start {prb_start}, prb-End {prb_end} hold no PRB of {n_rb_sl}")
    return prbs


def check_bitmap(name: str, bitmap: str) -> None:
    """Raises PoolError unless `bitmap` is a text of binary digits."""
    if not bitmap or set(bitmap) - {"0", "1"}:
        raise PoolError(f"{name} {bitmap!r} is not a text of binary digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Periods of a pool: j_begin = O + i P for every i that keeps it inside the DFN cycle (TS 36.213 14.2.3, 14.3.3).

    Where P does not divide the cycle, the last period ends where the first of the next cycle begins, or leaves a rest
    that belongs to no pool; that rest counts to the last period.
    """

    length: int
    offset: int

    @property
    def per_cycle(self) -> int:
        """Periods in a DFN cycle of 10240 subframes."""
        return -(-(SUBFRAMES_PER_DFN_CYCLE - self.offset) // self.length)

    def of(self, subframe: int) -> int:
        """Number of the period that a subframe lies in; it counts up without wrapping."""
        cycle, inside = divmod(subframe - self.offset, SUBFRAMES_PER_DFN_CYCLE)
        return cycle * self.per_cycle + min(inside // self.length, self.per_cycle - 1)

    def start(self, period: int) -> int:
        """First subframe of a period."""
        cycle, inside = divmod(period, self.per_cycle)
        return cycle * SUBFRAMES_PER_DFN_CYCLE + self.offset + inside * self.length

    def uplink_subframes(self, period: int, tdd_config: int | None) -> tuple[int, ...]:
        """Uplink subframes of a period, ascending. Raises PoolError for an unknown configuration."""
        begin = self.start(period)
        end = min(begin + self.length, self.start(period + 1))
        return tuple(s for s in range(begin, end) if is_uplink_subframe(s, tdd_config))
