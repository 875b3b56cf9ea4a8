"""Timing and carrier tracking of a synchronisation reference: a Kalman filter each, as pure functions over their state.

The timing filter has two states: where a subframe starts, and how long a subframe lasts on the UE's own sample clock. A
clock that runs 10 ppm off is so predicted, not chased, and the UE stays on time while its reference is not heard. What
may change without notice is the distance to the reference and the oscillator's wander, and the filter grows unsure of
both with time.

A measurement is as good as its ratio of signal to noise, and on a fading channel worse than that, since the rays that
make up the arrival come and go. How much worse is learnt: the spread of the measurements that noise and the filter's
own doubt do not explain (`fading`).

Out of coverage the followers of a reference send what it sends, in the same subframe, so a UE hears its own echo.
Followers therefore transmit `FOLLOWER_LAG_S` late: the first arrival that is not later than the UE's own transmission
is the reference's, and it alone is taken in. A measurement far from the prediction is cut off (`_GATE_SIGMAS`) or
counts as one at the limit (`_MAX_INNOVATION_SIGMAS`), so that no single wrong one throws the filter off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from radio.phy.lte.grid.numerology import Carrier

_MAX_CLOCK_ERROR_PPM = 10.0
_CLOCK_WALK_PPM_PER_S = 0.05
"""How fast an oscillator's error may wander."""
_MOTION_M_PER_S = 50.0
"""How fast the distance to the reference may change."""
_LIGHT_M_PER_S = 299_792_458.0
_ACQUIRED_TIMING_US = 1.0
"""Acquisition sees the middle of all rays, tracking the first."""
_ACQUIRED_CFO_HZ = 100.0
_CFO_WALK_HZ_PER_S = 20.0
_FADING_TIMING_US = 0.05
"""Least spread of the measured timing that no signal-to-noise ratio removes: the channel's delays come and go."""
_ACQUIRED_FADING_US = 0.3
_FADING_GAIN = 0.05
_FADING_PER_MISS = 1.1
"""The spread's square is learnt from what is taken in, and grows where nothing can be."""
_PSBCH_PRODUCTS = 132
"""Pairs of reference elements, six subcarriers apart, that a timing measurement of the PSBCH averages."""
_PRODUCT_LAG = 6
_SLOT_S = 0.5e-3
_N_PSBCH_ELEMENTS = 72
_MAX_INNOVATION_SIGMAS = 5.0
FOLLOWER_LAG_S = 12 / 30.72e6
"""By how much a UE that follows transmits late: what comes back from its followers is then never before its reference.

12 T_s are the timing error TS 36.133 7.1.2 allows in the uplink of 3 MHz and more; the sidelink's own is not confirmed.
"""
_GATE_SIGMAS = 4.0
"""An arrival further from its prediction is not the reference's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingState:
    """Start of `subframe` in samples of the UE's clock, and samples from one subframe to the next.

    `p_start`, `p_cross` and `p_length` are the covariance of the two, `fading` the variance of what is measured.
    """

    subframe: int
    start: float
    length: float
    p_start: float
    p_cross: float
    p_length: float
    fading: float = 0.0

    def start_of(self, subframe: int) -> float:
        """Predicted start of a subframe, in samples."""
        return self.start + (subframe - self.subframe) * self.length

    def subframe_at(self, sample: float) -> int:
        """The subframe whose start is nearest to `sample`."""
        return self.subframe + round((sample - self.start) / self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class CfoState:
    """Carrier offset of the reference as the UE receives it, and its variance."""

    subframe: int
    cfo_hz: float
    variance: float


def acquired_timing(carrier: Carrier, subframe: int, start: float) -> TimingState:
    """Timing right after acquisition: the start is known, the clock only to its tolerance."""
    per_us = carrier.sample_rate_hz * 1e-6
    return TimingState(
        subframe=subframe,
        start=start,
        length=float(carrier.samples_per_subframe),
        p_start=(_ACQUIRED_TIMING_US * per_us) ** 2,
        p_cross=0.0,
        p_length=(carrier.samples_per_subframe * _MAX_CLOCK_ERROR_PPM * 1e-6) ** 2,
        fading=(_ACQUIRED_FADING_US * per_us) ** 2,
    )


def own_timing(carrier: Carrier, first_sample: int, subframe: int = 0) -> TimingState:
    """Timing of a UE that is the reference itself: exact, `subframe` starts at `first_sample`."""
    return TimingState(
        subframe=subframe,
        start=float(first_sample),
        length=float(carrier.samples_per_subframe),
        p_start=0.0,
        p_cross=0.0,
        p_length=0.0,
    )


def acquired_cfo(subframe: int, cfo_hz: float) -> CfoState:
    """Carrier offset right after acquisition."""
    return CfoState(subframe=subframe, cfo_hz=cfo_hz, variance=_ACQUIRED_CFO_HZ**2)


def track_timing(
    state: TimingState, carrier: Carrier, subframe: int, error_samples: float, snr_db: float
) -> TimingState:
    """Take in that `subframe` began `error_samples` after its prediction, as measured on a PSBCH at `snr_db`."""
    state = _predict(state, carrier, subframe)
    noise = _timing_noise(carrier, snr_db)
    total = state.p_start + noise + state.fading
    limit = _MAX_INNOVATION_SIGMAS * math.sqrt(total)
    error = min(max(error_samples, -limit), limit)
    gain_start, gain_length = state.p_start / total, state.p_cross / total
    unexplained = error * error - state.p_start - noise
    return replace(
        state,
        start=state.start + gain_start * error,
        length=state.length + gain_length * error,
        p_start=(1 - gain_start) * state.p_start,
        p_cross=(1 - gain_start) * state.p_cross,
        p_length=state.p_length - gain_length * state.p_cross,
        fading=max(state.fading + _FADING_GAIN * (unexplained - state.fading), _least_fading(carrier)),
    )


def track_arrivals(
    state: TimingState, carrier: Carrier, subframe: int, arrivals: Sequence[float], snr_db: float
) -> tuple[TimingState, float | None]:
    """Take in the earliest of `arrivals` that can be the reference's; return it too, None if none can be.

    `arrivals` are measured on a PSBCH at `snr_db`, in samples after the predicted start of `subframe`. An arrival later
    than the UE's own transmission may come from a follower, unless the timing itself is as uncertain.
    """
    unsure = _predict(state, carrier, subframe).p_start + _timing_noise(carrier, snr_db)
    gate = _GATE_SIGMAS * math.sqrt(unsure + state.fading)
    latest = min(gate, max(_GATE_SIGMAS * math.sqrt(unsure), FOLLOWER_LAG_S * carrier.sample_rate_hz))
    earliest = min((arrival for arrival in arrivals if -gate <= arrival <= latest), default=None)
    if earliest is None:
        return replace(state, fading=state.fading * _FADING_PER_MISS), None
    return track_timing(state, carrier, subframe, earliest, snr_db), earliest


def _predict(state: TimingState, carrier: Carrier, subframe: int) -> TimingState:
    """The state carried to `subframe`, grown less certain by motion and by the oscillator's wander."""
    n = subframe - state.subframe
    elapsed_s = abs(n) * 1e-3
    motion = _MOTION_M_PER_S * elapsed_s / _LIGHT_M_PER_S * carrier.sample_rate_hz
    wander = carrier.samples_per_subframe * _CLOCK_WALK_PPM_PER_S * 1e-6
    return replace(
        state,
        subframe=subframe,
        start=state.start_of(subframe),
        p_start=state.p_start + 2 * n * state.p_cross + n * n * state.p_length + motion**2,
        p_cross=state.p_cross + n * state.p_length,
        p_length=state.p_length + wander**2 * elapsed_s,
    )


def track_cfo(state: CfoState, subframe: int, error_hz: float, snr_db: float) -> CfoState:
    """Take in that the carrier in `subframe` was `error_hz` off the prediction, as measured on a PSBCH at `snr_db`."""
    elapsed_s = abs(subframe - state.subframe) * 1e-3
    predicted = state.variance + _CFO_WALK_HZ_PER_S**2 * elapsed_s
    total = predicted + _cfo_variance(snr_db)
    limit = _MAX_INNOVATION_SIGMAS * math.sqrt(total)
    gain = predicted / total
    return CfoState(
        subframe=subframe,
        cfo_hz=state.cfo_hz + gain * min(max(error_hz, -limit), limit),
        variance=(1 - gain) * predicted,
    )


def _phase_variance(snr_db: float, n_products: int) -> float:
    """Variance in rad^2 of the phase of a sum of products of two noisy elements."""
    ratio = 10 ** (-snr_db / 10)
    return (ratio + ratio * ratio / 2) / n_products


def _timing_noise(carrier: Carrier, snr_db: float) -> float:
    """Variance in samples^2 of the PSBCH's timing measurement by noise."""
    per_radian = carrier.fft_size / (2 * math.pi * _PRODUCT_LAG)
    return _phase_variance(snr_db, _PSBCH_PRODUCTS) * per_radian**2


def _least_fading(carrier: Carrier) -> float:
    return (_FADING_TIMING_US * carrier.sample_rate_hz * 1e-6) ** 2


def _cfo_variance(snr_db: float) -> float:
    """Variance in Hz^2 of the PSBCH's carrier offset measurement, with a floor for fading."""
    return _phase_variance(snr_db, _N_PSBCH_ELEMENTS) / (2 * math.pi * _SLOT_S) ** 2 + 1.0
