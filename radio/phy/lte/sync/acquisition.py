"""From a place where a PSSS may stand to a synchronisation source: SSSS, carrier offset, timing, PSBCH.

`psss_search` gives places with a coarse carrier offset. From there:

1. The subframe is demodulated at that place and offset. The two PSSS symbols give the channel of the middle 62
   subcarriers, a better offset (phase from one symbol to the next) and the timing (phase from subcarrier to
   subcarrier). Where they are far off, the step is done again from the corrected place, three times at most.
2. With that channel, SSSS of all 168 identities and both families of modes are correlated at once; the best must
   explain enough of the energy.
3. The phases of all four symbols give an offset sharper than two neighbouring ones can, but ambiguous by the inverse of
   the time between PSSS and SSSS: the best one and those one ambiguity away are kept.
4. The PSBCH is tried at each of these offsets. A good CRC settles which is right, and its reference signals give the
   final timing and offset.

A receiver opens its window a little before the subframe (`receive_back_off`), so that a path which comes early still
falls into the cyclic prefix; every timing here is counted with that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.arrays import Grid, Iq
from radio.phy.dsp.level import levelled
from radio.phy.lte.channels.psbch import PsbchReception, receive_psbch
from radio.phy.lte.channels.slss import N_SLSS_SUBCARRIERS, PSSS_SYMBOLS, SSSS_SYMBOLS, psss, slss_subcarriers, ssss
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.sync.psss_search import PsssPeak

_N_ID_1 = 168
_SLOPE_LAG = 4
"""Subcarriers between the PSSS elements whose phases give the timing: unambiguous to an eighth of a symbol."""
_SMOOTHING_SUBCARRIERS = 9
_MIN_SSSS_METRIC = 0.15
"""Noise alone exceeds this for one of 336 sequences about once in thirty peaks; the PSBCH's CRC has the last word."""
_CFO_GRID_HZ = np.arange(-1000.0, 1001.0, 10.0)
"""Offsets tried around the one of neighbouring symbols."""
_MAX_REFINEMENTS = 3
_LARGEST_LEFT_CFO_HZ = 500.0
_BACK_OFF_SHARE = 4
_SHORTEST_CP, _SHORTEST_CP_OF = 9, 128
"""The normal prefix of all symbols but the first of a slot, in transform sizes (TS 36.211 9.9)."""
_SEARCH_MARGIN_SAMPLES = 64


def receive_back_off(carrier: Carrier) -> int:
    """Samples by which a receiver opens its window before the subframe: a quarter of the normal prefix, 1.2 us.

    It leaves room for paths and transmitters that come early. With the extended prefix it is no more: channel
    estimation is unambiguous to 5.5 us, which the back-off and the channel's delays share.
    """
    return _SHORTEST_CP * carrier.fft_size // _SHORTEST_CP_OF // _BACK_OFF_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class SlssReception:
    """One synchronisation signal identified.

    `subframe_start` is where its subframe starts in the samples that were searched, with its fraction; `other_cfos_hz`
    are the offsets that fit nearly as well as `cfo_hz`; `metric` is the share of the SSSS's energy that its sequence
    explains.
    """

    n_sl_id: int
    mode: Mode
    cp: Cp
    subframe_start: float
    cfo_hz: float
    other_cfos_hz: tuple[float, ...] = field(repr=False)
    snr_db: float
    metric: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSource:
    """A synchronisation signal with its PSBCH; timing and carrier offset are those of the PSBCH where it decoded."""

    slss: SlssReception
    psbch: PsbchReception
    subframe_start: float
    cfo_hz: float


def subframe_grid(carrier: Carrier, iq: Iq, start: int, cfo_hz: float) -> Grid | None:
    """Grid, complex64 (n_symbols, n_subcarriers), of the subframe that starts at `start` in `iq`, complex64 (n,).

    The window opens `receive_back_off` early, and the carrier offset `cfo_hz` is removed. Returns None if the samples
    do not hold the subframe.
    """
    first = start - receive_back_off(carrier)
    if first < 0 or first + carrier.samples_per_subframe > iq.size:
        return None
    window = iq[first : first + carrier.samples_per_subframe]
    return scfdma.demodulate(carrier, window, cfo_hz, first)


def acquisition_span(carrier: Carrier, peak: PsssPeak) -> tuple[int, int]:
    """First and last (exclusive) sample `identify` and `acquire` may look at, on the peak's own count."""
    margin = receive_back_off(carrier) + 2 * _SEARCH_MARGIN_SAMPLES
    return peak.subframe_offset - margin, peak.subframe_offset + carrier.samples_per_subframe + margin


def acquire(carrier: Carrier, iq: Iq, peak: PsssPeak) -> SyncSource | None:
    """Identify the SLSS at `peak` and receive its PSBCH; None where there is no SLSS.

    `iq` is complex64 (n,), holding at least `acquisition_span`; offsets of `peak` and of the result count from its
    first sample. Where the PSBCH does not decode, the source comes with `psbch.mib` None.
    """
    slss = identify(carrier, iq, peak)
    if slss is None:
        return None
    own = Carrier(carrier.n_prb, slss.cp, carrier.fft_size)
    start = round(slss.subframe_start)
    best: SyncSource | None = None
    for cfo_hz in (slss.cfo_hz, *slss.other_cfos_hz):
        grid = subframe_grid(own, iq, start, cfo_hz)
        if grid is None:
            return None
        psbch = receive_psbch(own, grid, slss.n_sl_id, slss.mode)
        if psbch.mib is not None:
            timing = psbch.timing_error_samples - receive_back_off(own)
            return SyncSource(slss=slss, psbch=psbch, subframe_start=start + timing, cfo_hz=cfo_hz + psbch.cfo_hz)
        if best is None:
            best = SyncSource(slss=slss, psbch=psbch, subframe_start=slss.subframe_start, cfo_hz=slss.cfo_hz)
    return best


def identify(carrier: Carrier, iq: Iq, peak: PsssPeak) -> SlssReception | None:
    """Find the SSSS that belongs to the PSSS at `peak` in `iq`, complex64 (n,).

    Returns None if no sequence stands out or samples are missing.
    """
    own = Carrier(carrier.n_prb, peak.cp, carrier.fft_size)
    start, cfo_hz = peak.subframe_offset, peak.cfo_hz
    for _ in range(_MAX_REFINEMENTS):
        grid = subframe_grid(own, iq, start, cfo_hz)
        if grid is None:
            return None
        grid, _ = levelled(grid)
        primary = _PrimaryEstimate.of(own, grid, peak.n_id_2)
        late = round(primary.delay_samples) - receive_back_off(own)
        if abs(primary.cfo_hz) < _LARGEST_LEFT_CFO_HZ and abs(late) <= receive_back_off(own) // 2:
            return _identify_secondary(own, grid, primary, peak.n_id_2, start, cfo_hz)
        cfo_hz += primary.cfo_hz
        start += min(max(late, -_SEARCH_MARGIN_SAMPLES), _SEARCH_MARGIN_SAMPLES)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrimaryEstimate:
    """What the two PSSS symbols tell: `elements` (2, 62) freed of sequence and of the phase slope of the delay."""

    elements: npt.NDArray[np.complex64]
    ramp: npt.NDArray[np.complex64]
    cfo_hz: float
    delay_samples: float
    snr_db: float

    @classmethod
    def of(cls, carrier: Carrier, grid: Grid, n_id_2: int) -> _PrimaryEstimate:
        first, second = PSSS_SYMBOLS[carrier.cp]
        h = grid[[first, second], slss_subcarriers(carrier)] * psss(n_id_2).conj()
        turn = complex(np.vdot(h[0], h[1]))
        cfo_hz = math.atan2(turn.imag, turn.real) / (2 * math.pi * _symbol_times_s(carrier)[1])
        lagged = complex(np.vdot(h[:, :-_SLOPE_LAG], h[:, _SLOPE_LAG:]))
        slope = math.atan2(lagged.imag, lagged.real) / _SLOPE_LAG
        ramp = np.exp(-1j * slope * np.arange(N_SLSS_SUBCARRIERS)).astype(np.complex64)
        power = float(np.vdot(h, h).real) / h.size
        signal = min(abs(turn) / h.shape[1], power * (1 - 1e-6))
        return cls(
            elements=h * ramp,
            ramp=ramp,
            cfo_hz=cfo_hz,
            delay_samples=-slope * carrier.fft_size / (2 * math.pi),
            snr_db=10 * math.log10(max(signal, 1e-30) / max(power - signal, 1e-30)),
        )


@lru_cache(maxsize=16)
def _symbol_times_s(carrier: Carrier) -> tuple[float, ...]:
    """Times of both PSSS and both SSSS symbols from the first."""
    symbols = (*PSSS_SYMBOLS[carrier.cp], *SSSS_SYMBOLS[carrier.cp])
    places = [carrier.symbol_starts[s] + carrier.cp_samples[s] for s in symbols]
    return tuple((place - places[0]) / carrier.sample_rate_hz for place in places)


@lru_cache(maxsize=2)
def _secondary_sequences(n_id_2: int) -> npt.NDArray[np.float32]:
    """SSSS of every N_ID^(1) in modes 1 and 2, then in modes 3 and 4: float32 (336, 62)."""
    ids = range(n_id_2 * _N_ID_1, (n_id_2 + 1) * _N_ID_1)
    return np.array([ssss(n_sl_id, mode) for mode in Mode for n_sl_id in ids])


def _identify_secondary(
    carrier: Carrier, grid: Grid, primary: _PrimaryEstimate, n_id_2: int, start: int, cfo_hz: float
) -> SlssReception | None:
    times_s = _symbol_times_s(carrier)
    back = np.exp(-2j * np.pi * primary.cfo_hz * np.array(times_s)).astype(np.complex64)
    kernel = np.ones(_SMOOTHING_SUBCARRIERS, dtype=np.float32) / _SMOOTHING_SUBCARRIERS
    channel = np.convolve(primary.elements[0] + primary.elements[1] * back[1], kernel, "same")
    secondary = grid[list(SSSS_SYMBOLS[carrier.cp]), slss_subcarriers(carrier)] * (primary.ramp * channel.conj())
    both = secondary[0] * back[2] + secondary[1] * back[3]
    parts = np.ascontiguousarray(both, dtype=np.complex64).view(np.float32).reshape(-1, 2)
    products = _secondary_sequences(n_id_2) @ parts
    powers = np.einsum("ij,ij->i", products, products)
    best = int(np.argmax(powers))
    metric = float(powers[best]) / max(float(np.vdot(both, both).real) * N_SLSS_SUBCARRIERS, 1e-30)
    if metric < _MIN_SSSS_METRIC:
        return None
    mode_index, n_id_1 = divmod(best, _N_ID_1)
    gains = np.concatenate(
        (primary.elements @ channel.conj(), secondary @ _secondary_sequences(n_id_2)[best].astype(np.complex64))
    )
    offsets_hz = _sharper_offsets(gains, times_s, primary.cfo_hz)
    return SlssReception(
        n_sl_id=n_id_1 + n_id_2 * _N_ID_1,
        mode=list(Mode)[mode_index],
        cp=carrier.cp,
        subframe_start=start + primary.delay_samples - receive_back_off(carrier),
        cfo_hz=cfo_hz + offsets_hz[0],
        other_cfos_hz=tuple(cfo_hz + offset_hz for offset_hz in offsets_hz[1:]),
        snr_db=primary.snr_db,
        metric=metric,
    )


def _sharper_offsets(gains: npt.NDArray[np.complex64], times_s: tuple[float, ...], around_hz: float) -> list[float]:
    """The offset that lines up the four symbols best, then those one ambiguity away, better one first."""
    trials = around_hz + _CFO_GRID_HZ
    powers = np.abs(np.exp(-2j * np.pi * trials[:, None] * np.array(times_s)) @ gains)
    best = int(np.argmax(powers))
    ambiguity_hz = 1 / (times_s[2] - times_s[0])
    beside = [float(trials[best]) + side * ambiguity_hz for side in (-1, 1)]
    beside.sort(key=lambda cfo_hz: abs(cfo_hz - around_hz))
    return [float(trials[best]), *beside]
