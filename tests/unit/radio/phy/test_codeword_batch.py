"""Codewords received together are what the definition receives one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from radio.arrays import Grid
from radio.phy.dsp.sequences import gold_signs, register_images
from radio.phy.lte.channels.psdch import MESSAGE_BITS, map_psdch, receive_psdch, receive_psdch_batch
from radio.phy.lte.channels.pssch import map_pssch, receive_pssch, receive_pssch_batch
from radio.phy.lte.channels.transmissions import PsdchTx, PsschTx
from radio.phy.lte.grid.codeword_batch import MOST_AT_ONCE
from radio.phy.lte.grid.dmrs import pssch_dmrs, pssch_dmrs_of, pssch_groups, pssch_groups_of
from radio.phy.lte.grid.layout import Mode, communication_layout
from radio.phy.lte.grid.mapping import AllocationError, CodewordReception, scrambling_signs
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.tbs import v2x_modulation_order, v2x_transport_block_size
from radio.phy.lte.grid.wiener import DELAY_SPREADS_US, filter_tables, ratio_step, wiener_filter
from radio.phy.lte.survey.dmrs_search import ReferenceProducts
from radio.phy.lte.survey.subframe_occupancy import OccupancyGate, _prb_powers

CARRIER = Carrier(50)
KINDS = [(Mode.TM12, 1, 3), (Mode.TM12, 2, 9), (Mode.TM12, 10, 15), (Mode.TM34, 3, 5), (Mode.TM34, 8, 22)]


def through_a_channel(grid: Grid, rng: np.random.Generator, amplitude: float = 1.0) -> Grid:
    """Late by some samples, off in frequency, in noise at 20 dB."""
    late = np.exp(0.02j * np.arange(grid.shape[1])) * np.exp(0.05j * np.arange(grid.shape[0]))[:, None]
    noise = rng.normal(0, 0.07, (*grid.shape, 2)) @ (1, 1j)
    return ((grid * late + noise) * amplitude).astype(np.complex64)


def assert_same(found: CodewordReception, expected: CodewordReception) -> None:
    scale = float(np.abs(expected.llrs).max())
    np.testing.assert_allclose(found.llrs, expected.llrs, rtol=2e-3, atol=2e-3 * scale)
    np.testing.assert_allclose(found.symbols, expected.symbols, atol=2e-3 * np.abs(expected.symbols).max())
    for name in ("snr_db", "evm_db", "cfo_hz", "timing_error_samples", "signal_power"):
        assert getattr(found, name) == pytest.approx(
            getattr(expected, name), rel=1e-3, abs=1e-3 * expected.signal_power
        )


@pytest.mark.parametrize("amplitude", [1.0, 1e-15])
@pytest.mark.parametrize(("mode", "width", "mcs"), KINDS)
def test_pssch(mode: Mode, width: int, mcs: int, amplitude: float) -> None:
    rng = np.random.default_rng(width)
    n = 4
    ids = rng.integers(0, 256 if mode is Mode.TM12 else 1 << 16, n)
    counters, firsts = rng.integers(0, 10, n), np.arange(n) * width + 5
    grid = np.zeros((CARRIER.n_symbols, CARRIER.n_subcarriers), np.complex64)
    octets = v2x_transport_block_size(mcs, width, 0) // 8
    prbs = [tuple(range(first, first + width)) for first in firsts.tolist()]
    for i in range(n):
        tx = PsschTx(
            prbs=prbs[i],
            mcs=mcs,
            n_id_sa=int(ids[i]),
            n_ssf=int(counters[i]),
            rv=0,
            transport_block=rng.bytes(octets),
        )
        map_pssch(grid, CARRIER, tx, mode)
    grid = through_a_channel(grid, rng, amplitude)
    qm = v2x_modulation_order(mcs, 0)
    batch = receive_pssch_batch(CARRIER, grid, firsts, width, qm, ids, counters, mode)
    assert len(batch) == n
    for i in range(n):
        expected = receive_pssch(CARRIER, grid, prbs[i], mcs, int(ids[i]), int(counters[i]), mode)
        assert_same(batch.reception(i), expected)


@pytest.mark.parametrize("cp", list(Cp))
def test_psdch(cp: Cp) -> None:
    carrier, rng = Carrier(100, cp), np.random.default_rng(7)
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    prbs = np.arange(0, 2 * (MOST_AT_ONCE + 3), 2)
    for prb in prbs.tolist():
        map_psdch(grid, carrier, PsdchTx(prb=prb, rv=0, message=rng.bytes(MESSAGE_BITS // 8)))
    grid = through_a_channel(grid, rng)
    batch = receive_psdch_batch(carrier, grid, prbs)
    for i, prb in enumerate(prbs.tolist()):
        assert_same(batch.reception(i), receive_psdch(carrier, grid, prb))
    assert not len(receive_psdch_batch(carrier, grid, prbs[:0]))


@pytest.mark.parametrize("prb", [-1, 49])
def test_what_leaves_the_carrier_is_refused(prb: int) -> None:
    grid = np.zeros((CARRIER.n_symbols, CARRIER.n_subcarriers), np.complex64)
    with pytest.raises(AllocationError, match="leaves the 50"):
        receive_psdch_batch(CARRIER, grid, np.array([3, prb]))


@pytest.mark.parametrize("mode", list(Mode))
def test_reference_signals(mode: Mode) -> None:
    rng = np.random.default_rng(3)
    ids, counters = rng.integers(0, 1 << 16, 20), rng.integers(0, 10, 20)
    together, groups = pssch_dmrs_of(4, ids, counters, mode), pssch_groups_of(ids, mode)
    for i, (n_id_x, n_ssf) in enumerate(zip(ids.tolist(), counters.tolist(), strict=True)):
        np.testing.assert_array_equal(groups[i], pssch_groups(n_id_x, mode))
        np.testing.assert_allclose(together[i], pssch_dmrs(4, n_id_x, n_ssf, mode), atol=1e-6)


@pytest.mark.parametrize("length", [1, 28, 29, 500])
@pytest.mark.parametrize("c_init", [0, 510, 0x7FFFFFFF])
def test_scrambling(c_init: int, length: int) -> None:
    signs = np.empty(length, dtype=np.float32)
    gold_signs(c_init, register_images(), np.empty(-(-length // 28), dtype=np.uint64), signs)
    np.testing.assert_array_equal(signs, scrambling_signs(c_init, length))


@pytest.mark.parametrize("n_subcarriers", [12, 24, 96])
def test_tables_of_filters(n_subcarriers: int) -> None:
    taps, errors = filter_tables(n_subcarriers)
    for s, spread_us in enumerate(DELAY_SPREADS_US):
        for snr_db in (-40.0, -9.0, -4.6, 0.0, 13.4, 36.0, 70.0):
            chosen = wiener_filter(n_subcarriers, snr_db, spread_us)
            np.testing.assert_array_equal(taps[s, ratio_step(snr_db)], chosen.taps)
            assert errors[s, ratio_step(snr_db)] == chosen.error


def test_coherence_with_groups_of_their_own() -> None:
    rng = np.random.default_rng(5)
    grid = (rng.normal(size=(14, 600, 2)) @ (1, 1j)).astype(np.complex64)
    products = ReferenceProducts.of(grid, np.array(communication_layout(Mode.TM34, Cp.NORMAL).dmrs))
    firsts, groups = np.array([0, 7, 42]), rng.integers(0, 30, (3, 4))
    coherence, energy = products.coherence_each(firsts, 8, groups)
    table, energies = products.coherence(firsts, 8, groups)
    np.testing.assert_allclose(coherence, np.diagonal(table), rtol=1e-5)
    np.testing.assert_array_equal(energy, energies)
    assert products.peak == pytest.approx(float(np.max(np.diff(products.energy))) / 4, rel=1e-5)


def test_powers_of_prbs_and_of_the_guard_around_them() -> None:
    rng = np.random.default_rng(6)
    grid = (rng.normal(size=(14, 180, 2)) @ (1, 1j)).astype(np.complex64)
    powers = (np.abs(grid.astype(np.complex128)) ** 2).reshape(14, 15, 12).mean(axis=2)
    sent, around = _prb_powers(grid, 2)
    np.testing.assert_allclose(sent, powers[:-1].mean(axis=0), rtol=1e-5)
    near = [powers[-1, max(prb - 2, 0) : prb + 3].mean() for prb in range(15)]
    np.testing.assert_allclose(around, near, rtol=1e-5)
    occupancy = OccupancyGate().take(grid)
    for width in (1, 2, 10):
        firsts = np.arange(15 - width + 1)
        np.testing.assert_array_equal(occupancy.occupied(firsts, width), occupancy.everywhere(width))
        excess = occupancy.excess[firsts + width] - occupancy.excess[firsts]
        noise = occupancy.noise[firsts + width] - occupancy.noise[firsts]
        np.testing.assert_array_equal(occupancy.everywhere(width), excess > 1.2 / np.sqrt(13 * 12 * width) * noise)
