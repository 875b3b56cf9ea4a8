"""The steps of channel estimation in plain numpy: the definitions that the kernels of `estimation` implement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Complex = npt.NDArray[np.complexfloating]
Real = npt.NDArray[np.floating]

LAG = 6
"""Subcarriers between the estimates whose phases are compared."""


def least_squares(
    grid: Complex, subcarriers: npt.NDArray[np.int64], symbols: npt.NDArray[np.int64], dmrs: Complex
) -> tuple[Complex, Complex]:
    """Least-squares estimates (n_dmrs, n_subcarriers), and their sums, complex128 (n_dmrs + 1,).

    The sums are the energy, the product over LAG subcarriers scaled as if none were lost at the edges, and the
    product over each step from one reference symbol to the next.
    """
    raw = grid[symbols][:, subcarriers] * np.conj(dmrs)
    sums = np.zeros(len(symbols) + 1, dtype=np.complex128)
    sums[0] = np.sum(np.abs(raw) ** 2)
    near = np.flatnonzero(subcarriers[LAG:] - subcarriers[:-LAG] == LAG)
    if near.size:
        sums[1] = np.sum(raw[:, near + LAG] * np.conj(raw[:, near])) * subcarriers.size / near.size
    sums[2:] = np.sum(raw[1:] * np.conj(raw[:-1]), axis=1)
    return raw, sums


def phase_ramp(subcarriers: npt.NDArray[np.int64], slope: float) -> Complex:
    """exp(j slope k) on every subcarrier k."""
    return np.asarray(np.exp(1j * slope * subcarriers))


def derotate(raw: Complex, subcarriers: npt.NDArray[np.int64], ramp: Complex, phases: Real) -> tuple[Complex, float]:
    """Estimates (n_dmrs, n_subcarriers) without phase slope and carrier phase, and their noise power.

    The noise power comes from second differences. A second difference a - 2 b + c of a smooth channel is noise alone,
    of power 1 + 4 + 1 times that of an estimate.
    """
    flat = raw * np.conj(ramp) * np.exp(-1j * phases)[:, None]
    middle = np.flatnonzero(subcarriers[2:] - subcarriers[:-2] == 2) + 1
    differences = flat[:, middle - 1] - 2 * flat[:, middle] + flat[:, middle + 1]
    return flat, float(np.mean(np.abs(differences) ** 2) / 6)


def apply_filter(raw: Complex, first: int, last: int, taps: Real) -> Complex:
    """Smoothed estimates of one contiguous segment, (n_dmrs, last - first).

    Row i of `taps` weighs a window of as many subcarriers for its i-th one. The window stands around each subcarrier,
    but never beyond the segment's ends.
    """
    size = taps.shape[0]
    smoothed = np.empty((raw.shape[0], last - first), dtype=np.complex128)
    for m in range(first, last):
        begin = min(max(m - size // 2, first), last - size)
        smoothed[:, m - first] = raw[:, begin : begin + size] @ taps[m - begin]
    return smoothed


def mean_change(channel: Complex) -> float:
    """Mean power of the difference between neighbouring reference symbols."""
    return float(np.mean(np.abs(np.diff(channel, axis=0)) ** 2))


def time_weights(dmrs_s: Real, data_s: Real, rate: float, error: float, cfo_hz: float) -> tuple[Complex, Real]:
    """Linear minimum mean square weights from reference to data symbols, (n_data, n_dmrs), and what they leave.

    The channel's correlation over a time t is exp(-rate t^2), each estimate has the relative `error`; the carrier's
    phase at each data symbol is put back.
    """
    covariance = np.exp(-rate * (dmrs_s[:, None] - dmrs_s) ** 2)
    across = np.exp(-rate * (data_s[:, None] - dmrs_s) ** 2)
    weights = np.linalg.solve(covariance + error * np.eye(dmrs_s.size), across.T).T
    left = np.maximum(1 - np.sum(weights * across, axis=1), 0)
    return weights * np.exp(2j * np.pi * cfo_hz * data_s)[:, None], left
