"""MAC and RLC of one UE without PDCP: bounds of the queues, demands, what is thrown away, counts."""

from __future__ import annotations

from typing import Any

import pytest

from radio.l2 import stack as stack_module
from radio.l2.blocks import AddressPair, ReceivedBlock
from radio.l2.config import L2Config
from radio.l2.indications import BlockAddressed, Dropped, DropReason, PduReceived, PduSeen
from radio.l2.mac import MacTransmitter, QueueFull
from radio.l2.mac_pdu import MacVersion, decode_mac_pdu
from radio.l2.pdcp_entity import PdcpPdu
from radio.l2.rlc_um_pdu import decode_umd
from radio.l2.stack import L2Stack

A, B, C, GROUP = 0xABCDEF, 0x123456, 0x123499, 0x777701
TO_B, TO_C = AddressPair(A, B), AddressPair(A, C)


def pdu_of(data: bytes = b"data", *, dst: int = B, lcid: int = 1, src: int = A, to_group: bool = False) -> PdcpPdu:
    return PdcpPdu(src_l2=src, dst_l2=dst, lcid=lcid, to_group=to_group, data=data)


def block_for(octets: bytes, dst: int = B, subframe: int = 0) -> ReceivedBlock:
    return ReceivedBlock(octets=octets, destination_octet=dst & 0xFF, subframe=subframe)


def built(stack: L2Stack, pair: AddressPair, n_octets: int, subframe: int = 0) -> bytes:
    block = stack.build_block(pair, n_octets, subframe)
    assert block is not None and len(block) == n_octets
    return block


def parts_of(block: bytes) -> list[tuple[int, bytes]]:
    return [(sdu.lcid, b"".join(decode_umd(sdu.data).elements)) for sdu in decode_mac_pdu(block).sdus]


def test_a_queue_takes_so_many_sdus_and_no_more() -> None:
    stack = L2Stack(A, L2Config(max_queue_sdus=3))
    for _ in range(3):
        stack.send(pdu_of())
    stack.check_room(TO_B, 2, 100)
    stack.check_room(TO_C, 1, 100)
    with pytest.raises(QueueFull, match="3 SDUs of 12 octets wait for 123456 on LCID 1"):
        stack.send(pdu_of())
    assert stack.queued_octets(B) == 12
    assert stack.statistics.pdus_sent == 3
    built(stack, TO_B, 40)
    stack.check_room(TO_B, 1, 1)


def test_a_queue_takes_so_many_octets_and_no_more() -> None:
    stack = L2Stack(A, L2Config(max_queue_octets=10000))
    stack.send(pdu_of(bytes(8000)))
    stack.check_room(TO_B, 1, 2000)
    with pytest.raises(QueueFull):
        stack.check_room(TO_B, 1, 2001)
    stack.send(pdu_of(bytes(2000)))
    with pytest.raises(QueueFull):
        stack.check_room(TO_B, 1, 1)


def test_destinations_with_something_waiting_are_bounded() -> None:
    stack = L2Stack(A, L2Config(max_destinations=2))
    stack.send(pdu_of())
    stack.send(pdu_of(dst=C))
    with pytest.raises(QueueFull, match="SDUs wait for 2 destinations already"):
        stack.send(pdu_of(dst=7))
    stack.send(pdu_of(dst=C))
    built(stack, TO_B, 100)
    stack.send(pdu_of(dst=7))
    assert [stack.queued_octets(dst) for dst in (B, C, 7)] == [0, 8, 4]


def test_the_idle_destination_served_longest_ago_gives_way() -> None:
    """What shows is the SN: a destination that is forgotten begins again at 0."""
    stack = L2Stack(A, L2Config(max_destinations=3))
    for dst in (B, C, 7):
        stack.send(pdu_of(dst=dst))
    for dst in (C, 7, B):
        pair = AddressPair(A, dst)
        while (demand := stack.next_demand()) is not None and demand.pair != pair:
            pass
        built(stack, pair, 100)
    stack.send(pdu_of(dst=8))
    sns = {}
    for dst in (B, 7):
        stack.send(pdu_of(dst=dst))
        sns[dst] = decode_umd(decode_mac_pdu(built(stack, AddressPair(A, dst), 100)).sdus[0].data).sn
    assert sns == {B: 1, 7: 1}


def test_no_more_destinations_are_kept_than_the_settings_allow() -> None:
    mac = MacTransmitter(L2Config(max_destinations=2))
    for dst in (1, 2, 3, 4):
        pair = AddressPair(A, dst)
        mac.enqueue(pair, 1, b"a", to_group=False)
        assert mac.pick_destination() == pair and mac.build_pdu(pair, 30, 0) is not None
    assert len(mac._destinations) == 2


def test_a_demand_says_what_would_empty_the_queues() -> None:
    stack = L2Stack(A)
    assert stack.next_demand() is None
    stack.join_group(GROUP)
    stack.send(pdu_of(bytes(10)))
    demand = stack.next_demand()
    assert demand is not None
    assert (demand.pair, demand.octets, demand.signalling_octets, demand.to_group) == (TO_B, 14, 0, False)
    stack.send(pdu_of(bytes(20), lcid=30))
    stack.send(pdu_of(bytes(20), lcid=30))
    demand = stack.next_demand()
    assert demand is not None
    assert (demand.octets, demand.signalling_octets) == (14 + 46, 46)
    built(stack, TO_B, 6 + 60)
    assert stack.next_demand() is None
    stack.send(pdu_of(dst=GROUP, to_group=True))
    demand = stack.next_demand()
    assert demand is not None
    assert (demand.pair, demand.to_group) == (AddressPair(A, GROUP), True)


def test_pairs_take_turns_and_signalling_comes_first() -> None:
    stack = L2Stack(A, L2Config(max_wait_turns=100))
    for dst in (B, C, 7):
        stack.send(pdu_of(dst=dst))
    turns = [demand.pair.dst_l2 for _ in range(6) if (demand := stack.next_demand())]
    assert turns == [B, C, 7, B, C, 7]
    stack.send(pdu_of(dst=7, lcid=28))
    turns = [demand.pair.dst_l2 for _ in range(3) if (demand := stack.next_demand())]
    assert turns == [7, 7, 7]


def test_user_data_has_a_turn_once_it_has_waited_so_often() -> None:
    stack = L2Stack(A, L2Config(max_wait_turns=3))
    stack.send(pdu_of(dst=B, lcid=28))
    stack.send(pdu_of(dst=C))
    turns = [demand.pair.dst_l2 for _ in range(9) if (demand := stack.next_demand())]
    assert turns == [B, B, B, C, B, B, B, C, B]


def test_a_pair_that_nothing_was_ever_sent_to_needs_nothing() -> None:
    assert MacTransmitter(L2Config()).needed_octets(TO_B) == 0


def test_the_end_of_a_wait_for_order_is_counted_and_says_from_whom() -> None:
    a, b = L2Stack(A), L2Stack(B, L2Config(um_window_size=16, t_reordering_subframes=40))
    blocks = []
    for n in range(3):
        a.send(pdu_of(bytes((n,)), lcid=5))
        blocks.append(built(a, TO_B, 30))
    b.receive(block_for(blocks[0], subframe=10))
    assert b.receive(block_for(blocks[2], subframe=20)) == [BlockAddressed(src_l2=A)]
    assert b.advance(59) == []
    assert b.advance(60) == [PduReceived(src_l2=A, dst_l2=B, lcid=5, to_group=False, data=b"\2")]
    assert b.statistics.pdus_received == 2


def test_a_block_takes_signalling_first_and_is_full() -> None:
    stack = L2Stack(A)
    for lcid in (2, 1, 30):
        stack.send(pdu_of(bytes((lcid,)) * 10, lcid=lcid))
    first = built(stack, TO_B, 6 + 13 + 13 + 1 + 5)
    assert parts_of(first) == [(30, b"\x1e" * 10), (1, b"\1" * 10), (2, b"\2" * 4)]
    assert stack.queued_octets(B) == 6
    second = built(stack, TO_B, 6 + 1 + 7)
    assert parts_of(second) == [(2, b"\2" * 6)]
    assert stack.build_block(TO_B, 100, 0) is None


@pytest.mark.parametrize(("n_octets", "taken"), [(8, 0), (9, 1), (10, 2)])
def test_the_least_block_that_carries_anything(n_octets: int, taken: int) -> None:
    stack = L2Stack(A)
    stack.send(pdu_of(b"abc"))
    block = stack.build_block(TO_B, n_octets, 0)
    assert stack.queued_octets(B) == 3 - taken
    assert (block is None) is (taken == 0)


def test_a_second_channel_needs_room_for_its_subheader_and_an_octet() -> None:
    for spare, lcids in ((2, [1]), (3, [1, 2])):
        stack = L2Stack(A)
        stack.send(pdu_of(bytes(4), lcid=1))
        stack.send(pdu_of(bytes(4), lcid=2))
        assert [lcid for lcid, _ in parts_of(built(stack, TO_B, 6 + 7 + spare))] == lcids


def test_headers_of_a_block() -> None:
    stack = L2Stack(A)
    stack.send(pdu_of())
    stack.send(pdu_of(dst=GROUP, to_group=True))
    one, many = decode_mac_pdu(built(stack, TO_B, 30)), decode_mac_pdu(built(stack, AddressPair(A, GROUP), 30))
    assert (one.version, one.src, one.dst) == (MacVersion.UNICAST, A, B >> 8)
    assert (many.version, many.src, many.dst) == (MacVersion.GROUP, A, GROUP >> 8)


def test_what_is_forgotten_and_what_stays() -> None:
    stack = L2Stack(A)
    old = 0x0000AA
    for pdu in (
        pdu_of(),
        pdu_of(dst=C),
        pdu_of(b"older", dst=GROUP, src=old, to_group=True),
        pdu_of(dst=GROUP, to_group=True),
        pdu_of(src=old),
    ):
        stack.send(pdu)
    assert [stack.queued_octets(dst) for dst in (B, C, GROUP)] == [8, 4, 9]
    stack.forget_groups_from(old)
    assert [stack.queued_octets(dst) for dst in (B, C, GROUP)] == [8, 4, 4]
    stack.leave_group(GROUP)
    assert [stack.queued_octets(dst) for dst in (B, C, GROUP)] == [8, 4, 0]
    stack.forget(B)
    assert [stack.queued_octets(dst) for dst in (B, C, GROUP)] == [0, 4, 0]


def test_a_peer_that_is_forgotten_loses_what_came_in_part() -> None:
    a, b = L2Stack(A), L2Stack(B)
    a.send(pdu_of(bytes(30)))
    first, second = (built(a, TO_B, 25) for _ in range(2))
    assert b.receive(block_for(first)) == [BlockAddressed(src_l2=A)]
    b.forget(A)
    assert b.receive(block_for(second)) == [BlockAddressed(src_l2=A)]
    assert b.statistics.pdus_received == 0


def test_a_gap_costs_one_and_is_counted() -> None:
    a, b = L2Stack(A), L2Stack(B)
    a.send(pdu_of(bytes(30)))
    built_blocks = [built(a, TO_B, 15) for _ in range(5)]
    for block in (built_blocks[0], *built_blocks[2:]):
        b.receive(block_for(block))
    assert (b.statistics.rlc_lost, b.statistics.pdus_received) == (1, 0)


def test_old_parts_are_sent_again_by_the_cycle_of_the_settings() -> None:
    for pause, starts in ((400 - 33, False), (400 - 32, True)):
        stack = L2Stack(A, L2Config(sn_cycle_subframes=400))
        stack.send(pdu_of(bytes(30)))
        built(stack, TO_B, 20, subframe=3)
        pdu = decode_umd(decode_mac_pdu(built(stack, TO_B, 60, subframe=3 + pause)).sdus[0].data)
        assert pdu.starts is starts


def test_counts_of_both_directions() -> None:
    a, b = L2Stack(A), L2Stack(B)
    for n in (1, 2):
        a.send(pdu_of(bytes(n)))
        b.receive(block_for(built(a, TO_B, 30 + n)))
    sent, heard = a.statistics, b.statistics
    assert (sent.pdus_sent, sent.blocks_sent, sent.block_octets_sent) == (2, 2, 63)
    assert (sent.pdus_received, sent.blocks_received, sent.rlc_lost, dict(sent.dropped)) == (0, 0, 0, {})
    assert (heard.pdus_received, heard.blocks_received, heard.pdus_sent, heard.blocks_sent) == (2, 2, 0, 0)
    b.receive(block_for(b""))
    b.receive(block_for(b""))
    assert heard.dropped == {DropReason.MALFORMED_MAC: 2}


def test_what_is_handed_up_says_where_it_came_from_and_went_to() -> None:
    a, b = L2Stack(A), L2Stack(B)
    a.send(pdu_of(b"one", lcid=3))
    block = built(a, TO_B, 30)
    expected = PduReceived(src_l2=A, dst_l2=B, lcid=3, to_group=False, data=b"one")
    assert b.receive(block_for(block)) == [BlockAddressed(src_l2=A), expected]
    elsewhere = b.receive(block_for(block, B ^ 1))
    (dropped,) = elsewhere
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.src_l2, dropped.dst_l2) == (DropReason.NOT_ADDRESSED, A, B ^ 1)
    assert b.statistics.blocks_received == 1


@pytest.mark.parametrize(
    ("octets", "reason", "detail"),
    [
        ("", DropReason.MALFORMED_MAC, "no SL-SCH subheader of a known version"),
        ("30 abcdef 123456 01 00 61", DropReason.NOT_ADDRESSED, "a PDU with V = 3 for 12345656"),
        ("20 abcdef 1235 01 00 61", DropReason.NOT_ADDRESSED, "a PDU with V = 2 for 123556"),
        ("20 123456 1234 01 00 61", DropReason.OWN_L2_ID, "another UE uses 123456"),
    ],
)
def test_what_mac_refuses_is_dropped_and_says_why(octets: str, reason: DropReason, detail: str) -> None:
    b = L2Stack(B)
    (dropped,) = b.receive(block_for(bytes.fromhex(octets)))
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.detail) == (reason, detail)
    assert b.statistics.dropped == {reason: 1} and b.statistics.blocks_received == 0


@pytest.mark.parametrize(
    ("tail", "reason", "lcid", "detail"),
    [
        ("0b 00 61", DropReason.RESERVED_LCID, 11, "LCID 11 is reserved"),
        ("01 00", DropReason.MALFORMED_RLC, 1, "the elements of a UMD PDU of 1 octets run past its end"),
    ],
)
def test_what_rlc_refuses_is_dropped_with_its_channel(tail: str, reason: DropReason, lcid: int, detail: str) -> None:
    b = L2Stack(B)
    octets = bytes.fromhex("20 abcdef 1234" + tail)
    addressed, dropped = b.receive(block_for(octets))
    assert addressed == BlockAddressed(src_l2=A)
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.src_l2, dropped.dst_l2, dropped.lcid) == (reason, A, B, lcid)
    assert dropped.detail == detail
    assert b.statistics.dropped == {reason: 1}


def test_a_block_to_a_group_is_received_by_who_joined_it_even_from_an_equal_id() -> None:
    a, b = L2Stack(A), L2Stack(A)
    for stack in (a, b):
        stack.join_group(GROUP)
    a.send(pdu_of(b"all", dst=GROUP, to_group=True))
    block = built(a, AddressPair(A, GROUP), 30)
    _, heard = b.receive(block_for(block, GROUP))
    assert heard == PduReceived(src_l2=A, dst_l2=GROUP, lcid=1, to_group=True, data=b"all")
    b.leave_group(GROUP)
    (dropped,) = b.receive(block_for(block, GROUP))
    assert isinstance(dropped, Dropped) and dropped.reason is DropReason.NOT_ADDRESSED


def test_own_blocks_to_groups_are_known_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module, "SENT_KEPT", 2)
    stack = L2Stack(A)
    stack.join_group(GROUP)
    blocks = []
    for n in range(3):
        stack.send(pdu_of(bytes((n,)), dst=GROUP, to_group=True))
        blocks.append(built(stack, AddressPair(A, GROUP), 20))
    heard = [stack.receive(block_for(block, GROUP))[0] for block in blocks]
    reasons = [one.reason if isinstance(one, Dropped) else None for one in heard]
    assert reasons == [None, DropReason.OWN_REPEATED, DropReason.OWN_REPEATED]


def test_own_blocks_to_peers_are_not_kept() -> None:
    stack = L2Stack(A)
    stack.send(pdu_of())
    (dropped,) = stack.receive(block_for(built(stack, TO_B, 30)))
    assert isinstance(dropped, Dropped) and dropped.reason is DropReason.NOT_ADDRESSED


def test_an_observer_is_shown_all_fields() -> None:
    seen: list[PduSeen] = []
    a, b = L2Stack(A, observer=seen.append), L2Stack(B, observer=seen.append)
    a.send(pdu_of(b"one", lcid=3))
    block = built(a, TO_B, 30)
    b.receive(block_for(block))
    fields: list[Any] = [(pdu.layer, pdu.direction, pdu.src_l2, pdu.dst_l2, pdu.lcid, pdu.data) for pdu in seen]
    rlc = b"\x00one"
    assert fields == [
        ("rlc", "tx", A, B, 3, rlc),
        ("mac", "tx", A, B, 0, block),
        ("mac", "rx", A, B, 0, block),
        ("rlc", "rx", A, B, 3, rlc),
    ]
