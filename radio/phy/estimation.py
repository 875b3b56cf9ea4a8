"""Channel estimation from the reference symbols of one subframe.

Least squares, then carrier and timing error from the phases over time and frequency, noise from second differences
over frequency, Wiener smoothing over frequency and interpolation over time weighed by what changed and what is noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Grid
from radio.phy.dmrs import Dmrs
from radio.phy.layout import SymbolLayout
from radio.phy.numerology import Carrier
from radio.phy.wiener import DELAY_SPREADS_US, correlation, wiener_filter

_LAG = 6
"""Subcarriers between the estimates whose phases are compared for the timing: unambiguous to +-5.5 us."""
_MIN_POWER_RATIO = 1e-3
"""Floor of signal power relative to noise: keeps ratios finite where there is no signal."""
_MIN_NOISE_RATIO = 1e-6
"""Floor of noise power relative to signal: float32 and transmit impairments leave no cleaner one."""


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
    """Middles of the symbols in seconds, float64."""

    dmrs: npt.NDArray[np.float64]
    data: npt.NDArray[np.float64]


@lru_cache(maxsize=64)
def _instants(carrier: Carrier, layout: SymbolLayout) -> _Instants:
    starts = np.array(carrier.symbol_starts) + np.array(carrier.cp_samples) + carrier.fft_size / 2
    middles = starts / carrier.sample_rate_hz
    return _Instants(dmrs=middles[list(layout.dmrs)], data=middles[list(layout.sent)])


def estimate_channel(
    carrier: Carrier, grid: Grid, subcarriers: npt.NDArray[np.int64], layout: SymbolLayout, dmrs: Dmrs
) -> ChannelEstimate:
    """Estimate the channel of an allocation.

    `subcarriers` is int64, ascending; `dmrs` complex64 (n_reference_symbols, n_subcarriers) of unit modulus.
    """
    instants = _instants(carrier, layout)
    n_dmrs, n_subcarriers = dmrs.shape
    raw = np.empty((n_dmrs, n_subcarriers), dtype=np.complex64)
    sums = _least_squares(grid, subcarriers, np.array(layout.dmrs), dmrs, raw)
    power = sums[0].real / raw.size
    slope = math.atan2(sums[1].imag, sums[1].real) / _LAG
    cfo_hz = _carrier_offset(sums[2:], instants.dmrs)
    phases = (2 * np.pi * cfo_hz) * instants.dmrs
    noise = _derotate(raw, subcarriers, slope, phases)
    noise = max(noise, power * _MIN_NOISE_RATIO, 1e-30)
    signal = max(power - noise, noise * _MIN_POWER_RATIO)
    spread_us = _delay_spread_us(abs(sums[1]), n_dmrs * n_subcarriers, signal, noise)
    channel, error = _smooth(raw, subcarriers, slope, 10 * math.log10(signal / noise), spread_us)
    weights, mismatch = _time_weights(channel, signal, error, instants)
    rotated = weights * np.exp((2j * np.pi * cfo_hz) * instants.data)[:, None]
    return ChannelEstimate(
        channel=channel,
        weights=rotated.astype(np.complex64),
        disturbance=(noise + signal * mismatch).astype(np.float32),
        signal_power=signal,
        noise_power=noise,
        cfo_hz=cfo_hz,
        timing_error_samples=-slope * carrier.fft_size / (2 * math.pi),
    )


def _carrier_offset(products: npt.NDArray[np.complex128], instants: npt.NDArray[np.float64]) -> float:
    """Frequency from the phase steps between neighbouring reference symbols, weighed by their reliability."""
    steps = np.diff(instants)
    strength = np.abs(products) * steps
    total = float(np.sum(strength * steps))
    return float(np.sum(np.angle(products) * strength)) / (2 * math.pi * total) if total else 0.0


def _delay_spread_us(lag_sum: float, n_samples: int, signal: float, noise: float) -> float:
    """The smallest tabulated delay spread that explains the loss of correlation over `_LAG` subcarriers."""
    ratio = noise / signal
    lost = 1 - min(lag_sum / (n_samples * signal), 1.0)
    doubt = math.sqrt((ratio * ratio + 2 * ratio) / n_samples)
    for spread_us in DELAY_SPREADS_US:
        if 1 - correlation(_LAG, spread_us) >= lost - doubt:
            return spread_us
    return DELAY_SPREADS_US[-1]


def _smooth(
    raw: npt.NDArray[np.complex64],
    subcarriers: npt.NDArray[np.int64],
    slope: float,
    snr_db: float,
    spread_us: float,
) -> tuple[npt.NDArray[np.complex64], float]:
    """Smoothed channel with its phase slope put back, and the relative mean squared error."""
    channel = np.empty_like(raw)
    error = 0.0
    for first, last in _segments(subcarriers):
        chosen = wiener_filter(last - first, snr_db, spread_us)
        _apply_filter(raw, first, last, chosen.taps, slope, subcarriers, channel)
        error += chosen.error * (last - first) / subcarriers.size
    return channel, error


def _segments(subcarriers: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Index ranges of contiguous subcarriers."""
    if subcarriers[-1] - subcarriers[0] + 1 == subcarriers.size:
        return [(0, subcarriers.size)]
    cuts = [0, *(np.flatnonzero(np.diff(subcarriers) != 1) + 1).tolist(), subcarriers.size]
    return list(pairwise(cuts))


def _time_weights(
    channel: npt.NDArray[np.complex64], signal: float, error: float, instants: _Instants
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Linear minimum mean square weights over time, and the relative error they leave in each data symbol.

    The channel's correlation over time is taken as Gaussian, exp(-a t^2), with `a` from how much neighbouring
    reference symbols differ beyond the estimation error.
    """
    steps = np.diff(instants.dmrs)
    change = _mean_change(channel) / signal - 2 * error
    lost = min(max(change / 2, 0.0), 0.9)
    rate = -math.log1p(-lost) / float(np.mean(steps)) ** 2
    between = np.exp(-rate * (instants.dmrs[:, None] - instants.dmrs) ** 2)
    across = np.exp(-rate * (instants.data[:, None] - instants.dmrs) ** 2)
    weights = np.linalg.solve(between + np.eye(len(between)) * max(error, 1e-6), across.T).T
    mismatch = np.maximum(1 - np.sum(weights * across, axis=1), 0.0)
    return weights, mismatch


@njit(cache=True, nogil=True, fastmath=True)
def _least_squares(grid, subcarriers, symbols, dmrs, out):  # type: ignore[no-untyped-def]
    """Least-squares estimates; returns their energy, their product over `_LAG` subcarriers and over each time step."""
    n_dmrs, n_subcarriers = dmrs.shape
    sums = np.zeros(n_dmrs + 1, dtype=np.complex128)
    energy = np.float32(0)
    for d in range(n_dmrs):
        row = symbols[d]
        for m in range(n_subcarriers):
            value = grid[row, subcarriers[m]] * np.conj(dmrs[d, m])
            out[d, m] = value
            energy += value.real * value.real + value.imag * value.imag
        lagged = np.complex64(0)
        count = 0
        for m in range(n_subcarriers - 6):
            if subcarriers[m + 6] - subcarriers[m] == 6:
                lagged += out[d, m + 6] * np.conj(out[d, m])
                count += 1
        if count:
            sums[1] += lagged * (n_subcarriers / count)
    sums[0] = energy
    for d in range(n_dmrs - 1):
        product = np.complex64(0)
        for m in range(n_subcarriers):
            product += out[d + 1, m] * np.conj(out[d, m])
        sums[2 + d] = product
    return sums


@njit(cache=True, nogil=True, fastmath=True)
def _derotate(raw, subcarriers, slope, phases):  # type: ignore[no-untyped-def]
    """Take phase slope and carrier phase out of `raw`; returns the noise power seen in second differences."""
    n_dmrs, n_subcarriers = raw.shape
    ramp = np.empty(n_subcarriers, dtype=np.complex64)
    for m in range(n_subcarriers):
        angle = -slope * subcarriers[m]
        ramp[m] = np.complex64(complex(np.cos(angle), np.sin(angle)))
    total = 0.0
    count = 0
    for d in range(n_dmrs):
        turn = np.complex64(complex(np.cos(phases[d]), -np.sin(phases[d])))
        for m in range(n_subcarriers):
            raw[d, m] *= ramp[m] * turn
        for m in range(1, n_subcarriers - 1):
            if subcarriers[m + 1] - subcarriers[m - 1] == 2:
                difference = raw[d, m - 1] - raw[d, m] - raw[d, m] + raw[d, m + 1]
                total += difference.real * difference.real + difference.imag * difference.imag
                count += 1
    return total / (6.0 * count)


@njit(cache=True, nogil=True, fastmath=True)
def _apply_filter(raw, first, last, taps, slope, subcarriers, out):  # type: ignore[no-untyped-def]
    """Filter one contiguous segment of every reference symbol and put the phase slope back."""
    size = taps.shape[0]
    for m in range(first, last):
        start = min(max(m - size // 2, first), last - size)
        row = m - start
        angle = slope * subcarriers[m]
        ramp = np.complex64(complex(np.cos(angle), np.sin(angle)))
        for d in range(raw.shape[0]):
            real = np.float32(0)
            imag = np.float32(0)
            for i in range(size):
                real += taps[row, i] * raw[d, start + i].real
                imag += taps[row, i] * raw[d, start + i].imag
            out[d, m] = np.complex64(complex(real, imag)) * ramp


@njit(cache=True, nogil=True, fastmath=True)
def _mean_change(channel):  # type: ignore[no-untyped-def]
    """Mean power of the difference between neighbouring reference symbols."""
    total = 0.0
    for d in range(channel.shape[0] - 1):
        for m in range(channel.shape[1]):
            difference = channel[d + 1, m] - channel[d, m]
            total += difference.real * difference.real + difference.imag * difference.imag
    return total / ((channel.shape[0] - 1) * channel.shape[1])
