"""CoDel against times worked from the pseudo-code of RFC 8289 section 5, by hand."""

import pytest

from prose_link.userplane.queueing.codel import Codel, CodelConfig

CONFIG = CodelConfig(target_s=0.005, interval_s=0.100, mtu_octets=1500)
"""The values of RFC 8289 5.3."""
LONG = 10_000
STEP_S = 0.001


def drop_times(codel, *, waited_s, until_s, from_s=0.0, octets_behind=LONG):
    """When packets are dropped, if one is taken out each millisecond, and one more after each drop."""
    dropped = []
    for tick in range(round(from_s / STEP_S), round(until_s / STEP_S)):
        now_s = tick * STEP_S
        while codel.must_drop(waited_s, octets_behind, now_s):
            dropped.append(now_s)
    return dropped


def test_drops_come_at_an_interval_by_the_square_root_of_their_number():
    """First one interval after the first packet that waited too long; then 100 ms, 100/sqrt 2, 100/sqrt 3, ... apart.

    0.1, + 0.1 = 0.2, + 0.07071 = 0.27071, + 0.05774 = 0.32845, + 0.05 = 0.37845, + 0.04472 = 0.42317
    """
    assert drop_times(Codel(CONFIG), waited_s=0.020, until_s=0.43) == pytest.approx(
        [0.100, 0.200, 0.271, 0.329, 0.379, 0.424], abs=1e-9
    )


def test_a_burst_of_less_than_an_interval_is_left_alone():
    codel = Codel(CONFIG)
    assert drop_times(codel, waited_s=0.050, until_s=0.099) == []
    assert not codel.must_drop(0.001, LONG, 0.099)
    assert drop_times(codel, waited_s=0.050, from_s=0.100, until_s=0.199) == []


@pytest.mark.parametrize(("octets_behind", "drops"), [(1500, False), (1501, True)])
def test_a_queue_with_one_packet_left_is_never_too_long(octets_behind, drops):
    times = drop_times(Codel(CONFIG), waited_s=3.0, until_s=1.0, octets_behind=octets_behind)
    assert bool(times) is drops


@pytest.mark.parametrize(("waited_s", "drops"), [(0.00499, False), (0.005, True)])
def test_what_waits_less_than_the_target_is_let_through(waited_s, drops):
    assert bool(drop_times(Codel(CONFIG), waited_s=waited_s, until_s=1.0)) is drops


def test_dropping_ends_with_the_first_packet_that_waited_less():
    codel = Codel(CONFIG)
    assert drop_times(codel, waited_s=0.02, until_s=0.3) == pytest.approx([0.1, 0.2, 0.271])
    assert not codel.must_drop(0.001, LONG, 0.300)
    assert drop_times(codel, waited_s=0.02, from_s=0.301, until_s=0.401) == []


def test_a_queue_that_is_soon_bad_again_goes_on_near_its_rate():
    """5 drops, count 5 and last count 1: the next bad time begins with count 4, so that its second drop follows after
    100/sqrt 4 = 50 ms."""
    codel = Codel(CONFIG)
    assert len(drop_times(codel, waited_s=0.02, until_s=0.38)) == 5
    assert not codel.must_drop(0.0, LONG, 0.380)
    assert drop_times(codel, waited_s=0.02, from_s=0.4, until_s=0.56) == pytest.approx([0.5, 0.55])


def test_after_a_long_good_time_it_begins_at_one_again():
    """16 intervals after the last planned drop: 0.42317 + 1.6 = 2.02317 s."""
    codel = Codel(CONFIG)
    assert len(drop_times(codel, waited_s=0.02, until_s=0.38)) == 5
    assert not codel.must_drop(0.0, LONG, 0.380)
    assert drop_times(codel, waited_s=0.02, from_s=1.95, until_s=2.16) == pytest.approx([2.05, 2.15])


def test_an_empty_queue_ends_the_wait():
    codel = Codel(CONFIG)
    assert drop_times(codel, waited_s=0.02, until_s=0.09) == []
    codel.note_empty()
    assert drop_times(codel, waited_s=0.02, from_s=0.09, until_s=0.19) == []
    assert codel.must_drop(0.02, LONG, 0.19)
