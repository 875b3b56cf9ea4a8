"""Which PRBs of a subframe hold more than noise: a gate before every search that tries them all.

No UE transmits in the last symbol of a sidelink subframe (TS 36.211 9.3.6), so it shows the noise of each PRB. The mean
of the other symbols is compared with it. A subframe in which nothing stands then costs a transform and little else, and
noise brings no chance CRC to light. A transmission 4 dB below the noise still passes: what is weaker than that decodes
in no combination that the searches try.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Doubles, Grid
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
    _known: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def occupied(self, firsts: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.bool_]:
        """Whether the `width` PRBs from each of `firsts` on hold more than noise, bool (n,)."""
        return self.everywhere(width)[firsts]

    def everywhere(self, width: int) -> npt.NDArray[np.bool_]:
        """The same for every PRB that so many PRBs can begin at, bool (n_prb - width + 1,)."""
        known = self._known.get(width)
        if known is None:
            excess = self.excess[width:] - self.excess[:-width]
            noise = self.noise[width:] - self.noise[:-width]
            n_elements = self.n_symbols * SUBCARRIERS_PER_PRB * width
            known = self._known[width] = excess > _EXCESS_SIGMAS / math.sqrt(n_elements) * noise
        return known


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
        """Occupancy of the next subframe, from its `grid`, complex64 (n_symbols, n_subcarriers)."""
        sent, around = _prb_powers(grid, _NEIGHBOURS)
        if self._lowest is None or self._n_lowest == _MEMORY_SUBFRAMES:
            self._lowest_before, self._lowest, self._n_lowest = self._lowest, around, 0
        self._lowest = np.minimum(self._lowest, around)
        self._n_lowest += 1
        lowest, n = self._lowest, self._n_lowest
        if self._lowest_before is not None:
            lowest, n = np.minimum(lowest, self._lowest_before), n + _MEMORY_SUBFRAMES
        excess, noise = _running_sums(sent, lowest, 1 / _lowest_of(n))
        return Occupancy(excess=excess, noise=noise, n_symbols=grid.shape[0] - 1)


@lru_cache(maxsize=2 * _MEMORY_SUBFRAMES)
def _lowest_of(n: int) -> float:
    """Mean of the lowest of `n` guards, relative to the mean of all (Blom's approximation of a normal minimum)."""
    return 1 + _GUARD_DEVIATION * NormalDist().inv_cdf((1 - 0.375) / (n + 0.25))


@njit(cache=True, nogil=True, fastmath=True)
def _prb_powers(grid: Complexes, n_neighbours: int) -> tuple[Doubles, Doubles]:
    """Mean power of each PRB over all symbols but the last: float64 (n_prb,).

    The other is that over the last symbol, averaged with so many PRBs on either side.
    """
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
    around = np.zeros(n_prb)
    for prb in range(n_prb):
        first, last = max(prb - n_neighbours, 0), min(prb + n_neighbours, n_prb - 1)
        for other in range(first, last + 1):
            around[prb] += guard[other] / (last - first + 1)
    return sent, around


@njit(cache=True, nogil=True)
def _running_sums(sent: Doubles, lowest: Doubles, scale: float) -> tuple[Doubles, Doubles]:
    """Of the power over the noise, which is `lowest` times `scale`, and of the noise: float64 (n_prb + 1,) each."""
    excess = np.zeros(sent.size + 1)
    noise = np.zeros(sent.size + 1)
    for prb in range(sent.size):
        excess[prb + 1] = excess[prb] + sent[prb] - lowest[prb] * scale
        noise[prb + 1] = noise[prb] + lowest[prb] * scale
    return excess, noise
