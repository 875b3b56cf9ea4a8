"""Subframe alignment of a recording without synchronisation signals, from the reference signals of its channels.

The recording is taken apart at every offset a part of a cyclic prefix away from the next; where the reference signals
of PSCCH or PSDCH show up in neighbouring elements of the grid, subframes start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid, Iq
from radio.phy import scfdma
from radio.phy.dmrs import Dmrs, pscch_dmrs, psdch_dmrs, v2x_pscch_dmrs
from radio.phy.dmrs_search import dmrs_coherence
from radio.phy.layout import Mode, communication_layout
from radio.phy.numerology import SUBCARRIERS_PER_PRB, Carrier
from radio.phy.subframe_timeline import Anchor

_STEPS_PER_PREFIX = 2
_MAX_WINDOWS = 8
"""Milliseconds of the recording that are looked at, those with the most energy."""
_MAX_CANDIDATES = 8
_MIN_RELATIVE_ENERGY = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """Reference signals of one channel, by the first subcarriers it may stand on."""

    mode: Mode
    dmrs: Dmrs
    symbols: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    @property
    def n_products(self) -> int:
        return self.dmrs.shape[0] * (self.dmrs.shape[1] - 1)


def _references(carrier: Carrier, mode: Mode) -> list[_Reference]:
    signals = [pscch_dmrs(), psdch_dmrs()] if mode is Mode.TM12 else [v2x_pscch_dmrs(0)]
    symbols = np.array(communication_layout(mode, carrier.cp).dmrs)
    return [
        _Reference(
            mode=mode,
            dmrs=dmrs,
            symbols=symbols,
            places=np.arange(0, carrier.n_subcarriers - dmrs.shape[1] + 1, SUBCARRIERS_PER_PRB),
        )
        for dmrs in signals
    ]


def alignments(carrier: Carrier, iq: Iq, mode: Mode) -> Iterator[Anchor]:
    """Places where a subframe of `mode` may start, the likeliest first; the caller finds out by decoding."""
    step = min(carrier.cp_samples) // _STEPS_PER_PREFIX
    size = carrier.samples_per_subframe
    padded = np.concatenate((np.zeros(size, np.complex64), iq, np.zeros(2 * size, np.complex64)))
    references = _references(carrier, mode)
    scored = []
    for window in _busiest_windows(iq, size):
        for start in range(window - carrier.fft_size, window + size - carrier.fft_size, step):
            samples = padded[start + size : start + 2 * size]
            grid = scfdma.demodulate(carrier, samples)
            scored.append((max(_evidence(grid, reference) for reference in references), start))
    scored.sort(reverse=True)
    tried: list[int] = []
    for _, start in scored:
        if len(tried) == _MAX_CANDIDATES:
            return
        if all(abs(start - other) > step for other in tried):
            tried.append(start)
            samples = padded[start + size : start + 2 * size]
            yield Anchor(start=float(start), cfo_hz=_prefix_cfo_hz(carrier, samples))


def _busiest_windows(iq: Iq, size: int) -> list[int]:
    """Starts of the stretches of one subframe with the most energy, strongest first."""
    n_windows = max(-(-iq.size // size), 1)
    energies = [float(np.vdot(part, part).real) for part in np.array_split(iq, n_windows)]
    order = np.argsort(energies)[::-1][:_MAX_WINDOWS]
    return [int(i) * size for i in order if energies[i] > 0]


def _evidence(grid: Grid, reference: _Reference) -> float:
    """How unlikely noise is to be this coherent anywhere, as a negative logarithm of probability."""
    coherence, energy = dmrs_coherence(grid, reference.places, reference.symbols, reference.dmrs)
    coherence[energy < _MIN_RELATIVE_ENERGY * energy.max()] = 0
    return float(coherence.max()) ** 2 * reference.n_products


def _prefix_cfo_hz(carrier: Carrier, iq: Iq) -> float:
    """Carrier offset from cyclic prefixes and the symbol ends they repeat, unambiguous to +-7.5 kHz.

    The half subcarrier of shift turns the repetition by half a cycle (TS 36.211 9.9).
    """
    total = 0j
    for start, cp in zip(carrier.symbol_starts, carrier.cp_samples, strict=True):
        prefix = slice(start + cp // 2, start + cp)
        end = slice(prefix.start + carrier.fft_size, prefix.stop + carrier.fft_size)
        total -= complex(np.vdot(iq[prefix], iq[end]))
    return math.atan2(total.imag, total.real) / (2 * math.pi) * carrier.sample_rate_hz / carrier.fft_size
