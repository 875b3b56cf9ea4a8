"""Modulation mapping and soft demodulation: QPSK, 16QAM, 64QAM (TS 36.211 7.1.2 to 7.1.4, 9.3.2 to 9.6.2).

The constellations are Gray-coded squares: the bits of a symbol are dealt in turn to the real and the imaginary axis,
and on each axis the first bit is the sign, the following ones tell which half of the magnitudes it is in. So each axis
is read by itself. The max-log LLR of a bit is the difference of the squared distances to the nearest points with that
bit 0 and 1; on a Gray-coded axis it is piecewise linear in the received value, and the formulas here are those pieces,
in units of half the distance of neighbouring levels. A positive LLR means 0.

This is the readable definition; `radio.phy.lte.grid.mapping` has it in its kernels, and a test holds the two equal.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Llrs
from radio.errors import RadioError

QPSK, QAM16, QAM64 = 2, 4, 6
"""Modulation orders Q_m."""
_NORM = {QPSK: np.sqrt(2.0), QAM16: np.sqrt(10.0), QAM64: np.sqrt(42.0)}


class ModulationError(RadioError):
    """A modulation order the sidelink does not have."""


def level_step(qm: int) -> float:
    """Half the distance of neighbouring levels on each axis of the unit-power constellation. Raises ModulationError."""
    if qm not in _NORM:
        raise ModulationError(f"modulation order {qm} is not one of {sorted(_NORM)}")
    return float(1.0 / _NORM[qm])


@lru_cache(maxsize=3)
def constellation(qm: int) -> npt.NDArray[np.complex64]:
    """Points of the constellation by the number its `qm` bits make, most significant first; complex64, read-only."""
    bits = np.arange(1 << qm)[:, None] >> np.arange(qm - 1, -1, -1) & 1
    signs = 1 - 2 * bits
    levels = np.ones((1 << qm, 2), dtype=np.int64)
    for first in range(qm - 2, 0, -2):
        levels = (1 << (qm - first) // 2) - signs[:, first : first + 2] * levels
    levels = signs[:, :2] * levels
    result = ((levels[:, 0] + 1j * levels[:, 1]) * level_step(qm)).astype(np.complex64)
    result.setflags(write=False)
    return result


def modulate(bits: Bits, qm: int) -> npt.NDArray[np.complex64]:
    """Unit-power symbols, complex64 (n / qm,), of bits uint8 (n,), n a multiple of `qm`. Raises ModulationError."""
    points = constellation(qm)
    if bits.size % qm:
        raise ModulationError(f"{bits.size} bits are no whole number of symbols of {qm} bits")
    numbers = np.zeros(bits.size // qm, dtype=np.intp)
    for column in bits.reshape(-1, qm).T:
        numbers = numbers << 1 | column
    return points[numbers]


def soft_bits(symbols: npt.NDArray[np.complex64], qm: int, noise_variance: float) -> Llrs:
    """Max-log LLRs ln P(0)/P(1) of unit-power symbols in complex noise, float32 (n * qm,).

    `symbols` is complex64 (n,); `noise_variance` is that of real and imaginary part together. Raises ModulationError.
    """
    step = level_step(qm)
    axes = np.stack((symbols.real, symbols.imag), axis=-1) / step
    magnitude = np.abs(axes)
    beyond = {level: np.maximum(magnitude - level, 0) for level in (2, 4, 6)}
    if qm == QPSK:
        metrics = axes
    elif qm == QAM16:
        metrics = np.concatenate((axes + np.sign(axes) * beyond[2], 2 - magnitude), axis=-1)
    else:
        sign_bits = axes + np.sign(axes) * (beyond[2] + beyond[4] + beyond[6])
        half_bits = 4 - magnitude + np.maximum(2 - magnitude, 0) - beyond[6]
        metrics = np.concatenate((sign_bits, half_bits, 2 - np.abs(magnitude - 4)), axis=-1)
    return (metrics * (4 * step * step / noise_variance)).astype(np.float32).reshape(-1)
