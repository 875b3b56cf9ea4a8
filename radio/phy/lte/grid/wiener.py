"""Noise-aware smoothing of a channel over frequency: Wiener filters for a uniform delay profile.

The channel is taken as zero-mean with a delay profile uniform over `delay_spread_us` around zero, so that its
correlation over frequency is a sinc; the filter then weighs each least-squares estimate by what it is worth at the
signal-to-noise ratio at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

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
    """The filter for an allocation of `n_subcarriers` contiguous subcarriers, at the nearest tabulated ratio."""
    low, high = _SNR_RANGE_DB
    step = round(min(max(snr_db, low), high) / _SNR_STEP_DB)
    return _design(min(n_subcarriers, WINDOW), step * _SNR_STEP_DB, delay_spread_us)


@lru_cache(maxsize=512)
def _design(size: int, snr_db: int, delay_spread_us: float) -> WienerFilter:
    lags = np.arange(size)[:, None] - np.arange(size)
    covariance = np.sinc(lags * SUBCARRIER_SPACING_HZ * delay_spread_us * 1e-6)
    weights = np.linalg.solve(covariance + np.eye(size) * 10 ** (-snr_db / 10), covariance).T
    error = float(np.mean(1 - np.sum(weights * covariance, axis=1)))
    taps = weights.astype(np.float32)
    taps.setflags(write=False)
    return WienerFilter(taps=taps, error=error)
