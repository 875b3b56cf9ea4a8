"""PSSS search, SSSS identification and PSBCH from any start sample, carrier offset and noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radio.arrays import Iq
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.mib import MibSl, MibSlV2x
from radio.phy.lte.channels.psbch import map_psbch
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.sync import psss_search
from radio.phy.lte.sync.acquisition import SyncSource, acquire
from radio.phy.lte.sync.psss_search import PsssSearch


def occasion(carrier: Carrier, n_sl_id: int, mib: MibSl) -> Iq:
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    map_slss(grid, carrier, n_sl_id, Mode.TM34 if isinstance(mib, MibSlV2x) else Mode.TM12)
    map_psbch(grid, carrier, mib, n_sl_id)
    return scfdma.modulate(carrier, grid)


def received(carrier: Carrier, burst: Iq, start: int, cfo_hz: float, snr_db: float, rng: np.random.Generator) -> Iq:
    noise = rng.normal(size=(4 * carrier.samples_per_subframe, 2)).astype(np.float32).view(np.complex64)[:, 0]
    iq = noise * np.float32(10 ** (-snr_db / 20) / np.sqrt(2))
    iq[start : start + burst.size] += rotate(burst, cfo_hz, carrier.sample_rate_hz)
    return iq


def acquired(carrier: Carrier, iq: Iq, cps: tuple[Cp, ...] | None = None) -> list[SyncSource]:
    search = PsssSearch(carrier, cps)
    step = carrier.samples_per_subframe
    sources = []
    for begin in range(0, iq.size, step):
        for peak in search.push(iq[begin : begin + step]):
            source = acquire(carrier, iq, replace(peak, subframe_offset=peak.subframe_offset + begin))
            if source is not None and source.psbch.mib is not None:
                sources.append(source)
    return sources


@pytest.mark.parametrize("n_sl_id", [0, 29, 30, 167, 168, 252, 335])
@pytest.mark.parametrize(
    ("carrier", "v2x"),
    [
        (Carrier(6), False),
        (Carrier(25), True),
        (Carrier(50, Cp.EXTENDED), False),
        (Carrier(50, Cp.NORMAL, 768), True),
        (Carrier(100, Cp.NORMAL, 1536), False),
    ],
    ids=str,
)
def test_every_form_is_found(carrier: Carrier, v2x: bool, n_sl_id: int) -> None:
    rng = np.random.default_rng(n_sl_id)
    form = MibSlV2x if v2x else MibSl
    mib = form(bandwidth_prb=carrier.n_prb, dfn=n_sl_id, subframe=n_sl_id % 10, in_coverage=True)
    start = int(rng.integers(200, 2 * carrier.samples_per_subframe))
    cfo_hz = float(rng.uniform(-7500, 7500))
    iq = received(carrier, occasion(carrier, n_sl_id, mib), start, cfo_hz, 10, rng)
    (source,) = acquired(carrier, iq, tuple(Cp))
    assert source.slss.n_sl_id == n_sl_id
    assert source.slss.cp is carrier.cp
    assert source.psbch.mib == mib
    assert source.subframe_start == pytest.approx(start, abs=0.003 * carrier.fft_size)
    assert source.cfo_hz == pytest.approx(cfo_hz, abs=60)


def test_one_occasion_at_minus_3_db() -> None:
    carrier = Carrier(15)
    rng = np.random.default_rng(3)
    n_trials, n_found = 100, 0
    for _ in range(n_trials):
        n_sl_id = int(rng.integers(336))
        mib = MibSl(bandwidth_prb=15, dfn=int(rng.integers(1024)), subframe=int(rng.integers(10)), in_coverage=False)
        start = int(rng.integers(200, 2 * carrier.samples_per_subframe))
        cfo_hz = float(rng.uniform(-7500, 7500))
        sources = acquired(carrier, received(carrier, occasion(carrier, n_sl_id, mib), start, cfo_hz, -3, rng))
        n_found += any(s.psbch.mib == mib and s.slss.n_sl_id == n_sl_id for s in sources)
    assert n_found >= 95


def test_noise_is_no_source() -> None:
    carrier = Carrier(6)
    rng = np.random.default_rng(4)
    search = PsssSearch(carrier, tuple(Cp))
    n_peaks = 0
    for _ in range(1000):
        noise = rng.normal(size=(carrier.samples_per_subframe, 2)).astype(np.float32).view(np.complex64)[:, 0]
        n_peaks += len(search.push(noise))
    assert n_peaks <= 1


def test_decimation_kernel_is_the_definition() -> None:
    rng = np.random.default_rng(5)
    block = rng.normal(size=(400, 2)).astype(np.float32).view(np.complex64)[:, 0]
    taps = psss_search._decimation_taps(4)
    out = np.empty((block.size - taps.size) // 4 + 1, dtype=np.complex64)
    psss_search._decimate(block, taps, 4, out)
    expected = [np.dot(taps, block[4 * m : 4 * m + taps.size]) for m in range(out.size)]
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


def test_combination_kernel_is_the_definition() -> None:
    rng = np.random.default_rng(6)
    window, *rows = (rng.normal(size=(600, 2)).astype(np.float32).view(np.complex64)[:, 0] for _ in range(4))
    correlations, lag, n_places = np.array(rows), 137, 300
    steps = np.exp(1j * np.array([0.3, -1.2, 2.2])).astype(np.complex64)
    metric = psss_search._combine(psss_search._running_energy(window), correlations, steps, lag, n_places)
    power = np.abs(correlations[:, :n_places] + correlations[:, lag : lag + n_places] * steps[:, None]) ** 2
    square = np.abs(window) ** 2
    energy = np.array([square[p : p + 128].sum() + square[p + lag : p + lag + 128].sum() for p in range(n_places)])
    floor = square.mean() * 1e-3
    np.testing.assert_allclose(metric, power.max(axis=0) / (2 * (energy + floor)), rtol=1e-4)
