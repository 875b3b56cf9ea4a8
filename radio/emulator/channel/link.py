"""One way of one link: gain, delay, clock drift, multipath fading and carrier offset, from TX samples to RX samples.

RX sample n lies at hub time P_rx + n / (1 + e_rx); a UE's clock counts (t - P) (1 + e) samples at hub time t (in hub
samples), so that sample hears the transmitter's waveform at its sample (t - delay - P_tx) (1 + e_tx). One filter does
it all: windowed-sinc weights for the fraction of a sample, summed over the taps with their gains. Weights are worked
out at the edges of sections of 1/16 ms and drawn straight between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from radio.arrays import Complexes, DoubleComplexes, Doubles, Floats, Iq
from radio.emulator.channel.fading import TapProcesses
from radio.emulator.channel.interpolation import HALF_TAPS, PHASES, interpolation_weight, weight_table

SECTIONS_PER_S = 16_000
STEP_SAMPLES = 120
"""Longest run of samples filtered with the same weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleClock:
    """A UE's sample clock: when it starts, in hub samples, and how fast it runs."""

    power_on_sample: int
    rate_error: float
    """Relative to the hub's clock: 1e-6 for 1 ppm fast."""

    def local(self, hub_sample: float) -> float:
        """Return the clock's reading at a hub time."""
        return (hub_sample - self.power_on_sample) * (1 + self.rate_error)

    def first_at_or_after(self, hub_sample: int) -> int:
        """Return the UE's first sample, 0 at least, at or after a hub sample."""
        return max(0, math.ceil(self.local(hub_sample) - 1e-6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is between one transmitter and one receiver. `gain` is a factor of amplitude."""

    transmitter: SampleClock
    receiver: SampleClock
    sample_rate_hz: int
    gain: float
    delay_samples: float
    cfo_hz: float
    taps: TapProcesses

    def span(self, first_rx: int, n_samples: int) -> tuple[int, int]:
        """Return the TX samples [first, end) that RX samples first_rx.. depend on."""
        first, last = self._position(first_rx), self._position(first_rx + n_samples)
        return math.floor(first) - self._reach - 2, math.ceil(last) + HALF_TAPS + 4

    def add(self, out: Iq, first_rx: int, waveform: Iq, first_tx: int) -> None:
        """Add what the receiver hears to `out`, (n,) complex64 from RX sample first_rx on.

        `waveform` is complex64 from TX sample first_tx on and covers `span`.
        """
        ratio = (1 + self.transmitter.rate_error) / (1 + self.receiver.rate_error)
        hub_s = (self.receiver.power_on_sample + first_rx / (1 + self.receiver.rate_error)) / self.sample_rate_hz
        turns = self.cfo_hz * hub_s
        _add_link(
            out,
            waveform,
            self._position(first_rx) - first_tx,
            ratio,
            self.taps.delays_s * (self.sample_rate_hz * (1 + self.transmitter.rate_error)),
            self.taps.amplitudes * self.gain,
            self.taps.omegas,
            self.taps.phases,
            hub_s,
            1.0 / (self.sample_rate_hz * (1 + self.receiver.rate_error)),
            2 * np.pi * (turns - math.floor(turns)),
            2 * np.pi * self.cfo_hz,
            self._reach,
            weight_table(),
            max(STEP_SAMPLES, self.sample_rate_hz // SECTIONS_PER_S),
        )

    def add_plain(self, out: Iq, first_rx: int, waveform: Iq, first_tx: int) -> None:
        """Do what `add` does, sample by sample as the definition reads."""
        n = first_rx + np.arange(len(out))
        hub = self.receiver.power_on_sample + n / (1 + self.receiver.rate_error)
        time_s = hub / self.sample_rate_hz
        gains = self.taps.gains(time_s) * self.gain
        scale = 1 + self.transmitter.rate_error
        position = (hub - self.delay_samples - self.transmitter.power_on_sample) * scale - first_tx
        heard = np.zeros(len(out), dtype=np.complex128)
        for tap, delay_s in enumerate(self.taps.delays_s):
            where = position - delay_s * self.sample_rate_hz * scale
            whole = np.floor(where).astype(np.int64)
            for k in range(1 - HALF_TAPS, HALF_TAPS + 1):
                heard += gains[tap] * interpolation_weight(where - (whole + k)) * waveform[whole + k]
        out += (heard * np.exp(2j * np.pi * self.cfo_hz * time_s)).astype(np.complex64)

    @property
    def history_samples(self) -> int:
        """Return how far back in the transmission, from a moment on its own clock, the receiver still listens."""
        return math.ceil(self.delay_samples) + self._reach + 4

    @property
    def _reach(self) -> int:
        """Samples before the wanted one that the filter needs: the delay spread and the interpolator's half."""
        longest = float(self.taps.delays_s.max()) * self.sample_rate_hz * (1 + self.transmitter.rate_error)
        return math.ceil(longest) + HALF_TAPS

    def _position(self, rx_sample: int) -> float:
        """Return the TX sample, with fraction, that the RX sample hears over the shortest tap."""
        sender, receiver = self.transmitter, self.receiver
        start = (receiver.power_on_sample - sender.power_on_sample - self.delay_samples) * (1 + sender.rate_error)
        return start + rx_sample * ((1 + sender.rate_error) / (1 + receiver.rate_error))


@njit(nogil=True, error_model="numpy")
def _phasors(out: DoubleComplexes, omegas: Doubles, phases: Doubles, time_s: float) -> None:
    for tap in range(omegas.shape[0]):
        for ray in range(omegas.shape[1]):
            angle = omegas[tap, ray] * time_s + phases[tap, ray]
            out[tap, ray] = complex(math.cos(angle), math.sin(angle))


@njit(nogil=True, error_model="numpy")
def _tap_gains(gains: DoubleComplexes, amplitudes: Doubles, rays: DoubleComplexes) -> None:
    for tap in range(amplitudes.shape[0]):
        gains[tap] = amplitudes[tap] * rays[tap].sum()


@njit(nogil=True, error_model="numpy")
def _filter_weights(
    re: Floats, im: Floats, gains: DoubleComplexes, delays: Doubles, offset: float, reach: int, table: Floats
) -> None:
    """Weights of the samples around one for the instant `offset` after it: index l is the sample l - reach after it."""
    re[:] = 0
    im[:] = 0
    for tap in range(delays.shape[0]):
        where = offset - delays[tap] + reach
        whole = math.floor(where)
        phase = (where - whole) * PHASES
        row = int(phase)
        part = np.float32(phase - row)
        gain_re, gain_im = np.float32(gains[tap].real), np.float32(gains[tap].imag)
        start = int(whole) - HALF_TAPS + 1
        for j in range(2 * HALF_TAPS):
            weight = table[row, j] + part * (table[row + 1, j] - table[row, j])
            re[start + j] += gain_re * weight
            im[start + j] += gain_im * weight


@njit(nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _filter_run(
    acc_re: Floats,
    acc_im: Floats,
    x_re: Floats,
    x_im: Floats,
    x_start: int,
    n: int,
    h_re: Floats,
    h_im: Floats,
    first: int,
    end: int,
) -> None:
    """acc[i] = sum of h[tap] x[x_start + i + tap] for tap in first..end, four weights at a time (h is zero padded)."""
    for i in range(np.uint64(n)):
        acc_re[i] = np.float32(0)
        acc_im[i] = np.float32(0)
    for tap in range(first, end, 4):
        a0, a1, a2, a3 = h_re[tap], h_re[tap + 1], h_re[tap + 2], h_re[tap + 3]
        b0, b1, b2, b3 = h_im[tap], h_im[tap + 1], h_im[tap + 2], h_im[tap + 3]
        base = np.uint64(x_start + tap)
        for i in range(np.uint64(n)):
            k = base + np.uint64(i)
            r0, r1, r2, r3 = x_re[k], x_re[k + np.uint64(1)], x_re[k + np.uint64(2)], x_re[k + np.uint64(3)]
            i0, i1, i2, i3 = x_im[k], x_im[k + np.uint64(1)], x_im[k + np.uint64(2)], x_im[k + np.uint64(3)]
            acc_re[i] += a0 * r0 - b0 * i0 + a1 * r1 - b1 * i1 + a2 * r2 - b2 * i2 + a3 * r3 - b3 * i3
            acc_im[i] += a0 * i0 + b0 * r0 + a1 * i1 + b1 * r1 + a2 * i2 + b2 * r2 + a3 * i3 + b3 * r3


@njit(nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _turn_and_add(
    out: Floats,
    start: int,
    acc_re: Floats,
    acc_im: Floats,
    n: int,
    turn_re: Floats,
    turn_im: Floats,
    at_re: np.float32,
    at_im: np.float32,
) -> None:
    """out[start + i] += acc[i] at turn[i]: the carrier offset, a fixed table of turns from the phase `at`."""
    for i in range(np.uint64(n)):
        re = at_re * turn_re[i] - at_im * turn_im[i]
        im = at_re * turn_im[i] + at_im * turn_re[i]
        k = np.uint64(2) * (np.uint64(start) + np.uint64(i))
        out[k] += re * acc_re[i] - im * acc_im[i]
        out[k + np.uint64(1)] += re * acc_im[i] + im * acc_re[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_link(
    out: Complexes,
    waveform: Complexes,
    position: float,
    ratio: float,
    delays: Doubles,
    amplitudes: Doubles,
    omegas: Doubles,
    phases: Doubles,
    time_s: float,
    period_s: float,
    cfo_phase: float,
    cfo_omega: float,
    reach: int,
    table: Floats,
    section_samples: int,
) -> None:
    n_out = out.shape[0]
    flat_out = out.view(np.float32)
    x_re = np.ascontiguousarray(waveform.real)
    x_im = np.ascontiguousarray(waveform.imag)
    n_weights = reach + HALF_TAPS + 4
    weights = np.zeros((6, n_weights + 4), dtype=np.float32)
    gains = np.empty((2, delays.shape[0]), dtype=np.complex128)
    acc = np.empty((2, STEP_SAMPLES), dtype=np.float32)
    turn = np.empty((2, STEP_SAMPLES), dtype=np.float32)
    for i in range(STEP_SAMPLES):
        angle = cfo_omega * period_s * i
        turn[0, i] = math.cos(angle)
        turn[1, i] = math.sin(angle)
    rays = np.empty(omegas.shape, dtype=np.complex128)
    turns = np.empty(omegas.shape, dtype=np.complex128)
    _phasors(rays, omegas, phases, time_s)
    _phasors(turns, omegas, np.zeros_like(phases), section_samples * period_s)
    _tap_gains(gains[1], amplitudes, rays)
    for start in range(0, n_out, section_samples):
        length = min(section_samples, n_out - start)
        gains[0] = gains[1]
        if length == section_samples:
            rays *= turns
        else:
            _phasors(rays, omegas, phases, time_s + (start + length) * period_s)
        _tap_gains(gains[1], amplitudes, rays)
        begin = position + start * ratio
        whole = math.floor(begin)
        _filter_weights(weights[0], weights[1], gains[0], delays, begin - whole, reach, table)
        _filter_weights(weights[2], weights[3], gains[1], delays, begin - whole + length * (ratio - 1), reach, table)
        first, end = _used_weights(weights)
        for step in range(0, length, STEP_SAMPLES):
            n = min(STEP_SAMPLES, length - step)
            part = np.float32((step + n / 2) / length)
            for tap in range(first, end):
                weights[4, tap] = weights[0, tap] + part * (weights[2, tap] - weights[0, tap])
                weights[5, tap] = weights[1, tap] + part * (weights[3, tap] - weights[1, tap])
            x_start = int(whole) + step - reach
            _filter_run(acc[0], acc[1], x_re, x_im, x_start, n, weights[4], weights[5], first, end)
            angle = cfo_phase + cfo_omega * period_s * (start + step)
            at_re, at_im = np.float32(math.cos(angle)), np.float32(math.sin(angle))
            _turn_and_add(flat_out, start + step, acc[0], acc[1], n, turn[0], turn[1], at_re, at_im)


@njit(nogil=True, error_model="numpy")
def _used_weights(weights: Floats) -> tuple[int, int]:
    """Return [first, end) outside which all weights of a section are negligible (140 dB down)."""
    largest = np.float32(0)
    for tap in range(weights.shape[1]):
        for row in range(4):
            largest = max(largest, abs(weights[row, tap]))
    first, end = weights.shape[1], 0
    for tap in range(weights.shape[1]):
        for row in range(4):
            if abs(weights[row, tap]) > largest * np.float32(1e-7):
                first = min(first, tap)
                end = tap + 1
    for tap in range(end, min(end + 3, weights.shape[1])):
        weights[4, tap] = np.float32(0)
        weights[5, tap] = np.float32(0)
    return first, end
