"""Subframes that V2X pools count over: the cycle of DFNs less those of SLSS, of the downlink and the reserved ones.

TS 36.213 14.1.5. Subframes are the unwrapped counter whose value modulo 10240 is 10 * DFN + subframe number; t_k^SL
runs on the same way, one cycle after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from radio.phy.lte.grid.numerology import SUBFRAMES_PER_DFN_CYCLE
from radio.phy.lte.pools.geometry import PoolError, is_uplink_subframe
from radio.phy.lte.pools.mode2 import SyncConfig

V2X_SYNC_PERIOD = 160
"""Subframes from one SLSS of modes 3 and 4 to the next (TS 36.331 5.10.7)."""
_BITMAP_LENGTHS = (10, 16, 20, 30, 40, 50, 60, 100)
"""Lengths of sl-Subframe (TS 36.331 6.3.8)."""
_N_SSF = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class V2xSubframes:
    """The set (t_0^SL, t_1^SL, ...) for bitmaps of `bitmap_length`.

    `sync` tells where SLSS is configured, None for nowhere; `tdd_config` None for FDD. Raises PoolError.
    """

    bitmap_length: int
    sync: SyncConfig | None = None
    tdd_config: int | None = None

    def __post_init__(self) -> None:
        if self.bitmap_length not in _BITMAP_LENGTHS:
            raise PoolError(f"sl-Subframe of {self.bitmap_length} bits is not one of {_BITMAP_LENGTHS}")
        if not self.of_cycle:
            raise PoolError("SLSS and the downlink leave a V2X pool no subframe")

    @property
    def of_cycle(self) -> tuple[int, ...]:
        """t_0^SL .. t_Tmax^SL of the first DFN cycle, ascending."""
        return _subframes_of_cycle(self)

    def counter_of(self, subframe: int) -> int | None:
        """k with t_k^SL = `subframe`, None where the subframe is not of the set."""
        counter = self.first_counter_from(subframe)
        return counter if self.subframe_at(counter) == subframe else None

    def first_counter_from(self, subframe: int) -> int:
        """k of the first t_k^SL that is not before `subframe`."""
        cycle, inside = divmod(subframe, SUBFRAMES_PER_DFN_CYCLE)
        return cycle * len(self.of_cycle) + bisect_left(self.of_cycle, inside)

    def subframe_at(self, counter: int) -> int:
        """t_k^SL for k = `counter`."""
        cycle, k = divmod(counter, len(self.of_cycle))
        return cycle * SUBFRAMES_PER_DFN_CYCLE + self.of_cycle[k]

    def n_ssf(self, subframe: int) -> int:
        """n_ssf^PSSCH = k mod 10, k counted in its DFN cycle (TS 36.211 9.2.4). Raises PoolError outside the set."""
        counter = self.counter_of(subframe)
        if counter is None:
            raise PoolError(f"subframe {subframe} is SLSS, downlink or reserved")
        return counter % len(self.of_cycle) % _N_SSF

    def bitmap_position(self, subframe: int) -> int | None:
        """k mod L_bitmap of a subframe, None where it is not of the set."""
        counter = self.counter_of(subframe)
        return None if counter is None else counter % len(self.of_cycle) % self.bitmap_length


@lru_cache(maxsize=16)
def _subframes_of_cycle(subframes: V2xSubframes) -> tuple[int, ...]:
    sync, tdd_config = subframes.sync, subframes.tdd_config
    left = [
        s
        for s in range(SUBFRAMES_PER_DFN_CYCLE)
        if is_uplink_subframe(s, tdd_config) and not (sync is not None and sync.is_sync_subframe(s))
    ]
    n_reserved = len(left) % subframes.bitmap_length
    reserved = {m * len(left) // n_reserved for m in range(n_reserved)}
    return tuple(s for r, s in enumerate(left) if r not in reserved)
