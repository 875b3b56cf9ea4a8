"""Timing and carrier loops: a clock 10 ppm off is followed, outliers do little."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.sync.tracking import (
    FOLLOWER_LAG_S,
    TimingState,
    acquired_cfo,
    acquired_timing,
    track_arrivals,
    track_cfo,
    track_timing,
)

CARRIER = Carrier(50)


@pytest.mark.parametrize("ppm", [-10.0, 10.0])
@pytest.mark.parametrize("snr_db", [-3.0, 20.0])
def test_ten_minutes_of_clock_error(ppm: float, snr_db: float) -> None:
    rng = np.random.default_rng(1)
    length = CARRIER.samples_per_subframe * (1 + ppm * 1e-6)
    sigma = 5.0 if snr_db < 0 else 0.8
    state = acquired_timing(CARRIER, 0, rng.normal(0, sigma))
    errors = []
    for subframe in range(40, 600_000, 40):
        true_start = subframe * length
        errors.append(state.start_of(subframe) - true_start)
        measured = true_start + rng.normal(0, sigma) - state.start_of(subframe)
        state = track_timing(state, CARRIER, subframe, measured, snr_db)
    assert max(abs(e) for e in errors) < 20
    assert math.sqrt(np.mean(np.square(errors[25:]))) < sigma
    assert state.length == pytest.approx(length, abs=0.02)


def test_carrier_follows_a_drift_through_noise() -> None:
    rng = np.random.default_rng(2)
    state = acquired_cfo(0, 980.0)
    errors = []
    for subframe in range(40, 40_000, 40):
        true_hz = 1000 + 5e-3 * subframe
        errors.append(state.cfo_hz - true_hz)
        state = track_cfo(state, subframe, true_hz + rng.normal(0, 15) - state.cfo_hz, 10.0)
    assert math.sqrt(np.mean(np.square(errors[10:]))) < 15


def test_an_outlier_is_limited() -> None:
    state = acquired_timing(CARRIER, 0, 0.0)
    for subframe in range(40, 2000, 40):
        state = track_timing(state, CARRIER, subframe, 0.0, 15.0)
    moved = track_timing(state, CARRIER, 2000, 500.0, 15.0)
    assert abs(moved.start_of(2000) - state.start_of(2000)) < 5


def settled(spread_samples: float = 0.0) -> TimingState:
    """Timing after eight seconds of arrivals around their prediction."""
    rng = np.random.default_rng(3)
    state = acquired_timing(CARRIER, 0, 0.0)
    for subframe in range(40, 8000, 40):
        state, _ = track_arrivals(state, CARRIER, subframe, [rng.normal(0, spread_samples)], 15.0)
    return state


def test_right_after_acquisition_the_first_of_all_rays_is_taken() -> None:
    # Acquisition sees the middle of two rays 4 us apart: the first comes 2 us before that.
    state = acquired_timing(CARRIER, 0, 0.0)
    early, late = -2e-6 * CARRIER.sample_rate_hz, 2e-6 * CARRIER.sample_rate_hz
    state, taken = track_arrivals(state, CARRIER, 0, [late, early], 15.0)
    assert taken == early and state.start < early / 2


def test_a_follower_alone_is_not_taken_for_the_reference() -> None:
    state = settled()
    lag = FOLLOWER_LAG_S * CARRIER.sample_rate_hz
    assert track_arrivals(state, CARRIER, 8000, [0.5, 1.1 * lag], 15.0)[1] == 0.5
    for subframe in range(8000, 8480, 40):
        coasting, taken = track_arrivals(state, CARRIER, subframe, [1.1 * lag], 15.0)
        assert taken is None and coasting.start_of(9000) == state.start_of(9000)
        state = coasting


def test_what_a_fading_channel_spreads_is_learnt() -> None:
    early = -0.4e-6 * CARRIER.sample_rate_hz
    assert track_arrivals(settled(), CARRIER, 8000, [early], 15.0)[1] is None
    assert track_arrivals(settled(0.2e-6 * CARRIER.sample_rate_hz), CARRIER, 8000, [early], 15.0)[1] == early


def test_a_gate_that_lets_nothing_in_opens() -> None:
    state, early = settled(), -0.4e-6 * CARRIER.sample_rate_hz
    for subframe in range(8000, 16_000, 40):
        state, taken = track_arrivals(state, CARRIER, subframe, [early], 15.0)
        if taken is not None:
            break
    assert taken == early and subframe > 8000
