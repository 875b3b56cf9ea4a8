"""When the SLSS of a source arrives, told apart from a later copy of the same signal.

Out of coverage a UE's own followers transmit what its SyncRef does, in the same subframe: the two add up to one signal
over two rays. SSSS and the PSBCH's reference signals together give the channel of the middle 62 subcarriers (not PSSS,
which sources of other identities share); one ray is fitted to it by least squares, and two where those explain clearly
more.

A ray of delay d is exp(-j d k) over the subcarriers k. The fit of one ray is the place where the correlation with it is
strongest; for two rays the best amplitudes follow from the two correlations and from how much the two rays have in
common, in closed form, so that all pairs of places on a grid can be tried. The best pair is then refined on a finer
grid. Two rays always explain at least as much as one: they are believed only where they leave clearly less
(`_WORTH_A_SECOND_RAY`), are far enough apart for 62 subcarriers to tell them, and do not have to cancel each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import DoubleComplexes, Grid
from radio.phy.lte.channels.slss import N_SLSS_SUBCARRIERS, SSSS_SYMBOLS, slss_subcarriers, ssss
from radio.phy.lte.grid.dmrs import psbch_dmrs
from radio.phy.lte.grid.layout import Mode, broadcast_layout
from radio.phy.lte.grid.numerology import Carrier

_EARLIEST_US = -4.0
_LATEST_US = 6.0
"""Rays are looked for from here to there, seen from where the signal is expected."""
_STEP_US = 0.1
_FINER = 10
"""Fine steps in a coarse one."""
_MIN_STEPS_APART = 2
"""Two rays nearer than this are one: 62 subcarriers resolve 1 us, at high SNR a fifth of that."""
_WORTH_A_SECOND_RAY = 0.7
"""Share of the residual that two rays may leave: noise alone lets a second ray take away a fifth at most."""
_NEGLIGIBLE = 1e-3
"""Residual of one ray, relative to the signal, below which none is looked for beside it."""
_MAX_RAY_POWER = 6.0
"""Over the mean power received: stronger rays would have to cancel each other nearly everywhere."""
_MIN_POWER_RATIO = 0.01
_DMRS_EDGE = 5
"""Subcarriers of the PSBCH on either side of the SLSS."""


def arrivals(carrier: Carrier, grid: Grid, n_sl_id: int, cfo_hz: float, expected: float) -> tuple[float, ...]:
    """Delays of the one or two rays of the SLSS of `n_sl_id` (modes 1 and 2), in samples after `expected`, ascending.

    `grid` is that of the subframe, `expected` where it should begin, in samples after the window was opened; `cfo_hz`
    is the carrier offset still in `grid`. A ray 20 dB below the other is left out. Raises SlssIdError.
    """
    per_us = carrier.sample_rate_hz * 1e-6
    radians = 2 * math.pi / carrier.fft_size
    channel = _channel(carrier, grid, n_sl_id, cfo_hz, expected * radians)
    n_rays, first, first_power, second, second_power = _fit(
        channel,
        radians * per_us * _EARLIEST_US,
        radians * per_us * _STEP_US,
        round((_LATEST_US - _EARLIEST_US) / _STEP_US) + 1,
    )
    if n_rays == 1:
        return (first / radians,)
    rays = ((first, first_power), (second, second_power))
    weakest = _MIN_POWER_RATIO * max(first_power, second_power)
    return tuple(slope / radians for slope, power in rays if power > weakest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """What a source sends on the middle 62 subcarriers: conjugates, complex64 (4, 62), in symbols at times from 0."""

    symbols: npt.NDArray[np.int64]
    conjugate: npt.NDArray[np.complex64]
    times_s: npt.NDArray[np.float64]


@lru_cache(maxsize=64)
def _known(carrier: Carrier, n_sl_id: int) -> _Known:
    layout = broadcast_layout(Mode.TM12, carrier.cp)
    secondary = ssss(n_sl_id, Mode.TM12)
    dmrs = psbch_dmrs(n_sl_id, Mode.TM12)[:, _DMRS_EDGE:-_DMRS_EDGE]
    symbols = np.array((*SSSS_SYMBOLS[carrier.cp], *layout.dmrs))
    places = np.array(carrier.symbol_starts)[symbols] + np.array(carrier.cp_samples)[symbols]
    return _Known(
        symbols=symbols,
        conjugate=np.array((secondary, secondary, *dmrs), dtype=np.complex64).conj(),
        times_s=places / carrier.sample_rate_hz,
    )


def _channel(carrier: Carrier, grid: Grid, n_sl_id: int, cfo_hz: float, slope: float) -> npt.NDArray[np.complex128]:
    """The channel of the middle subcarriers, mean over its known symbols, freed of the slope of the expected delay."""
    known = _known(carrier, n_sl_id)
    turns = np.exp(-2j * np.pi * cfo_hz * known.times_s) / known.symbols.size
    received = grid[known.symbols, slss_subcarriers(carrier)] * known.conjugate
    k = np.arange(N_SLSS_SUBCARRIERS) - (N_SLSS_SUBCARRIERS - 1) / 2
    return np.asarray(turns @ received * np.exp(1j * slope * k), dtype=np.complex128)


@njit(cache=True, nogil=True)
def _project(channel: DoubleComplexes, slope: float) -> complex:
    """sum_k channel[k] exp(j slope k), k counted from the middle."""
    step = complex(np.cos(slope), np.sin(slope))
    middle = (channel.size - 1) / 2
    phasor = complex(np.cos(slope * middle), -np.sin(slope * middle))
    total = 0j
    for k in range(channel.size):
        total += channel[k] * phasor
        phasor *= step
    return total


@njit(cache=True, nogil=True)
def _overlap(n: int, slope: float) -> float:
    """What two rays `slope` apart have in common: sum_k exp(j slope k)."""
    return n if slope == 0 else np.sin(n * slope / 2) / np.sin(slope / 2)


@njit(cache=True, nogil=True)
def _two(first: complex, second: complex, overlap: float, n: int, most: float) -> tuple[float, float, float]:
    """Energy two rays explain, and the power of each; nothing where one is beyond `most`."""
    det = n * n - overlap * overlap
    a = (n * first - overlap * second) / det
    b = (n * second - overlap * first) / det
    power_a = a.real * a.real + a.imag * a.imag
    power_b = b.real * b.real + b.imag * b.imag
    if power_a > most or power_b > most:
        return -1.0, power_a, power_b
    energy = first.real * a.real + first.imag * a.imag + second.real * b.real + second.imag * b.imag
    return energy, power_a, power_b


@njit(cache=True, nogil=True)
def _fit(channel: DoubleComplexes, start: float, step: float, n_steps: int) -> tuple[int, float, float, float, float]:
    """(number of rays, slope and power of the first, of the second) by least squares, on a grid and a finer one."""
    n = channel.size
    energy = 0.0
    for value in channel:
        energy += value.real * value.real + value.imag * value.imag
    coarse = np.empty(n_steps, dtype=np.complex128)
    best, best_power = 0, -1.0
    for i in range(n_steps):
        coarse[i] = _project(channel, start + i * step)
        power = coarse[i].real ** 2 + coarse[i].imag ** 2
        if power > best_power:
            best, best_power = i, power
    fine = step / _FINER
    single = start + best * step
    for i in range(-_FINER, _FINER + 1):
        value = _project(channel, start + best * step + i * fine)
        power = value.real**2 + value.imag**2
        if power > best_power:
            single, best_power = start + best * step + i * fine, power
    left = energy - best_power / n
    one = (1, single, best_power / (n * n), 0.0, 0.0)
    if left <= _NEGLIGIBLE * energy:
        return one
    most = _MAX_RAY_POWER * energy / n
    first, second, explained = -1, -1, -1.0
    for apart in range(_MIN_STEPS_APART, n_steps):
        overlap = _overlap(n, apart * step)
        for i in range(n_steps - apart):
            value, _, _ = _two(coarse[i], coarse[i + apart], overlap, n, most)
            if value > explained:
                first, second, explained = i, i + apart, value
    if first < 0:
        return one
    near_first = np.empty(2 * _FINER + 1, dtype=np.complex128)
    near_second = np.empty(2 * _FINER + 1, dtype=np.complex128)
    for i in range(2 * _FINER + 1):
        near_first[i] = _project(channel, start + first * step + (i - _FINER) * fine)
        near_second[i] = _project(channel, start + second * step + (i - _FINER) * fine)
    result = one
    for i in range(2 * _FINER + 1):
        for j in range(2 * _FINER + 1):
            apart_fine = (second - first) * step + (j - i) * fine
            if apart_fine < _MIN_STEPS_APART * step - fine / 2:
                continue
            value, a, b = _two(near_first[i], near_second[j], _overlap(n, apart_fine), n, most)
            if value >= explained:
                explained = value
                result = (
                    2,
                    start + first * step + (i - _FINER) * fine,
                    a,
                    start + second * step + (j - _FINER) * fine,
                    b,
                )
    return result if energy - explained <= _WORTH_A_SECOND_RAY * left else one
