"""Which places of a grid carry a given reference signal: coherence of neighbouring elements, all candidates at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Grid
from radio.phy.dmrs import Dmrs
from radio.phy.level import levelled


def dmrs_coherence(
    grid: Grid, first_subcarriers: npt.NDArray[np.int64], symbols: npt.NDArray[np.int64], dmrs: Dmrs
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.floating]]:
    """Coherence (0 to 1) and mean energy of the reference signal `dmrs` at every candidate, float32 (n_candidates,).

    Energies that float32 might not hold are float64.
    A candidate is the subcarriers from one of `first_subcarriers` (int64) on, as many as `dmrs` (n_symbols,
    n_subcarriers) has. Coherence is about SNR / (1 + SNR) for a channel that is flat over two subcarriers, and near
    zero where the signal is another one.
    """
    grid, factor = levelled(grid, symbols)
    coherence, energy = _coherence(grid, first_subcarriers, symbols, dmrs)
    return coherence, energy if factor == 1.0 else energy.astype(np.float64) / factor**2


@njit(cache=True, nogil=True, fastmath=True)
def _coherence(grid, first_subcarriers, symbols, dmrs):  # type: ignore[no-untyped-def]
    n = first_subcarriers.size
    n_symbols, width = dmrs.shape
    coherence = np.zeros(n, dtype=np.float32)
    energy = np.zeros(n, dtype=np.float32)
    for i in range(n):
        near = np.complex64(0)
        total = np.float32(0)
        for d in range(n_symbols):
            last = np.complex64(0)
            for k in range(width):
                value = grid[symbols[d], first_subcarriers[i] + k] * np.conj(dmrs[d, k])
                total += value.real * value.real + value.imag * value.imag
                near += value * np.conj(last)
                last = value
        energy[i] = total / np.float32(n_symbols * width)
        if total > 0:
            coherence[i] = abs(near) / total * np.float32(width / (width - 1))
    return coherence, energy
