"""The communication pool of transmission mode 1: the network schedules PSCCH and PSSCH (TS 36.213 14.1.4, 14.1.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from radio.phy.lte.grid.trpt import n_trp, trp_bitmaps
from radio.phy.lte.pools.mode2 import ScPool

_TA_UNIT_TS = 16
"""Basic time units to a step of the timing advance indication (TS 36.213 14.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledPool(ScPool):
    """A pool of transmission mode 1: PSSCH may use every uplink subframe after the last one of PSCCH, and every PRB.

    Raises PoolError, HoppingError or TrptError.
    """

    @property
    def pssch_prbs(self) -> tuple[int, ...]:
        """All PRBs of the carrier: allocations count over N_RB^SL (TS 36.213 14.1.1.2.1)."""
        return tuple(range(self.n_rb_sl))

    @property
    def i_trps(self) -> tuple[int, ...]:
        """Every I_TRP that is not reserved: k_TRP is restricted in mode 2 only (TS 36.213 14.1.1.1)."""
        return tuple(i for i, bitmap in enumerate(trp_bitmaps(n_trp(self.tdd_config))) if bitmap is not None)

    def pssch_subframes(self, period: int) -> tuple[int, ...]:
        """The PSSCH subframe pool of one period, ascending (TS 36.213 14.1.4)."""
        return _subframes_after_control(self, period)


@lru_cache(maxsize=64)
def _subframes_after_control(pool: ScheduledPool, period: int) -> tuple[int, ...]:
    last = max(pool.pscch_subframes(period), default=pool.period_start(period + 1))
    return tuple(s for s in pool.uplink_subframes(period) if s > last)


def timing_advance_indication(n_ta_ts: int) -> int:
    """I_TAI of an SCI format 0 in mode 1, from N_TA in basic time units; mode 2 sends 0 (TS 36.213 14.2.1)."""
    return n_ta_ts // _TA_UNIT_TS
