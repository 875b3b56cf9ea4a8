"""RIV, T-RPT, transport block sizes, MIB-SL and SCI fields, resource pools and hopping."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.errors import RadioError
from radio.phy.dsp.bitfields import BitFieldError, bits_to_bytes
from radio.phy.lte.channels.mib import MibError, MibSl, MibSlV2x
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1, sci_format_0_size
from radio.phy.lte.grid.hopping import HoppingConfig, hopped_positions, join_hopping_field, split_hopping_field
from radio.phy.lte.grid.numerology import Carrier, Cp, NumerologyError
from radio.phy.lte.grid.riv import RivError, decode_riv, encode_riv, riv_width
from radio.phy.lte.grid.tbs import TransportBlockSizeError, modulation_order, transport_block_size
from radio.phy.lte.grid.trpt import TrptError, mode_2_i_trps, n_trp, trp_bitmap, trp_bitmaps
from radio.phy.lte.pools.geometry import PoolError
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SidelinkPools, SyncConfig

LTE_SIDELINK = Path(__file__).parents[3] / "vectors" / "phy" / "lte-sidelink"


def comm_pool(**changes):
    parameters = {
        "n_rb_sl": 50,
        "sc_bitmap": "0110" + "0" * 36,
        "sc_prb_num": 10,
        "sc_prb_start": 2,
        "sc_prb_end": 47,
        "data_offset": 8,
        "data_bitmap": "1" * 40,
        "data_prb_num": 25,
        "data_prb_start": 0,
        "data_prb_end": 49,
    }
    return CommPool(**(parameters | changes))


def disc_pool(**changes):
    parameters = {"n_rb_sl": 25, "bitmap": "0" + "1" * 39, "prb_num": 10, "prb_start": 2, "prb_end": 22}
    return DiscPool(**(parameters | changes))


@pytest.mark.parametrize("n", [1, 2, 6, 15, 25, 50, 75, 100])
def test_riv_is_one_to_one_onto_its_range(n):
    allocations = [(first, length) for length in range(1, n + 1) for first in range(n - length + 1)]
    values = [encode_riv(first, length, n) for first, length in allocations]
    assert sorted(values) == list(range(n * (n + 1) // 2))
    assert [decode_riv(value, n) for value in values] == allocations
    assert max(values) < 1 << riv_width(n)


def test_riv_refuses_what_does_not_fit():
    with pytest.raises(RivError):
        encode_riv(48, 3, 50)
    with pytest.raises(RivError):
        decode_riv(1275, 50)


@pytest.mark.parametrize(
    ("i_trp", "bits"),
    [
        (0, "10000000"),
        (7, "00000001"),
        (8, "11000000"),
        (20, "00100100"),
        (35, "00000011"),
        (36, "11110000"),
        (56, "10101010"),
        (62, "10100110"),
        (85, "01010101"),
        (105, "00001111"),
        (106, "11111111"),
    ],
)
def test_patterns_of_table_14_1_1_1_1_1(i_trp, bits):
    assert "".join(map(str, trp_bitmap(i_trp))) == bits


def test_patterns_of_tdd_tables_and_what_mode_2_allows():
    assert (n_trp(None), n_trp(0), n_trp(3), n_trp(5)) == (8, 7, 6, 8)
    assert trp_bitmap(45, 7) == (1, 0, 1, 1, 0, 1, 0)
    assert trp_bitmap(50, 6) == (0, 1, 0, 0, 1, 1)
    assert len(trp_bitmaps(8)) == 107
    for i_trp, n in ((107, 8), (0, 7), (64, 6), (-1, 8)):
        with pytest.raises(TrptError):
            trp_bitmap(i_trp, n)
    assert mode_2_i_trps(8) == tuple(range(106))
    assert mode_2_i_trps(8, "010") == tuple(range(8, 36))
    with pytest.raises(TrptError):
        mode_2_i_trps(8, "01")


LAST_OF_ELEVEN = {
    7: (1320, 2664, 4008, 5352, 6712, 7992, 9528, 10680, 12216, 13536),
    9: (1736, 3496, 5160, 6968, 8760, 10296, 12216, 14112, 15840, 17568),
    12: (2472, 4968, 7480, 9912, 12576, 15264, 17568, 19848, 22920, 25456),
    14: (3112, 6200, 9528, 12576, 15840, 19080, 22152, 25456, 28336, 31704),
    16: (3624, 7224, 10680, 14112, 17568, 21384, 25456, 28336, 31704, 35160),
    19: (4776, 9528, 14112, 19080, 23688, 28336, 32856, 37888, 42368, 46888),
    21: (5544, 11064, 16416, 22152, 27376, 32856, 39232, 43816, 48936, 55056),
    22: (5992, 11832, 17568, 23688, 29296, 35160, 42368, 46888, 52752, 59256),
}
"""Every eleventh entry of some rows, as another public implementation prints them."""


@pytest.mark.parametrize("i_tbs", LAST_OF_ELEVEN)
def test_transport_block_sizes(i_tbs):
    mcs = i_tbs if i_tbs < 10 else i_tbs + 1 if i_tbs < 19 else i_tbs + 2
    assert tuple(transport_block_size(mcs, n) for n in range(11, 111, 11)) == LAST_OF_ELEVEN[i_tbs]


def test_transport_block_sizes_are_ordered_and_in_octets():
    for mcs in range(29):
        sizes = [transport_block_size(mcs, n) for n in range(1, 111)]
        assert all(size % 8 == 0 for size in sizes)
        assert mcs == 6 or sizes == sorted(sizes)
    assert transport_block_size(6, 1) == 328
    assert [modulation_order(mcs) for mcs in (0, 10, 11, 20, 21, 28)] == [2, 2, 4, 4, 4, 4]
    assert transport_block_size(10, 7) == transport_block_size(11, 7)
    assert transport_block_size(20, 7) == transport_block_size(21, 7)
    for mcs, n in ((29, 1), (-1, 1), (0, 0), (0, 111)):
        with pytest.raises(TransportBlockSizeError):
            transport_block_size(mcs, n)


def test_mib_of_a_known_encoding():
    mib = MibSl(bandwidth_prb=25, tdd_config=0, dfn=0x2A5, subframe=7, in_coverage=True)
    assert bits_to_bytes(mib.to_bits()).hex() == "42a5780000"
    assert MibSl.from_bits(mib.to_bits()) == mib
    v2x = MibSlV2x(bandwidth_prb=50, dfn=272, subframe=0, in_coverage=False)
    assert bits_to_bytes(v2x.to_bits()).hex() == "611000000000"


def test_mib_refuses_undefined_values():
    with pytest.raises(MibError):
        MibSl.from_bits(np.ones(40, np.uint8))
    with pytest.raises(BitFieldError):
        MibSl.from_bits(np.zeros(39, np.uint8))
    with pytest.raises(MibError):
        MibSl(bandwidth_prb=7, dfn=0, subframe=0, in_coverage=False).to_bits()
    with pytest.raises(BitFieldError):
        MibSl(bandwidth_prb=6, dfn=1024, subframe=0, in_coverage=False).to_bits()


def test_sci_sizes_and_format_1():
    assert [sci_format_0_size(n) for n in (6, 15, 25, 50, 75, 100)] == [37, 39, 41, 43, 44, 45]
    sci = SciFormat1(
        priority=0, resource_reservation=1, frequency_location=0, time_gap=0, mcs=5, retransmission_index=0
    )
    assert bits_to_bytes(sci.to_bits(5)).hex() == "02005000"
    assert SciFormat1.from_bits(sci.to_bits(5), 5) == sci
    with pytest.raises(BitFieldError):
        SciFormat0(riv=2048, i_trp=0, mcs=0, group_destination_id=0).to_bits(50)


def test_carriers():
    assert Carrier(50).sample_rate_hz == 15_360_000
    assert Carrier(50, fft_size=768).sample_rate_hz == 11_520_000
    assert Carrier.at_rate(100, 23.04e6).fft_size == 1536
    for carrier in (Carrier(75, fft_size=1024), Carrier(25, Cp.EXTENDED, 384), Carrier(100)):
        assert carrier.symbol_starts[-1] + carrier.cp_samples[-1] + carrier.fft_size == carrier.samples_per_subframe
    for parameters in ((7,), (50, Cp.NORMAL, 512), (50, Cp.NORMAL, 1000)):
        with pytest.raises(NumerologyError):
            Carrier(*parameters)
    with pytest.raises(NumerologyError):
        Carrier.at_rate(50, 15.36e6 + 1)


def test_pscch_resources_are_distinct_and_sent_in_two_subframes():
    pool = comm_pool(sc_bitmap="01101" + "0" * 35)
    assert pool.n_pscch_resources == 10 * 3
    used = set()
    for n in range(pool.n_pscch_resources):
        (i1, prb1), (i2, prb2) = pool.pscch_resource(n)
        assert i1 != i2
        assert prb1 != prb2
        used |= {(i1, prb1), (i2, prb2)}
    assert len(used) == 2 * pool.n_pscch_resources
    assert pool.pscch_resource(0) == ((0, 2), (1, 38))
    with pytest.raises(PoolError):
        pool.pscch_resource(30)


def test_pssch_transmissions_follow_the_pattern():
    pool = comm_pool(sc_offset=3)
    period = pool.period_of(10_240 + 100)
    assert pool.period_start(period) == 10_240 + 83
    assert pool.pscch_subframes(period) == (10_324, 10_325)
    subframes = pool.pssch_subframes(period)
    assert subframes == tuple(range(10_331, 10_363))
    transmissions = pool.pssch_transmissions(period, 56)
    assert [s for s, _, _, _ in transmissions] == list(subframes[::2])
    assert [n for _, n, _, _ in transmissions[:6]] == [0, 2, 4, 6, 8, 0]
    assert [tb for _, _, tb, _ in transmissions] == [i // 4 for i in range(16)]
    assert [rv for _, _, _, rv in transmissions[:5]] == [0, 2, 3, 1, 0]
    assert len(pool.pssch_transmissions(period, 0)) == 4


@given(st.integers(0, 60_000), st.sampled_from([40, 60, 70, 80, 120, 140, 160, 240, 280, 320]), st.integers(0, 39))
def test_periods_tile_time(subframe, sc_period, sc_offset):
    pool = comm_pool(sc_period=sc_period, sc_offset=sc_offset)
    period = pool.period_of(subframe)
    assert pool.period_start(period) <= subframe < pool.period_start(period + 1)
    if subframe >= sc_offset:
        assert (pool.period_start(period) % 10_240 - sc_offset) % sc_period == 0


def test_tdd_pool_uses_uplink_subframes_only():
    pool = comm_pool(tdd_config=1, sc_period=70)
    assert {s % 10 for s in pool.pssch_subframes(5)} == {2, 3, 7, 8}


def test_allocation_counts_inside_the_pool():
    pool = comm_pool(data_prb_num=5, data_prb_start=2, data_prb_end=48)
    assert pool.pssch_prbs == (2, 3, 4, 5, 6, 44, 45, 46, 47, 48)
    sci = SciFormat0(riv=encode_riv(4, 3, 50), i_trp=0, mcs=0, group_destination_id=0)
    assert pool.allocation(sci) == (4, 3)
    assert pool.hopping_bits(sci) is None
    assert pool.prbs(4, 3) == (6, 44, 45)
    with pytest.raises(PoolError):
        pool.prbs(8, 3)


def test_psdch_resources_of_lte_sidelink():
    pool = disc_pool(disc_period=32, num_retx=3, num_repetition=5, prb_num=10, prb_start=2, prb_end=22)
    for entry in json.loads((LTE_SIDELINK / "psdch_resources.json").read_text()):
        sent = pool.transmissions(0, entry["n_PSDCH"])
        assert [subframe for subframe, _, _, _ in sent] == entry["subframes"]
        assert [prb for _, prb, _, _ in sent] == [prbs[0] for prbs in entry["prbs"]]
        assert [(j, rv) for _, _, j, rv in sent] == [(1, 0), (2, 2), (3, 3), (4, 1)]


@pytest.mark.parametrize("path", sorted(LTE_SIDELINK.glob("psdch_p*.json")), ids=lambda p: p.stem)
def test_psdch_subframes_of_lte_sidelink(path):
    entry = json.loads(path.read_text())
    pool = DiscPool(
        n_rb_sl=entry["NSLRB"],
        disc_period=entry["discPeriod_rf"],
        bitmap="0" + "1" * 39,
        num_retx=entry["numRetx"],
        num_repetition=entry["numRepetition"],
        prb_num=entry["prb_Num"],
        prb_start=entry["prb_Start"],
        prb_end=entry["prb_End"],
    )
    subframe, prb, _, _ = pool.transmissions(0, entry["n_PSDCH"])[entry["tx_index"] - 1]
    assert (subframe, prb) == (entry["subframe"], entry["prbs"][0])


def test_type_2b_resources_stay_in_the_pool():
    pool = disc_pool(num_retx=1)
    a, b = 0, 0
    seen = set()
    for n in range(40):
        a, b = pool.type_2b_step(a, b, (3, 5, 7), n)
        assert 0 <= a < pool.n_f
        assert 0 <= b < pool.n_t
        seen.add((a, b))
        assert len(pool.transmissions_at(n, a, b)) == 2
    assert len(seen) > 10


def test_type_1_hopping():
    hop = HoppingConfig(rb_offset=4)
    # 50 PRBs: N = 50 - 4; shifts of a quarter, minus a quarter and a half for hopping bits 0, 1, 2
    assert hopped_positions(10, 3, 1, 0, 50, 50, hop) == (10, 11, 12)
    assert hopped_positions(10, 3, 0, 0, 50, 50, hop) == (21, 22, 23)
    assert hopped_positions(10, 3, 2, 1, 50, 50, hop) == (45, 46, 47)
    assert hopped_positions(10, 3, 2, 2, 50, 50, hop) == (33, 34, 35)
    field = join_hopping_field(2, encode_riv(10, 3, 50), 50)
    assert split_hopping_field(field, 50) == (2, 10, 3)


def test_type_2_hopping_mirrors_or_permutes():
    plain = HoppingConfig(num_subbands=1)
    assert hopped_positions(3, 2, 0, 3, 50, 20, plain) == (3, 4)
    assert hopped_positions(3, 2, 1, 3, 50, 20, plain) == (16, 15)
    for num_subbands in (2, 4):
        config = HoppingConfig(num_subbands=num_subbands, hopping_parameter=504, rb_offset=2)
        width = (50 - 2) // num_subbands
        for n_ssf in range(10):
            whole = [hopped_positions(1 + x, 1, n_ssf, 3, 50, 50, config)[0] for x in range(width * num_subbands)]
            assert sorted(whole) == list(range(1, 1 + width * num_subbands))


@pytest.mark.parametrize(
    "make",
    [
        lambda: comm_pool(sc_period=50),
        lambda: comm_pool(sc_offset=40),
        lambda: comm_pool(sc_bitmap="012"),
        lambda: comm_pool(sc_bitmap="0" * 40),
        lambda: comm_pool(sc_prb_num=1, sc_prb_start=0, sc_prb_end=0),
        lambda: comm_pool(data_prb_num=0),
        lambda: comm_pool(trpt_subset="000"),
        lambda: comm_pool(tdd_config=7),
        lambda: disc_pool(num_retx=4),
        lambda: disc_pool(disc_period=5),
        lambda: disc_pool(bitmap="0"),
        lambda: SyncConfig(offset_indicators=(40,)),
        lambda: SyncConfig(offset_indicators=()),
        lambda: SidelinkPools(n_prb=25, sync=SyncConfig(offset_indicators=(0,)), comm=(comm_pool(),)),
        lambda: HoppingConfig(num_subbands=3),
        lambda: HoppingConfig(hopping_parameter=505),
        lambda: HoppingConfig(rb_offset=111),
    ],
)
def test_contradictory_parameters_are_refused(make):
    with pytest.raises(RadioError):
        make()
