"""The pool of transmission mode 1, and SC periods where sc-Period does not divide the DFN cycle."""

from __future__ import annotations

import pytest

from radio.errors import RadioError
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.hopping import HoppingConfig, join_hopping_field
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.pools.mode1 import ScheduledPool, timing_advance_indication
from radio.phy.lte.pools.mode2 import CommPool, DiscPool


def scheduled_pool(**changes):
    parameters = {"n_rb_sl": 25, "sc_bitmap": "01100", "sc_prb_num": 5, "sc_prb_start": 2, "sc_prb_end": 20}
    return ScheduledPool(**(parameters | changes))


def test_every_uplink_subframe_after_control_belongs_to_pssch():
    pool = scheduled_pool(sc_offset=4)
    assert pool.pscch_subframes(1) == (45, 46)
    assert pool.pssch_subframes(1) == tuple(range(47, 84))
    # 37 subframes; 10101010 takes 19 of them, of which whole fours are used
    assert len(pool.pssch_transmissions(1, 56)) == 16
    assert pool.pssch_transmissions(1, 56)[1] == (49, 2, 0, 2)


@pytest.mark.parametrize(
    ("tdd_config", "control", "first_data", "n_data"),
    [(0, (3, 4), 7, 21), (1, (3, 7), 8, 13), (3, (3, 4), 12, 9), (5, (12, 22), 32, 1)],
)
def test_tdd_counts_uplink_subframes_only(tdd_config, control, first_data, n_data):
    pool = scheduled_pool(tdd_config=tdd_config)
    assert pool.pscch_subframes(0) == control
    data = pool.pssch_subframes(0)
    assert (data[0], len(data)) == (first_data, n_data)


def test_mode_1_allows_every_pattern_of_the_table():
    assert scheduled_pool().i_trps == tuple(range(107))
    assert scheduled_pool(tdd_config=0).i_trps == tuple(range(1, 128))
    assert scheduled_pool(tdd_config=6).i_trps == tuple(range(1, 64))


def test_allocations_count_over_the_carrier():
    pool = scheduled_pool(hopping=HoppingConfig(rb_offset=2))
    sci = SciFormat0(riv=encode_riv(7, 6, 25), i_trp=0, mcs=5, group_destination_id=1)
    assert pool.prbs(*pool.allocation(sci), hopping_bits=pool.hopping_bits(sci)) == tuple(range(7, 13))
    # N = 25 - 2 - 1 = 22, half of it 11: (7 - 1 + 11) mod 22 + 1 = 18 in even subframes
    hopping = SciFormat0(
        hopping=True,
        riv=join_hopping_field(0, encode_riv(7, 6, 25), 25),
        i_trp=0,
        mcs=5,
        group_destination_id=1,
    )
    bits = pool.hopping_bits(hopping)
    assert pool.prbs(*pool.allocation(hopping), 1, bits) == tuple(range(7, 13))
    assert pool.prbs(*pool.allocation(hopping), 2, bits) == tuple(range(18, 24))


def test_pscch_resources_are_those_of_mode_2():
    """14.2.1.1 worked by hand: M = 10, L = 2."""
    pool = scheduled_pool()
    assert pool.n_pscch_resources == 10
    assert pool.pscch_prbs == (2, 3, 4, 5, 6, 16, 17, 18, 19, 20)
    assert pool.pscch_resource(0) == ((0, 2), (1, 16))
    assert pool.pscch_resource(3) == ((1, 3), (0, 17))


def test_a_pool_without_data_subframes_is_refused():
    with pytest.raises(RadioError):
        scheduled_pool(sc_bitmap="0" * 38 + "11")
    with pytest.raises(RadioError):
        scheduled_pool(tdd_config=7)


def test_timing_advance_is_counted_in_sixteenths():
    assert [timing_advance_indication(n) for n in (0, 15, 16, 20512)] == [0, 0, 1, 1282]


def comm_pool(**changes):
    parameters = {
        "n_rb_sl": 25,
        "sc_bitmap": "0110" + "0" * 36,
        "sc_prb_num": 5,
        "sc_prb_start": 2,
        "sc_prb_end": 20,
        "data_offset": 4,
        "data_bitmap": "1" * 40,
        "data_prb_num": 12,
        "data_prb_start": 0,
        "data_prb_end": 23,
    }
    return CommPool(**(parameters | changes))


@pytest.mark.parametrize(
    ("sc_period", "sc_offset", "last", "next_first", "n_data"),
    [
        (60, 0, 10_200, 10_240, 36),
        (60, 39, 10_239, 10_279, 36),
        (60, 40, 10_180, 10_280, 56),
        (70, 0, 10_220, 10_240, 16),
    ],
)
def test_periods_begin_inside_the_dfn_cycle(sc_period, sc_offset, last, next_first, n_data):
    """j_begin = O + i P < 10240: the last period is cut by the first of the next cycle, or followed by a rest."""
    pool = comm_pool(sc_period=sc_period, sc_offset=sc_offset)
    period = pool.period_of(next_first) - 1
    assert (pool.period_start(period), pool.period_start(period + 1)) == (last, next_first)
    assert pool.period_of(next_first - 1) == period
    subframes = pool.pssch_subframes(period)
    assert len(subframes) == n_data
    assert subframes[-1] == min(last + sc_period, next_first) - 1


def test_discovery_periods_begin_inside_the_dfn_cycle():
    pool = DiscPool(n_rb_sl=25, disc_period=6, offset=50, bitmap="1" * 40, prb_num=10, prb_start=0, prb_end=24)
    period = pool.period_of(10_290) - 1
    assert (pool.period_start(period), pool.period_start(period + 1)) == (10_190, 10_290)
    assert pool.psdch_subframes(period) == tuple(range(10_190, 10_230))
