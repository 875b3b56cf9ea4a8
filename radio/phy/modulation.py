"""Modulation mapping and soft demodulation: QPSK, 16QAM and 64QAM (TS 36.211 7.1, 9.3.2 to 9.6.2)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Llrs
from radio.errors import RadioError

QPSK, QAM16, QAM64 = 2, 4, 6
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
    half = qm // 2
    step = level_step(qm)
    numbers = np.arange(1 << qm)
    bits = numbers[:, None] >> np.arange(qm - 1, -1, -1) & 1
    points = (_axis_levels(bits[:, 0::2], half) + 1j * _axis_levels(bits[:, 1::2], half)) * step
    result = points.astype(np.complex64)
    result.setflags(write=False)
    return result


def _axis_levels(bits: npt.NDArray[np.int64], half: int) -> npt.NDArray[np.int64]:
    """Odd level of one axis from its bits: a sign, then distances from the middle of what is left."""
    level = np.ones(bits.shape[0], dtype=np.int64)
    for i in range(half - 1, 0, -1):
        level = (1 << half - i) - (1 - 2 * bits[:, i]) * level
    return (1 - 2 * bits[:, 0]) * level


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
    half = qm // 2
    step = level_step(qm)
    axes = np.stack((symbols.real, symbols.imag), axis=-1) / step
    scale = 4.0 * step * step / noise_variance
    llrs = np.empty((symbols.size, half, 2), dtype=np.float32)
    rest = axes.reshape(-1, 2)
    llrs[:, 0] = _sign_metric(rest, half) * scale
    for i in range(1, half):
        rest = (1 << half - i) - np.abs(rest)
        llrs[:, i] = _sign_metric(rest, half - i) * scale
    return llrs.reshape(-1)


def _sign_metric(x: npt.NDArray[np.floating], half: int) -> npt.NDArray[np.floating]:
    """A quarter of the difference of the squared distances to the nearest negative and positive odd level."""
    magnitude = np.abs(x)
    level = np.clip(2 * np.floor(magnitude / 2) + 1, 1, (1 << half) - 1)
    return np.sign(x) * ((magnitude + 1) ** 2 - (magnitude - level) ** 2) / 4
