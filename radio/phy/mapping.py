"""From the bits of one codeword to the resource elements of its allocation, and back to soft bits.

Channel interleaver, scrambling, modulation, transform precoding and resource mapping, which all sidelink channels
share (TS 36.212 5.2.2.7, 5.2.2.8; TS 36.211 5.3.1 to 5.3.4, 9.3 to 9.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Grid, Llrs
from radio.errors import RadioError
from radio.phy.dmrs import Dmrs
from radio.phy.estimation import ChannelEstimate, estimate_channel
from radio.phy.fourier import row_transform
from radio.phy.layout import SymbolLayout, symbol_rows
from radio.phy.level import levelled
from radio.phy.modulation import constellation, level_step
from radio.phy.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.sequences import gold_sequence


class AllocationError(RadioError):
    """Resource blocks that the carrier or transform precoding does not allow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodewordReception:
    """One received codeword.

    `llrs` float32 (g,), descrambled and deinterleaved, zero for the guard symbol; `symbols` complex64
    (n_sent_symbols, n_subcarriers) after equalisation and transform decoding.
    """

    llrs: Llrs
    symbols: npt.NDArray[np.complex64]
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_error_samples: float
    signal_power: float


def is_valid_width(n_prb: int) -> bool:
    """Whether transform precoding has a size for `n_prb` PRBs: 2^a 3^b 5^c (TS 36.211 5.3.3)."""
    for factor in (2, 3, 5):
        while n_prb > 1 and n_prb % factor == 0:
            n_prb //= factor
    return n_prb == 1


def largest_valid_width(n_prb: int) -> int:
    """The largest number of PRBs up to `n_prb` that transform precoding has a size for; 0 if there is none."""
    return next((n for n in range(n_prb, 0, -1) if is_valid_width(n)), 0)


@lru_cache(maxsize=1024)
def allocation_subcarriers(carrier: Carrier, prbs: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Subcarriers of ascending PRBs, int64, read-only. Raises AllocationError."""
    if not prbs or not is_valid_width(len(prbs)):
        raise AllocationError(f"{len(prbs)} PRBs: transform precoding needs a number of the form 2^a 3^b 5^c")
    if prbs[0] < 0 or prbs[-1] >= carrier.n_prb or any(a >= b for a, b in pairwise(prbs)):
        raise AllocationError(f"PRBs {prbs} are not ascending numbers below {carrier.n_prb}")
    per_prb = np.arange(SUBCARRIERS_PER_PRB, dtype=np.int64)
    result = (np.array(prbs, dtype=np.int64)[:, None] * SUBCARRIERS_PER_PRB + per_prb).reshape(-1)
    result.setflags(write=False)
    return result


@lru_cache(maxsize=128)
def scrambling_signs(c_init: int, length: int) -> npt.NDArray[np.float32]:
    """1 where the scrambling bit is 0, -1 where it is 1; float32, read-only."""
    signs = np.float32(1) - np.float32(2) * gold_sequence(c_init, length).astype(np.float32)
    signs.setflags(write=False)
    return signs


@lru_cache(maxsize=256)
def _scaled_constellation(qm: int, n_subcarriers: int) -> npt.NDArray[np.complex64]:
    """The constellation with the scale of transform precoding folded in."""
    result = constellation(qm) / np.float32(math.sqrt(n_subcarriers))
    result.setflags(write=False)
    return result


def map_codeword(
    grid: Grid,
    subcarriers: npt.NDArray[np.int64],
    layout: SymbolLayout,
    dmrs: Dmrs,
    bits: Bits,
    qm: int,
    c_init: int,
) -> None:
    """Write a codeword and its reference signals into `grid`, unit power to a resource element.

    `bits` is uint8 (g,) with g = n_data_symbols * n_subcarriers * qm, the guard symbol counted where the layout does.
    """
    n_columns, n_rows = len(layout.data), subcarriers.size
    if bits.size != n_columns * n_rows * qm:
        raise AllocationError(f"codeword of {bits.size} bits for {n_columns} symbols of {n_rows} subcarriers")
    transform = row_transform(len(layout.sent), n_rows)
    scrambling = gold_sequence(c_init, bits.size)
    _interleave_and_map(bits, scrambling, qm, _scaled_constellation(qm, n_rows), n_columns, transform.input)
    _place(transform.execute(), np.array(layout.sent), subcarriers, grid)
    _place(dmrs, np.array(layout.dmrs), subcarriers, grid)


def receive_codeword(
    carrier: Carrier,
    grid: Grid,
    subcarriers: npt.NDArray[np.int64],
    layout: SymbolLayout,
    dmrs: Dmrs,
    qm: int,
    c_init: int,
) -> CodewordReception:
    """Equalise and demodulate one codeword; the opposite of `map_codeword`."""
    grid, factor = levelled(grid, symbol_rows(layout.dmrs))
    estimate = estimate_channel(carrier, grid, subcarriers, layout, dmrs)
    received = demodulate_codeword(grid, subcarriers, layout, estimate, qm, c_init)
    return received if factor == 1.0 else replace(received, signal_power=received.signal_power / factor**2)


def demodulate_codeword(
    grid: Grid,
    subcarriers: npt.NDArray[np.int64],
    layout: SymbolLayout,
    estimate: ChannelEstimate,
    qm: int,
    c_init: int,
) -> CodewordReception:
    """Equalise and demodulate one codeword through a known channel."""
    n_columns, n_rows = len(layout.data), subcarriers.size
    transform = row_transform(len(layout.sent), n_rows, inverse=True)
    gains = _equalise(
        grid,
        np.array(layout.sent),
        subcarriers,
        estimate.channel,
        estimate.weights,
        estimate.disturbance,
        transform.input,
    )
    symbols = np.empty((len(layout.sent), n_rows), dtype=np.complex64)
    llrs = np.zeros(n_columns * n_rows * qm, dtype=np.float32)
    signs = scrambling_signs(c_init, llrs.size)
    error = _soft_demodulate(transform.execute(), gains, qm, level_step(qm), signs, n_columns, symbols, llrs)
    return CodewordReception(
        llrs=llrs,
        symbols=symbols,
        snr_db=estimate.snr_db,
        evm_db=10 * math.log10(max(error, 1e-12)),
        cfo_hz=estimate.cfo_hz,
        timing_error_samples=estimate.timing_error_samples,
        signal_power=estimate.signal_power,
    )


@njit(cache=True, nogil=True)
def _interleave_and_map(bits, scrambling, qm, points, n_columns, out):  # type: ignore[no-untyped-def]
    """Symbols of the sent columns: bit groups written row by row, read column by column, scrambled, mapped."""
    n_sent, n_rows = out.shape
    for column in range(n_sent):
        for row in range(n_rows):
            source = (row * n_columns + column) * qm
            target = (column * n_rows + row) * qm
            number = 0
            for k in range(qm):
                number = number << 1 | (bits[source + k] ^ scrambling[target + k])
            out[column, row] = points[number]


@njit(cache=True, nogil=True)
def _place(values, symbols, subcarriers, grid):  # type: ignore[no-untyped-def]
    for i in range(values.shape[0]):
        row = symbols[i]
        for m in range(values.shape[1]):
            grid[row, subcarriers[m]] = values[i, m]


@njit(cache=True, nogil=True, fastmath=True)
def _equalise(grid, symbols, subcarriers, channel, weights, disturbance, out):  # type: ignore[no-untyped-def]
    """MMSE equaliser of every sent symbol; returns the gain it leaves on each, mean of |H|^2 / (|H|^2 + N)."""
    n_symbols = weights.shape[0]
    n_dmrs, n_subcarriers = channel.shape
    gains = np.empty(n_symbols, dtype=np.float32)
    scale = np.float32(1.0 / np.sqrt(n_subcarriers))
    h = np.empty(n_subcarriers, dtype=np.complex64)
    for i in range(n_symbols):
        row = symbols[i]
        noise = disturbance[i]
        for m in range(n_subcarriers):
            h[m] = weights[i, 0] * channel[0, m]
        for d in range(1, n_dmrs):
            weight = weights[i, d]
            for m in range(n_subcarriers):
                h[m] += weight * channel[d, m]
        total = np.float32(0)
        for m in range(n_subcarriers):
            power = h[m].real * h[m].real + h[m].imag * h[m].imag
            inverse = np.float32(1) / (power + noise)
            total += power * inverse
            out[i, m] = grid[row, subcarriers[m]] * np.conj(h[m]) * (inverse * scale)
        gains[i] = total / np.float32(n_subcarriers)
    return gains


@njit(cache=True, nogil=True, fastmath=True)
def _soft_demodulate(received, gains, qm, step, signs, n_columns, symbols, llrs):  # type: ignore[no-untyped-def]
    """Unbiased symbols, descrambled and deinterleaved max-log LLRs; returns the mean squared error to the decisions."""
    n_sent, n_rows = received.shape
    error = 0.0
    unit = np.float32(step)
    for column in range(n_sent):
        gain = max(gains[column], np.float32(1e-9))
        unbias = np.float32(1) / gain
        reliability = min(gain / max(np.float32(1) - gain, np.float32(1e-9)), np.float32(1e4))
        scale = np.float32(4) * unit * unit * reliability
        column_error = np.float32(0)
        for row in range(n_rows):
            value = received[column, row] * unbias
            symbols[column, row] = value
            source = (column * n_rows + row) * qm
            target = (row * n_columns + column) * qm
            for axis in range(2):
                x = (value.real if axis == 0 else value.imag) / unit
                magnitude = abs(x)
                metric = x
                level = np.float32(1)
                if qm == 4:
                    excess = max(magnitude - np.float32(2), np.float32(0))
                    metric += excess if x > 0 else -excess
                    level = np.float32(1) if magnitude < 2 else np.float32(3)
                    llrs[target + 2 + axis] = (np.float32(2) - magnitude) * scale * signs[source + 2 + axis]
                elif qm == 6:
                    beyond_6 = max(magnitude - np.float32(6), np.float32(0))
                    excess = max(magnitude - np.float32(2), np.float32(0)) + beyond_6
                    excess += max(magnitude - np.float32(4), np.float32(0))
                    metric += excess if x > 0 else -excess
                    half = np.float32(4) - magnitude + max(np.float32(2) - magnitude, np.float32(0)) - beyond_6
                    quarter = np.float32(2) - abs(magnitude - np.float32(4))
                    level = min(np.float32(2) * np.floor(magnitude * np.float32(0.5)) + np.float32(1), np.float32(7))
                    llrs[target + 2 + axis] = half * scale * signs[source + 2 + axis]
                    llrs[target + 4 + axis] = quarter * scale * signs[source + 4 + axis]
                llrs[target + axis] = metric * scale * signs[source + axis]
                column_error += (magnitude - level) * (magnitude - level)
        error += float(column_error)
    return error * step * step / (n_sent * n_rows)
