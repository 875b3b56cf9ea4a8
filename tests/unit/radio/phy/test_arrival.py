"""Arrival of SLSS over one ray and two: against what was put in, and the kernel against its plain definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from radio.arrays import Grid
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psbch import map_psbch
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.sync import arrival
from radio.phy.lte.sync.arrival import arrivals

N_SL_ID = 217


def received(
    carrier: Carrier,
    *rays: tuple[float, complex],
    snr_db: float,
    seed: int = 0,
    cfo_hz: float = 0.0,
    n_sl_id: int = N_SL_ID,
) -> Grid:
    """Grid of an SLSS subframe over rays of (delay in samples, gain), in noise."""
    sent = np.zeros((carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    map_slss(sent, carrier, n_sl_id, Mode.TM12)
    map_psbch(sent, carrier, MibSl(bandwidth_prb=carrier.n_prb, dfn=0, subframe=0, in_coverage=False), n_sl_id)
    k = np.arange(carrier.n_subcarriers)
    channel = sum(gain * np.exp(-2j * np.pi * delay * k / carrier.fft_size) for delay, gain in rays)
    places_s = (np.array(carrier.symbol_starts) + np.array(carrier.cp_samples)) / carrier.sample_rate_hz
    noise = np.random.default_rng(seed).normal(size=(*sent.shape, 2)) @ (1, 1j) * 10 ** (-snr_db / 20) / math.sqrt(2)
    return (sent * channel * np.exp(2j * np.pi * cfo_hz * places_s)[:, None] + noise).astype(np.complex64)


@pytest.mark.parametrize("carrier", [Carrier(6), Carrier(50), Carrier(15, Cp.EXTENDED)], ids=str)
@pytest.mark.parametrize("offset_us", [-2.0, -0.13, 0.0, 0.72])
def test_one_ray_stays_one(carrier: Carrier, offset_us: float) -> None:
    per_us = carrier.sample_rate_hz * 1e-6
    for seed in range(20):
        grid = received(carrier, (2.25 + offset_us * per_us, 1j), snr_db=0, seed=seed, cfo_hz=70.0)
        (found,) = arrivals(carrier, grid, N_SL_ID, 70.0, 2.25)
        assert found / per_us == pytest.approx(offset_us, abs=0.1)


@pytest.mark.parametrize("carrier", [Carrier(6), Carrier(50), Carrier(15, Cp.EXTENDED)], ids=str)
@pytest.mark.parametrize("phase", [0.0, 1.5, math.pi])
@pytest.mark.parametrize("echo", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("apart_us", [0.4, 1.0, 4.0])
def test_a_later_copy_does_not_move_the_first_ray(carrier: Carrier, phase: float, echo: float, apart_us: float) -> None:
    per_us = carrier.sample_rate_hz * 1e-6
    rays = (3.0 + 0.07 * per_us, 1.0 + 0j), (3.0 + (0.07 + apart_us) * per_us, echo * np.exp(1j * phase))
    first, second = arrivals(carrier, received(carrier, *rays, snr_db=15), N_SL_ID, 0.0, 3.0)
    assert first / per_us == pytest.approx(0.07, abs=0.08)
    assert second / per_us == pytest.approx(0.07 + apart_us, abs=0.08)


def test_a_stranger_in_the_same_subframe_is_no_ray() -> None:
    carrier = Carrier(15)
    stranger = received(carrier, (-7.0, 1.0), snr_db=100, n_sl_id=N_SL_ID + 37)
    (found,) = arrivals(carrier, stranger + received(carrier, (0.0, 1.0), snr_db=20), N_SL_ID, 0.0, 0.0)
    assert found == pytest.approx(0.0, abs=0.4)


def test_a_ray_twenty_db_down_is_left_out() -> None:
    carrier = Carrier(6)
    (found,) = arrivals(carrier, received(carrier, (0.0, 1.0), (-3.0, 0.06), snr_db=40), N_SL_ID, 0.0, 0.0)
    assert found == pytest.approx(0.0, abs=0.1)
    weak, strong = arrivals(carrier, received(carrier, (0.0, 1.0), (-3.0, 0.15), snr_db=40), N_SL_ID, 0.0, 0.0)
    assert (weak, strong) == pytest.approx((-3.0, 0.0), abs=0.1)


def test_the_kernel_is_least_squares_over_all_pairs() -> None:
    rng = np.random.default_rng(4)
    n, step = 62, 0.03
    k = np.arange(n) - (n - 1) / 2
    for _ in range(5):
        slopes = np.array([0.011, 0.011 + rng.uniform(0.08, 0.4)])
        gains = rng.normal(size=2) + 1j * rng.normal(size=2)
        channel = np.exp(-1j * np.outer(k, slopes)) @ gains + 0.02 * (rng.normal(size=(n, 2)) @ (1, 1j))
        n_rays, first, first_power, second, second_power = arrival._fit(channel, -0.3, step, 30)
        assert n_rays == 2
        assert (first, second) == pytest.approx(tuple(slopes), abs=0.01)
        model = np.exp(-1j * np.outer(k, [first, second]))
        solved, *_ = np.linalg.lstsq(model, channel, rcond=None)
        assert (first_power, second_power) == pytest.approx(tuple(np.abs(solved) ** 2))

        def left(pair: tuple[float, float], channel: np.ndarray = channel) -> float:
            model = np.exp(-1j * np.outer(k, pair))
            return float(np.linalg.norm(channel - model @ np.linalg.lstsq(model, channel, rcond=None)[0]))

        coarse = -0.3 + step * np.arange(30)
        assert left((first, second)) <= min(left((a, b)) for a in coarse for b in coarse if b > a + 1.5 * step) + 1e-9
