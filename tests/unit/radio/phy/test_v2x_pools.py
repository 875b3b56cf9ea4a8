"""V2X pools against numbers worked by hand from TS 36.213 14.1.5, 14.2.4 and 14.1.1.4C, and against recordings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.errors import RadioError
from radio.phy.lte.channels.sci import SciFormat1
from radio.phy.lte.grid.riv import RivError
from radio.phy.lte.pools.geometry import PoolError
from radio.phy.lte.pools.mode2 import SyncConfig
from radio.phy.lte.pools.v2x import V2xPool, reservation_field, reservation_interval_ms
from radio.phy.lte.pools.v2x_subframes import V2X_SYNC_PERIOD, V2xSubframes


def sync(*offsets):
    return SyncConfig(offset_indicators=offsets, period=V2X_SYNC_PERIOD)


def v2x_pool(**changes):
    parameters = {"n_rb_sl": 50, "sl_subframe": "1" * 20, "size_subchannel": 10, "num_subchannel": 5}
    return V2xPool(**(parameters | changes))


def sci(**changes):
    parameters = {
        "priority": 2,
        "resource_reservation": 1,
        "frequency_location": 0,
        "time_gap": 0,
        "mcs": 5,
        "retransmission_index": 0,
    }
    return SciFormat1(**(parameters | changes))


@pytest.mark.parametrize(
    ("parameters", "n_subframes", "first"),
    [
        ({"bitmap_length": 20}, 10_240, (0, 1, 2)),
        # 10240 mod 100 = 40 reserved, every 256th from 0 on
        ({"bitmap_length": 100}, 10_200, (1, 2, 3)),
        # 64 subframes of SLSS; 10176 mod 100 = 76 reserved, floor(m 10176 / 76) = 0, 133, 267 ...
        ({"bitmap_length": 100, "sync": sync(0)}, 10_100, (2, 3, 4)),
        # two SLSS: 10112 mod 20 = 12 reserved
        ({"bitmap_length": 20, "sync": sync(1, 81)}, 10_100, (2, 3, 4)),
        # uplink 2, 3, 7, 8 of ten, less 64 of SLSS: 4032 mod 20 = 12 reserved
        ({"bitmap_length": 20, "sync": sync(2), "tdd_config": 1}, 4_020, (7, 8, 12)),
    ],
)
def test_the_set_leaves_out_slss_downlink_and_reserved_subframes(parameters, n_subframes, first):
    subframes = V2xSubframes(**parameters)
    assert len(subframes.of_cycle) == n_subframes
    assert n_subframes % parameters["bitmap_length"] == 0
    assert subframes.of_cycle[:3] == first


def test_reserved_subframes_are_spread_evenly():
    subframes = V2xSubframes(bitmap_length=100, sync=sync(0))
    missing = sorted(set(range(10_240)) - set(subframes.of_cycle) - set(range(0, 10_240, 160)))
    # the 0th, 133rd and 267th of 1..159, 161..319, ...
    assert missing[:3] == [1, 134, 269]
    assert len(missing) == 76


@given(st.integers(0, 60_000), st.sampled_from([16, 20, 30, 100]), st.integers(0, 159))
def test_counters_run_on_over_dfn_cycles(subframe, bitmap_length, offset):
    subframes = V2xSubframes(bitmap_length=bitmap_length, sync=sync(offset))
    counter = subframes.first_counter_from(subframe)
    assert subframes.subframe_at(counter - 1) < subframe <= subframes.subframe_at(counter)
    assert subframes.counter_of(subframe) == (counter if subframes.subframe_at(counter) == subframe else None)
    assert subframes.counter_of(subframe + 10_240) in (None, counter + len(subframes.of_cycle))


def test_the_bitmap_and_n_ssf_count_in_the_set():
    pool = v2x_pool(sl_subframe="01" * 10, sync=sync(3))
    # 10176 mod 20 = 16 reserved, the first at 0: t = 1, 2, 4, 5, 6 ...
    assert [s for s in range(12) if pool.is_pool_subframe(s)] == [2, 5, 7, 9, 11]
    assert [pool.subframes.n_ssf(s) for s in (1, 2, 4, 11, 12)] == [0, 1, 2, 9, 0]
    with pytest.raises(PoolError):
        pool.subframes.n_ssf(3)


@pytest.mark.parametrize(
    ("size", "number", "n_subchannels", "first", "length"),
    [(10, 5, 1, 2, 8), (5, 10, 2, 2, 8), (10, 5, 5, 2, 48), (6, 1, 1, 2, 4)],
)
def test_adjacent_allocations_of_the_recordings(size, number, n_subchannels, first, length):
    """What the CMW500, the UXM and the ideal signals hold at the sub-channels their SCIs name."""
    pool = v2x_pool(n_rb_sl=50, size_subchannel=size, num_subchannel=number)
    assert pool.pscch_prb(0) == 0
    assert pool.pssch_prbs(0, n_subchannels) == tuple(range(first, first + length))


def test_adjacent_control_is_at_the_bottom_of_each_sub_channel():
    pool = v2x_pool(n_rb_sl=75, start_rb_subchannel=7)
    assert pool.pscch_prbs == (7, 17, 27, 37, 47)
    assert pool.subchannel_prbs(1) == tuple(range(17, 27))
    # 3 * 10 - 2 = 28 is no size of transform precoding, 27 is
    assert pool.pssch_prbs(1, 3) == tuple(range(19, 46))


def test_control_in_a_pool_of_its_own():
    pool = v2x_pool(n_rb_sl=75, adjacency=False, start_rb_pscch_pool=3, start_rb_subchannel=15)
    assert pool.pscch_prbs == (3, 5, 7, 9, 11)
    assert pool.pssch_prbs(2, 1) == tuple(range(35, 45))
    # 70 of the 7 * 10 would do, 4 * 10 = 40 is a size
    assert pool.pssch_prbs(1, 4) == tuple(range(25, 65))


def test_an_sci_points_at_both_transmissions():
    pool = v2x_pool(sync=sync(8))
    location = pool.frequency_location(3, 2)
    assert location == 5 * (2 - 1) + 3
    first = pool.resources(sci(frequency_location=location, time_gap=4), 6, 1)
    # 8 is SLSS: four subframes of the set after 6 is 11
    assert [(r.subframe, r.pscch_prb, r.pssch_prbs[0], len(r.pssch_prbs), r.rv) for r in first] == [
        (6, 10, 12, 18, 0),
        (11, 30, 32, 18, 2),
    ]
    again = pool.resources(
        sci(frequency_location=pool.frequency_location(1, 2), time_gap=4, retransmission_index=1), 11, 3
    )
    assert again == first
    (only,) = pool.resources(sci(frequency_location=location), 6, 1)
    assert only == first[0]


def test_reservations():
    pool = v2x_pool(sync=sync(0))
    assert [reservation_field(ms) for ms in (0, 100, 1000, 50, 20)] == [0, 1, 10, 11, 12]
    assert [reservation_interval_ms(value) for value in range(13)] == [0, *range(100, 1001, 100), 50, 20]
    assert pool.reservation_step(20) == 20
    # 10176 mod 20 = 16 reserved: r = 0 and 636; 0 and 160 are SLSS
    assert pool.reserved_subframes(5, 100, 3) == (5, 105, 206)
    assert v2x_pool(tdd_config=0).reservation_step(100) == 60
    assert v2x_pool(tdd_config=0).reservation_step(50) == 30
    assert v2x_pool(tdd_config=5).reservation_step(20) == 2
    assert [pool.is_retransmission_gap(gap, 20) for gap in (-15, -1, 0, 1, 15, 16)] == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    assert not v2x_pool(tdd_config=5).is_retransmission_gap(4, 20)


@pytest.mark.parametrize(
    "make",
    [
        lambda: v2x_pool(sl_subframe="1" * 21),
        lambda: v2x_pool(sl_subframe="0" * 20),
        lambda: v2x_pool(size_subchannel=7),
        lambda: v2x_pool(num_subchannel=4),
        lambda: v2x_pool(start_rb_subchannel=1),
        lambda: v2x_pool(adjacency=False),
        lambda: v2x_pool(start_rb_pscch_pool=0),
        lambda: v2x_pool(adjacency=False, start_rb_pscch_pool=41),
        lambda: v2x_pool(tdd_config=7),
        lambda: v2x_pool().pssch_prbs(4, 2),
        lambda: v2x_pool().pscch_prb(5),
        lambda: v2x_pool().frequency_location(4, 2),
        lambda: v2x_pool().resources(sci(frequency_location=9), 3, 1),
        lambda: v2x_pool().resources(sci(frequency_location=15), 3, 0),
        lambda: v2x_pool(sync=sync(3)).resources(sci(), 3, 0),
        lambda: v2x_pool(sync=sync(3)).reserved_subframes(3, 100, 2),
        lambda: v2x_pool().reservation_step(0),
        lambda: v2x_pool(tdd_config=5).reservation_step(25),
        lambda: reservation_field(30),
        lambda: reservation_interval_ms(13),
    ],
)
def test_what_leaves_the_pool_is_refused(make):
    with pytest.raises(RadioError):
        make()


def test_errors_are_those_of_their_kind():
    with pytest.raises(RivError):
        v2x_pool().resources(sci(frequency_location=15), 3, 0)
    assert np.all(np.diff(V2xSubframes(bitmap_length=30).of_cycle) > 0)
