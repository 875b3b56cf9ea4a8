"""Recordings at rates that no FFT size fits: resampled to a multiple of 1.92 MS/s, block by block.

Radios sample at 2, 2.5, 10, 20 or 25 MS/s; LTE's symbols are whole numbers of samples only at multiples of 1.92 MS/s. A
polyphase filter changes the rate by a ratio of integers. Its passband is what the carrier occupies, and some offset;
its stopband begins where images and aliases would fall into the passband: the transition takes all that is between,
which keeps the filter short. Each output sample is the same however the input is cut into blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.signal import firwin, kaiser_beta, upfirdn

from radio.arrays import Iq
from radio.phy.lte.grid.numerology import SUBCARRIER_SPACING_HZ, SUBCARRIERS_PER_PRB, Carrier, NumerologyError

_RATE_STEP_HZ = 128 * SUBCARRIER_SPACING_HZ
_MAX_TERM = 20_000
_MAX_RATE_ERROR = 2e-8
"""What a ratio may be off: 0.02 ppm, far below any oscillator."""
_STOPBAND_DB = 70.0
_OFFSET_HZ = 120_000.0
"""Channel frequency offset for which the passband has room, where the rates leave any."""
_MAX_TAPS_PER_PHASE = 400
_BLOCKS = 8_192
"""Input samples filtered at a time, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """`up` samples out for `down` samples in; `to_hz` is the rate that comes out."""

    up: int
    down: int
    from_hz: float
    to_hz: int


def rate_change(n_prb: int, sample_rate_hz: float) -> RateChange | None:
    """The rate change that brings a rate to one that a carrier of `n_prb` PRBs can have; None if none is needed.

    Raises NumerologyError for an unknown bandwidth, or for a rate that is too low for it.
    """
    try:
        Carrier.at_rate(n_prb, sample_rate_hz)
    except NumerologyError:
        usual = Carrier(n_prb).sample_rate_hz
    else:
        return None
    occupied_hz = n_prb * SUBCARRIERS_PER_PRB * SUBCARRIER_SPACING_HZ
    if sample_rate_hz <= occupied_hz:
        raise NumerologyError(
            f"{sample_rate_hz:g} samples/s are too few for {n_prb} PRB, which occupy {occupied_hz / 1e6:g} MHz"
        )
    to_hz = usual
    if sample_rate_hz < usual:
        lower = math.floor(sample_rate_hz / _RATE_STEP_HZ) * _RATE_STEP_HZ
        to_hz = lower if lower > occupied_hz else lower + _RATE_STEP_HZ
    exact = Fraction(to_hz) / Fraction(sample_rate_hz)
    ratio = exact.limit_denominator(_MAX_TERM)
    if ratio == 0 or ratio.numerator > _MAX_TERM or abs(float(ratio / exact) - 1.0) > _MAX_RATE_ERROR:
        raise NumerologyError(
            f"{sample_rate_hz} samples/s stand in no ratio of small integers to {to_hz}: resample the recording"
        )
    return RateChange(up=ratio.numerator, down=ratio.denominator, from_hz=sample_rate_hz, to_hz=to_hz)


class Resampler:
    """Changes the rate of a stream: `push` blocks, then `finish`; the first sample out is the first one in."""

    def __init__(self, change: RateChange, n_prb: int) -> None:
        self._up, self._down = change.up, change.down
        self._taps = _taps(change, n_prb)
        half = len(self._taps) // 2
        self._context = _whole(-(-half // change.up) + 1, change.down)
        self._step = _whole(max(_BLOCKS, 2 * self._context), change.down)
        self._held = np.zeros(self._context, dtype=np.complex64)
        self._n_in = self._n_out = 0
        self._lead = half

    def push(self, iq: Iq) -> Iq:
        """Output samples, complex64 (m,), that are known once `iq`, complex64 (n,), has come."""
        self._n_in += iq.size
        self._held = np.concatenate((self._held, iq))
        return self._drain()

    def finish(self) -> Iq:
        """The remaining output samples, complex64 (m,). Nothing may be pushed afterwards."""
        total = -(-self._n_in * self._up // self._down)
        padding = self._step + 2 * self._context
        self._held = np.concatenate((self._held, np.zeros(padding, dtype=np.complex64)))
        before = self._n_out
        rest = self._drain()
        return rest[: max(0, total - before)]

    def _drain(self) -> Iq:
        parts: list[Iq] = []
        window = self._step + 2 * self._context
        while self._held.size >= window:
            parts.append(self._filtered(self._held[:window]))
            self._held = self._held[self._step :]
        out = np.concatenate(parts) if parts else np.empty(0, dtype=np.complex64)
        self._n_out += out.size
        return out

    def _filtered(self, window: Iq) -> Iq:
        """The middle of a window: its context, before and after, is a multiple of `down` samples long."""
        long = upfirdn(self._taps, window, self._up, self._down)
        # The filter's middle is at tap `lead`: a multiple of `down`, so that outputs fall on input times.
        first = (self._context * self._up + self._lead) // self._down
        return np.asarray(long[first : first + self._step * self._up // self._down], dtype=np.complex64)


def _taps(change: RateChange, n_prb: int) -> np.ndarray:
    """A low-pass at the common rate from_hz * up, of odd length, its middle at a multiple of `down`."""
    common_hz = change.from_hz * change.up
    occupied_hz = n_prb * SUBCARRIERS_PER_PRB * SUBCARRIER_SPACING_HZ / 2
    lower_hz = min(change.from_hz, float(change.to_hz))
    room_hz = lower_hz / 2 - occupied_hz
    pass_hz = occupied_hz + min(_OFFSET_HZ, 0.5 * room_hz)
    stop_hz = lower_hz - pass_hz
    width = 2 * math.pi * (stop_hz - pass_hz) / common_hz
    wanted = (_STOPBAND_DB - 7.95) / (2.285 * width)
    n_taps = min(wanted, _MAX_TAPS_PER_PHASE * max(change.up, change.down))
    half = _whole(math.ceil(n_taps / 2), change.down)
    cutoff = (pass_hz + stop_hz) / common_hz
    taps = firwin(2 * half + 1, min(cutoff, 0.999), window=("kaiser", kaiser_beta(_STOPBAND_DB)))
    return np.asarray(taps * change.up, dtype=np.float32)


def _whole(count: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-count // step) * step
