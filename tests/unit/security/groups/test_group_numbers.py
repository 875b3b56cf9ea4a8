"""The numbers of a group's PDUs: PTK IDs and SNs used once, whatever is restarted, copied or lost."""

from __future__ import annotations

from itertools import pairwise

import pytest

from security.errors import SecurityError
from security.groups import (
    GroupError,
    GroupExhausted,
    GroupReplay,
)
from security.groups.numbers import LAST_SN, PTK_BLOCK, PTK_IDS
from security.groups.traffic import CHANGE_EVERY_S
from tests.benches.group_keys_bench import ALICE_L2, GROUP_L2, Marks, Member, install, keying, pair


def test_repeats_are_refused_in_any_order_and_the_rest_delivered():
    alice, bob = pair()
    pdus = [alice.send(bytes([number])) for number in range(20)]
    for pdu in reversed(pdus):
        assert bob.traffic.open(*pdu) == bytes([pdu[4] - 1])
    for pdu in pdus:
        with pytest.raises(GroupReplay):
            bob.traffic.open(*pdu)


def test_numbers_are_used_once_and_in_order():
    alice, _ = pair()
    first, second = alice.traffic.next_key(GROUP_L2, 3), alice.traffic.next_key(GROUP_L2, 4)
    assert first[2] + 1 == second[2]
    alice.traffic.seal(GROUP_L2, *second, 4, b"")
    for numbers in (second, first, (second[0], second[1], second[2] + 1), (second[0] + 1, *second[1:])):
        with pytest.raises(GroupError):
            alice.traffic.seal(GROUP_L2, *numbers, 3, b"")


def test_ptk_ids_go_round_once_on_record_in_blocks_and_end():
    alice, _ = pair()
    alice.traffic.next_key(GROUP_L2, 3)
    numbers, seen, before = alice.traffic._numbers, set(), -1
    recorded = f"group ptk {ALICE_L2:06x}"
    while True:
        numbers._next_sn = LAST_SN
        try:
            _, ptk_id, sn = alice.traffic.next_key(GROUP_L2, 3)
            seen.add((ptk_id, sn))
            _, ptk_id, sn = alice.traffic.next_key(GROUP_L2, 3)
        except GroupExhausted:
            break
        seen.add((ptk_id, sn))
        assert alice.marks.values[recorded] >= numbers._position > before, "on record before its use"
        before = numbers._position
        assert alice.traffic.wants_epoch(GROUP_L2) is (len(seen) // 2 + 1 > PTK_IDS - PTK_IDS // 16)
    assert {ptk_id for ptk_id, _ in seen} == set(range(1, PTK_IDS + 1))
    assert len(seen) == 2 * PTK_IDS - 1
    install(alice.membership, epoch=2)
    index, ptk_id, sn = alice.traffic.next_key(GROUP_L2, 3)
    assert index == 3 and sn == 1, "a new key goes on"
    assert alice.marks.values[recorded] > before, "and resets nothing"


def test_nothing_is_sent_where_the_block_can_not_be_recorded():
    alice, _ = pair()
    alice.marks.full = True
    with pytest.raises(SecurityError):
        alice.traffic.next_key(GROUP_L2, 3)


def test_senders_and_ptk_ids_remembered_are_bounded():
    alice, bob = pair()
    index = alice.send()[2]
    for number in range(300):
        bob.traffic.open(0x5000 + number, GROUP_L2, index, 1 + number, 1, 3, b"x")
        bob.traffic.open(0x5000, GROUP_L2, index, 1 + number, 2 + number, 3, b"x")
    assert len(bob.traffic._receivers) == 64
    assert len(bob.traffic._receivers[GROUP_L2, keying().mark, 0x5000].windows) == 4


def test_blocks_are_of_sixteen():
    alice, _ = pair()
    alice.send()
    numbers = alice.traffic._numbers
    assert alice.marks.values[f"group ptk {ALICE_L2:06x}"] == numbers._position - 1 + PTK_BLOCK


def test_two_processes_of_one_device_take_different_ptk_ids():
    """Both were started before either had sent, so both send from the device's own id."""
    marks = Marks()
    one, other = (Member(ALICE_L2, seed, marks=marks) for seed in ("same", "same"))
    install(one.membership)
    install(other.membership)
    numbers = set()
    for _ in range(40):
        for process in (one, other):
            process.traffic._numbers._next_sn = LAST_SN + 1
            numbers.add(process.send()[3])
    assert len(numbers) == 80


def test_sns_run_from_1_to_the_last_then_the_next_ptk_id():
    alice, bob = pair()
    numbers = []
    for _ in range(LAST_SN + 1):
        _, _, _, ptk_id, sn, _, _ = alice.send(b"")
        numbers.append((ptk_id, sn))
    first = numbers[0][0]
    assert [sn for _, sn in numbers] == [*range(1, LAST_SN + 1), 1]
    assert {ptk_id for ptk_id, _ in numbers[:-1]} == {first}
    assert numbers[-1][0] == first % PTK_IDS + 1
    assert bob.traffic.open(*alice.send(b"x")) == b"x"


def test_numbers_go_on_from_key_to_key():
    alice, _ = pair()
    before = alice.send()
    install(alice.membership, epoch=2, ssv=bytes(16))
    after = alice.send()
    assert (after[2], after[3], after[4]) == (3, before[3], before[4] + 1)


def test_own_pdus_that_come_back_change_nothing_and_another_ues_do():
    alice, bob = pair()
    sent = [alice.send(b"before") for _ in range(3)]
    for pdu in sent:
        with pytest.raises(GroupReplay, match="own came back"):
            alice.traffic.open(*pdu)
    assert alice.traffic.sender_l2 == ALICE_L2
    altered = (*sent[0][:6], b"xxxxxx")
    with pytest.raises(GroupError, match="new one is drawn"):
        alice.traffic.open(*altered)
    drawn = alice.traffic.sender_l2
    assert drawn not in (0, ALICE_L2, 0xFFFFFF)
    after = alice.send(b"after")
    assert (after[0], after[4]) == (drawn, 1)
    for pdu in (*sent, after):
        assert bob.traffic.open(*pdu) in (b"before", b"after")
    for pdu in sent:
        with pytest.raises(GroupReplay, match="own came back"):
            alice.traffic.open(*pdu)
    twin = Member(ALICE_L2, "twin")
    install(twin.membership)
    assert alice.traffic.open(*twin.send(b"from the twin")) == b"from the twin"


def test_nobody_makes_a_member_change_its_id_more_than_once_in_ten_seconds():
    alice, _ = pair()
    before, seen = dict(alice.marks.values), [ALICE_L2]
    for number in range(200):
        alice.traffic.note_time(number * CHANGE_EVERY_S)
        assert alice.traffic.give_up_sender(seen[-1])
        seen.append(alice.traffic.sender_l2)
        assert not alice.traffic.give_up_sender(seen[-1])
        alice.traffic.note_time((number + 1) * CHANGE_EVERY_S - 0.1)
        assert not alice.traffic.give_up_sender(seen[-1])
        with pytest.raises(GroupError, match="a moment ago"):
            alice.traffic.open(seen[-1], GROUP_L2, 2, 1, 1, 3, b"x")
        alice.send()
    assert all(a != b for a, b in pairwise(seen))
    assert ALICE_L2 not in seen[1:]
    assert alice.marks.values == before, "a drawn id leaves nothing on record"


def test_a_lost_record_is_remembered_so_that_later_starts_draw_their_id_too():
    """What the own id sent before the loss is unknown for good, not only in the life that found out."""
    marks = Marks()
    first = Member(ALICE_L2, "first", marks=marks, record_lost=True)
    second = Member(ALICE_L2, "second", marks=marks)
    assert ALICE_L2 not in (first.traffic.sender_l2, second.traffic.sender_l2)
    assert first.traffic.sender_l2 != second.traffic.sender_l2
    assert Member(ALICE_L2, "whole").traffic.sender_l2 == ALICE_L2


def test_a_copy_of_the_record_that_is_put_back_gives_no_number_a_second_time():
    """A copy can't be detected after a restart: block records alone would give the same numbers again."""
    alice, _ = pair()
    alice.send()
    copy = dict(alice.marks.values)
    trace = {alice.send()[:5] for _ in range(50)}
    again = Member(ALICE_L2, "again", marks=Marks(copy))
    install(again.membership)
    more = {again.send()[:5] for _ in range(50)}
    assert not trace & more and again.traffic.sender_l2 != ALICE_L2
