"""Search for a given reference signal in a grid, by the coherence of neighbouring elements, for all candidates at once.

The product of a received element with the conjugate of the one before it does not depend on the channel's phase, and
that of a reference signal is known; the correlation of both, over the energy, is the coherence. It is about
SNR / (1 + SNR) for a channel that is flat over two subcarriers, and near zero where the signal is another one. The
products of the grid are made once for all candidates, those of a sequence group once for all subframes. Cyclic shifts
and orthogonal covers turn all products of a symbol alike and cancel in the magnitude of the sum over symbols of one
transmission, except where they differ from symbol to symbol, which no channel of the sidelink does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Doubles, Floats, Grid, Places
from radio.phy.dsp.level import levelled
from radio.phy.lte.grid.base_sequences import N_GROUPS, base_sequence
from radio.phy.lte.grid.dmrs import Dmrs
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB


def dmrs_coherence(
    grid: Grid, first_subcarriers: npt.NDArray[np.int64], symbols: npt.NDArray[np.int64], dmrs: Dmrs
) -> tuple[Floats, npt.NDArray[np.floating]]:
    """Coherence (0 to 1) and mean energy of the reference signal `dmrs` at every candidate, float32 (n_candidates,).

    Energies that float32 might not hold are float64.
    A candidate is the subcarriers from one of `first_subcarriers` (int64) on, as many as `dmrs` (n_symbols,
    n_subcarriers) has.
    """
    products = ReferenceProducts.of(grid, symbols)
    step = dmrs[:, 1:] * dmrs[:, :-1].conj()
    real, imag = np.ascontiguousarray(step.real), np.ascontiguousarray(step.imag)
    rows = np.arange(len(step), dtype=np.int64)[None, :]
    coherence, energy = _coherence(
        products.real, products.imag, products.energy, first_subcarriers, real, imag, rows, dmrs.shape[1]
    )
    return coherence[0], energy if products.unit == 1.0 else energy.astype(np.float64) * products.unit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferenceProducts:
    """Products of neighbouring elements in the reference symbols of one grid, (n_symbols, n_subcarriers - 1).

    `energy` float64 (n_subcarriers + 1,) is the running sum over the subcarriers of the energy of all these symbols.
    All three are of the grid brought near full scale 1; `unit` is the energy that 1 stands for.
    """

    real: Floats = field(repr=False)
    imag: Floats = field(repr=False)
    energy: npt.NDArray[np.float64] = field(repr=False)
    largest: float = 0.0
    """Energy of the subcarrier that has most."""
    unit: float = 1.0

    @classmethod
    def of(cls, grid: Grid, symbols: npt.NDArray[np.int64]) -> ReferenceProducts:
        """The products of the given symbols of a grid.

        `grid` is complex64 (n_symbols, n_subcarriers), `symbols` int64 (n_reference_symbols,).
        """
        near_one, factor = levelled(grid, symbols)
        real, imag, energy, largest = _products(near_one, symbols)
        return cls(real=real, imag=imag, energy=energy, largest=largest, unit=factor**-2)

    @property
    def peak(self) -> float:
        """Mean over the symbols of the strongest element's energy."""
        return self.largest * self.unit / len(self.real)

    def coherence(
        self, first_prbs: npt.NDArray[np.int64], n_prb: int, groups: npt.NDArray[np.int64]
    ) -> tuple[Floats, npt.NDArray[np.floating]]:
        """Coherence of every row of `groups` at every candidate, float32 (n_rows, n_candidates), and mean energies.

        A row of `groups`, int64 (n_rows, n_symbols), has the sequence group u of each reference symbol; a candidate is
        the `n_prb` PRBs from one of `first_prbs` on.
        """
        real, imag = group_products(n_prb)
        coherence, energy = _coherence(
            self.real,
            self.imag,
            self.energy,
            first_prbs * SUBCARRIERS_PER_PRB,
            real,
            imag,
            groups,
            n_prb * SUBCARRIERS_PER_PRB,
        )
        return coherence, energy if self.unit == 1.0 else energy.astype(np.float64) * self.unit

    def coherence_each(
        self, first_prbs: npt.NDArray[np.int64], n_prb: int, groups: npt.NDArray[np.int64]
    ) -> tuple[Floats, npt.NDArray[np.floating]]:
        """Coherence and mean energy where each candidate has its own row of `groups`, float32 (n_candidates,) each."""
        real, imag = group_products(n_prb)
        width = n_prb * SUBCARRIERS_PER_PRB
        firsts = first_prbs * SUBCARRIERS_PER_PRB
        coherence, energy = _coherence_each(self.real, self.imag, self.energy, firsts, real, imag, groups, width)
        return coherence, energy if self.unit == 1.0 else energy.astype(np.float64) * self.unit


@lru_cache(maxsize=128)
def group_products(n_prb: int) -> tuple[Floats, Floats]:
    """Products of neighbouring elements of the base sequence of each group, float32 (30, 12 n_prb - 1) each."""
    sequences = np.array([base_sequence(u, n_prb) for u in range(N_GROUPS)])
    step = sequences[:, 1:] * sequences[:, :-1].conj()
    return np.ascontiguousarray(step.real), np.ascontiguousarray(step.imag)


@njit(cache=True, nogil=True, fastmath=True)
def _products(grid: Complexes, symbols: Places) -> tuple[Floats, Floats, Doubles, float]:
    n_subcarriers = grid.shape[1]
    real = np.empty((symbols.size, n_subcarriers - 1), dtype=np.float32)
    imag = np.empty((symbols.size, n_subcarriers - 1), dtype=np.float32)
    power = np.zeros(n_subcarriers, dtype=np.float32)
    for d in range(symbols.size):
        row = grid[symbols[d]]
        for k in range(n_subcarriers):
            power[k] += row[k].real * row[k].real + row[k].imag * row[k].imag
        for k in range(n_subcarriers - 1):
            value = row[k + 1] * np.conj(row[k])
            real[d, k] = value.real
            imag[d, k] = value.imag
    energy = np.zeros(n_subcarriers + 1)
    largest = np.float32(0)
    for k in range(n_subcarriers):
        energy[k + 1] = energy[k] + power[k]
        largest = max(largest, power[k])
    return real, imag, energy, float(largest)


@njit(nogil=True, fastmath=True)
def _correlate(real: Floats, imag: Floats, known_real: Floats, known_imag: Floats) -> tuple[np.float32, np.float32]:
    """sum of (real + j imag) conj(known)."""
    sum_real = np.float32(0)
    sum_imag = np.float32(0)
    for k in range(known_real.size):
        sum_real += real[k] * known_real[k] + imag[k] * known_imag[k]
        sum_imag += imag[k] * known_real[k] - real[k] * known_imag[k]
    return sum_real, sum_imag


@njit(nogil=True, fastmath=True)
def _sum_of_symbols(
    real: Floats, imag: Floats, first: int, width: int, known_real: Floats, known_imag: Floats, groups: Places
) -> np.float32:
    """Magnitude of the correlation of one candidate over all its reference symbols."""
    near_real = np.float32(0)
    near_imag = np.float32(0)
    for d in range(groups.size):
        part_real, part_imag = _correlate(
            real[d, first : first + width - 1],
            imag[d, first : first + width - 1],
            known_real[groups[d]],
            known_imag[groups[d]],
        )
        near_real += part_real
        near_imag += part_imag
    return np.sqrt(near_real * near_real + near_imag * near_imag)


@njit(cache=True, nogil=True, fastmath=True)
def _coherence(
    real: Floats,
    imag: Floats,
    energy: Doubles,
    firsts: Places,
    known_real: Floats,
    known_imag: Floats,
    rows: Places,
    width: int,
) -> tuple[Floats, Floats]:
    n_symbols = real.shape[0]
    coherence = np.zeros((rows.shape[0], firsts.size), dtype=np.float32)
    energies = np.zeros(firsts.size, dtype=np.float32)
    for i in range(firsts.size):
        first = firsts[i]
        total = energy[first + width] - energy[first]
        energies[i] = total / (n_symbols * width)
        if total <= 0:
            continue
        scale = np.float32(width / ((width - 1) * total))
        for r in range(rows.shape[0]):
            coherence[r, i] = scale * _sum_of_symbols(real, imag, first, width, known_real, known_imag, rows[r])
    return coherence, energies


@njit(cache=True, nogil=True, fastmath=True)
def _coherence_each(
    real: Floats,
    imag: Floats,
    energy: Doubles,
    firsts: Places,
    known_real: Floats,
    known_imag: Floats,
    rows: Places,
    width: int,
) -> tuple[Floats, Floats]:
    n_symbols = real.shape[0]
    coherence = np.zeros(firsts.size, dtype=np.float32)
    energies = np.zeros(firsts.size, dtype=np.float32)
    for i in range(firsts.size):
        first = firsts[i]
        total = energy[first + width] - energy[first]
        energies[i] = total / (n_symbols * width)
        if total > 0:
            scale = np.float32(width / ((width - 1) * total))
            coherence[i] = scale * _sum_of_symbols(real, imag, first, width, known_real, known_imag, rows[i])
    return coherence, energies
