"""SLSS and PSBCH of modes 3 and 4 against another implementation, which sends 40 bits where Release 14 has 48."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from radio.phy.dsp.modulation import QPSK
from radio.phy.lte.channels.control_block import encode_control_block
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.grid.dmrs import psbch_dmrs
from radio.phy.lte.grid.layout import Mode, broadcast_layout
from radio.phy.lte.grid.mapping import allocation_subcarriers, map_codeword
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.scfdma import modulate

LTE_SIDELINK = Path(__file__).parents[3] / "vectors" / "phy" / "lte-sidelink"


def test_v2x_broadcast_of_lte_sidelink():
    entry = json.loads((LTE_SIDELINK / "bcast_p50_id169_Normal_tm4_sf1240.json").read_text())
    carrier, n_sl_id = Carrier(entry["NSLRB"]), entry["NSLID"]
    layout = broadcast_layout(Mode.TM34, carrier.cp)
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), np.complex64)
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(entry["mib_hex"]), np.uint8))
    codeword = encode_control_block(bits, entry["E"])
    middle = allocation_subcarriers(carrier, tuple(range(22, 28)))
    map_codeword(grid, middle, layout, psbch_dmrs(n_sl_id, Mode.TM34), codeword, QPSK, entry["c_init"])
    map_slss(grid, carrier, n_sl_id, Mode.TM34)
    reference = np.fromfile(LTE_SIDELINK / entry["grid"], np.complex64).reshape(grid.shape)
    assert np.abs(grid - reference).max() < 1e-3 * np.abs(reference).max()
    iq = np.fromfile(LTE_SIDELINK / entry["iq"], np.complex64)
    ours = modulate(carrier, grid)
    assert np.abs(ours * (np.linalg.norm(iq) / np.linalg.norm(ours)) - iq).max() < 1e-3 * np.abs(iq).max()
