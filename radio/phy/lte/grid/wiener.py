"""Noise-aware smoothing of a channel over frequency: Wiener filters for a uniform delay profile.

A least-squares estimate on one subcarrier has all the noise of that subcarrier. Its neighbours have nearly the same
channel and other noise, so a weighted mean is better; how far it may reach depends on how fast the channel changes over
frequency, and how much it gains depends on the noise. The Wiener filter is the linear one of least mean squared error
when both are known.

The channel is taken as zero-mean with a delay profile uniform over `delay_spread_us` around zero, so that its
correlation over frequency is a sinc. Filters are designed for a few delay spreads and for ratios of signal to noise
3 dB apart, and cached. They look at `WINDOW` subcarriers, or at the whole allocation where it is narrower. At the edges
of an allocation the window stays inside, so that there is a row of taps for each place in the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.phy.lte.grid.numerology import SUBCARRIER_SPACING_HZ

WINDOW = 24
"""Subcarriers a filter looks at; fewer where the allocation is narrower."""
DELAY_SPREADS_US = (0.3, 1.0, 3.0, 10.0)
_SNR_STEP_DB = 3
_SNR_RANGE_DB = (-9, 36)


@dataclass(frozen=True, slots=True, kw_only=True)
class WienerFilter:
    """`taps[i]` weighs the samples of a window for its i-th subcarrier; float32, read-only."""

    taps: npt.NDArray[np.float32]
    error: float
    """Mean squared error relative to the channel's power."""


@lru_cache(maxsize=64)
def correlation(lag: int, delay_spread_us: float) -> float:
    """Correlation of the channel over `lag` subcarriers."""
    return float(np.sinc(lag * SUBCARRIER_SPACING_HZ * delay_spread_us * 1e-6))


def wiener_filter(n_subcarriers: int, snr_db: float, delay_spread_us: float) -> WienerFilter:
    """The filter for an allocation of `n_subcarriers` contiguous subcarriers, at the nearest tabulated ratio.

    `snr_db` is that of one least-squares estimate, `delay_spread_us` one of `DELAY_SPREADS_US`. The taps are float32
    (n, n) with n = min(n_subcarriers, WINDOW).
    """
    low, high = _SNR_RANGE_DB
    step = round(min(max(snr_db, low), high) / _SNR_STEP_DB)
    return _design(min(n_subcarriers, WINDOW), step * _SNR_STEP_DB, delay_spread_us)


@lru_cache(maxsize=8)
def filter_tables(n_subcarriers: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Every filter that `wiener_filter` has for this width, for kernels: taps (n_spreads, n_steps, size, size), errors.

    The steps are those of `ratio_step`, the spreads those of DELAY_SPREADS_US.
    """
    steps = range(_SNR_RANGE_DB[0], _SNR_RANGE_DB[1] + 1, _SNR_STEP_DB)
    rows = [[wiener_filter(n_subcarriers, snr_db, spread) for snr_db in steps] for spread in DELAY_SPREADS_US]
    taps = np.array([[chosen.taps for chosen in row] for row in rows])
    return taps, np.array([[chosen.error for chosen in row] for row in rows])


@njit(nogil=True)
def ratio_step(snr_db: float) -> int:
    """Kernel: number of the tabulated ratio that is nearest."""
    low, high, step = _SNR_RANGE_DB[0], _SNR_RANGE_DB[1], _SNR_STEP_DB
    return round(min(max(snr_db, low), high) / step) - low // step


@lru_cache(maxsize=512)
def _design(size: int, snr_db: int, delay_spread_us: float) -> WienerFilter:
    lags = np.arange(size)[:, None] - np.arange(size)
    covariance = np.sinc(lags * SUBCARRIER_SPACING_HZ * delay_spread_us * 1e-6)
    weights = np.linalg.solve(covariance + np.eye(size) * 10 ** (-snr_db / 10), covariance).T
    error = float(np.mean(1 - np.sum(weights * covariance, axis=1)))
    taps = weights.astype(np.float32)
    taps.setflags(write=False)
    return WienerFilter(taps=taps, error=error)
