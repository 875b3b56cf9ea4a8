"""Evidence that a control message was sent: how well its soft bits fit the codeword that was decoded from them.

A CRC of 16 bits holds by chance once in 65 536 decoded codewords, and a survey decodes many. The decoder always finds a
codeword that fits noise fairly well, but never as well as one that was sent.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Floats, Llrs, Octets
from radio.phy.lte.channels.control_block import encode_control_block

MIN_AGREEMENT = 0.58
"""Noise exceeds this for less than one decoded codeword in 10^3; a codeword that was sent exceeds it always."""
MIN_AGREEMENT_FORMAT_1 = 0.46
"""The same for an SCI format 1, whose code has nearly twice the redundancy."""


def agreement(llrs: Llrs, bits: Bits) -> float:
    """Share of the soft bits' amplitude that the codeword of `bits` explains, 1 if every sign is right.

    `llrs` is float32 (e,), `bits` is uint8 (n,).
    """
    total, agreeing = _sums(llrs, bits, _generator(bits.size, llrs.size))
    return agreeing / total if total else 0.0


@lru_cache(maxsize=16)
def _generator(n_bits: int, e: int) -> npt.NDArray[np.uint8]:
    """Codeword of each bit alone, uint8 (n_bits, e): CRC and code are linear."""
    return np.array([encode_control_block(bit, e) for bit in np.eye(n_bits, dtype=np.uint8)])


@njit(cache=True, nogil=True)
def _sums(llrs: Floats, bits: Octets, generator: Octets) -> tuple[float, float]:
    """Sum of the soft bits' magnitudes, and of those with the sign of the codeword less the others."""
    codeword = np.zeros(llrs.size, dtype=np.uint8)
    for i in range(bits.size):
        if bits[i]:
            row = generator[i]
            for n in range(codeword.size):
                codeword[n] ^= row[n]
    total = 0.0
    agreeing = 0.0
    for n in range(codeword.size):
        total += abs(llrs[n])
        agreeing += -llrs[n] if codeword[n] else llrs[n]
    return total, agreeing


def alike(earlier: Llrs, latest: Llrs, threshold: float) -> npt.NDArray[np.int64]:
    """Pairs (row of `earlier`, row of `latest`) whose product exceeds `threshold`, int64 (n_pairs, 2).

    Both are float32 (n, e); they are soft bits at unit length.
    """
    rows, columns = np.nonzero(_products(earlier, latest) > threshold)
    return np.stack((rows, columns), axis=1)


@njit(nogil=True, fastmath=True)
def _product(a: Floats, b: Floats) -> np.float32:
    total = np.float32(0)
    for n in range(a.size):
        total += a[n] * b[n]
    return total


@njit(cache=True, nogil=True, fastmath=True)
def _products(earlier: Floats, latest: Floats) -> Floats:
    """earlier @ latest.T, on one core: a matrix library would start threads for so little."""
    result = np.empty((earlier.shape[0], latest.shape[0]), dtype=np.float32)
    for i in range(earlier.shape[0]):
        row = earlier[i]
        for j in range(latest.shape[0]):
            result[i, j] = _product(row, latest[j])
    return result
