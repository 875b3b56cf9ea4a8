"""From the bits of one codeword to the resource elements of its allocation, and back to soft bits.

All sidelink channels share this path (TS 36.212 5.2.2.7, 5.2.2.8; TS 36.211 5.3.1 to 5.3.4, 9.3 to 9.6):

    bits -> channel interleaver -> scrambling -> modulation -> transform precoding (a DFT over each symbol) -> grid

and backwards: estimate the channel, equalise, transform back, soft bits, descramble, deinterleave.

* The equaliser is MMSE per subcarrier, conj(H) Y / (|H|^2 + N). A DFT follows, so every symbol of the constellation is
  a mean over all subcarriers and sees one gain, the mean of |H|^2 / (|H|^2 + N), and one variance, (1 - gain) / gain.
  The gain is divided out before soft demodulation: without that, 16QAM would be read too small.
* Soft bits are max-log LLRs ln P(0)/P(1). Those of the guard symbol, which is counted but never sent, are zero, which
  means "not known" to every decoder that follows.
* The scale of the DFT is folded into the constellation on one side and into the equaliser on the other.

Kernels work on contiguous memory and write where the next step reads; `mapping_reference` defines each in plain numpy,
and a test holds them equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Complexes, Doubles, Floats, Grid, Llrs, Octets, Places
from radio.errors import RadioError
from radio.phy.dsp.fourier import row_transform
from radio.phy.dsp.level import levelled
from radio.phy.dsp.modulation import constellation, level_step
from radio.phy.dsp.sequences import gold_sequence
from radio.phy.lte.grid.dmrs import Dmrs
from radio.phy.lte.grid.estimation import ChannelEstimate, estimate_channel
from radio.phy.lte.grid.layout import SymbolLayout, symbol_rows
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.grid.precoding_width import is_valid_width


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

    Args:
        grid: complex64 (n_symbols, 12 * N_RB^SL), changed in place.
        subcarriers: int64, ascending, from `allocation_subcarriers`.
        layout: where reference and data symbols stand.
        dmrs: complex64 (n_reference_symbols, n_subcarriers).
        bits: uint8 (g,), g = n_data_symbols * n_subcarriers * qm; the guard symbol counts where the layout has it.
        qm: bits of a modulation symbol: 2, 4 or 6.
        c_init: start value of the scrambling sequence.

    Raises:
        AllocationError: `bits` has another length.
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
    """Estimate the channel, equalise and demodulate one codeword: the inverse of `map_codeword`.

    The arguments are as there. `grid`, complex64 (n_symbols, 12 * N_RB^SL), is not changed and may have any amplitude.
    """
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
    """Equalise and demodulate one codeword through a known channel.

    `grid` is complex64 (n_symbols, 12 * N_RB^SL) near full scale 1; `subcarriers` is int64 (n_subcarriers,).
    """
    n_columns, n_rows = len(layout.data), subcarriers.size
    transform = row_transform(len(layout.sent), n_rows, inverse=True)
    gains = _equalise(
        grid,
        symbol_rows(layout.sent),
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
def _interleave_and_map(
    bits: Octets, scrambling: Octets, qm: int, points: Complexes, n_columns: int, out: Complexes
) -> None:
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
def _place(values: Complexes, symbols: Places, subcarriers: Places, grid: Complexes) -> None:
    for i in range(values.shape[0]):
        row = symbols[i]
        for m in range(values.shape[1]):
            grid[row, subcarriers[m]] = values[i, m]


@njit(nogil=True, fastmath=True)
def _weigh(weight: np.complex64, channel: Complexes, h: Complexes) -> None:
    for m in range(h.size):
        h[m] = weight * channel[m]


@njit(nogil=True, fastmath=True, error_model="numpy")
def _weigh_more(weight: np.complex64, channel: Complexes, h: Complexes) -> None:
    for m in range(h.size):
        h[m] += weight * channel[m]


@njit(nogil=True, fastmath=True, error_model="numpy")
def _equalise_symbol(
    received: Complexes, h: Complexes, noise: np.float32, scale: np.float32, out: Complexes
) -> np.float32:
    """One symbol; returns the sum of |H|^2 / (|H|^2 + N)."""
    total = np.float32(0)
    for m in range(out.size):
        power = h[m].real * h[m].real + h[m].imag * h[m].imag
        inverse = np.float32(1) / (power + noise)
        total += power * inverse
        out[m] = received[m] * np.conj(h[m]) * (inverse * scale)
    return total


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _equalise(
    grid: Complexes,
    symbols: Places,
    subcarriers: Places,
    channel: Complexes,
    weights: Complexes,
    disturbance: Floats,
    out: Complexes,
) -> Floats:
    """MMSE equaliser of every sent symbol; returns the gain it leaves on each, mean of |H|^2 / (|H|^2 + N)."""
    n_symbols = weights.shape[0]
    n_dmrs, n_subcarriers = channel.shape
    gains = np.empty(n_symbols, dtype=np.float32)
    scale = np.float32(1.0 / np.sqrt(n_subcarriers))
    h = np.empty(n_subcarriers, dtype=np.complex64)
    gathered = np.empty(n_subcarriers, dtype=np.complex64)
    first = subcarriers[0]
    is_one_run = subcarriers[n_subcarriers - 1] - first == n_subcarriers - 1
    for i in range(n_symbols):
        row = grid[symbols[i]]
        if is_one_run:
            received = row[first : first + n_subcarriers]
        else:
            for m in range(n_subcarriers):
                gathered[m] = row[subcarriers[m]]
            received = gathered
        _weigh(weights[i, 0], channel[0], h)
        for d in range(1, n_dmrs):
            _weigh_more(weights[i, d], channel[d], h)
        gains[i] = _equalise_symbol(received, h, disturbance[i], scale, out[i]) / np.float32(n_subcarriers)
    return gains


@njit(nogil=True, fastmath=True, error_model="numpy")
def _unbiased(received: Complexes, unbias: np.float32, symbols: Complexes) -> None:
    for m in range(symbols.size):
        symbols[m] = received[m] * unbias


@njit(nogil=True, fastmath=True, error_model="numpy")
def _soft_qpsk(symbols: Complexes, per_unit: np.float32, scale: np.float32, signs: Floats, llrs: Floats) -> np.float32:
    """LLRs of one symbol; returns the squared distance to the decisions, the step of the levels as unit."""
    error = np.float32(0)
    one = np.float32(1)
    for m in range(symbols.size):
        x, y = symbols[m].real * per_unit, symbols[m].imag * per_unit
        llrs[2 * m] = x * scale * signs[2 * m]
        llrs[2 * m + 1] = y * scale * signs[2 * m + 1]
        error += (abs(x) - one) * (abs(x) - one) + (abs(y) - one) * (abs(y) - one)
    return error


@njit(nogil=True, fastmath=True, error_model="numpy")
def _soft_16qam(symbols: Complexes, per_unit: np.float32, scale: np.float32, signs: Floats, llrs: Floats) -> np.float32:
    """As `_soft_qpsk`: beyond the outer points the sign bit counts double, x + sign(x) max(|x| - 2, 0)."""
    error = np.float32(0)
    zero, one, two, three = np.float32(0), np.float32(1), np.float32(2), np.float32(3)
    for m in range(symbols.size):
        x, y = symbols[m].real * per_unit, symbols[m].imag * per_unit
        x_size, y_size = abs(x), abs(y)
        x_inner, y_inner = two - x_size, two - y_size
        x_beyond = -x_inner if x_inner < zero else zero
        y_beyond = -y_inner if y_inner < zero else zero
        llrs[4 * m] = (x + (x_beyond if x > zero else -x_beyond)) * scale * signs[4 * m]
        llrs[4 * m + 1] = (y + (y_beyond if y > zero else -y_beyond)) * scale * signs[4 * m + 1]
        llrs[4 * m + 2] = x_inner * scale * signs[4 * m + 2]
        llrs[4 * m + 3] = y_inner * scale * signs[4 * m + 3]
        x_error = x_size - (one if x_inner > zero else three)
        y_error = y_size - (one if y_inner > zero else three)
        error += x_error * x_error + y_error * y_error
    return error


@njit(nogil=True, fastmath=True, error_model="numpy")
def _soft_64qam(symbols: Complexes, per_unit: np.float32, scale: np.float32, signs: Floats, llrs: Floats) -> np.float32:
    """As `_soft_qpsk`, for three bits an axis."""
    error = np.float32(0)
    zero, two, four, six = np.float32(0), np.float32(2), np.float32(4), np.float32(6)
    for m in range(symbols.size):
        for axis in range(2):
            x = (symbols[m].real if axis == 0 else symbols[m].imag) * per_unit
            magnitude = abs(x)
            beyond_6 = max(magnitude - six, zero)
            excess = max(magnitude - two, zero) + beyond_6 + max(magnitude - four, zero)
            half = four - magnitude + max(two - magnitude, zero) - beyond_6
            quarter = two - abs(magnitude - four)
            level = min(two * np.floor(magnitude * np.float32(0.5)) + np.float32(1), np.float32(7))
            at = 6 * m + axis
            llrs[at] = (x + (excess if x > zero else -excess)) * scale * signs[at]
            llrs[at + 2] = half * scale * signs[at + 2]
            llrs[at + 4] = quarter * scale * signs[at + 4]
            error += (magnitude - level) * (magnitude - level)
    return error


@njit(nogil=True)
def _deinterleave(columns: Doubles, llrs: Doubles) -> None:
    """Symbols from column after column to row after row; those of columns that were not sent stay as they are.

    `columns` (n_sent, n_rows, pairs) and `llrs` (n_rows, n_columns, pairs) hold the LLRs of a symbol as pairs, each
    moved as one float64.
    """
    n_sent, n_rows, n_pairs = columns.shape
    if n_pairs == 2:
        for row in range(n_rows):
            for column in range(n_sent):
                llrs[row, column, 0] = columns[column, row, 0]
                llrs[row, column, 1] = columns[column, row, 1]
    elif n_pairs == 1:
        for row in range(n_rows):
            for column in range(n_sent):
                llrs[row, column, 0] = columns[column, row, 0]
    else:
        for row in range(n_rows):
            for column in range(n_sent):
                for pair in range(n_pairs):
                    llrs[row, column, pair] = columns[column, row, pair]


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _soft_demodulate(
    received: Complexes,
    gains: Floats,
    qm: int,
    step: float,
    signs: Floats,
    n_columns: int,
    symbols: Complexes,
    llrs: Floats,
) -> float:
    """Unbiased symbols, descrambled and deinterleaved max-log LLRs; returns the mean squared error to the decisions."""
    n_sent, n_rows = received.shape
    columns = np.empty((n_sent, n_rows * qm), dtype=np.float32)
    error = 0.0
    unit = np.float32(step)
    per_unit = np.float32(1) / unit
    length = n_rows * qm
    for column in range(n_sent):
        gain = max(gains[column], np.float32(1e-9))
        reliability = min(gain / max(np.float32(1) - gain, np.float32(1e-9)), np.float32(1e4))
        scale = np.float32(4) * unit * unit * reliability
        _unbiased(received[column], np.float32(1) / gain, symbols[column])
        column_signs = signs[column * length : (column + 1) * length]
        if qm == 2:
            error += _soft_qpsk(symbols[column], per_unit, scale, column_signs, columns[column])
        elif qm == 4:
            error += _soft_16qam(symbols[column], per_unit, scale, column_signs, columns[column])
        else:
            error += _soft_64qam(symbols[column], per_unit, scale, column_signs, columns[column])
    n_pairs = qm // 2
    _deinterleave(
        columns.view(np.float64).reshape(n_sent, n_rows, n_pairs),
        llrs.view(np.float64).reshape(n_rows, n_columns, n_pairs),
    )
    return error * step * step / (n_sent * n_rows)
