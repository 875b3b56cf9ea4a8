"""Several codewords of one subframe at once: one pass for their channels, one transform, one pass for their soft bits.

A subframe in which every PRB is in use holds many short codewords, and what costs then is less the arithmetic than the
steps between the passes. The codewords of a batch share width, layout and modulation, and each stands on PRBs side by
side. `receive_codeword` is the definition: it receives the same, one codeword at a time, on any PRBs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, DoubleComplexes, Doubles, Floats, Grid, Llrs, Places, Words64
from radio.phy.dsp.fourier import row_transform
from radio.phy.dsp.level import levelled
from radio.phy.dsp.modulation import level_step
from radio.phy.dsp.sequences import gold_signs, register_images
from radio.phy.lte.grid.estimation import (
    LAG,
    MAX_LOST_CORRELATION,
    MIN_NOISE_RATIO,
    MIN_POWER_RATIO,
    _apply_filter,
    _derotate,
    _instants,
    _least_squares,
    _mean_change,
    _phase_ramp,
    _put_slope_back,
    _time_weights,
)
from radio.phy.lte.grid.layout import SymbolLayout, symbol_rows
from radio.phy.lte.grid.mapping import (
    AllocationError,
    CodewordReception,
    _equalise_symbol,
    _soft_demodulate,
    _weigh,
    _weigh_more,
)
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.lte.grid.wiener import DELAY_SPREADS_US, correlation, filter_tables, ratio_step

MOST_AT_ONCE = 32
"""Codewords that go through one transform; a longer batch takes several."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodewordBatch:
    """Codewords received together: `llrs` float32 (n, g), `symbols` complex64 (n, n_sent_symbols, n_subcarriers).

    `figures` has SNR and error vector magnitude in dB, carrier offset in Hz, timing error in samples, signal power.
    """

    llrs: Llrs = field(repr=False)
    symbols: npt.NDArray[np.complex64] = field(repr=False)
    figures: list[list[float]]

    def __len__(self) -> int:
        return len(self.figures)

    def reception(self, i: int) -> CodewordReception:
        """One of them."""
        snr_db, evm_db, cfo_hz, timing_error, signal_power = self.figures[i]
        return CodewordReception(
            llrs=self.llrs[i],
            symbols=self.symbols[i],
            snr_db=snr_db,
            evm_db=evm_db,
            cfo_hz=cfo_hz,
            timing_error_samples=timing_error,
            signal_power=signal_power,
        )


def receive_codewords(
    carrier: Carrier,
    grid: Grid,
    first_prbs: npt.NDArray[np.int64],
    layout: SymbolLayout,
    dmrs: npt.NDArray[np.complex64],
    qm: int,
    c_inits: npt.NDArray[np.int64],
) -> CodewordBatch:
    """Equalise and demodulate codewords that each stand on the PRBs from one of `first_prbs` (n,) on.

    `dmrs` complex64 (n, n_reference_symbols, n_subcarriers) has the reference signals of each, `c_inits` (n,) the start
    of its scrambling. Raises AllocationError.
    """
    n, _, width = dmrs.shape
    if n and (first_prbs.min() < 0 or first_prbs.max() * SUBCARRIERS_PER_PRB + width > carrier.n_subcarriers):
        raise AllocationError(f"a codeword of {width // SUBCARRIERS_PER_PRB} PRBs leaves the {carrier.n_prb} there are")
    n_sent, n_columns = len(layout.sent), len(layout.data)
    near_one, factor = levelled(grid, symbol_rows(layout.dmrs))
    instants = _instants(carrier, layout)
    taps, errors = filter_tables(width)
    symbols = np.empty((n, n_sent, width), dtype=np.complex64)
    llrs = np.zeros((n, n_columns * width * qm), dtype=np.float32)
    figures = np.empty((n, 5))
    for begin in range(0, n, MOST_AT_ONCE):
        part = slice(begin, min(begin + MOST_AT_ONCE, n))
        transform = row_transform((part.stop - begin) * n_sent, width, inverse=True)
        gains = _equalise_all(
            near_one,
            first_prbs[part],
            instants.dmrs_symbols,
            symbol_rows(layout.sent),
            dmrs[part],
            instants.dmrs,
            instants.data,
            taps,
            errors,
            _lost_by_spread(),
            carrier.fft_size,
            transform.input,
            figures[part],
        )
        _demodulate_all(
            transform.execute(),
            gains,
            qm,
            level_step(qm),
            c_inits[part],
            register_images(),
            n_columns,
            symbols[part],
            llrs[part],
            figures[part],
        )
    if factor != 1.0:
        figures[:, 4] /= factor**2
    return CodewordBatch(llrs=llrs, symbols=symbols, figures=figures.tolist())


@lru_cache(maxsize=1)
def _lost_by_spread() -> npt.NDArray[np.float64]:
    """Loss of correlation over `LAG` subcarriers for each tabulated delay spread."""
    return np.array([1 - correlation(LAG, spread_us) for spread_us in DELAY_SPREADS_US])


@njit(nogil=True, fastmath=True, error_model="numpy")
def _offset_hz(sums: DoubleComplexes, times: Doubles) -> float:
    """Carrier offset from the phase steps between neighbouring reference symbols, weighed by their reliability."""
    turned = 0.0
    weight = 0.0
    for d in range(times.size - 1):
        step_s = times[d + 1] - times[d]
        strength = abs(sums[2 + d]) * step_s
        turned += strength * np.angle(sums[2 + d])
        weight += strength * step_s
    return turned / (2.0 * np.pi * weight) if weight > 0.0 else 0.0


@njit(nogil=True, fastmath=True, error_model="numpy")
def _spread(lag_sum: float, n_samples: int, signal: float, noise: float, lost_by_spread: Doubles) -> int:
    """Number of the smallest tabulated delay spread that explains the loss of correlation."""
    ratio = noise / signal
    lost = 1.0 - min(lag_sum / (n_samples * signal), 1.0)
    doubt = np.sqrt((ratio * ratio + 2.0 * ratio) / n_samples)
    for s in range(lost_by_spread.size):
        if lost_by_spread[s] >= lost - doubt:
            return s
    return lost_by_spread.size - 1


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _equalise_all(
    grid: Complexes,
    first_prbs: Places,
    dmrs_rows: Places,
    data_rows: Places,
    dmrs: Complexes,
    times: Doubles,
    data_times: Doubles,
    taps: Floats,
    errors: Doubles,
    lost_by_spread: Doubles,
    fft_size: int,
    out: Complexes,
    figures: Doubles,
) -> Floats:
    """Estimate the channel of every codeword, equalise it, and write its symbols into the next rows of `out`.

    Returns the gain left on each symbol, float32 (n, n_sent). `figures` gets all figures except the error vector
    magnitude.
    """
    n, n_dmrs, width = dmrs.shape
    n_sent = data_rows.size
    gains = np.empty((n, n_sent), dtype=np.float32)
    raw = np.empty((n_dmrs, width), dtype=np.complex64)
    channel = np.empty((n_dmrs, width), dtype=np.complex64)
    h = np.empty(width, dtype=np.complex64)
    subcarriers = np.empty(width, dtype=np.int64)
    scale = np.float32(1.0 / np.sqrt(width))
    mean_step_s = (times[n_dmrs - 1] - times[0]) / (n_dmrs - 1)
    for i in range(n):
        first = 12 * first_prbs[i]
        for k in range(width):
            subcarriers[k] = first + k
        sums = _least_squares(grid, subcarriers, dmrs_rows, dmrs[i], raw)
        power = sums[0].real / raw.size
        slope = np.angle(sums[1]) / LAG
        cfo_hz = _offset_hz(sums, times)
        ramp = _phase_ramp(subcarriers, slope)
        noise = _derotate(raw, subcarriers, ramp, (2.0 * np.pi * cfo_hz) * times)
        noise = max(noise, power * MIN_NOISE_RATIO, 1e-30)
        signal = max(power - noise, noise * MIN_POWER_RATIO)
        snr_db = 10.0 * np.log10(signal / noise)
        s, r = _spread(abs(sums[1]), raw.size, signal, noise, lost_by_spread), ratio_step(snr_db)
        _apply_filter(raw.view(np.float32), 0, width, taps[s, r], channel.view(np.float32))
        _put_slope_back(channel, ramp)
        error = errors[s, r]
        change = _mean_change(channel) / signal - 2.0 * error
        lost = min(max(change / 2.0, 0.0), MAX_LOST_CORRELATION)
        rate = -np.log1p(-lost) / (mean_step_s * mean_step_s)
        weights, mismatch = _time_weights(times, data_times, rate, max(error, 1e-6), cfo_hz)
        for j in range(n_sent):
            _weigh(weights[j, 0], channel[0], h)
            for d in range(1, n_dmrs):
                _weigh_more(weights[j, d], channel[d], h)
            disturbance = mismatch[j] * np.float32(signal) + np.float32(noise)
            received = grid[data_rows[j], first : first + width]
            gains[i, j] = _equalise_symbol(received, h, disturbance, scale, out[i * n_sent + j]) / np.float32(width)
        figures[i, 0] = snr_db
        figures[i, 2] = cfo_hz
        figures[i, 3] = -slope * fft_size / (2.0 * np.pi)
        figures[i, 4] = signal
    return gains


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _demodulate_all(
    received: Complexes,
    gains: Floats,
    qm: int,
    step: float,
    c_inits: Places,
    images: Words64,
    n_columns: int,
    symbols: Complexes,
    llrs: Floats,
    figures: Doubles,
) -> None:
    """Symbols and descrambled, deinterleaved soft bits of every codeword, and its error vector magnitude."""
    n, n_sent = gains.shape
    words = np.empty((llrs.shape[1] + 27) // 28, dtype=np.uint64)
    signs = np.empty(llrs.shape[1], dtype=np.float32)
    for i in range(n):
        if i == 0 or c_inits[i] != c_inits[i - 1]:
            gold_signs(c_inits[i], images, words, signs)
        rows = received[i * n_sent : (i + 1) * n_sent]
        error = _soft_demodulate(rows, gains[i], qm, step, signs, n_columns, symbols[i], llrs[i])
        figures[i, 1] = 10.0 * np.log10(max(error, 1e-12))
