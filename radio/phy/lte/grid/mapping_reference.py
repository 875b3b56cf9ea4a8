"""One codeword mapped and demodulated in plain numpy: the definitions that the kernels of `mapping` implement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Llrs
from radio.phy.dsp.modulation import constellation, modulate, soft_bits
from radio.phy.lte.grid.channel_interleaver import deinterleave, interleave

Complex = npt.NDArray[np.complexfloating]
Real = npt.NDArray[np.floating]

_MIN_GAIN = 1e-9
_MAX_RELIABILITY = 1e4


def interleave_and_map(bits: Bits, scrambling: Bits, qm: int, n_columns: int, n_sent: int) -> Complex:
    """Symbols of the sent columns, (n_sent, n_rows): interleaver, scrambling, modulation.

    TS 36.212 5.2.2.8, TS 36.211 5.3.1, 5.3.2.
    """
    symbols = modulate(interleave(bits, n_columns, qm) ^ scrambling, qm)
    return symbols.reshape(n_columns, -1)[:n_sent]


def equalise(
    grid: Complex,
    symbols: npt.NDArray[np.int64],
    subcarriers: npt.NDArray[np.int64],
    channel: Complex,
    weights: Complex,
    disturbance: Real,
) -> tuple[Complex, Real]:
    """MMSE equaliser, before transform decoding: conj(H) Y / (|H|^2 + N), (n_sent, n_subcarriers), scaled for the DFT.

    Returned with the gain it leaves on each symbol, the mean of |H|^2 / (|H|^2 + N).
    """
    h = weights @ channel
    total = np.abs(h) ** 2 + disturbance[:, None]
    equalised = grid[symbols][:, subcarriers] * np.conj(h) / total
    return equalised / np.sqrt(subcarriers.size), np.mean(np.abs(h) ** 2 / total, axis=1)


def soft_demodulate(
    received: Complex, gains: Real, qm: int, signs: Real, n_columns: int
) -> tuple[Complex, Llrs, float]:
    """Unbiased symbols, descrambled and deinterleaved max-log LLRs, and the mean squared error to the decisions.

    A symbol of gain g carries noise of variance (1 - g) / g once g is divided out; columns that are not sent have
    LLRs of zero.
    """
    n_sent, n_rows = received.shape
    bounded = np.maximum(gains, _MIN_GAIN)
    symbols = (received / bounded[:, None]).astype(np.complex64)
    variance = np.maximum((1 - bounded) / bounded, 1 / _MAX_RELIABILITY)
    llrs = np.zeros((n_columns, n_rows * qm), dtype=np.float32)
    for column in range(n_sent):
        llrs[column] = soft_bits(symbols[column], qm, float(variance[column]))
    distances = np.abs(symbols[:, :, None] - constellation(qm))
    error = float(np.mean(np.min(distances, axis=2) ** 2))
    return symbols, deinterleave(llrs.reshape(-1) * signs, n_columns, qm), error
