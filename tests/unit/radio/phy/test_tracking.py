"""Timing and carrier loops: a clock 10 ppm off is followed, outliers do little."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radio.phy.numerology import Carrier
from radio.phy.tracking import acquired_cfo, acquired_timing, track_cfo, track_timing

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
