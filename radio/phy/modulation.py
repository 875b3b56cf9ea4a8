"""Modulation mapping and soft demodulation: QPSK and 16QAM (TS 36.211 7.1.2, 7.1.3, 9.3.2 to 9.6.2)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Llrs
from radio.errors import RadioError

QPSK, QAM16 = 2, 4
"""Modulation orders Q_m."""
_NORM = {QPSK: np.sqrt(2.0), QAM16: np.sqrt(10.0)}


class ModulationError(RadioError):
    """A modulation order the sidelink does not have."""


def level_step(qm: int) -> float:
    """Half the distance of neighbouring levels on each axis of the unit-power constellation. Raises ModulationError."""
    if qm not in _NORM:
        raise ModulationError(f"modulation order {qm} is not one of {sorted(_NORM)}")
    return float(1.0 / _NORM[qm])


@lru_cache(maxsize=2)
def constellation(qm: int) -> npt.NDArray[np.complex64]:
    """Points of the constellation by the number its `qm` bits make, most significant first; complex64, read-only."""
    bits = np.arange(1 << qm)[:, None] >> np.arange(qm - 1, -1, -1) & 1
    signs = 1 - 2 * bits
    levels = signs[:, :2] if qm == QPSK else signs[:, :2] * (2 - signs[:, 2:])
    result = ((levels[:, 0] + 1j * levels[:, 1]) * level_step(qm)).astype(np.complex64)
    result.setflags(write=False)
    return result


def modulate(bits: Bits, qm: int) -> npt.NDArray[np.complex64]:
    """Unit-power symbols of a multiple of `qm` bits, complex64. Raises ModulationError."""
    points = constellation(qm)
    if bits.size % qm:
        raise ModulationError(f"{bits.size} bits are no whole number of symbols of {qm} bits")
    numbers = np.zeros(bits.size // qm, dtype=np.intp)
    for column in bits.reshape(-1, qm).T:
        numbers = numbers << 1 | column
    return points[numbers]


def soft_bits(symbols: npt.NDArray[np.complex64], qm: int, noise_variance: float) -> Llrs:
    """Max-log LLRs ln P(0)/P(1) of unit-power symbols in complex noise of the given variance, float32.

    Raises ModulationError.
    """
    step = level_step(qm)
    axes = np.stack((symbols.real, symbols.imag), axis=-1) / step
    if qm == QPSK:
        metrics = axes
    else:
        magnitude = np.abs(axes)
        outer = axes + np.sign(axes) * np.maximum(magnitude - 2, 0)
        metrics = np.concatenate((outer, 2 - magnitude), axis=-1)
    return (metrics * (4 * step * step / noise_variance)).astype(np.float32).reshape(-1)
