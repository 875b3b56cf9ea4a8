"""Physical sidelink control channel of transmission modes 1 and 2: SCI format 0 on one PRB.

TS 36.211 9.4, TS 36.212 5.4.3.

A receiver does not know where SCIs stand: it tries every PRB of the pool in every PSCCH subframe, up to a hundred.
Most hold nothing, so all candidates of a subframe go through each step together, and a candidate leaves as soon as it
is known to hold nothing:

1. The fixed reference signal is taken out of both reference symbols. A candidate far below the strongest is leakage;
   one whose neighbouring elements don't agree in phase (coherence) is noise.
2. The channel of the rest: both reference symbols are brought to one phase and averaged, the slope of the delay is
   taken out, and a Wiener filter over the PRB smooths. It is constant over the subframe but for the carrier's phase,
   which is what one PRB at these ratios of signal to noise can tell. Phase step and slope are most likely values, not
   mere measurements: UEs that follow one reference are near it in frequency and time, and at low SNR that says more
   than 24 elements do.
3. MMSE equaliser, transform decoding and QPSK soft bits, as in `grid.mapping`, for all candidates in one transform.
4. Tail-biting Viterbi decoder and CRC for all candidates in one call.

A receiver may keep the soft bits of candidates and add those of the second transmission before it decodes.
`pscch_reference` defines steps 1 to 3 in plain numpy, and a test holds the kernels equal to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Complexes, Doubles, Floats, Grid, Llrs, Places
from radio.phy.dsp.fourier import row_transform
from radio.phy.dsp.level import levelled
from radio.phy.dsp.modulation import QPSK
from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block
from radio.phy.lte.channels.sci import SciFormat0, sci_format_0_size
from radio.phy.lte.grid.dmrs import pscch_dmrs
from radio.phy.lte.grid.layout import Mode, SymbolLayout, communication_layout, symbol_rows
from radio.phy.lte.grid.mapping import AllocationError, allocation_subcarriers, map_codeword, scrambling_signs
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier, Cp
from radio.phy.lte.grid.wiener import wiener_filter

C_INIT = 510
"""Start value of the scrambling sequence (TS 36.211 9.4.1)."""
_MIN_RELATIVE_ENERGY = 1e-5
"""A candidate this far below the strongest one of the subframe is leakage, not a transmission."""
MIN_COHERENCE = 0.15
"""Least correlation of neighbouring reference elements, relative to their energy, worth a decoding attempt alone."""
_SNR_BINS_DB = tuple(range(-6, 31, 3))
_DELAY_SPREAD_US = 0.8
TURN_PRIOR = 6.0
"""Concentration of the carrier's phase step over a slot around 0, as UEs that follow one reference have it: 130 Hz."""
SLOPE_PRIOR = 5.0
"""Concentration of the phase step over `SLOPE_LAG` subcarriers: 1 us either way around `SLOPE_CENTRE`."""
SLOPE_LAG = 5.0
SLOPE_CENTRE = -0.055
"""Phase step between subcarriers in mid-range between no delay and twice half the back-off of the window."""
_SLOT_S = 0.5e-3
"""Time between the two reference symbols."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PscchReception:
    """An SCI received with a good CRC. `crc` is the value of its 16 CRC bits."""

    prb: int
    sci: SciFormat0
    bits: Bits
    crc: int
    snr_db: float
    evm_db: float
    cfo_hz: float
    timing_error_samples: float


def _layout(cp: Cp) -> SymbolLayout:
    return communication_layout(Mode.TM12, cp)


def map_pscch(grid: Grid, carrier: Carrier, sci: SciFormat0, prb: int) -> None:
    """Write one transmission of an SCI into `grid`, complex64 (n_symbols, 12 * N_RB^SL), on PRB `prb`.

    TS 36.211 9.4. Raises BitFieldError or AllocationError.
    """
    layout = _layout(carrier.cp)
    codeword = encode_control_block(sci.to_bits(carrier.n_prb), len(layout.data) * SUBCARRIERS_PER_PRB * QPSK)
    subcarriers = allocation_subcarriers(carrier, (prb,))
    map_codeword(grid, subcarriers, layout, pscch_dmrs(), codeword, QPSK, C_INIT)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PscchCandidates:
    """Places of one subframe that may hold SCIs: PRBs, LLRs float32 (n, e), figures of the channel estimates."""

    prbs: npt.NDArray[np.int64]
    llrs: Llrs
    figures: npt.NDArray[np.float64]

    @property
    def coherences(self) -> npt.NDArray[np.float64]:
        """Correlation of neighbouring reference elements, relative to their energy, float64 (n,)."""
        return self.figures[:, 1]

    def decoded(self, carrier: Carrier, llrs: Llrs, rows: npt.NDArray[np.int64] | None = None) -> list[PscchReception]:
        """The SCIs whose CRC holds.

        `llrs` (m, e) are those of candidates `rows` (m,), or of all candidates if that is None. They may include soft
        bits of other transmissions of the same SCIs.
        """
        if not llrs.size:
            return []
        bits, crc_ok, crc = decode_control_blocks(llrs, sci_format_0_size(carrier.n_prb))
        good = np.flatnonzero(crc_ok)
        if not good.size:
            return []
        owners = good if rows is None else rows[good]
        evms_db = _evms_db(self.llrs[owners])
        return [
            self._reception(carrier, owner, bits[i], int(crc[i]), evm_db)
            for owner, i, evm_db in zip(owners.tolist(), good.tolist(), evms_db.tolist(), strict=True)
        ]

    def _reception(self, carrier: Carrier, i: int, bits: Bits, crc: int, evm_db: float) -> PscchReception:
        figures = self.figures[i]
        return PscchReception(
            prb=int(self.prbs[i]),
            sci=SciFormat0.from_bits(bits, carrier.n_prb),
            bits=bits,
            crc=crc,
            snr_db=10 * math.log10(figures[2] / figures[3]),
            evm_db=evm_db,
            cfo_hz=float(figures[4]) / (2 * math.pi * _SLOT_S),
            timing_error_samples=-float(figures[5]) * carrier.fft_size / (2 * math.pi),
        )


def receive_pscch(carrier: Carrier, grid: Grid, prbs: Sequence[int]) -> list[PscchReception]:
    """Every SCI with a good CRC among the candidate PRBs of one subframe.

    `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. Raises AllocationError for a PRB that the carrier
    does not have.
    """
    candidates = pscch_candidates(carrier, grid, prbs)
    return candidates.decoded(carrier, candidates.llrs)


def pscch_candidates(
    carrier: Carrier, grid: Grid, prbs: Sequence[int], min_coherence: float = MIN_COHERENCE
) -> PscchCandidates:
    """The PRBs of one subframe that carry the reference signal, each demodulated.

    `grid` is complex64 (n_symbols, 12 * N_RB^SL) of any amplitude. Raises AllocationError for a PRB that the carrier
    does not have.
    """
    candidates = np.array(prbs, dtype=np.int64)
    layout = _layout(carrier.cp)
    if candidates.size == 0:
        return _no_candidates(layout)
    if candidates.min() < 0 or candidates.max() >= carrier.n_prb:
        raise AllocationError(f"a candidate PRB is outside 0..{carrier.n_prb - 1}")
    dmrs_symbols, data_symbols = np.array(layout.dmrs), np.array(layout.sent)
    grid, _ = levelled(grid, symbol_rows(layout.dmrs))
    estimates, figures = _estimate_candidates(grid, candidates, dmrs_symbols, pscch_dmrs(), _filters())
    kept = np.flatnonzero(
        (figures[:, 0] > _MIN_RELATIVE_ENERGY * figures[:, 0].max()) & (figures[:, 1] >= min_coherence)
    )
    if kept.size == 0:
        return _no_candidates(layout)
    candidates, estimates, figures = candidates[kept], estimates[kept], figures[kept]
    llrs = _demodulate_candidates(grid, candidates, layout, dmrs_symbols, data_symbols, estimates, figures)
    return PscchCandidates(prbs=candidates, llrs=llrs, figures=figures)


def _no_candidates(layout: SymbolLayout) -> PscchCandidates:
    e = len(layout.data) * SUBCARRIERS_PER_PRB * QPSK
    return PscchCandidates(
        prbs=np.empty(0, dtype=np.int64), llrs=np.empty((0, e), dtype=np.float32), figures=np.empty((0, 6))
    )


def _evms_db(llrs: Llrs) -> npt.NDArray[np.float64]:
    """Error vector magnitude of each candidate, (n,): an LLR of QPSK is the symbol's distance from an axis, scaled.

    The variance of the distances over their mean squared; erased bits, LLR 0, do not count.
    """
    distances = np.abs(llrs.astype(np.float64))
    count, total = np.count_nonzero(distances, axis=1), distances.sum(axis=1)
    relative_variance = count * np.einsum("ij,ij->i", distances, distances) / total**2 - 1
    return np.asarray(10 * np.log10(np.maximum(relative_variance, 1e-12)))


@lru_cache(maxsize=1)
def _filters() -> npt.NDArray[np.float32]:
    """Smoothing filters over one PRB, one for each entry of `_SNR_BINS_DB`."""
    filters = [wiener_filter(SUBCARRIERS_PER_PRB, snr_db, _DELAY_SPREAD_US).taps for snr_db in _SNR_BINS_DB]
    result = np.array(filters)
    result.setflags(write=False)
    return result


def _demodulate_candidates(
    grid: Grid,
    prbs: npt.NDArray[np.int64],
    layout: SymbolLayout,
    dmrs_symbols: npt.NDArray[np.int64],
    data_symbols: npt.NDArray[np.int64],
    estimates: npt.NDArray[np.complex64],
    figures: npt.NDArray[np.float64],
) -> Llrs:
    """LLRs of every candidate, (n_candidates, e), descrambled and deinterleaved."""
    most_candidates = max(grid.shape[1] // SUBCARRIERS_PER_PRB, prbs.size)
    transform = row_transform(most_candidates * data_symbols.size, SUBCARRIERS_PER_PRB, inverse=True)
    scales = _equalise_candidates(grid, prbs, dmrs_symbols, data_symbols, estimates, figures, transform.input)
    n_columns = len(layout.data)
    e = n_columns * SUBCARRIERS_PER_PRB * QPSK
    llrs = np.zeros((prbs.size, e), dtype=np.float32)
    _soft_demodulate(transform.execute(), data_symbols.size, scales, scrambling_signs(C_INIT, e), n_columns, llrs)
    return llrs


@njit(cache=True, nogil=True, fastmath=True)
def _estimate_candidates(
    grid: Complexes, prbs: Places, symbols: Places, dmrs: Complexes, filters: Floats
) -> tuple[Complexes, Doubles]:
    """Channel of every candidate at its first reference symbol, complex64 (n, 12), and its figures, float64 (n, 6).

    The figures are energy, coherence, signal power, noise power, phase step between the reference symbols, and phase
    step between subcarriers. The channel is taken as constant but for the carrier's phase.
    """
    n = prbs.size
    channel = np.empty((n, 12), dtype=np.complex64)
    figures = np.zeros((n, 6))
    h = np.empty((2, 12), dtype=np.complex64)
    for i in range(n):
        base = prbs[i] * 12
        energy = 0.0
        for d in range(2):
            for k in range(12):
                h[d, k] = grid[symbols[d], base + k] * np.conj(dmrs[d, k])
                energy += h[d, k].real * h[d, k].real + h[d, k].imag * h[d, k].imag
        figures[i, 0] = energy
        if energy < 1e-30:
            continue
        near = np.complex64(0)
        step = np.complex64(0)
        for k in range(12):
            step += h[1, k] * np.conj(h[0, k])
        for d in range(2):
            for k in range(11):
                near += h[d, k + 1] * np.conj(h[d, k])
        figures[i, 1] = abs(near) * 24.0 / (22.0 * energy)
        noise = 0.0
        for d in range(2):
            for k in range(1, 11):
                difference = h[d, k - 1] - h[d, k] - h[d, k] + h[d, k + 1]
                noise += difference.real * difference.real + difference.imag * difference.imag
        noise = max(noise / 120.0, energy / 24.0 * 1e-5)
        signal = max(energy / 24.0 - noise, noise * 1e-2)
        ratio = signal / noise
        turn = np.angle(step + np.complex64(TURN_PRIOR * signal * (2.0 * ratio + 1.0) / (2.0 * ratio * ratio)))
        back = np.complex64(complex(np.cos(turn), -np.sin(turn)))
        centre = SLOPE_LAG * SLOPE_CENTRE
        weight = SLOPE_PRIOR * signal * (4.0 * ratio + 1.0) / (8.0 * ratio * ratio)
        lagged = np.complex64(0)
        for k in range(12):
            h[0, k] = (h[0, k] + h[1, k] * back) * np.float32(0.5)
        for lag in range(4, 7):
            for k in range(12 - lag):
                lagged += h[0, k + lag] * np.conj(h[0, k])
        lagged += np.complex64(complex(weight * np.cos(centre), weight * np.sin(centre)))
        slope = np.angle(lagged) / SLOPE_LAG
        for k in range(12):
            h[1, k] = h[0, k] * np.complex64(complex(np.cos(slope * k), -np.sin(slope * k)))
        row = round((10.0 * np.log10(2.0 * signal / noise) + 6.0) / 3.0)
        row = min(max(row, 0), filters.shape[0] - 1)
        for k in range(12):
            value = np.complex64(0)
            for m in range(12):
                value += filters[row, k, m] * h[1, m]
            channel[i, k] = value * np.complex64(complex(np.cos(slope * k), np.sin(slope * k)))
        figures[i, 2] = signal
        figures[i, 3] = noise
        figures[i, 4] = turn
        figures[i, 5] = slope
    return channel, figures


@njit(cache=True, nogil=True, fastmath=True)
def _equalise_candidates(
    grid: Complexes,
    prbs: Places,
    dmrs_symbols: Places,
    data_symbols: Places,
    channel: Complexes,
    figures: Doubles,
    out: Complexes,
) -> Floats:
    """MMSE equaliser of all candidates, symbol after symbol into the first rows of `out`, complex64 (rows, 12).

    Returns the factors of their LLRs once the rows are transformed, without a scale, float32 (n,).
    """
    n = prbs.size
    n_sent = data_symbols.size
    scales = np.empty(n, dtype=np.float32)
    weights = np.empty(12, dtype=np.complex64)
    span = dmrs_symbols[1] - dmrs_symbols[0]
    for i in range(n):
        noise = np.float32(figures[i, 3])
        gain = np.float32(0)
        for k in range(12):
            h = channel[i, k]
            power = h.real * h.real + h.imag * h.imag
            weights[k] = np.conj(h) * (np.float32(1) / (power + noise))
            gain += power / (power + noise)
        gain = gain / np.float32(12)
        # sqrt(8) Re(x / gain) / variance with variance (1 - gain) / gain, and the transform's 1 / sqrt(12)
        scales[i] = np.float32(0.81649658) / max(np.float32(1) - gain, np.float32(1e-4))
        for j in range(n_sent):
            angle = figures[i, 4] * (data_symbols[j] - dmrs_symbols[0]) / span
            turn = np.complex64(complex(np.cos(angle), -np.sin(angle)))
            for k in range(12):
                out[i * n_sent + j, k] = grid[data_symbols[j], prbs[i] * 12 + k] * weights[k] * turn
    return scales


@njit(cache=True, nogil=True)
def _soft_demodulate(
    symbols: Complexes, n_sent: int, scales: Floats, signs: Floats, n_columns: int, llrs: Floats
) -> None:
    """Descrambled and deinterleaved QPSK LLRs of every candidate."""
    for i in range(scales.size):
        scale = scales[i]
        for column in range(n_sent):
            for row in range(12):
                symbol = symbols[i * n_sent + column, row]
                source = (column * 12 + row) * 2
                target = (row * n_columns + column) * 2
                llrs[i, target] = symbol.real * scale * signs[source]
                llrs[i, target + 1] = symbol.imag * scale * signs[source + 1]
