"""Reception of PSCCH candidates in plain numpy: the definitions that the kernels of `pscch` implement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Llrs
from radio.phy.dsp.modulation import QPSK, soft_bits
from radio.phy.lte.channels.pscch import SLOPE_CENTRE, SLOPE_LAG, SLOPE_PRIOR, TURN_PRIOR
from radio.phy.lte.grid.channel_interleaver import deinterleave
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB

Complex = npt.NDArray[np.complexfloating]
Real = npt.NDArray[np.floating]

_MIN_NOISE_RATIO = 1e-5
_MIN_SIGNAL_RATIO = 1e-2
_LAGS = (4, 5, 6)
_MIN_VARIANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CandidateEstimate:
    """Channel of one candidate at its first reference symbol, complex (12,), and its figures."""

    channel: Complex
    energy: float
    coherence: float
    signal: float
    noise: float
    turn: float
    slope: float


def estimate_candidate(
    grid: Complex, prb: int, symbols: npt.NDArray[np.int64], dmrs: Complex, filters: Real
) -> CandidateEstimate:
    """Estimate the channel of one candidate by least squares, and derive its figures.

    The figures are the phase step from one reference symbol to the other, the noise power from second differences, and
    the mean of both symbols without its phase slope, smoothed by the filter of its SNR (-6 dB and up, 3 dB apart).

    Phase step and phase slope are maximum a posteriori values. The measured phasor, in units in which the prior is a
    phasor as long as its concentration, is added to the prior's phasor (von Mises distribution).
    """
    band = slice(prb * SUBCARRIERS_PER_PRB, (prb + 1) * SUBCARRIERS_PER_PRB)
    h = grid[symbols, band] * np.conj(dmrs)
    energy = float(np.sum(np.abs(h) ** 2))
    near = np.sum(h[:, 1:] * np.conj(h[:, :-1]))
    differences = h[:, :-2] - 2 * h[:, 1:-1] + h[:, 2:]
    noise = max(float(np.mean(np.abs(differences) ** 2)) / 6, energy / h.size * _MIN_NOISE_RATIO)
    signal = max(energy / h.size - noise, noise * _MIN_SIGNAL_RATIO)
    ratio = signal / noise
    turn = float(np.angle(np.sum(h[1] * np.conj(h[0])) + TURN_PRIOR * signal * (2 * ratio + 1) / (2 * ratio**2)))
    mean = (h[0] + h[1] * np.exp(-1j * turn)) / 2
    lagged = sum(np.sum(mean[lag:] * np.conj(mean[:-lag])) for lag in _LAGS)
    weight = SLOPE_PRIOR * signal * (4 * ratio + 1) / (8 * ratio**2)
    slope = float(np.angle(lagged + weight * np.exp(1j * SLOPE_LAG * SLOPE_CENTRE))) / SLOPE_LAG
    ramp = np.exp(1j * slope * np.arange(SUBCARRIERS_PER_PRB))
    row = min(max(round((10 * np.log10(2 * signal / noise) + 6) / 3), 0), len(filters) - 1)
    return CandidateEstimate(
        channel=filters[row] @ (mean * np.conj(ramp)) * ramp,
        energy=energy,
        coherence=float(abs(near)) * h.size / (h.size - 2) / energy,
        signal=signal,
        noise=noise,
        turn=turn,
        slope=slope,
    )


def candidate_llrs(
    grid: Complex,
    prb: int,
    dmrs_symbols: npt.NDArray[np.int64],
    data_symbols: npt.NDArray[np.int64],
    estimate: CandidateEstimate,
    signs: Real,
    n_columns: int,
) -> Llrs:
    """MMSE equaliser, transform decoding and descrambled, deinterleaved LLRs of one candidate, float32 (e,)."""
    band = slice(prb * SUBCARRIERS_PER_PRB, (prb + 1) * SUBCARRIERS_PER_PRB)
    power = np.abs(estimate.channel) ** 2
    gain = float(np.mean(power / (power + estimate.noise)))
    steps = (data_symbols - dmrs_symbols[0]) / (dmrs_symbols[1] - dmrs_symbols[0])
    turned = grid[data_symbols, band] * np.exp(-1j * estimate.turn * steps)[:, None]
    equalised = turned * np.conj(estimate.channel) / (power + estimate.noise)
    symbols = (np.fft.ifft(equalised, axis=1, norm="ortho") / gain).astype(np.complex64)
    llrs = np.zeros((n_columns, SUBCARRIERS_PER_PRB * QPSK), dtype=np.float32)
    variance = max(1 - gain, _MIN_VARIANCE) / gain
    llrs[: len(data_symbols)] = soft_bits(symbols.reshape(-1), QPSK, variance).reshape(len(data_symbols), -1)
    return deinterleave(llrs.reshape(-1) * signs.astype(np.float32), n_columns, QPSK)
