"""Kernels of estimation, mapping and PSCCH against their plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

from radio.phy.dsp.modulation import QAM16, QAM64, QPSK, constellation, level_step, modulate, soft_bits
from radio.phy.dsp.rotation import rotate
from radio.phy.dsp.sequences import gold_sequence
from radio.phy.lte.channels import pscch, pscch_reference
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid import estimation, estimation_reference, mapping, mapping_reference, scfdma
from radio.phy.lte.grid.dmrs import pscch_dmrs, pssch_dmrs
from radio.phy.lte.grid.layout import Mode, communication_layout, pssch_layout
from radio.phy.lte.grid.mapping import allocation_subcarriers, scrambling_signs
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.wiener import wiener_filter
from radio.phy.lte.survey.dmrs_search import dmrs_coherence

CARRIER = Carrier(25)
LAYOUT = communication_layout(Mode.TM12, Cp.NORMAL)
SYMBOLS = np.array(LAYOUT.dmrs)
ALLOCATIONS = [tuple(range(3, 9)), (0,), (2, 3, 4, 20, 21)]
ORDERS = [QPSK, QAM16, QAM64]


def complex_noise(rng, *shape):
    return (rng.normal(size=(*shape, 2)) @ (1, 1j)).astype(np.complex64)


def estimates(prbs, seed=0):
    """Reference signals of an allocation through a sloping channel with noise, and what estimation starts from."""
    rng = np.random.default_rng(seed)
    subcarriers = allocation_subcarriers(CARRIER, prbs)
    dmrs = pssch_dmrs(len(prbs), 37, 4, Mode.TM12)
    grid = 0.1 * complex_noise(rng, 14, 300)
    grid[np.ix_(SYMBOLS, subcarriers)] += dmrs * np.exp(0.05j * subcarriers) * np.array([[1.0], [np.exp(0.4j)]])
    raw = np.empty(dmrs.shape, dtype=np.complex64)
    sums = estimation._least_squares(grid, subcarriers, SYMBOLS, dmrs, raw)
    return grid, subcarriers, dmrs, raw, sums


@pytest.mark.parametrize("prbs", ALLOCATIONS, ids=len)
def test_least_squares(prbs):
    grid, subcarriers, dmrs, raw, sums = estimates(prbs)
    plain, plain_sums = estimation_reference.least_squares(grid, subcarriers, SYMBOLS, dmrs)
    np.testing.assert_allclose(raw, plain, atol=1e-6)
    np.testing.assert_allclose(sums, plain_sums, rtol=1e-4)


@pytest.mark.parametrize("prbs", ALLOCATIONS, ids=len)
def test_phase_ramp_and_derotation(prbs):
    _, subcarriers, _, raw, _ = estimates(prbs)
    phases = np.array([0.3, -1.1])
    ramp = estimation._phase_ramp(subcarriers, -0.37)
    np.testing.assert_allclose(ramp, estimation_reference.phase_ramp(subcarriers, -0.37), atol=1e-5)
    plain, plain_noise = estimation_reference.derotate(raw, subcarriers, ramp, phases)
    noise = estimation._derotate(raw, subcarriers, ramp, phases)
    np.testing.assert_allclose(raw, plain, atol=1e-5)
    assert noise == pytest.approx(plain_noise, rel=1e-4)


@pytest.mark.parametrize(("first", "last"), [(0, 72), (12, 36), (30, 42), (5, 70)])
def test_smoothing(first, last):
    rng = np.random.default_rng(1)
    raw = complex_noise(rng, 2, 72)
    taps = wiener_filter(last - first, 9, 1.0).taps
    out = np.empty_like(raw)
    estimation._apply_filter(raw.view(np.float32), first, last, taps, out.view(np.float32))
    np.testing.assert_allclose(out[:, first:last], estimation_reference.apply_filter(raw, first, last, taps), atol=1e-5)


def test_mean_change():
    channel = complex_noise(np.random.default_rng(2), 4, 60)
    assert estimation._mean_change(channel) == pytest.approx(estimation_reference.mean_change(channel), rel=1e-5)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("rate", "error", "cfo_hz"), [(0.0, 0.1, 0.0), (2e5, 0.01, 300.0), (4e6, 1e-6, -1000.0)])
def test_time_weights(mode, rate, error, cfo_hz):
    instants = estimation._instants(CARRIER, communication_layout(mode, Cp.NORMAL))
    weights, left = estimation._time_weights(instants.dmrs, instants.data, rate, error, cfo_hz)
    plain, plain_left = estimation_reference.time_weights(instants.dmrs, instants.data, rate, error, cfo_hz)
    np.testing.assert_allclose(weights, plain, atol=1e-4)
    np.testing.assert_allclose(left, plain_left, atol=1e-4)


@pytest.mark.parametrize("qm", ORDERS)
@pytest.mark.parametrize("transmission_format", [0, 1])
def test_interleaving_scrambling_and_modulation(qm, transmission_format):
    layout = pssch_layout(Mode.TM34, Cp.NORMAL, transmission_format)
    n_columns, n_sent = len(layout.data), len(layout.sent)
    assert (n_columns, n_sent) == (10 - transmission_format, 9)
    bits = np.random.default_rng(3).integers(0, 2, n_columns * 24 * qm).astype(np.uint8)
    scrambling = gold_sequence(99, bits.size)
    out = np.empty((n_sent, 24), dtype=np.complex64)
    mapping._interleave_and_map(bits, scrambling, qm, constellation(qm), n_columns, out)
    plain = mapping_reference.interleave_and_map(bits, scrambling, qm, n_columns, n_sent)
    np.testing.assert_array_equal(out, plain)


def test_placing():
    values = complex_noise(np.random.default_rng(4), 2, 60)
    subcarriers = allocation_subcarriers(CARRIER, ALLOCATIONS[2])
    grid, plain = np.zeros((2, 14, 300), np.complex64)
    mapping._place(values, SYMBOLS, subcarriers, grid)
    plain[np.ix_(SYMBOLS, subcarriers)] = values
    np.testing.assert_array_equal(grid, plain)


@pytest.mark.parametrize("mode", list(Mode))
def test_equaliser(mode):
    layout = communication_layout(mode, Cp.NORMAL)
    rng = np.random.default_rng(5)
    subcarriers = allocation_subcarriers(CARRIER, ALLOCATIONS[2])
    n_dmrs, n_sent = len(layout.dmrs), len(layout.sent)
    grid, channel = complex_noise(rng, 14, 300), complex_noise(rng, n_dmrs, 60)
    weights, disturbance = complex_noise(rng, n_sent, n_dmrs), rng.random(n_sent).astype(np.float32) + 0.01
    out = np.empty((n_sent, 60), dtype=np.complex64)
    arguments = (grid, np.array(layout.sent), subcarriers, channel, weights, disturbance)
    gains = mapping._equalise(*arguments, out)
    plain, plain_gains = mapping_reference.equalise(*arguments)
    np.testing.assert_allclose(out, plain, atol=1e-4)
    np.testing.assert_allclose(gains, plain_gains, atol=1e-5)


@pytest.mark.parametrize("qm", ORDERS)
@pytest.mark.parametrize("n_columns", [9, 10])
def test_soft_demodulation(qm, n_columns):
    rng = np.random.default_rng(6)
    gains = np.array([0.2, 0.5, 0.9, 0.99, 0.999, 1.0, 0.7, 0.8, 0.0], dtype=np.float32)
    sent = modulate(rng.integers(0, 2, 9 * 36 * qm).astype(np.uint8), qm).reshape(9, 36)
    received = (gains[:, None] * sent + 0.05 * complex_noise(rng, 9, 36)).astype(np.complex64)
    received[-1] = 0
    signs = scrambling_signs(1234, n_columns * 36 * qm)
    symbols, llrs = np.empty((9, 36), np.complex64), np.zeros(signs.size, np.float32)
    error = mapping._soft_demodulate(received, gains, qm, level_step(qm), signs, n_columns, symbols, llrs)
    plain, plain_llrs, plain_error = mapping_reference.soft_demodulate(received, gains, qm, signs, n_columns)
    np.testing.assert_allclose(symbols, plain, rtol=1e-4)
    np.testing.assert_allclose(llrs, plain_llrs, rtol=2e-3, atol=1e-2)
    assert error == pytest.approx(plain_error, rel=1e-3)


@pytest.mark.parametrize("qm", ORDERS)
def test_soft_bits_are_max_log_likelihood_ratios(qm):
    """Squared distance to the nearest point where the bit is 1, less that where it is 0, over the noise variance."""
    symbols = complex_noise(np.random.default_rng(7), 500) * np.float32(0.8)
    distances = np.abs(symbols[:, None] - constellation(qm)) ** 2
    bits = np.arange(1 << qm)[:, None] >> np.arange(qm - 1, -1, -1) & 1
    plain = [[d[bits[:, k] == 1].min() - d[bits[:, k] == 0].min() for k in range(qm)] for d in distances]
    np.testing.assert_allclose(soft_bits(symbols, qm, 0.3), np.ravel(plain) / 0.3, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("number", "point"),
    [
        *((0, 3 + 3j), (1, 3 + 1j), (2, 1 + 3j), (3, 1 + 1j), (4, 3 + 5j), (5, 3 + 7j)),
        *((8, 5 + 3j), (12, 5 + 5j), (15, 7 + 7j), (16, 3 - 3j), (32, -3 + 3j), (63, -7 - 7j)),
    ],
)
def test_points_of_64qam(number, point):
    """TS 36.211 Table 7.1.4-1."""
    assert constellation(QAM64)[number] * np.sqrt(42) == pytest.approx(point, abs=1e-5)


@pytest.mark.parametrize("cp", list(Cp))
def test_control_candidates(cp):
    carrier, layout = Carrier(15, cp), communication_layout(Mode.TM12, cp)
    rng = np.random.default_rng(8)
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    for prb in range(0, 15, 2):
        sci = SciFormat0(riv=prb, i_trp=prb, mcs=prb, group_destination_id=prb)
        pscch.map_pscch(grid, carrier, sci, prb)
    symbol_phases = 0.15 * np.arange(carrier.n_symbols)[:, None]
    grid = grid * np.exp(1j * (symbol_phases - 0.03 * np.arange(180))) + 0.2 * complex_noise(rng, *grid.shape)
    grid = grid.astype(np.complex64)
    prbs = np.arange(15)
    dmrs_symbols, data_symbols = np.array(layout.dmrs), np.array(layout.sent)
    channel, figures = pscch._estimate_candidates(grid, prbs, dmrs_symbols, pscch_dmrs(), pscch._filters())
    llrs = pscch._demodulate_candidates(grid, prbs, layout, dmrs_symbols, data_symbols, channel, figures)
    signs = scrambling_signs(pscch.C_INIT, llrs.shape[1])
    for prb in range(15):
        plain = pscch_reference.estimate_candidate(grid, prb, dmrs_symbols, pscch_dmrs(), pscch._filters())
        expected = (plain.energy, plain.coherence, plain.signal, plain.noise, plain.turn, plain.slope)
        np.testing.assert_allclose(figures[prb], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(channel[prb], plain.channel, atol=1e-3)
        plain_llrs = pscch_reference.candidate_llrs(
            grid, prb, dmrs_symbols, data_symbols, plain, signs, len(layout.data)
        )
        np.testing.assert_allclose(llrs[prb], plain_llrs, rtol=1e-2, atol=2e-2)


def test_coherence_of_reference_signals():
    grid, subcarriers, dmrs, _, _ = estimates(ALLOCATIONS[0])
    firsts = np.arange(0, 300 - subcarriers.size, 12)
    coherence, energy = dmrs_coherence(grid, firsts, SYMBOLS, dmrs)
    for i, first in enumerate(firsts):
        h = grid[SYMBOLS, first : first + subcarriers.size] * np.conj(dmrs)
        total = np.sum(np.abs(h) ** 2)
        near = abs(np.sum(h[:, 1:] * np.conj(h[:, :-1])))
        assert energy[i] == pytest.approx(total / h.size, rel=1e-4)
        assert coherence[i] == pytest.approx(near / total * h.shape[1] / (h.shape[1] - 1), rel=1e-3, abs=1e-5)
    assert firsts[np.argmax(coherence)] == subcarriers[0]


@pytest.mark.parametrize("cp", list(Cp))
def test_prefixes(cp):
    carrier = Carrier(6, cp)
    tables = scfdma._tables(carrier)
    symbols = complex_noise(np.random.default_rng(9), carrier.n_symbols, carrier.fft_size)
    iq = np.empty(carrier.samples_per_subframe, dtype=np.complex64)
    scfdma._add_prefixes(symbols, tables.phasor, tables.longest_cp, tables.useful_starts, tables.cp_samples, iq)
    back = np.empty_like(symbols)
    scfdma._remove_prefixes(iq, tables.useful_phasor, tables.useful_starts, back)
    lowest = 0.5 - carrier.n_subcarriers / 2
    for symbol in range(carrier.n_symbols):
        cp_length, start = carrier.cp_samples[symbol], carrier.symbol_starts[symbol]
        n = np.arange(-cp_length, carrier.fft_size)
        plain = symbols[symbol, n % carrier.fft_size] * np.exp(2j * np.pi * lowest * n / carrier.fft_size)
        plain /= np.sqrt(carrier.fft_size)
        np.testing.assert_allclose(iq[start : start + n.size], plain, atol=1e-5)
        np.testing.assert_allclose(back[symbol], symbols[symbol] / carrier.fft_size, atol=1e-5)


@pytest.mark.parametrize("cp", list(Cp))
@pytest.mark.parametrize(("cfo_hz", "first_sample"), [(731.0, 0), (-4200.5, 123_456_789), (0.0, 77)])
def test_a_carrier_offset_taken_out_with_the_prefixes(cp, cfo_hz, first_sample):
    carrier = Carrier(15, cp)
    iq = complex_noise(np.random.default_rng(10), carrier.samples_per_subframe)
    plain = scfdma.demodulate(carrier, rotate(iq, -cfo_hz, carrier.sample_rate_hz, first_sample))
    np.testing.assert_allclose(scfdma.demodulate(carrier, iq, cfo_hz, first_sample), plain, atol=2e-4)
