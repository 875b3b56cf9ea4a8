"""Subframe alignment of a recording without synchronisation signals, from the reference signals of its channels.

The start of a subframe is unknown, but the reference signals of PSCCH and PSDCH are known, and so are the symbols they
stand in. The busiest milliseconds are transformed at every offset half a cyclic prefix from the next, once for all
hypotheses: each transform tells, for every PRB, how well neighbouring elements fit the reference signal (see
`dmrs_search`). What the symbols of one subframe tell is then added up for every start, so that each start costs a few
additions and no transform of its own.

The busiest milliseconds may all hold PSSCH, whose reference signals are unknown: a wide PSSCH has more energy than the
PSCCH that announces it. If they show nothing, other milliseconds that hold more than noise are examined, spread over
the ranks of energy.

Only starts that leave a whole subframe in the recording are ranked: the others can't be tried, and must not take the
place of those that can. The phase slope over the subcarriers then gives the timing within the prefix, the turn from one
reference symbol to the next the carrier offset, up to an ambiguity that the caller resolves by decoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Complexes, Floats, Iq, Places
from radio.phy.dsp.fourier import row_transform
from radio.phy.dsp.sample_source import SampleWindow
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.dmrs import Dmrs, pscch_dmrs, psdch_dmrs, v2x_pscch_dmrs
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.numerology import SUBCARRIERS_PER_PRB, Carrier, Cp
from radio.phy.lte.survey.subframe_timeline import Anchor, holds_subframe

_STEPS_PER_PREFIX = 2
_MAX_STRETCHES = 8
"""Milliseconds that are looked at together, those with the most energy first."""
_MAX_ROUNDS = 4
"""Times that so many milliseconds of one window are looked at, while nothing is found."""
_EXCESS_SIGMAS = 8.0
"""How far the power of a millisecond must be above that of the quietest one, in deviations of it in noise."""
_MAX_STARTS = 8
"""Starts that are tried for each mode and cyclic prefix."""
_MAX_OFFSETS = 4
"""Carrier offsets that are tried at each start."""
_MIN_RELATIVE_ENERGY = 1e-3
_ROWS = 64
"""Transforms made at once."""
_LARGEST_CFO_HZ = 7500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """A subframe that may start at `start`, in samples of the recording, with something on PRB `prb`.

    `cfos_hz` are the carrier offsets it may have, the likeliest first.
    """

    mode: Mode
    carrier: Carrier
    start: float
    cfos_hz: tuple[float, ...]
    prb: int
    is_discovery: bool

    def anchors(self) -> Iterator[Anchor]:
        """The start with each carrier offset."""
        for cfo_hz in self.cfos_hz:
            yield Anchor(start=self.start, cfo_hz=cfo_hz)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Reference:
    """The reference signal of one channel, the same in every one of its symbols."""

    mode: Mode
    is_discovery: bool
    dmrs: Dmrs
    n_cyclic_shifts: int
    """Cyclic shifts a transmitter draws from, evenly spaced."""

    def steps(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Products of neighbouring elements, real and imaginary parts."""
        step = self.dmrs[0, 1:] * self.dmrs[0, :-1].conj()
        return np.ascontiguousarray(step.real), np.ascontiguousarray(step.imag)


_CONTROL = _Reference(mode=Mode.TM12, is_discovery=False, dmrs=pscch_dmrs(), n_cyclic_shifts=1)
_DISCOVERY = _Reference(mode=Mode.TM12, is_discovery=True, dmrs=psdch_dmrs(), n_cyclic_shifts=1)
_V2X_CONTROL = _Reference(mode=Mode.TM34, is_discovery=False, dmrs=v2x_pscch_dmrs(0), n_cyclic_shifts=4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Symbols:
    """What one reference signal looks like at every offset of one stretch.

    `near` complex64 (n_offsets, n_places) is the correlation of neighbouring elements, `energy` float32 likewise.
    """

    reference: _Reference
    first_sample: int
    near: npt.NDArray[np.complex64] = field(repr=False)
    energy: npt.NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """A start with its evidence: how unlikely noise is to look so, as a negative logarithm of probability."""

    evidence: float
    start: int
    prb: int
    delay: float
    is_discovery: bool


def alignments(carrier: Carrier, window: SampleWindow, modes: Sequence[Mode]) -> Iterator[Alignment]:
    """Places where a subframe may start in a window, which has margins of two subframes.

    In each round the likeliest of each mode and cyclic prefix come first; the caller finds out by decoding.
    """
    references = [r for r in (_CONTROL, _DISCOVERY, _V2X_CONTROL) if r.mode in modes]
    for stretches in _rounds(window, carrier.samples_per_subframe):
        symbols = [found for begin in stretches for found in _symbols(carrier, window, begin, references)]
        for mode in modes:
            for cp in Cp if mode is Mode.TM12 else (Cp.NORMAL,):
                numerology = Carrier(carrier.n_prb, cp, carrier.fft_size)
                own = [s for s in symbols if s.reference.mode is mode]
                for start in _ranked(numerology, own, window.recording_end):
                    yield _refined(numerology, mode, window, start)


def _step(carrier: Carrier) -> int:
    """Samples from one offset to the next: by the normal prefix, so that one set of transforms serves both."""
    return min(Carrier(carrier.n_prb, Cp.NORMAL, carrier.fft_size).cp_samples) // _STEPS_PER_PREFIX


def _rounds(window: SampleWindow, size: int) -> Iterator[list[int]]:
    """Starts of the runs of one subframe to look at: those with the most energy, then others that hold something."""
    begins = list(range(window.begin, window.end, size))
    parts = [window.view(begin, min(size, window.end - begin)) for begin in begins]
    energies = np.array([float(np.vdot(part, part).real) for part in parts])
    order = np.argsort(-energies, kind="stable")
    order = order[energies[order] > 0]
    if not order.size:
        return
    yield [begins[i] for i in order[:_MAX_STRETCHES]]
    sizes = np.array([part.size for part in parts])
    powers = energies / sizes
    quietest = powers[sizes == sizes.max()].min()
    others = [i for i in order[_MAX_STRETCHES:].tolist() if powers[i] > quietest * (1 + _EXCESS_SIGMAS / size**0.5)]
    n_rounds = min(-(-len(others) // _MAX_STRETCHES), _MAX_ROUNDS - 1)
    n_left = min(len(others), n_rounds * _MAX_STRETCHES)
    chosen = [others[k * len(others) // n_left] for k in range(n_left)]
    for k in range(n_rounds):
        yield [begins[i] for i in chosen[k::n_rounds]]


def _symbols(
    carrier: Carrier, window: SampleWindow, begin: int, references: Sequence[_Reference]
) -> Iterator[_Symbols]:
    """Transform the stretch of two subframes from `begin` on at every offset and look for every reference signal."""
    step, size, n_fft = _step(carrier), carrier.samples_per_subframe, carrier.fft_size
    first = begin - n_fft
    n_offsets = (2 * size - n_fft) // step
    iq = window.view(first, (n_offsets - 1) * step + n_fft)
    phasor = np.exp(-1j * np.pi * np.arange(n_fft) / n_fft).astype(np.complex64)
    transform = row_transform(_ROWS, n_fft)
    results = []
    for reference in references:
        width = reference.dmrs.shape[1]
        n_places = (carrier.n_subcarriers - width) // SUBCARRIERS_PER_PRB + 1
        near = np.zeros((n_offsets, n_places), dtype=np.complex64)
        results.append((reference, reference.steps(), near, np.zeros((n_offsets, n_places), dtype=np.float32)))
    for row in range(0, n_offsets, _ROWS):
        n_rows = min(_ROWS, n_offsets - row)
        _fill(iq, row * step, step, n_rows, phasor, transform.input)
        spectra = transform.execute()
        for _, (real, imag), near, energy in results:
            _correlate(spectra, n_rows, carrier.n_subcarriers, real, imag, near[row:], energy[row:])
    for reference, _, near, energy in results:
        yield _Symbols(reference=reference, first_sample=first, near=near, energy=energy)


def _ranked(carrier: Carrier, symbols: Sequence[_Symbols], n_samples: int) -> list[_Start]:
    """The likeliest starts, no two within one offset of each other."""
    step, starts = _step(carrier), []
    for found in symbols:
        starts += _starts(carrier, found, n_samples)
    starts.sort(key=lambda start: -start.evidence)
    kept: list[_Start] = []
    for start in starts:
        if len(kept) == _MAX_STARTS:
            break
        if all(abs(start.start - other.start) > step for other in kept):
            kept.append(start)
    return kept


def _starts(carrier: Carrier, found: _Symbols, n_samples: int) -> list[_Start]:
    """The best start of every few offsets of one stretch that leave a whole subframe in the recording."""
    step = _step(carrier)
    layout = communication_layout(found.reference.mode, carrier.cp)
    useful = [carrier.symbol_starts[d] + carrier.cp_samples[d] for d in layout.dmrs]
    shifts = [round(place / step) for place in useful]
    n_starts = found.near.shape[0] - max(shifts)
    width = found.reference.dmrs.shape[1]
    squared, places, near = _best_places(found.near, found.energy, np.array(shifts), n_starts, _MIN_RELATIVE_ENERGY)
    evidence = squared * ((width / (width - 1)) ** 2 * len(shifts) * (width - 1))
    # The angle of a delay of less than half a symbol; shifts of the reference signal turn it by whole parts of a cycle.
    turn = 2 * math.pi / found.reference.n_cyclic_shifts
    angles = np.angle(near)
    angles -= np.round((angles + 2 * math.pi * step / carrier.fft_size) / turn) * turn
    rounding = step * sum(shifts) / len(shifts) - sum(useful) / len(useful)
    delays = rounding - angles * carrier.fft_size / (2 * math.pi)
    # What leaves no whole subframe goes before the likeliest are picked: it must not take their place.
    firsts = found.first_sample + step * np.arange(n_starts) + delays
    evidence[[not holds_subframe(carrier, first, n_samples) for first in firsts.tolist()]] = 0
    n_picked = min(4 * _MAX_STARTS, n_starts - 1)
    likeliest = np.argpartition(-evidence, n_picked)[:n_picked]
    return [
        _Start(
            evidence=float(evidence[i]),
            start=found.first_sample + i * step,
            prb=int(places[i]),
            delay=float(delays[i]),
            is_discovery=found.reference.is_discovery,
        )
        for i in likeliest[np.argsort(-evidence[likeliest], kind="stable")].tolist()
        if evidence[i] > 0
    ]


def _refined(carrier: Carrier, mode: Mode, window: SampleWindow, found: _Start) -> Alignment:
    """Timing from the phase slope, carrier offsets from the turn between reference symbols."""
    start = found.start + found.delay
    samples = window.view(round(start), carrier.samples_per_subframe)
    by_prefix_hz = _prefix_cfo_hz(carrier, samples)
    grid = scfdma.demodulate(carrier, samples)
    layout = communication_layout(mode, carrier.cp)
    reference = _V2X_CONTROL if mode is Mode.TM34 else _DISCOVERY if found.is_discovery else _CONTROL
    first = found.prb * SUBCARRIERS_PER_PRB
    h = grid[list(layout.dmrs), first : first + reference.dmrs.shape[1]] * reference.dmrs.conj()
    turns = np.sum(h[1:] * h[:-1].conj(), axis=1)
    times = [(carrier.symbol_starts[d] + carrier.cp_samples[d]) / carrier.sample_rate_hz for d in layout.dmrs]
    period_s = (times[-1] - times[0]) / (len(times) - 1)
    cfo_hz = float(np.angle(np.sum(turns))) / (2 * math.pi * period_s)
    n_around = math.ceil(2 * _LARGEST_CFO_HZ * period_s)
    offsets = [cfo_hz + m / period_s for m in range(-n_around, n_around + 1)]
    near = sorted((o for o in offsets if abs(o) <= _LARGEST_CFO_HZ), key=lambda o: abs(o - by_prefix_hz))
    return Alignment(
        mode=mode,
        carrier=carrier,
        start=start,
        cfos_hz=tuple(near[:_MAX_OFFSETS]),
        prb=found.prb,
        is_discovery=found.is_discovery,
    )


def _prefix_cfo_hz(carrier: Carrier, iq: Iq) -> float:
    """Carrier offset from cyclic prefixes and the symbol ends they repeat, unambiguous to +-7.5 kHz.

    The half subcarrier of shift turns the repetition by half a cycle (TS 36.211 9.9).
    """
    total = 0j
    for start, cp in zip(carrier.symbol_starts, carrier.cp_samples, strict=True):
        prefix = slice(start + cp // 4, start + cp)
        end = slice(prefix.start + carrier.fft_size, prefix.stop + carrier.fft_size)
        total -= complex(np.vdot(iq[prefix], iq[end]))
    return math.atan2(total.imag, total.real) / (2 * math.pi) * carrier.sample_rate_hz / carrier.fft_size


@njit(cache=True, nogil=True, fastmath=True)
def _fill(iq: Complexes, first: int, step: int, n_rows: int, phasor: Complexes, out: Complexes) -> None:
    """out[r, n] = iq[first + r step + n] phasor[n]."""
    size = phasor.size
    for r in range(n_rows):
        part = iq[first + r * step : first + r * step + size]
        row = out[r]
        for n in range(size):
            row[n] = part[n] * phasor[n]


@njit(cache=True, nogil=True, fastmath=True)
def _correlate(
    spectra: Complexes,
    n_rows: int,
    n_subcarriers: int,
    known_real: Floats,
    known_imag: Floats,
    near: Complexes,
    energy: Floats,
) -> None:
    """Correlation of neighbouring elements with the known products at every PRB, and the energy there."""
    n_bins = spectra.shape[1]
    half = n_subcarriers // 2
    row = np.empty(n_subcarriers, dtype=np.complex64)
    real = np.empty(n_subcarriers, dtype=np.float32)
    imag = np.empty(n_subcarriers, dtype=np.float32)
    powers = np.empty(n_subcarriers, dtype=np.float32)
    for r in range(n_rows):
        row[:half] = spectra[r, n_bins - half :]
        row[half:] = spectra[r, :half]
        for k in range(n_subcarriers):
            powers[k] = row[k].real * row[k].real + row[k].imag * row[k].imag
        for k in range(n_subcarriers - 1):
            real[k] = row[k + 1].real * row[k].real + row[k + 1].imag * row[k].imag
            imag[k] = row[k + 1].imag * row[k].real - row[k + 1].real * row[k].imag
        for place in range(near.shape[1]):
            first = 12 * place
            sum_real = np.float32(0)
            sum_imag = np.float32(0)
            total = powers[first + known_real.size]
            for k in range(known_real.size):
                a, b = real[first + k], imag[first + k]
                sum_real += a * known_real[k] + b * known_imag[k]
                sum_imag += b * known_real[k] - a * known_imag[k]
                total += powers[first + k]
            near[r, place] = complex(sum_real, sum_imag)
            energy[r, place] = total


@njit(cache=True, nogil=True, fastmath=True)
def _best_places(
    near: Complexes, energy: Floats, shifts: Places, n_starts: int, min_relative_energy: float
) -> tuple[Floats, Places, Complexes]:
    """For every start the square of the best coherence over all places, that place, and the correlation there."""
    n_places = near.shape[1]
    squared = np.zeros(n_starts, dtype=np.float32)
    places = np.zeros(n_starts, dtype=np.int64)
    best = np.zeros(n_starts, dtype=np.complex64)
    sums = np.empty(n_places, dtype=np.complex64)
    energies = np.empty(n_places, dtype=np.float32)
    for start in range(n_starts):
        largest = np.float32(0)
        for place in range(n_places):
            total = np.complex64(0)
            power = np.float32(0)
            for i in range(shifts.size):
                total += near[start + shifts[i], place]
                power += energy[start + shifts[i], place]
            sums[place] = total
            energies[place] = power
            largest = max(largest, power)
        for place in range(n_places):
            power = energies[place]
            if power > min_relative_energy * largest:
                value = sums[place].real * sums[place].real + sums[place].imag * sums[place].imag
                value /= power * power
                if value > squared[start]:
                    squared[start] = value
                    places[start] = place
                    best[start] = sums[place]
    return squared, places, best
