"""Coding blocks against the output of other implementations (tests/vectors/phy)."""

import json
from pathlib import Path

import numpy as np
import pytest

from radio.phy.dsp.sequences import gold_sequence
from radio.phy.fec import convolutional, crc, turbo
from radio.phy.fec.rate_matching import turbo_circular_buffer, turbo_start
from radio.phy.fec.segmentation import segment
from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, encode_sl_sch
from radio.phy.lte.grid.channel_interleaver import deinterleave, interleave

VECTORS = Path(__file__).parents[4] / "vectors" / "phy"
FEC = json.loads((VECTORS / "srsran" / "fec.json").read_text())
PSSCH = json.loads((VECTORS / "srsran" / "pssch.json").read_text())
CONTROL = [
    entry
    for name in ("psbch.json", "pscch.json")
    for entry in json.loads((VECTORS / "srsran" / name).read_text())
    if "tbcc_out_hex" in entry
]
PSDCH = [json.loads(path.read_text()) for path in sorted((VECTORS / "lte-sidelink").glob("psdch_p*.json"))]


def bits_of(hex_text, n):
    padded = hex_text + "0" * (len(hex_text) % 2)
    return np.unpackbits(np.frombuffer(bytes.fromhex(padded), dtype=np.uint8))[:n]


def llrs_of(bits, level=4.0):
    return (level * (1.0 - 2.0 * bits)).astype(np.float32)


@pytest.mark.parametrize("entry", FEC["gold"], ids=lambda e: str(e["c_init"]))
def test_gold_sequence(entry):
    assert np.array_equal(gold_sequence(entry["c_init"], entry["len"]), bits_of(entry["hex"], entry["len"]))


@pytest.mark.parametrize("entry", FEC["crc"], ids=lambda e: f"{e['poly']}-{e['in_len']}")
def test_crc(entry):
    bits, poly = bits_of(entry["in_hex"], entry["in_len"]), getattr(crc, entry["poly"])
    assert crc.crc(bits, poly) == int(entry["crc_hex"], 16)
    assert crc.check_crc(crc.attach_crc(bits, poly), poly)


@pytest.mark.parametrize("entry", FEC["turbo"], ids=lambda e: str(e["K"]))
def test_turbo_code_and_rate_matching(entry):
    k = entry["K"]
    streams = turbo.encode(bits_of(entry["in_hex"], k))
    assert np.array_equal(streams.T.ravel(), bits_of(entry["out_hex"], entry["out_len"]))
    circular_buffer = turbo_circular_buffer(k)
    for matched in entry["rm"]:
        places = (turbo_start(k, 0, matched["rv"]) + np.arange(matched["E"])) % circular_buffer.size
        assert np.array_equal(streams.ravel()[circular_buffer[places]], bits_of(matched["hex"], matched["E"]))


@pytest.mark.parametrize("entry", CONTROL, ids=lambda e: e["iq"])
def test_control_blocks(entry):
    n_block = entry["tbcc_out_len"] // 3
    block = bits_of(entry["crc_attached_hex"], n_block)
    assert np.array_equal(convolutional.encode(block).T.ravel(), bits_of(entry["tbcc_out_hex"], entry["tbcc_out_len"]))
    coded = encode_control_block(block[:-16], entry["E"])
    assert np.array_equal(coded, bits_of(entry["rate_matched_hex"], entry["E"]))
    bits, crc_ok, received = decode_control_blocks(llrs_of(coded)[None, :], n_block - 16)
    assert crc_ok.tolist() == [True]
    assert np.array_equal(bits[0], block[:-16])
    assert received[0] == int("".join(map(str, block[-16:])), 2)


@pytest.mark.parametrize("entry", PSSCH, ids=lambda e: e["iq"])
def test_transport_blocks(entry):
    tb = bits_of(entry["tb_hex"], entry["tb_len"])
    segmentation = segment(entry["tb_len"])
    assert (segmentation.n_blocks, segmentation.n_filler) == (entry["C"], entry["F"])
    assert segmentation.block_sizes[-1] == entry["K1"]
    coded = encode_sl_sch(tb, entry["G"], entry["Qm"], entry["rv"])
    assert np.array_equal(coded, bits_of(entry["rate_matched_concat_hex"], entry["G"]))
    n_columns = 12 if entry["cp"] == "norm" else 10
    mixed = interleave(coded, n_columns, entry["Qm"])
    scrambled = mixed ^ gold_sequence(entry["scrambling_c_init"], entry["G"])
    assert np.array_equal(scrambled, bits_of(entry["interleaved_scrambled_hex"], entry["G"]))
    buffer = SlSchSoftBuffer(entry["tb_len"])
    buffer.combine(deinterleave(llrs_of(mixed), n_columns, entry["Qm"]), entry["Qm"], entry["rv"])
    decoded = buffer.decode()
    assert decoded.crc_ok
    assert np.array_equal(decoded.bits, tb)


@pytest.mark.parametrize("entry", PSDCH, ids=lambda e: e["iq"])
def test_discovery_code_words(entry):
    coded = encode_sl_sch(bits_of(entry["message_hex"], entry["message_len"]), entry["E"], 2, 0)
    assert np.array_equal(coded, bits_of(entry["rate_matched_rv0_hex"], entry["E"]))
    scrambled = interleave(coded, 12, 2) ^ gold_sequence(entry["c_init"], entry["E"])
    assert np.array_equal(scrambled, bits_of(entry["interleaved_scrambled_hex"], entry["E"]))
