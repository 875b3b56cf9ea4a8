"""Reception of every sidelink channel: others' waveforms under noise, recordings, and the estimator's own figures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.dsp.modulation import soft_bits
from radio.phy.dsp.sequences import gold_sequence
from radio.phy.lte.channels.mib import MibSlV2x
from radio.phy.lte.channels.psbch import map_psbch, receive_psbch
from radio.phy.lte.channels.pscch import map_pscch, receive_pscch
from radio.phy.lte.channels.psdch import MESSAGE_BITS, PsdchError, map_psdch, receive_psdch
from radio.phy.lte.channels.pssch import PsschError, map_pssch, receive_pssch
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer
from radio.phy.lte.channels.transmissions import PsdchTx, PsschTx
from radio.phy.lte.channels.v2x_pscch import V2xPscchReception, map_v2x_pscch, receive_v2x_pscch
from radio.phy.lte.grid.dmrs import pssch_dmrs
from radio.phy.lte.grid.estimation import estimate_channel
from radio.phy.lte.grid.layout import LayoutError, Mode, communication_layout
from radio.phy.lte.grid.mapping import AllocationError, allocation_subcarriers, demodulate_codeword
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.precoding_width import is_valid_width, largest_valid_width
from radio.phy.lte.grid.riv import decode_riv
from radio.phy.lte.grid.scfdma import SubframeShapeError, demodulate, modulate
from radio.phy.lte.grid.tbs import modulation_order, transport_block_size
from radio.phy.lte.grid.wiener import DELAY_SPREADS_US, wiener_filter

VECTORS = Path(__file__).parents[3] / "vectors" / "phy"
SRSRAN = VECTORS / "srsran"
LTE_SIDELINK = VECTORS / "lte-sidelink"
SHARED = Path(os.environ.get("PC5LAB_SHARED", Path(__file__).parents[5] / "shared"))
CAPTURES = SHARED / "vectors" / "phy" / "captures"


def load(name):
    return json.loads((SRSRAN / name).read_text())


def impaired(carrier, iq, rng, *, snr_db=15.0, cfo_hz=120.0, delay=2, gain=1e-3):
    """The waveform late, off frequency, in noise relative to its resource elements, at an arbitrary level."""
    grid = demodulate(carrier, iq)
    power = np.mean(np.abs(grid[np.abs(grid) > 1e-3 * np.abs(grid).max()]) ** 2)
    n = np.arange(iq.size)
    late = np.roll(iq, delay) * np.exp(2j * np.pi * cfo_hz * n / carrier.sample_rate_hz)
    noise = rng.normal(size=(iq.size, 2)) @ (1, 1j) * np.sqrt(power / 2 * 10 ** (-snr_db / 10))
    return (gain * (late + noise)).astype(np.complex64)


def carrier_of(entry):
    return Carrier(entry["nof_prb"], Cp.EXTENDED if entry["cp"] == "ext" else Cp.NORMAL)


@pytest.mark.parametrize("entry", load("psbch.json"), ids=lambda e: e["iq"])
def test_psbch_of_srsran(entry):
    carrier = carrier_of(entry)
    iq = impaired(carrier, np.fromfile(SRSRAN / entry["iq"], np.complex64), np.random.default_rng(1))
    received = receive_psbch(carrier, demodulate(carrier, iq), entry["N_sl_id"])
    assert received.crc_ok
    assert bits_to_bytes(received.bits).hex() == entry["mib_hex"]
    assert received.cfo_hz == pytest.approx(120, abs=15)
    assert received.timing_error_samples == pytest.approx(2, abs=1)
    assert received.snr_db == pytest.approx(15, abs=1.5)


@pytest.mark.parametrize("entry", load("pscch.json"), ids=lambda e: e["iq"])
def test_pscch_of_srsran(entry):
    carrier = carrier_of(entry)
    iq = impaired(carrier, np.fromfile(SRSRAN / entry["iq"], np.complex64), np.random.default_rng(2), snr_db=6)
    found = receive_pscch(carrier, demodulate(carrier, iq), range(carrier.n_prb))
    assert [received.prb for received in found] == [entry["pscch_prb"]]
    assert bits_to_bytes(found[0].bits).hex() == entry["sci_hex"].ljust(-(-entry["sci_len"] // 8) * 2, "0")
    assert found[0].cfo_hz == pytest.approx(120, abs=80)


SELF_SUFFICIENT = [entry for entry in load("pssch.json") if not (entry["rv"] == 1 and entry["mcs"] == 14)]
"""All but the one whose redundancy version alone holds too little to decode."""


@pytest.mark.parametrize("entry", SELF_SUFFICIENT, ids=lambda e: e["iq"])
def test_pssch_of_srsran(entry):
    carrier = carrier_of(entry)
    iq = impaired(carrier, np.fromfile(SRSRAN / entry["iq"], np.complex64), np.random.default_rng(3), snr_db=22)
    prbs = tuple(range(entry["prb_start"], entry["prb_start"] + entry["L_PRB"]))
    grid = demodulate(carrier, iq)
    received = receive_pssch(carrier, grid, prbs, entry["mcs"], entry["n_sa_id"], entry["n_ssf"])
    buffer = SlSchSoftBuffer(entry["tb_len"])
    buffer.combine(received.llrs, entry["Qm"], entry["rv"])
    decoded = buffer.decode()
    assert decoded.crc_ok
    assert bits_to_bytes(decoded.bits).hex() == entry["tb_hex"]
    assert received.llrs.size == entry["G"]
    assert received.cfo_hz == pytest.approx(120, abs=25)


@pytest.mark.parametrize("path", sorted(LTE_SIDELINK.glob("psdch_p*.json")), ids=lambda p: p.stem)
def test_psdch_of_lte_sidelink(path):
    entry = json.loads(path.read_text())
    carrier = Carrier(entry["NSLRB"])
    iq = impaired(carrier, np.fromfile(LTE_SIDELINK / entry["iq"], np.complex64), np.random.default_rng(4), snr_db=6)
    received = receive_psdch(carrier, demodulate(carrier, iq), entry["prbs"][0])
    buffer = SlSchSoftBuffer(MESSAGE_BITS)
    buffer.combine(received.llrs, 2, 0)
    decoded = buffer.decode()
    assert decoded.crc_ok
    assert bits_to_bytes(decoded.bits).hex() == entry["message_hex"]


def captures():
    path = CAPTURES / "expected.json"
    return json.loads(path.read_text())["files"] if path.exists() else []


@pytest.mark.interop
@pytest.mark.skipif(not captures(), reason="the recordings are not beside this checkout (PC5LAB_SHARED)")
@pytest.mark.parametrize("entry", captures(), ids=lambda e: e["file"])
def test_recordings(entry):
    """At the known subframe alignment, everything that is known to be in a recording comes out."""
    mode = Mode.TM12 if entry["transmission_mode"] <= 2 else Mode.TM34
    carrier = Carrier(entry["nof_prb"], Cp.EXTENDED if entry["cp"] == "ext" else Cp.NORMAL, entry["fft"])
    iq = np.fromfile(CAPTURES / entry["file"], np.complex64)
    iq = np.concatenate((iq[entry["start_sample"] :], np.zeros(entry["start_sample"], np.complex64)))
    grids = [demodulate(carrier, part) for part in iq.reshape(-1, carrier.samples_per_subframe)]
    if "slss" in entry:
        received = receive_psbch(carrier, grids[0], entry["slss"]["N_sl_id"], mode)
        assert received.crc_ok
        assert bits_to_bytes(received.bits).hex() == entry["mib_sl"]["mib_hex"]
    for expected in entry["expected_sci"]:
        grid = grids[expected["subframe"]]
        if mode is Mode.TM12:
            found = receive_pscch(carrier, grid, range(carrier.n_prb))
        else:
            size, number = entry["size_sub_channel"], entry["num_sub_channel"]
            found = receive_v2x_pscch(carrier, grid, range(0, size * number, size), number)
            assert isinstance(found[0], V2xPscchReception)
            assert found[0].cyclic_shift == expected["cshift"]
        digits = len(expected["bits_hex"])
        assert [(r.prb, f"{r.crc:04x}", bits_to_bytes(r.bits).hex()[:digits]) for r in found] == [
            (expected["prb"], expected["crc_hex"], expected["bits_hex"])
        ]
    for expected in entry["expected_tb"]:
        prbs = tuple(range(expected["prb_start"], expected["prb_start"] + expected["L_PRB"]))
        grid = grids[expected["subframe"]]
        codeword = receive_pssch(carrier, grid, prbs, expected["mcs"], expected["n_x_id"], expected["n_ssf"], mode)
        buffer = SlSchSoftBuffer(expected["tb_len"])
        buffer.combine(codeword.llrs, modulation_order(expected["mcs"]), expected["rv"])
        decoded = buffer.decode()
        assert decoded.crc_ok
        assert bits_to_bytes(decoded.bits).hex() == expected["tb_hex"]


@pytest.mark.interop
@pytest.mark.skipif(not captures(), reason="the recordings are not beside this checkout (PC5LAB_SHARED)")
@pytest.mark.parametrize("entry", [e for e in captures() if e["pssch_not_decoded"]], ids=lambda e: e["file"])
def test_blocks_whose_reference_signals_count_slots_anew(entry):
    """Ideal V2X signals: scrambled with the subframe number, reference signals as in subframe 0."""
    carrier = Carrier(entry["nof_prb"])
    (expected,) = entry["pssch_not_decoded"]
    iq = np.fromfile(CAPTURES / entry["file"], np.complex64).reshape(-1, carrier.samples_per_subframe)
    subframe = expected["subframe"]
    prbs = tuple(range(expected["prb_start"], expected["prb_start"] + expected["L_PRB"]))
    grid = demodulate(carrier, iq[subframe])
    codeword = receive_pssch(
        carrier, grid, prbs, expected["mcs"], expected["n_x_id"], subframe, Mode.TM34, dmrs_n_ssf=0
    )
    buffer = SlSchSoftBuffer(expected["tb_len"])
    buffer.combine(codeword.llrs, modulation_order(expected["mcs"]), 0)
    assert buffer.decode().crc_ok


@pytest.mark.parametrize("cyclic_shift", [0, 3, 6, 9])
def test_v2x_subframe_loops_back(cyclic_shift):
    rng = np.random.default_rng(cyclic_shift)
    carrier = Carrier(50, fft_size=768)
    grid = np.zeros((14, 600), np.complex64)
    sci = SciFormat1(
        priority=3, resource_reservation=1, frequency_location=7, time_gap=0, mcs=12, retransmission_index=0
    )
    n_id_x = map_v2x_pscch(grid, carrier, sci, 20, 5, cyclic_shift)
    first, length = decode_riv(sci.frequency_location, 5)
    assert (first, length) == (2, 2)
    prbs = tuple(range(22, 22 + largest_valid_width(18)))
    block = rng.bytes(transport_block_size(12, len(prbs)) // 8)
    tx = PsschTx(prbs=prbs, mcs=12, n_id_sa=n_id_x, n_ssf=8, rv=0, transport_block=block)
    map_pssch(grid, carrier, tx, Mode.TM34)
    received = demodulate(carrier, impaired(carrier, modulate(carrier, grid), rng, snr_db=18, cfo_hz=-700))
    (found,) = receive_v2x_pscch(carrier, received, range(0, 50, 10), 5)
    assert (found.prb, found.sci, found.crc, found.cyclic_shift) == (20, sci, n_id_x, cyclic_shift)
    codeword = receive_pssch(carrier, received, prbs, 12, found.crc, 8, Mode.TM34)
    buffer = SlSchSoftBuffer(len(block) * 8)
    buffer.combine(codeword.llrs, 4, 0)
    assert bits_to_bytes(buffer.decode().bits) == block
    assert codeword.cfo_hz == pytest.approx(-700, abs=20)


def test_v2x_broadcast_loops_back():
    carrier = Carrier(25)
    grid = np.zeros((14, 300), np.complex64)
    mib = MibSlV2x(bandwidth_prb=25, dfn=700, subframe=4, in_coverage=True)
    map_psbch(grid, carrier, mib, 201)
    rng = np.random.default_rng(8)
    received = demodulate(carrier, impaired(carrier, modulate(carrier, grid), rng, snr_db=3))
    assert receive_psbch(carrier, received, 201, Mode.TM34).mib == mib
    with pytest.raises(LayoutError):
        receive_psbch(Carrier(25, Cp.EXTENDED), np.zeros((12, 300), np.complex64), 201, Mode.TM34)


@pytest.mark.parametrize("snr_db", [12.0, 25.0])
@pytest.mark.parametrize("cp", list(Cp))
def test_evm_of_an_sci_is_what_the_noise_leaves(snr_db, cp):
    carrier, rng = Carrier(25, cp), np.random.default_rng(31)
    sci = SciFormat0(riv=3, i_trp=5, mcs=9, group_destination_id=33)
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    map_pscch(grid, carrier, sci, 11)
    figures = []
    for _ in range(20):
        iq = impaired(carrier, modulate(carrier, grid), rng, snr_db=snr_db)
        (found,) = receive_pscch(carrier, demodulate(carrier, iq), (11,))
        figures.append((found.evm_db, found.cfo_hz, found.timing_error_samples))
    evm_db, cfo_hz, timing = np.mean(figures, axis=0)
    assert evm_db == pytest.approx(-snr_db, abs=1.0)
    assert cfo_hz == pytest.approx(120, abs=15)
    assert timing == pytest.approx(2, abs=0.5)


def test_an_empty_subframe_holds_nothing():
    carrier = Carrier(50)
    grid = np.zeros((14, 600), np.complex64)
    assert receive_pscch(carrier, grid, range(50)) == []
    assert receive_pscch(carrier, grid, ()) == []
    assert receive_v2x_pscch(carrier, grid, range(0, 50, 10), 5) == []
    broadcast = receive_psbch(carrier, grid, 0)
    assert not broadcast.crc_ok
    assert broadcast.mib is None
    assert not receive_pssch(carrier, grid, (3, 4), 5, 0, 0).llrs.any()


def test_many_scis_in_one_subframe_even_in_extended_cp():
    carrier = Carrier(50, Cp.EXTENDED)
    grid = np.zeros((12, 600), np.complex64)
    sent = {
        prb: SciFormat0(riv=prb, i_trp=prb, mcs=prb % 29, group_destination_id=255 - prb) for prb in range(0, 50, 3)
    }
    for prb, sci in sent.items():
        map_pscch(grid, carrier, sci, prb)
    iq = impaired(carrier, modulate(carrier, grid), np.random.default_rng(9), snr_db=10)
    found = receive_pscch(carrier, demodulate(carrier, iq), range(50))
    assert {r.prb: r.sci for r in found} == sent


def noisy_reference(n_prb, snr_db, seed, channel=1.0):
    """A 25-PRB subframe with the reference signals and unit-power data of one allocation through `channel`."""
    carrier, layout = Carrier(25), communication_layout(Mode.TM12, Cp.NORMAL)
    rng = np.random.default_rng(seed)
    subcarriers = allocation_subcarriers(carrier, tuple(range(2, 2 + n_prb)))
    grid = np.zeros((14, 300), np.complex64)
    block = rng.bytes(transport_block_size(14, n_prb) // 8)
    tx = PsschTx(prbs=tuple(range(2, 2 + n_prb)), mcs=14, n_id_sa=40, n_ssf=2, rv=0, transport_block=block)
    map_pssch(grid, carrier, tx)
    noise = rng.normal(size=(14, 300, 2)) @ (1, 1j) * np.sqrt(10 ** (-snr_db / 10) / 2)
    return carrier, layout, subcarriers, (grid * channel + noise).astype(np.complex64), tx


@pytest.mark.parametrize("snr_db", [6, 12])
def test_noise_estimate_and_llr_scale_are_true(snr_db):
    """LLRs mean what they say: of those between 1 and 3 in size, the right share has the wrong sign."""
    carrier, _, _, grid, tx = noisy_reference(20, snr_db, seed=11)
    received = receive_pssch(carrier, grid, tx.prbs, 14, 40, 2)
    assert received.snr_db == pytest.approx(snr_db, abs=1.0)
    clean = receive_pssch(carrier, noisy_reference(20, 60, seed=11)[3], tx.prbs, 14, 40, 2)
    sent = clean.llrs < 0
    window = (np.abs(received.llrs) > 1) & (np.abs(received.llrs) < 3)
    assert window.sum() > 100
    wrong = np.mean((received.llrs < 0)[window] != sent[window])
    expected = np.mean(1 / (1 + np.exp(np.abs(received.llrs[window]))))
    assert wrong == pytest.approx(expected, rel=0.25)


def test_channel_estimate_follows_a_frequency_selective_channel():
    k = np.arange(300)
    channel = 0.8 + 0.6 * np.exp(-2j * np.pi * 15e3 * 1e-6 * k)
    carrier, layout, subcarriers, grid, _ = noisy_reference(20, 20, seed=12, channel=channel)
    estimate = estimate_channel(carrier, grid, subcarriers, layout, pssch_dmrs(20, 40, 2, Mode.TM12))
    middle = (estimate.weights @ estimate.channel)[5]
    error = np.mean(np.abs(middle - channel[subcarriers]) ** 2)
    assert error < 0.3 * 10 ** (-20 / 10)


def test_demodulation_kernel_equals_its_plain_definition():
    carrier, layout, subcarriers, grid, _ = noisy_reference(6, 15, seed=13)
    estimate = estimate_channel(carrier, grid, subcarriers, layout, pssch_dmrs(6, 40, 2, Mode.TM12))
    received = demodulate_codeword(grid, subcarriers, layout, estimate, 4, 12345)
    channel = estimate.weights @ estimate.channel
    data = grid[list(layout.sent)][:, subcarriers]
    power = np.abs(channel) ** 2
    disturbance = estimate.disturbance[:, None]
    gain = np.mean(power / (power + disturbance), axis=1)
    symbols = np.fft.ifft(data * np.conj(channel) / (power + disturbance), axis=1, norm="ortho") / gain[:, None]
    assert np.allclose(received.symbols, symbols, atol=1e-4)
    llrs = np.zeros((12, 72, 4), np.float32)
    for column in range(11):
        variance = float((1 - gain[column]) / gain[column])
        llrs[column] = soft_bits(symbols[column].astype(np.complex64), 4, variance).reshape(72, 4)
    signs = 1 - 2 * gold_sequence(12345, llrs.size).astype(np.float32)
    plain = (llrs.reshape(-1) * signs).reshape(12, 72, 4).transpose(1, 0, 2).reshape(-1)
    assert np.allclose(received.llrs, plain, rtol=1e-3, atol=1e-2)


def test_wiener_filters_smooth_more_when_there_is_more_noise():
    errors = [wiener_filter(24, snr_db, DELAY_SPREADS_US[0]).error * 10 ** (snr_db / 10) for snr_db in (0, 12, 24)]
    assert all(error < 0.15 for error in errors)
    assert np.allclose(wiener_filter(300, 36, 0.3).taps.sum(axis=1), 1, atol=0.02)


@pytest.mark.parametrize("carrier", [Carrier(6), Carrier(50, Cp.EXTENDED), Carrier(75, fft_size=1024), Carrier(100)])
def test_scfdma_equals_its_definition(carrier):
    rng = np.random.default_rng(14)
    grid = (rng.normal(size=(carrier.n_symbols, carrier.n_subcarriers, 2)) @ (1, 1j)).astype(np.complex64)
    iq = modulate(carrier, grid)
    assert np.allclose(demodulate(carrier, iq), grid, atol=1e-4)
    symbol = 3
    start, cp = carrier.symbol_starts[symbol], carrier.cp_samples[symbol]
    n = np.arange(-cp, 5)
    k = np.arange(carrier.n_subcarriers) - carrier.n_subcarriers // 2
    direct = np.exp(2j * np.pi * np.outer(n, k + 0.5) / carrier.fft_size) @ grid[symbol] / np.sqrt(carrier.fft_size)
    assert np.allclose(iq[start : start + cp + 5], direct, atol=1e-3)


def test_a_wide_carrier_leaves_nothing_behind_for_a_narrow_one():
    wide, narrow = Carrier(75, fft_size=1024), Carrier(50)
    modulate(wide, np.ones((14, 900), np.complex64))
    assert not modulate(narrow, np.zeros((14, 600), np.complex64)).any()


def test_impossible_requests_are_refused():
    carrier = Carrier(25)
    with pytest.raises(AllocationError):
        allocation_subcarriers(carrier, tuple(range(7)))
    with pytest.raises(AllocationError):
        allocation_subcarriers(carrier, (24, 25))
    with pytest.raises(AllocationError):
        allocation_subcarriers(carrier, ())
    with pytest.raises(AllocationError):
        receive_pscch(carrier, np.zeros((14, 300), np.complex64), (25,))
    with pytest.raises(SubframeShapeError):
        demodulate(carrier, np.zeros(100, np.complex64))
    with pytest.raises(SubframeShapeError):
        modulate(carrier, np.zeros((14, 72), np.complex64))
    grid = np.zeros((14, 300), np.complex64)
    with pytest.raises(PsdchError):
        map_psdch(grid, carrier, PsdchTx(prb=0, rv=0, message=b"short"))
    with pytest.raises(PsschError):
        map_pssch(grid, carrier, PsschTx(prbs=(0,), mcs=0, n_id_sa=0, n_ssf=0, rv=0, transport_block=b"abc"))
    assert [n for n in range(1, 26) if not is_valid_width(n)] == [7, 11, 13, 14, 17, 19, 21, 22, 23]
    assert (largest_valid_width(0), largest_valid_width(23)) == (0, 20)
