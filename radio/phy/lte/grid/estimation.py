"""Channel estimation from the reference symbols of one subframe.

A subframe of modes 1 and 2 has two reference symbols, one of modes 3 and 4 has four. From them alone a receiver needs
the channel on every data symbol, how much noise there is, and what carrier and timing error is left. The steps:

1. Least squares: received times the conjugate of the known signal, for every subcarrier and reference symbol.
2. Timing: a delay turns the phase from subcarrier to subcarrier. The mean phase between estimates `LAG` subcarriers
   apart gives the slope; the slope is taken out, so that what is left varies slowly over frequency.
3. Carrier offset: the mean phase from one reference symbol to the next; it is taken out too.
4. Noise: a second difference over three neighbouring subcarriers of a smooth channel is noise alone, of six times the
   power. It needs no model of the channel, only that the channel is smooth over three subcarriers.
5. Smoothing over frequency by a Wiener filter for the ratio of signal to noise that was found, and for the smallest
   delay spread that explains the loss of correlation over `LAG` subcarriers.
6. Interpolation over time by linear minimum mean square weights: how fast the channel changes is read from how much
   the smoothed reference symbols differ. The weights put the phase of the carrier offset back, so that data symbols
   need no rotation of their own. What the weights can't know counts as disturbance beside the noise.

Invariants: nothing depends on the scale of the samples (callers bring it near 1 by `levelled`); ratios are bounded from
both sides, so that a silent or a noiseless subframe gives finite numbers. The kernels run over contiguous runs of
subcarriers, which vectorise; `estimation_reference` defines each in plain numpy, and a test holds them equal.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, DoubleComplexes, Doubles, Floats, Grid, Places
from radio.phy.lte.grid.dmrs import Dmrs
from radio.phy.lte.grid.layout import SymbolLayout
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.wiener import DELAY_SPREADS_US, correlation, wiener_filter

LAG = 6
"""Subcarriers between the estimates whose phases are compared for the timing: unambiguous to +-5.5 us."""
MIN_POWER_RATIO = 1e-3
"""Floor of signal power relative to noise: keeps ratios finite where there is no signal."""
MIN_NOISE_RATIO = 1e-6
"""Floor of noise power relative to signal: float32 and transmit impairments leave no cleaner one."""

MAX_LOST_CORRELATION = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelEstimate:
    """The channel on the reference symbols and how to carry it to the data symbols.

    `channel` is complex64 (n_reference_symbols, n_subcarriers), free of the phase of the carrier offset; `weights`
    complex64 (n_data_symbols, n_reference_symbols) interpolates it over time and puts that phase back;
    `disturbance` float32 (n_data_symbols,) is noise plus estimation error. Powers are those of one resource element.
    """

    channel: npt.NDArray[np.complex64]
    weights: npt.NDArray[np.complex64]
    disturbance: npt.NDArray[np.float32]
    signal_power: float
    noise_power: float
    cfo_hz: float
    timing_error_samples: float

    @property
    def snr_db(self) -> float:
        """Signal to noise ratio of one resource element."""
        return 10 * math.log10(self.signal_power / self.noise_power)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instants:
    """When symbols stand: middles in seconds, float64."""

    dmrs_symbols: npt.NDArray[np.int64]
    dmrs: npt.NDArray[np.float64]
    data: npt.NDArray[np.float64]
    dmrs_steps: tuple[float, ...]
    """Time between neighbouring reference symbols."""


@lru_cache(maxsize=64)
def _instants(carrier: Carrier, layout: SymbolLayout) -> _Instants:
    starts = np.array(carrier.symbol_starts) + np.array(carrier.cp_samples) + carrier.fft_size / 2
    middles = starts / carrier.sample_rate_hz
    dmrs = middles[list(layout.dmrs)]
    return _Instants(
        dmrs_symbols=np.array(layout.dmrs),
        dmrs=dmrs,
        data=middles[list(layout.sent)],
        dmrs_steps=tuple(np.diff(dmrs).tolist()),
    )


def estimate_channel(
    carrier: Carrier, grid: Grid, subcarriers: npt.NDArray[np.int64], layout: SymbolLayout, dmrs: Dmrs
) -> ChannelEstimate:
    """Estimate the channel of an allocation.

    Args:
        carrier: the carrier that `grid` is of.
        grid: complex64 (n_symbols, 12 * N_RB^SL), one subframe, near full scale 1.
        subcarriers: int64 (n_subcarriers,), ascending, in whole PRBs.
        layout: where reference and data symbols stand.
        dmrs: complex64 (n_reference_symbols, n_subcarriers), unit modulus.

    Returns:
        Channel, weights over time, noise, carrier offset in Hz and timing error in samples.
    """
    instants = _instants(carrier, layout)
    raw = np.empty(dmrs.shape, dtype=np.complex64)
    energy, lagged, *steps = _least_squares(grid, subcarriers, instants.dmrs_symbols, dmrs, raw).tolist()
    power = energy.real / raw.size
    slope = cmath.phase(lagged) / LAG
    cfo_hz = _carrier_offset(steps, instants.dmrs_steps)
    ramp = _phase_ramp(subcarriers, slope)
    noise = _derotate(raw, subcarriers, ramp, (2 * math.pi * cfo_hz) * instants.dmrs)
    noise = max(noise, power * MIN_NOISE_RATIO, 1e-30)
    signal = max(power - noise, noise * MIN_POWER_RATIO)
    spread_us = _delay_spread_us(abs(lagged), raw.size, signal, noise)
    channel, error = _smooth(raw, subcarriers, ramp, 10 * math.log10(signal / noise), spread_us)
    rate = _fading_rate(_mean_change(channel) / signal - 2 * error, instants.dmrs_steps)
    weights, mismatch = _time_weights(instants.dmrs, instants.data, rate, max(error, 1e-6), cfo_hz)
    return ChannelEstimate(
        channel=channel,
        weights=weights,
        disturbance=mismatch * np.float32(signal) + np.float32(noise),
        signal_power=signal,
        noise_power=noise,
        cfo_hz=cfo_hz,
        timing_error_samples=-slope * carrier.fft_size / (2 * math.pi),
    )


def _carrier_offset(products: list[complex], steps_s: tuple[float, ...]) -> float:
    """Frequency from the phase steps between neighbouring reference symbols, weighed by their reliability."""
    turned = weight = 0.0
    for product, step_s in zip(products, steps_s, strict=True):
        strength = abs(product) * step_s
        turned += strength * cmath.phase(product)
        weight += strength * step_s
    return turned / (2 * math.pi * weight) if weight else 0.0


def _delay_spread_us(lag_sum: float, n_samples: int, signal: float, noise: float) -> float:
    """The smallest tabulated delay spread that explains the loss of correlation over `LAG` subcarriers."""
    ratio = noise / signal
    lost = 1 - min(lag_sum / (n_samples * signal), 1.0)
    doubt = math.sqrt((ratio * ratio + 2 * ratio) / n_samples)
    for spread_us in DELAY_SPREADS_US:
        if 1 - correlation(LAG, spread_us) >= lost - doubt:
            return spread_us
    return DELAY_SPREADS_US[-1]


def _smooth(
    raw: npt.NDArray[np.complex64],
    subcarriers: npt.NDArray[np.int64],
    ramp: npt.NDArray[np.complex64],
    snr_db: float,
    spread_us: float,
) -> tuple[npt.NDArray[np.complex64], float]:
    """Smoothed channel with its phase slope put back, and the relative mean squared error."""
    channel = np.empty_like(raw)
    error = 0.0
    for first, last in _segments(subcarriers):
        chosen = wiener_filter(last - first, snr_db, spread_us)
        _apply_filter(raw.view(np.float32), first, last, chosen.taps, channel.view(np.float32))
        error += chosen.error * (last - first) / subcarriers.size
    _put_slope_back(channel, ramp)
    return channel, error


def _segments(subcarriers: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Index ranges of contiguous subcarriers."""
    if subcarriers[-1] - subcarriers[0] + 1 == subcarriers.size:
        return [(0, subcarriers.size)]
    cuts = [0, *(np.flatnonzero(np.diff(subcarriers) != 1) + 1).tolist(), subcarriers.size]
    return list(pairwise(cuts))


def _fading_rate(change: float, steps_s: tuple[float, ...]) -> float:
    """`a` of the correlation over time exp(-a t^2), from how much neighbouring reference symbols differ."""
    lost = min(max(change / 2, 0.0), MAX_LOST_CORRELATION)
    return -math.log1p(-lost) / (sum(steps_s) / len(steps_s)) ** 2


@njit(cache=True, nogil=True)
def _time_weights(dmrs: Doubles, data: Doubles, rate: float, error: float, cfo_hz: float) -> tuple[Complexes, Floats]:
    """Linear minimum mean square weights over time with the carrier's phase, complex64 (n_data, n_dmrs).

    Returned with the relative error they leave in each data symbol, float32 (n_data,).
    """
    n = dmrs.size
    weights = np.empty((data.size, n), dtype=np.complex64)
    mismatch = np.empty(data.size, dtype=np.float32)
    known = np.empty((data.size, n))
    matrix = np.empty((n, n + data.size))
    for r in range(n):
        for c in range(n):
            matrix[r, c] = np.exp(-rate * (dmrs[r] - dmrs[c]) ** 2)
        matrix[r, r] += error
        for i in range(data.size):
            known[i, r] = np.exp(-rate * (data[i] - dmrs[r]) ** 2)
            matrix[r, n + i] = known[i, r]
    for pivot in range(n):
        for r in range(n):
            if r != pivot:
                factor = matrix[r, pivot] / matrix[pivot, pivot]
                for c in range(pivot, n + data.size):
                    matrix[r, c] -= factor * matrix[pivot, c]
    for i in range(data.size):
        left = 1.0
        angle = 2.0 * np.pi * cfo_hz * data[i]
        turn = complex(np.cos(angle), np.sin(angle))
        for r in range(n):
            weight = matrix[r, n + i] / matrix[r, r]
            left -= weight * known[i, r]
            weights[i, r] = weight * turn
        mismatch[i] = max(left, 0.0)
    return weights, mismatch


@njit(nogil=True, fastmath=True)
def _end_of_run(subcarriers: Places, begin: int) -> int:
    """Index behind the last of the contiguous subcarriers from `begin` on."""
    size = subcarriers.size
    if subcarriers[size - 1] - subcarriers[begin] == size - 1 - begin:
        return size
    end = begin + 1
    while end < size and subcarriers[end] - subcarriers[end - 1] == 1:
        end += 1
    return end


@njit(nogil=True, fastmath=True)
def _freed_of(received: Complexes, known: Complexes, out: Complexes) -> None:
    for m in range(out.size):
        out[m] = received[m] * np.conj(known[m])


@njit(nogil=True, fastmath=True)
def _energy(values: Complexes) -> np.float32:
    total = np.float32(0)
    for m in range(values.size):
        total += values[m].real * values[m].real + values[m].imag * values[m].imag
    return total


@njit(nogil=True, fastmath=True)
def _product(later: Complexes, earlier: Complexes) -> complex:
    """sum of later conj(earlier)."""
    real = np.float32(0)
    imag = np.float32(0)
    for m in range(earlier.size):
        real += later[m].real * earlier[m].real + later[m].imag * earlier[m].imag
        imag += later[m].imag * earlier[m].real - later[m].real * earlier[m].imag
    return complex(real, imag)


@njit(cache=True, nogil=True, fastmath=True)
def _least_squares(
    grid: Complexes, subcarriers: Places, symbols: Places, dmrs: Complexes, out: Complexes
) -> DoubleComplexes:
    """Least-squares estimates; returns their energy, their product over `LAG` subcarriers and over each time step."""
    n_dmrs, n_subcarriers = dmrs.shape
    sums = np.zeros(n_dmrs + 1, dtype=np.complex128)
    energy = 0.0
    lagged = 0j
    count = 0
    begin = 0
    while begin < n_subcarriers:
        end = _end_of_run(subcarriers, begin)
        first = subcarriers[begin]
        for d in range(n_dmrs):
            _freed_of(grid[symbols[d], first : first + end - begin], dmrs[d, begin:end], out[d, begin:end])
            if end - begin > LAG:
                lagged += _product(out[d, begin + LAG : end], out[d, begin : end - LAG])
                count += end - begin - LAG
        begin = end
    for d in range(n_dmrs):
        energy += _energy(out[d])
    sums[0] = energy
    if count:
        sums[1] = lagged * (n_dmrs * n_subcarriers / count)
    for d in range(n_dmrs - 1):
        sums[2 + d] = _product(out[d + 1], out[d])
    return sums


@njit(cache=True, nogil=True, fastmath=True)
def _phase_ramp(subcarriers: Places, slope: float) -> Complexes:
    """exp(j slope k) on every subcarrier k, by multiplication from exact values."""
    ramp = np.empty(subcarriers.size, dtype=np.complex64)
    step = complex(np.cos(slope), np.sin(slope))
    value = step
    for m in range(subcarriers.size):
        if m % 64 == 0 or subcarriers[m] - subcarriers[m - 1] != 1:
            angle = slope * subcarriers[m]
            value = complex(np.cos(angle), np.sin(angle))
        ramp[m] = value
        value = value * step
    return ramp


@njit(nogil=True, fastmath=True)
def _turn_back(values: Complexes, ramp: Complexes, turn: np.complex64) -> None:
    for m in range(values.size):
        values[m] = values[m] * (np.conj(ramp[m]) * turn)


@njit(nogil=True, fastmath=True)
def _turn(values: Complexes, ramp: Complexes) -> None:
    for m in range(values.size):
        values[m] = values[m] * ramp[m]


@njit(nogil=True, fastmath=True)
def _second_differences(values: Complexes) -> np.float32:
    """Energy of the second differences of `values`."""
    total = np.float32(0)
    for m in range(values.size - 2):
        real = values[m].real - np.float32(2) * values[m + 1].real + values[m + 2].real
        imag = values[m].imag - np.float32(2) * values[m + 1].imag + values[m + 2].imag
        total += real * real + imag * imag
    return total


@njit(cache=True, nogil=True, fastmath=True)
def _put_slope_back(channel: Complexes, ramp: Complexes) -> None:
    for d in range(channel.shape[0]):
        _turn(channel[d], ramp)


@njit(cache=True, nogil=True, fastmath=True)
def _derotate(raw: Complexes, subcarriers: Places, ramp: Complexes, phases: Doubles) -> float:
    """Take phase slope and carrier phase out of `raw`; returns the noise power seen in second differences."""
    n_dmrs, n_subcarriers = raw.shape
    for d in range(n_dmrs):
        _turn_back(raw[d], ramp, np.complex64(complex(np.cos(phases[d]), -np.sin(phases[d]))))
    total = 0.0
    count = 0
    begin = 0
    while begin < n_subcarriers:
        end = _end_of_run(subcarriers, begin)
        if end - begin > 2:
            for d in range(n_dmrs):
                total += float(_second_differences(raw[d, begin:end]))
            count += n_dmrs * (end - begin - 2)
        begin = end
    return total / (6.0 * count)


@njit(nogil=True, fastmath=True)
def _dot(taps: Floats, values: Floats) -> np.float32:
    total = np.float32(0)
    for i in range(values.size):
        total += taps[i] * values[i]
    return total


@njit(nogil=True, fastmath=True)
def _add_four_scaled(total: Floats, taps: Floats, values: Floats, step: int) -> None:
    """total[j] += sum of taps[i] values[j + i step] over four taps."""
    a, b, c, d = taps[0], taps[1], taps[2], taps[3]
    second, third, fourth = values[step:], values[2 * step :], values[3 * step :]
    for j in range(total.size):
        total[j] += a * values[j] + b * second[j] + c * third[j] + d * fourth[j]


@njit(cache=True, nogil=True, fastmath=True)
def _apply_filter(raw: Floats, first: int, last: int, taps: Floats, out: Floats) -> None:
    """Filter one contiguous segment of every reference symbol; real and imaginary parts stand side by side.

    Windows are a multiple of four subcarriers, since allocations are whole PRBs.
    """
    size = taps.shape[0]
    middle = size // 2
    real = np.empty(size, dtype=np.float32)
    imag = np.empty(size, dtype=np.float32)
    for d in range(raw.shape[0]):
        for j in range(2 * first, 2 * last):
            out[d, j] = np.float32(0)
        begin = 2 * (first + middle)
        n_inner = 2 * (last - first - size + 1)
        for i in range(0, size, 4):
            source = 2 * (first + i)
            _add_four_scaled(
                out[d, begin : begin + n_inner], taps[middle, i : i + 4], raw[d, source : source + n_inner + 6], 2
            )
        for start, begin_row, end_row in ((2 * first, 0, middle), (2 * (last - size), middle + 1, size)):
            for i in range(size):
                real[i] = raw[d, start + 2 * i]
                imag[i] = raw[d, start + 2 * i + 1]
            for row in range(begin_row, end_row):
                out[d, start + 2 * row] = _dot(taps[row], real)
                out[d, start + 2 * row + 1] = _dot(taps[row], imag)


@njit(cache=True, nogil=True, fastmath=True)
def _mean_change(channel: Complexes) -> float:
    """Mean power of the difference between neighbouring reference symbols."""
    total = 0.0
    for d in range(channel.shape[0] - 1):
        for m in range(channel.shape[1]):
            difference = channel[d + 1, m] - channel[d, m]
            total += difference.real * difference.real + difference.imag * difference.imag
    return total / ((channel.shape[0] - 1) * channel.shape[1])
