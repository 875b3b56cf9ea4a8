"""Which PRBs of a subframe hold more than noise: a gate before every search that tries them all.

No one transmits in the last symbol of a sidelink subframe (TS 36.211 9.3.6), so it shows the noise of each PRB. The
mean of the other symbols is compared with it. A subframe in which nothing stands then costs a transform and little
else, and noise brings no chance CRC to light. A transmission 4 dB below the noise still passes: what is weaker than
that decodes in no combination that the searches try.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Grid
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB

_MEMORY_SUBFRAMES = 32
"""The lowest guard of so many subframes, up to twice as many, is the noise: longer than the PSSCH of one SC period."""
_EXCESS_SIGMAS = 1.2
"""How far above the noise the mean of a stretch of PRBs has to be, in standard deviations of that mean in noise."""
_NEIGHBOURS = 2
"""PRBs on either side whose noise is averaged with that of one."""
_GUARD_DEVIATION = 1 / math.sqrt((2 * _NEIGHBOURS + 1) * SUBCARRIERS_PER_PRB)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Occupancy:
    """Power of every PRB over its noise, as running sums, for stretches of PRBs: float64 (n_prb + 1,)."""

    excess: npt.NDArray[np.float64] = field(repr=False)
    noise: npt.NDArray[np.float64] = field(repr=False)
    n_symbols: int

    def occupied(self, firsts: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.bool_]:
        """Whether the `width` PRBs from each of `firsts` on hold more than noise, bool (n,)."""
        excess = self.excess[firsts + width] - self.excess[firsts]
        noise = self.noise[firsts + width] - self.noise[firsts]
        n_elements = self.n_symbols * SUBCARRIERS_PER_PRB * width
        return np.asarray(excess > _EXCESS_SIGMAS / math.sqrt(n_elements) * noise)


@dataclass(slots=True)
class OccupancyGate:
    """Follows the noise of every PRB over the subframes of a recording.

    A transmission that arrives early, as PSSCH of mode 1 does, reaches into the guard of the subframe before it.
    Therefore the lowest guard counts, times what the lowest of so many lies below their mean.
    """

    _lowest: npt.NDArray[np.float64] | None = None
    _lowest_before: npt.NDArray[np.float64] | None = None
    _n_lowest: int = 0

    def take(self, grid: Grid) -> Occupancy:
        """Occupancy of the next subframe."""
        sent, guard = _prb_powers(grid)
        around = _mean_of_neighbours(guard)
        if self._lowest is None or self._n_lowest == _MEMORY_SUBFRAMES:
            self._lowest_before, self._lowest, self._n_lowest = self._lowest, around, 0
        self._lowest = np.minimum(self._lowest, around)
        self._n_lowest += 1
        lowest, n = self._lowest, self._n_lowest
        if self._lowest_before is not None:
            lowest, n = np.minimum(lowest, self._lowest_before), n + _MEMORY_SUBFRAMES
        noise = lowest / _lowest_of(n)
        return Occupancy(
            excess=np.concatenate(([0.0], np.cumsum(sent - noise))),
            noise=np.concatenate(([0.0], np.cumsum(noise))),
            n_symbols=grid.shape[0] - 1,
        )


@lru_cache(maxsize=2 * _MEMORY_SUBFRAMES)
def _lowest_of(n: int) -> float:
    """Mean of the lowest of `n` guards, relative to the mean of all (Blom's approximation of a normal minimum)."""
    return 1 + _GUARD_DEVIATION * NormalDist().inv_cdf((1 - 0.375) / (n + 0.25))


def _mean_of_neighbours(powers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    kernel = np.ones(2 * _NEIGHBOURS + 1)
    return np.asarray(np.convolve(powers, kernel, "same") / np.convolve(np.ones(powers.size), kernel, "same"))


@njit(cache=True, nogil=True, fastmath=True)
def _prb_powers(grid):  # type: ignore[no-untyped-def]
    """Mean power of each PRB over all symbols but the last, and over the last: float64 (n_prb,) each."""
    n_symbols, n_subcarriers = grid.shape
    n_prb = n_subcarriers // 12
    sent = np.zeros(n_prb)
    guard = np.zeros(n_prb)
    for symbol in range(n_symbols):
        for prb in range(n_prb):
            power = np.float32(0)
            for k in range(12 * prb, 12 * prb + 12):
                value = grid[symbol, k]
                power += value.real * value.real + value.imag * value.imag
            if symbol == n_symbols - 1:
                guard[prb] = float(power) / 12.0
            else:
                sent[prb] += float(power) / (12.0 * (n_symbols - 1))
    return sent, guard
