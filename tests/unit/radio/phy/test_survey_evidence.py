"""What a survey says of SCIs that only their CRC speaks for, and of blocks whose size does not follow the standard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab_scripts.report.survey_document import bits_to_hex, survey_document
from lab_scripts.waveforms.direct import impaired
from radio.arrays import Bits, Iq
from radio.phy.dsp.modulation import QPSK
from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.psbch import map_psbch
from radio.phy.lte.channels.pscch import map_pscch
from radio.phy.lte.channels.pssch import pssch_c_init
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.channels.sl_sch import encode_sl_sch
from radio.phy.lte.channels.slss import map_slss
from radio.phy.lte.channels.v2x_pscch import map_v2x_pscch
from radio.phy.lte.grid import scfdma
from radio.phy.lte.grid.dmrs import pssch_dmrs
from radio.phy.lte.grid.layout import Mode, pssch_layout
from radio.phy.lte.grid.mapping import allocation_subcarriers, map_codeword
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.survey.control_evidence import MIN_AGREEMENT, MIN_AGREEMENT_FORMAT_1, agreement
from radio.phy.lte.survey.survey import survey_recording
from radio.phy.lte.survey.v2x_readings import SubChannels

SHARED = Path(os.environ.get("PC5LAB_SHARED") or Path(__file__).resolve().parents[5] / "shared")
ONCE = SHARED / "cases" / "phy" / "pscch-once-p100-ta500.cf32"


def control_only(carrier: Carrier, sci: SciFormat0, prbs: list[int], *, with_sync: bool) -> Iq:
    """Subframe 0 with SLSS, if wanted, then a subframe with the SCI for each of `prbs`."""
    grids = np.zeros((len(prbs) + 1, carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    map_slss(grids[0], carrier, 9, Mode.TM12)
    map_psbch(grids[0], carrier, MibSl(bandwidth_prb=carrier.n_prb, dfn=3, subframe=0, in_coverage=False), 9)
    for grid, prb in zip(grids[1:], prbs, strict=True):
        map_pscch(grid, carrier, sci, prb)
    return np.concatenate([scfdma.modulate(carrier, grid) for grid in grids[0 if with_sync else 1 :]])


def surveyed(carrier: Carrier, iq: Iq, snr_db: float = 10.0) -> dict[str, Any]:
    rng = np.random.default_rng(8)
    noisy = impaired(iq, carrier, cfo_hz=700.0, delay_samples=0, snr_db=snr_db, rng=rng)
    return survey_document(survey_recording(noisy.astype(np.complex64), carrier))


@pytest.mark.parametrize("with_sync", [True, False])
@pytest.mark.parametrize("cp", list(Cp))
@pytest.mark.parametrize("n_prb", [25, 50, 100])
def test_an_sci_heard_once_with_a_timing_advance_is_unconfirmed(n_prb: int, cp: Cp, with_sync: bool) -> None:
    carrier = Carrier(n_prb, cp)
    sci = SciFormat0(riv=encode_riv(2, 4, n_prb), i_trp=40, mcs=9, timing_advance=500, group_destination_id=77)
    (found,) = surveyed(carrier, control_only(carrier, sci, [7], with_sync=with_sync))["sci"]
    assert found["hex"] == bits_to_hex(sci.to_bits(n_prb))
    assert found["fields"]["timing_advance"] == 500
    assert found["confirmed"] is False
    assert found["evidence"]["times_heard"] == 1
    assert found["evidence"]["agreement"] > 0.95


@pytest.mark.parametrize(("timing_advance", "prbs"), [(0, [7]), (500, [7, 30])])
def test_mode_2_or_a_second_time_confirm_it(timing_advance: int, prbs: list[int]) -> None:
    carrier = Carrier(50)
    sci = SciFormat0(riv=0, i_trp=40, mcs=9, timing_advance=timing_advance, group_destination_id=77)
    found = surveyed(carrier, control_only(carrier, sci, prbs, with_sync=True))["sci"]
    assert [item["prb"] for item in found] == prbs
    assert all(item["confirmed"] and item["evidence"]["times_heard"] == len(prbs) for item in found)


@pytest.mark.skipif(not ONCE.exists(), reason=f"no {ONCE}; set PC5LAB_SHARED")
def test_a_recording_of_one_sci() -> None:
    found = survey_document(survey_recording(np.fromfile(ONCE, dtype=np.complex64), Carrier(100)))
    (sci,) = found["sci"]
    assert sci["fields"]["timing_advance"] == 500
    assert not sci["confirmed"]


@pytest.mark.parametrize(("e", "n_bits", "floor"), [(288, 43, MIN_AGREEMENT), (480, 32, MIN_AGREEMENT_FORMAT_1)])
def test_what_noise_decodes_to_agrees_less(e: int, n_bits: int, floor: float) -> None:
    """Of 1000 codewords out of noise hardly one passes, of those that were sent at 0 dB hardly one fails."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(1000, e)).astype(np.float32)
    decoded, _, _ = decode_control_blocks(noise, n_bits)
    assert sum(agreement(llrs, bits) >= floor for llrs, bits in zip(noise, decoded, strict=True)) <= 1
    sent = rng.integers(0, 2, (1000, n_bits)).astype(np.uint8)
    signs = np.array([1 - 2 * encode_control_block(bits, e).astype(np.float32) for bits in sent])
    shares = [agreement(llrs, bits) for llrs, bits in zip(signs + noise, sent, strict=True)]
    assert sum(share < floor for share in shares) <= 1
    soft_bits = (signs + noise)[0]
    np.testing.assert_allclose(shares[0], signs[0] @ soft_bits / np.abs(soft_bits).sum(), rtol=1e-5)


def v2x_subframe(carrier: Carrier, pool: SubChannels, width: int, block: Bits, n_ssf: int, mcs: int = 4) -> Iq:
    """One transmission on all sub-channels from PRB 2 on, `width` PRBs wide, of a block of any size."""
    sci = SciFormat1(
        priority=1,
        resource_reservation=0,
        frequency_location=encode_riv(0, pool.count, pool.count),
        time_gap=0,
        mcs=mcs,
        retransmission_index=0,
        transmission_format=0,
    )
    grid = np.zeros((carrier.n_symbols, carrier.n_subcarriers), dtype=np.complex64)
    n_id_x = map_v2x_pscch(grid, carrier, sci, 0, pool.count, 3)
    subcarriers = allocation_subcarriers(carrier, tuple(range(2, 2 + width)))
    layout = pssch_layout(Mode.TM34, carrier.cp)
    codeword = encode_sl_sch(block, len(layout.data) * subcarriers.size * QPSK, QPSK, 0)
    dmrs = pssch_dmrs(width, n_id_x, n_ssf, Mode.TM34)
    map_codeword(grid, subcarriers, layout, dmrs, codeword, QPSK, pssch_c_init(n_id_x, n_ssf))
    return scfdma.modulate(carrier, grid)


NOMINAL = [
    (Carrier(15), SubChannels(size=15, count=1), 12, 904, 13),
    (Carrier(25), SubChannels(size=5, count=5), 20, 1608, 23),
]


@pytest.mark.parametrize(("carrier", "pool", "width", "size", "size_n_prb"), NOMINAL)
def test_a_size_by_the_nominal_width_is_tried_second(
    carrier: Carrier, pool: SubChannels, width: int, size: int, size_n_prb: int
) -> None:
    bits = np.random.default_rng(3).integers(0, 2, size).astype(np.uint8)
    for known in (pool, None):
        iq = impaired(
            v2x_subframe(carrier, pool, width, bits, 4),
            carrier,
            cfo_hz=900.0,
            delay_samples=0,
            snr_db=12.0,
            rng=np.random.default_rng(1),
        )
        found = survey_document(survey_recording(iq.astype(np.complex64), carrier, sub_channels=known))
        (block,) = found["transport_blocks"]
        assert block["crc_ok"]
        assert (block["bits"], block["n_prb"], block["tbs_n_prb"]) == (size, width, size_n_prb)
        assert block["hex"] == bits_to_hex(bits)


@pytest.mark.parametrize(
    ("carrier", "pool", "width", "size"), [(*n[:3], s) for n, s in zip(NOMINAL, (840, 1416), strict=True)]
)
def test_a_size_by_the_prbs_sent_is_tried_first(carrier: Carrier, pool: SubChannels, width: int, size: int) -> None:
    bits = np.random.default_rng(3).integers(0, 2, size).astype(np.uint8)
    iq = v2x_subframe(carrier, pool, width, bits, 4)
    (block,) = survey_document(survey_recording(iq, carrier))["transport_blocks"]
    assert (block["crc_ok"], block["bits"], block["n_prb"], block["tbs_n_prb"]) == (True, size, width, width)
