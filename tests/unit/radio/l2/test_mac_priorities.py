"""Logical channel prioritisation of the sidelink (TS 36.321 5.14.1.3.1): which pair, and what goes into a block."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from radio.l2.blocks import AddressPair
from radio.l2.config import L2Config, L2ConfigError
from radio.l2.mac import MacTransmitter
from radio.l2.pdcp import PdcpSdu, SduType

ME, B, C = 0xABCDEF, 0x123456, 0x223344
TO_B, TO_C = AddressPair(ME, B), AddressPair(ME, C)
PPPP = (7, 1, 2, 3, 4, 5, 6, 7, 8, 8)
"""Of LCIDs 1 to 10; 1 and 8 have the same."""
LARGE = 10_000


def mac_of(**settings):
    return MacTransmitter(L2Config(user_pppp=PPPP, **settings))


def fill(mac, pair, lcid, octets=100, n=1):
    for _ in range(n):
        mac.enqueue(pair, lcid, bytes([lcid]) * octets, to_group=False)


def lcids_of(mac, pair, size):
    pdu = mac.build_pdu(pair, size, 0)
    return [sdu.lcid for sdu in pdu.sdus] if pdu else []


def test_a_block_is_filled_by_priority_signalling_first():
    mac = mac_of()
    for lcid in (1, 9, 3, 30, 2, 28):
        fill(mac, TO_B, lcid)
    assert lcids_of(mac, TO_B, LARGE) == [28, 30, 2, 3, 1, 9]


def test_what_is_less_urgent_gets_what_is_left_of_the_block():
    mac = mac_of()
    fill(mac, TO_B, 3, octets=150)
    fill(mac, TO_B, 1, octets=400)
    first = mac.build_pdu(TO_B, 300, 0)
    assert [sdu.lcid for sdu in first.sdus] == [3, 1]
    assert len(first.sdus[0].data) >= 150 and 100 < len(first.sdus[1].data) < 150
    fill(mac, TO_B, 3, octets=280)
    assert lcids_of(mac, TO_B, 300)[0] == 3


def test_channels_of_one_priority_are_served_in_turn():
    mac = mac_of()
    for lcid in (1, 8):
        fill(mac, TO_B, lcid, octets=1000, n=20)
    served = [lcids_of(mac, TO_B, 500)[0] for _ in range(10)]
    assert Counter(served) == {1: 5, 8: 5}


def test_the_pair_with_the_most_urgent_channel_is_served():
    mac = mac_of()
    fill(mac, TO_C, 1)
    fill(mac, TO_B, 3)
    assert mac.pick_destination() == TO_B
    fill(mac, TO_C, 2)
    assert mac.pick_destination() == TO_C
    fill(mac, TO_B, 30)
    assert mac.pick_destination() == TO_B


def test_pairs_of_one_priority_are_served_in_turn():
    mac = mac_of()
    pairs = [AddressPair(ME, 0x100000 + n) for n in range(5)]
    for pair in pairs:
        fill(mac, pair, 1)
    assert Counter(mac.pick_destination() for _ in range(50)) == dict.fromkeys(pairs, 10)


def test_urgent_data_of_one_link_leaves_a_share_to_the_others():
    """One turn in five, and that in turn."""
    mac = mac_of(max_wait_turns=4)
    fill(mac, TO_B, 2)
    others = [AddressPair(ME, 0x100000 + n) for n in range(3)]
    for pair in others:
        fill(mac, pair, 1)
    served = [mac.pick_destination() for _ in range(30)]
    assert served[:5].count(TO_B) == 4 and served.count(TO_B) == 24
    assert Counter(served) == {TO_B: 24, **dict.fromkeys(others, 2)}


def test_many_links_with_ordinary_data_don_t_delay_urgent_data():
    mac = mac_of(max_wait_turns=4)
    for n in range(20):
        fill(mac, AddressPair(ME, 0x100000 + n), 1)
    for _ in range(40):
        mac.pick_destination()
    fill(mac, TO_B, 2)
    assert TO_B in (mac.pick_destination(), mac.pick_destination())


def test_what_waits_above_counts_while_its_channel_has_something():
    mac = mac_of()
    mac.note_backlog(TO_B, 1, 5000)
    assert mac.needed_octets(TO_B) == 0 and mac.pick_destination() is None
    fill(mac, TO_B, 1)
    without = mac.needed_octets(TO_B)
    mac.note_backlog(TO_B, 1, 5000)
    mac.note_backlog(TO_B, 3, 7000)
    assert mac.needed_octets(TO_B) == without + 5000
    mac.note_backlog(TO_B, 1, 0)
    assert mac.needed_octets(TO_B) == without


def test_octets_are_told_by_channel():
    mac = mac_of()
    fill(mac, TO_B, 1, octets=70, n=2)
    fill(mac, TO_B, 3, octets=50)
    fill(mac, TO_C, 3, octets=9)
    assert (mac.queued_octets(B), mac.queued_octets(B, 1), mac.queued_octets(B, 3)) == (190, 140, 50)
    assert mac.queued_octets(B, 2) == 0


@pytest.mark.parametrize("pppp", [(), (1,) * 9, (0, *(1,) * 9), (9, *(1,) * 9)])
def test_priorities_are_ten_of_1_to_8(pppp):
    with pytest.raises(L2ConfigError, match="user_pppp"):
        L2Config(user_pppp=pppp)


def test_a_grant_is_made_for_what_waits_above_too(make_stack: Callable[..., Any]) -> None:
    """One packet below, and none above or 20 kB: the same block, but for MCS, width and number of blocks."""
    grants = []
    for octets_above in (0, 20_000):
        a = make_stack(ME)
        a.send(PdcpSdu(dst_l2=B, lcid=1, sdu_type=SduType.IP, data=bytes(100), kd_sess_id=0x2107))
        a.mac.note_backlog(TO_B, 1, octets_above)
        grants.append(a.start_period(0))
        assert a.scheduler.block_octets(B) == grants[-1].tb_octets
        assert a.scheduler.block_octets(C) == 0
    small, large = grants
    assert small.n_tb * small.tb_octets < 1000 and large.n_tb * large.tb_octets > 4 * small.n_tb * small.tb_octets


def test_blocks_of_a_period_that_is_over_say_nothing(make_stack: Callable[..., Any]) -> None:
    a = make_stack(ME)
    a.send(PdcpSdu(dst_l2=B, lcid=1, sdu_type=SduType.IP, data=bytes(100), kd_sess_id=0x2107))
    a.start_period(0)
    a.mac._mac.forget(B)
    for period in range(1, 200):
        a.start_period(period)
    assert a.scheduler.block_octets(B) == 0
