"""Search for the PSSS in a stream of samples, one millisecond at a time (TS 36.211 9.7.1).

The stream is brought down to 1.92 MS/s, which holds the 62 subcarriers at every bandwidth, and correlated in the
frequency domain with both roots at several carrier offsets. The PSSS stands in two neighbouring symbols: adding their
correlations in phase gives three peaks, one symbol apart, of which the middle one has four times the power of the
others. The metric is the share of the energy of both symbols that the hypothesis explains, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Floats, Iq
from radio.phy.dsp.fourier import row_transform
from radio.phy.dsp.level import levelled
from radio.phy.lte.channels.slss import N_SLSS_SUBCARRIERS, PSSS_SYMBOLS, psss
from radio.phy.lte.grid.numerology import SUBCARRIER_SPACING_HZ, Carrier, Cp

_N = 128
"""FFT size at the search rate."""
SEARCH_RATE_HZ = _N * SUBCARRIER_SPACING_HZ
_PER_MS = SEARCH_RATE_HZ // 1000
_OVERLAP = 384
"""Samples kept from one millisecond to the next: more than both PSSS symbols and their prefixes."""
_WINDOW = _PER_MS + _OVERLAP
CFO_HYPOTHESES_HZ = (-6000.0, -3000.0, 0.0, 3000.0, 6000.0)
"""Spaced so that +-7.5 kHz is covered with at most 1.5 kHz left: 0.6 dB lost in adding the two symbols."""
_HYPOTHESES = tuple((n_id_2, cfo_hz) for n_id_2 in (0, 1) for cfo_hz in CFO_HYPOTHESES_HZ)
MIN_METRIC = 0.11
"""Noise alone exceeds this less than once in 10^5 ms."""
MAX_PEAKS_PER_MS = 4
_TAPS_PER_FACTOR = 8
_KAISER_BETA = 6.0
"""60 dB of stop band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PsssPeak:
    """A place where a PSSS may stand.

    `subframe_offset` is the start of its subframe in samples at the full rate, from the first sample of the
    millisecond that was pushed; it may be negative.
    """

    subframe_offset: int
    n_id_2: int
    cp: Cp
    cfo_hz: float
    metric: float


class PsssSearch:
    """The search over one stream of a carrier; `push` takes it a millisecond at a time."""

    def __init__(self, carrier: Carrier, cps: Sequence[Cp] | None = None) -> None:
        """Search for the carrier's cyclic prefix, or for each of `cps`."""
        cps = (carrier.cp,) if cps is None else cps
        self._numerologies = [Carrier(carrier.n_prb, cp, carrier.fft_size) for cp in cps]
        self._factor = carrier.fft_size // _N
        self._taps = _decimation_taps(self._factor)
        self._tail = np.zeros(self._taps.size - self._factor, dtype=np.complex64)
        self._window = np.zeros(_WINDOW, dtype=np.complex64)

    def push(self, iq: Iq) -> list[PsssPeak]:
        """Peaks of the PSSS that end in this millisecond, strongest first.

        `iq` is complex64 (samples_per_subframe,), the millisecond that follows on the one pushed before.
        """
        block = np.concatenate((self._tail, iq))
        self._tail = block[block.size - self._tail.size :].copy()
        self._window[:_OVERLAP] = self._window[-_OVERLAP:]
        _decimate(block, self._taps, self._factor, self._window[_OVERLAP:])
        (window,), _ = levelled(self._window[None])
        correlations = _correlate(window)
        energy = _running_energy(window)
        peaks: list[PsssPeak] = []
        for numerology in self._numerologies:
            peaks += self._peaks(numerology, energy, correlations)
        return _apart(peaks, 2 * self._numerologies[0].fft_size)

    def _peaks(
        self, numerology: Carrier, energy: npt.NDArray[np.float64], correlations: npt.NDArray[np.complex64]
    ) -> list[PsssPeak]:
        lag = _lag(numerology.cp)
        steps = _phase_steps(lag)
        metric = _combine(energy, correlations, steps, lag, _PER_MS)
        peaks: list[PsssPeak] = []
        first_symbol = PSSS_SYMBOLS[numerology.cp][0]
        useful_start = numerology.symbol_starts[first_symbol] + numerology.cp_samples[first_symbol]
        delay = (self._taps.size - 1) / 2 - self._tail.size
        while len(peaks) < MAX_PEAKS_PER_MS:
            place = int(np.argmax(metric))
            if metric[place] < MIN_METRIC:
                break
            powers = np.abs(correlations[:, place] + correlations[:, place + lag] * steps)
            n_id_2, cfo_hz = _HYPOTHESES[int(np.argmax(powers))]
            peaks.append(
                PsssPeak(
                    subframe_offset=round((place - _OVERLAP) * self._factor + delay) - useful_start,
                    n_id_2=n_id_2,
                    cp=numerology.cp,
                    cfo_hz=cfo_hz,
                    metric=float(metric[place]),
                )
            )
            metric[max(place - 2 * _N, 0) : place + 2 * _N] = 0
        return peaks


def _apart(peaks: list[PsssPeak], distance_samples: int) -> list[PsssPeak]:
    """The strongest of every group of peaks nearer than `distance_samples`."""
    kept: list[PsssPeak] = []
    for peak in sorted(peaks, key=lambda p: -p.metric):
        if all(abs(peak.subframe_offset - other.subframe_offset) > distance_samples for other in kept):
            kept.append(peak)
    return kept[:MAX_PEAKS_PER_MS]


@lru_cache(maxsize=2)
def _lag(cp: Cp) -> int:
    """Distance of the two PSSS symbols at the search rate."""
    starts = Carrier(6, cp, _N).symbol_starts
    first, second = PSSS_SYMBOLS[cp]
    useful = Carrier(6, cp, _N).cp_samples
    return starts[second] + useful[second] - starts[first] - useful[first]


@lru_cache(maxsize=2)
def _phase_steps(lag: int) -> npt.NDArray[np.complex64]:
    """Phase that each hypothesis gives the second symbol, taken back: complex64 (n_hypotheses,)."""
    cfos = np.array([cfo_hz for _, cfo_hz in _HYPOTHESES])
    return np.exp(-2j * np.pi * cfos * lag / SEARCH_RATE_HZ).astype(np.complex64)


@lru_cache(maxsize=8)
def _decimation_taps(factor: int) -> npt.NDArray[np.float32]:
    """Low-pass filter of half the search rate, of odd length."""
    if factor == 1:
        return np.ones(1, dtype=np.float32)
    n = np.arange(_TAPS_PER_FACTOR * factor + 1) - _TAPS_PER_FACTOR * factor / 2
    taps = np.sinc(n / factor) * np.kaiser(n.size, _KAISER_BETA) / factor
    return taps.astype(np.float32)


@lru_cache(maxsize=1)
def _templates() -> npt.NDArray[np.complex64]:
    """Conjugate spectra of the PSSS symbol under every hypothesis, unit energy, complex64 (n_hypotheses, _WINDOW)."""
    n = np.arange(_N)
    k = np.arange(N_SLSS_SUBCARRIERS) - N_SLSS_SUBCARRIERS // 2 + 0.5
    waves = np.exp(2j * np.pi * k[:, None] * n / _N)
    rows = []
    for n_id_2, cfo_hz in _HYPOTHESES:
        symbol = psss(n_id_2) @ waves * np.exp(2j * np.pi * cfo_hz * n / SEARCH_RATE_HZ)
        rows.append(np.fft.fft(symbol / np.linalg.norm(symbol), _WINDOW).conj() / _WINDOW)
    return np.array(rows, dtype=np.complex64)


def _correlate(window: Iq) -> npt.NDArray[np.complex64]:
    """sum_n window[p + n] conj(symbol[n]) of every hypothesis, complex64 (n_hypotheses, _WINDOW)."""
    forward = row_transform(1, _WINDOW)
    forward.input[0] = window
    backward = row_transform(len(_HYPOTHESES), _WINDOW, inverse=True)
    np.multiply(_templates(), forward.execute(), out=backward.input)
    return backward.execute()


@njit(cache=True, nogil=True, fastmath=True)
def _decimate(block: Complexes, taps: Floats, factor: int, out: Complexes) -> None:
    n_taps = taps.size
    for m in range(out.size):
        real = np.float32(0)
        imag = np.float32(0)
        start = np.uint64(m * factor)
        for i in range(np.uint64(n_taps)):
            value = block[start + i]
            real += taps[i] * value.real
            imag += taps[i] * value.imag
        out[m] = complex(real, imag)


@njit(nogil=True, fastmath=True)
def _raise_to_power(metric: Floats, first: Complexes, second: Complexes, step: np.complex64) -> None:
    """metric = max(metric, |first + second step|^2), place by place."""
    for p in range(metric.size):
        real = first[p].real + second[p].real * step.real - second[p].imag * step.imag
        imag = first[p].imag + second[p].real * step.imag + second[p].imag * step.real
        power = real * real + imag * imag
        metric[p] = power if power > metric[p] else metric[p]


@njit(cache=True, nogil=True)
def _running_energy(window: Complexes) -> npt.NDArray[np.float64]:
    """Energy of all samples before each, float64 (n + 1,)."""
    total = 0.0
    energy = np.empty(window.size + 1)
    for n in range(window.size):
        energy[n] = total
        total += window[n].real * window[n].real + window[n].imag * window[n].imag
    energy[window.size] = total
    return energy


@njit(cache=True, nogil=True, fastmath=True)
def _combine(
    energy: npt.NDArray[np.float64], correlations: Complexes, steps: Complexes, lag: int, n_places: int
) -> Floats:
    """Best metric of every place over the hypotheses; `energy` as `_running_energy` gives it."""
    metric = np.zeros(n_places, dtype=np.float32)
    for h in range(correlations.shape[0]):
        row = correlations[h]
        _raise_to_power(metric, row[:n_places], row[lag : lag + n_places], steps[h])
    floor = energy[-1] / (energy.size - 1) * 1e-3 + 1e-30
    for p in range(n_places):
        both = energy[p + _N] - energy[p] + energy[p + lag + _N] - energy[p + lag]
        metric[p] /= np.float32(2.0 * (both + floor))
    return metric
