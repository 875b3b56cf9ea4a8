"""RLC's receiving entities: one for each channel, the one silent longest gives way, counts and timers of all."""

from __future__ import annotations

import pytest

from radio.l2.config import L2Config
from radio.l2.rlc_um import UmReassembler, UmReceiver
from radio.l2.rlc_um_pdu import UmdPdu, encode_umd
from radio.l2.rx_channels import RxChannel, RxChannels

ONE, TWO, THREE = (RxChannel(src_l2=src, dst_l2=9, lcid=1) for src in (1, 2, 3))


def first_half(sn: int = 0, data: bytes = b"ab") -> bytes:
    return encode_umd(UmdPdu(sn=sn, starts=True, ends=False, elements=(data,)))


def second_half(sn: int = 1, data: bytes = b"cd") -> bytes:
    return encode_umd(UmdPdu(sn=sn, starts=False, ends=True, elements=(data,)))


def whole(sn: int, data: bytes) -> bytes:
    return encode_umd(UmdPdu(sn=sn, starts=True, ends=True, elements=(data,)))


def test_channels_are_put_together_apart() -> None:
    channels = RxChannels(L2Config())
    others = (ONE._replace(dst_l2=8), ONE._replace(lcid=2), TWO)
    for channel in (ONE, *others):
        assert channels.receive(channel, first_half(), 0) == []
    for channel in (ONE, *others):
        assert channels.receive(channel, second_half(), 1) == [b"abcd"]
    assert (len(channels), channels.n_lost) == (4, 0)


def test_the_channel_silent_longest_gives_way_and_what_it_held_is_lost() -> None:
    channels = RxChannels(L2Config(max_receivers=2))
    channels.receive(ONE, first_half(), 0)
    channels.receive(TWO, first_half(), 1)
    channels.receive(ONE, first_half(sn=7), 2)
    assert channels.n_lost == 1
    channels.receive(THREE, whole(0, b"x"), 3)
    assert len(channels) == 2
    assert channels.receive(ONE, second_half(sn=8), 4) == [b"abcd"]
    assert channels.receive(TWO, second_half(), 5) == []
    assert channels.n_lost == 1


def test_counts_of_entities_that_are_gone_are_kept() -> None:
    channels = RxChannels(L2Config(max_receivers=1))
    for source in (ONE, TWO):
        channels.receive(source, first_half(), 0)
        channels.receive(source, first_half(sn=2), 1)
        channels.receive(source, first_half(sn=4), 2)
    assert channels.n_lost == 4
    channels.forget(TWO.src_l2)
    assert (len(channels), channels.n_lost) == (0, 4)
    channels.receive(THREE, first_half(), 3)
    channels.receive(THREE, first_half(sn=2), 4)
    assert channels.n_lost == 5


def test_counts_of_several_that_gave_way_add_up() -> None:
    channels = RxChannels(L2Config(max_receivers=1))
    for source in (ONE, TWO, THREE):
        channels.receive(source, first_half(), 0)
        channels.receive(source, first_half(sn=2), 1)
    assert channels.n_lost == 3


def test_a_source_is_forgotten_with_all_its_channels_and_no_other() -> None:
    channels = RxChannels(L2Config())
    for channel in (ONE, ONE._replace(lcid=2), TWO):
        channels.receive(channel, first_half(), 0)
    channels.forget(ONE.src_l2)
    assert len(channels) == 1
    assert channels.receive(ONE, second_half(), 1) == []
    assert channels.receive(TWO, second_half(), 1) == [b"abcd"]


def test_settings_reach_the_entities() -> None:
    channels = RxChannels(L2Config(um_window_size=16, t_reordering_subframes=7, sn_cycle_subframes=400))
    assert channels.advance(10**6) == []
    assert channels.receive(ONE, whole(0, b"first"), 0) == [b"first"]
    assert channels.receive(ONE, whole(2, b"third"), 10) == []
    assert channels.receive(TWO, whole(0, b"other"), 11) == [b"other"]
    assert channels.receive(TWO, whole(3, b"late"), 13) == []
    assert channels.advance(16) == []
    assert channels.advance(17) == [(ONE, b"third")]
    assert channels.advance(19) == []
    assert channels.advance(20) == [(TWO, b"late")]
    assert channels.receive(THREE, first_half(), 30) == []
    assert channels.advance(30 + 199) == []
    assert channels.receive(THREE, second_half(), 30 + 199) == [b"abcd"]
    assert channels.receive(THREE, first_half(sn=2), 300) == []
    assert channels.advance(300 + 200) == []
    assert channels.n_lost == 1


def test_the_cycle_of_numbers_is_that_of_the_settings() -> None:
    for pause, sdus in ((128, [b"abcd"]), (399, [b"abcd"]), (400, [])):
        channels = RxChannels(L2Config(sn_cycle_subframes=400))
        channels.receive(ONE, first_half(), 5)
        assert channels.receive(ONE, second_half(), 5 + pause) == sdus


def test_the_earliest_timer_of_all_counts() -> None:
    channels = RxChannels(L2Config(um_window_size=16, t_reordering_subframes=40))
    for channel, at in ((ONE, 20), (TWO, 10), (THREE, 30)):
        channels.receive(channel, whole(0, b"a"), at)
        channels.receive(channel, whole(2, bytes((channel.src_l2,))), at)
    assert channels.advance(49) == []
    assert channels.advance(50) == [(TWO, b"\x02")]
    assert channels.advance(59) == []
    assert channels.advance(60) == [(ONE, b"\x01")]
    assert channels.advance(70) == [(THREE, b"\x03")]


def test_the_longest_sdu_in_parts_is_kept_and_one_octet_more_is_not() -> None:
    for last, sdus in ((197, 1), (198, 0)):
        reassembler = UmReassembler()
        for sn in range(8):
            part = UmdPdu(sn=sn, starts=sn == 0, ends=False, elements=(bytes(1000),))
            assert reassembler.add(part) == []
        assert reassembler.add(UmdPdu(sn=8, starts=False, ends=False, elements=(bytes(last),))) == []
        assert len(reassembler.add(UmdPdu(sn=9, starts=False, ends=True, elements=(b"",)))) == sdus
        assert reassembler.n_lost == 1 - sdus


@pytest.mark.parametrize("window", [0, 16])
def test_a_repeat_gives_nothing(window: int) -> None:
    receiver = UmReceiver(30, um_window_size=window)
    octets = [UmdPdu(sn=sn % 32, starts=True, ends=True, elements=(bytes((sn,)),)) for sn in range(30, 36)]
    got = [sdu for pdu in octets for sdu in receiver.receive(pdu, 0)]
    assert got == [bytes((sn,)) for sn in range(30, 36)]
    assert receiver.next_timer is None and not receiver.holds_part
    if window:
        assert [receiver.receive(pdu, 1) for pdu in octets] == [[]] * 6


def test_a_pdu_far_ahead_pushes_out_what_the_window_leaves_behind() -> None:
    receiver = UmReceiver(0, um_window_size=16, t_reordering_subframes=40, sn_cycle_subframes=10**6)
    pdus = [UmdPdu(sn=sn, starts=True, ends=True, elements=(bytes((sn,)),)) for sn in range(32)]
    assert receiver.receive(pdus[0], 0) == [b"\0"]
    assert receiver.receive(pdus[2], 0) == []
    assert receiver.next_timer == 40
    assert receiver.receive(pdus[17], 1) == [b"\x02"]
    assert receiver.next_timer == 41
    assert receiver.receive(pdus[18], 2) == []
    assert receiver.receive(pdus[17], 3) == []
    assert receiver.receive(pdus[3], 4) == [b"\x03"]
    assert receiver.advance(40) == []
    assert receiver.advance(41) == [b"\x11", b"\x12"]
    assert receiver.next_timer is None


def test_a_receiver_that_has_started_anew_waits_for_order_again() -> None:
    receiver = UmReceiver(0, um_window_size=16, t_reordering_subframes=100, sn_cycle_subframes=128)
    pdus = [UmdPdu(sn=sn, starts=True, ends=True, elements=(bytes((sn,)),)) for sn in range(32)]
    receiver.receive(pdus[0], 0)
    assert receiver.receive(pdus[2], 10) == []
    assert receiver.receive(pdus[20], 10 + 64) == [b"\x02", b"\x14"]
    assert receiver.next_timer is None
    assert receiver.receive(pdus[22], 80) == []
    assert receiver.next_timer == 180
    assert receiver.advance(179 - 100) == []
    assert receiver.receive(pdus[21], 81) == [b"\x15", b"\x16"]
    assert receiver.next_timer is None
