"""A member's keys of a group: installed, switched to, read with for a while, and wiped."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from security.ciphers.algorithms import eea
from security.errors import SecurityError
from security.groups import (
    GroupError,
    LowerMarkError,
    NoKeyHeld,
    Removal,
    RemovalAheadError,
    TagMismatch,
    Taken,
    WrongIndexError,
    imported_gmk_id,
    member_hash,
)
from security.groups.keying import mark_name, pgk_ids_of, place_of
from security.groups.membership import KEYS_KEPT, OLD_READ_S, T_OLD_S, WINDOW_S
from security.groups.removals import MAX_LISTED, RemovalRecord
from security.link.key_ladder import FC33303, derive_pek, derive_ptk
from security.mikey import parse_i_message
from security.mikey.key_derivation import guk_id
from tests.benches.group_keys_bench import (
    ALICE_L2,
    BOB_L2,
    GROUP,
    GROUP_L2,
    KEYER,
    NOW,
    SSV,
    Marks,
    Member,
    install,
    keyer,
    keying,
    pair,
)


def out(identity, at=NOW, *, is_out=True):
    return Removal(member=member_hash(identity), ntp_s=int(at), is_out=is_out)


def test_ladder_is_the_profiles():
    alice, bob = pair()
    sender, _, index, ptk_id, sn, lcid, sealed = pdu = alice.send(b"to the group")
    assert (sender, index, sn, lcid) == (ALICE_L2, 2, 1, 3)
    pgk = keying().derive_pgk(SSV, KEYER)
    ptk = derive_ptk(pgk, sender_l2=ALICE_L2.to_bytes(3), ptk_id=ptk_id, group_l2=GROUP_L2.to_bytes(3))
    assert sealed == eea(2, derive_pek(ptk, FC33303, 2), ptk_id << 16 | 1, 3, 0, b"to the group")
    assert bob.traffic.open(*pdu) == b"to the group"


@pytest.mark.parametrize("algorithm", [1, 2, 3])
def test_every_algorithm_both_ways(algorithm):
    alice, bob = Member(ALICE_L2, "a"), Member(BOB_L2, "b")
    for member in (alice, bob):
        install(member.membership, eea=algorithm)
    for sender, receiver in ((alice, bob), (bob, alice)):
        for text in (b"", b"x", b"y" * 1500):
            assert receiver.traffic.open(*sender.send(text)) == text


@pytest.mark.parametrize(
    "changes",
    [
        {"eea": 0},
        {"eea": 4},
        {"mode": 2},
        {"pgk_id": 0x20},
        {"pgk_id": 256},
        {"group_l2": 0},
        {"group_l2": 0xFFFFFF},
        {"epoch": 0},
        {"epoch": 1 << 32},
        {"expiry_ntp_s": 1 << 32},
        {"group_identity": "tel:\0"},
    ],
)
def test_impossible_group_info_is_refused(changes):
    with pytest.raises(SecurityError):
        replace(keying(), **changes)


@pytest.mark.parametrize(("removals", "read_for_s"), [((), OLD_READ_S), ((out("tel:+7"),), T_OLD_S)])
def test_old_epoch_is_received_for_a_while_then_wiped(removals, read_for_s):
    alice, bob = pair()
    late, later = alice.send(b"late"), alice.send(b"later")
    for member in (alice, bob):
        assert install(member.membership, epoch=2, ssv=bytes(16), removals=removals) is Taken.NEW
    assert bob.membership.next_deadline_ntp_s == NOW + read_for_s
    assert bob.traffic.open(*late) == b"late"
    assert bob.traffic.open(*alice.send(b"new")) == b"new"
    bob.traffic.expire(NOW + read_for_s)
    assert bob.membership.next_deadline_ntp_s == NOW + 1000
    with pytest.raises(GroupError):
        bob.traffic.open(*later)


def test_numbers_taken_before_a_new_epoch_can_not_be_used_in_it():
    alice, _ = pair()
    numbers = alice.traffic.next_key(GROUP_L2, 3)
    install(alice.membership, epoch=2)
    with pytest.raises(GroupError):
        alice.traffic.seal(GROUP_L2, *numbers, 3, b"")


def test_same_pgk_index_replaces_the_old_key_at_once():
    bob = Member(BOB_L2)
    install(bob.membership)
    install(bob.membership, epoch=2, pgk_id=2, ssv=bytes(16))
    assert len(bob.membership._keys[GROUP_L2]) == 1
    assert bob.membership.receiving_key(GROUP_L2, 2).keying.epoch == 2


def test_expiry_and_leaving_wipe_everything():
    for end in (lambda bob: bob.traffic.expire(NOW + 1000), lambda bob: bob.traffic.leave(GROUP_L2)):
        alice, bob = pair()
        pdu = alice.send()
        bob.send()
        key = bob.membership.sending_key(GROUP_L2)
        end(bob)
        assert key.pgk is None
        assert not bob.traffic._senders
        assert not bob.traffic._receivers
        for act in (lambda bob=bob, pdu=pdu: bob.traffic.open(*pdu), bob.send):
            with pytest.raises(GroupError):
                act()


@pytest.mark.parametrize(
    ("index", "ptk_id", "sn", "lcid"), [(3, 1, 1, 3), (2, 0, 1, 3), (2, 1, 0, 3), (2, 1, 0x10000, 3), (2, 1, 1, 32)]
)
def test_impossible_numbers_are_refused(index, ptk_id, sn, lcid):
    _, bob = pair()
    with pytest.raises(GroupError):
        bob.traffic.open(ALICE_L2, GROUP_L2, index, ptk_id, sn, lcid, b"x")


def test_a_group_layer_2_id_belongs_to_one_group():
    bob = Member(BOB_L2)
    install(bob.membership)
    with pytest.raises(GroupError):
        install(bob.membership, epoch=9, group_identity="tel:+447700900098")


def test_the_greater_mark_wins_whichever_comes_first():
    low, high = sorted((bytes([n] * 16) for n in range(2)), key=lambda ssv: keying(7, ssv, pgk_id=1).mark)
    for order in ((low, high), (high, low)):
        bob = Member(BOB_L2)
        for ssv in order:
            try:
                install(bob.membership, 7, ssv, pgk_id=1)
            except LowerMarkError:
                assert ssv == low
        assert bob.membership.newest(GROUP_L2).keying.mark == keying(7, high, pgk_id=1).mark
        assert bob.marks.mark(mark_name(GROUP)) == keying(7, high, pgk_id=1).mark


def test_the_same_key_again_changes_nothing_while_it_is_held_and_is_installed_where_it_is_not():
    bob = Member(BOB_L2)
    assert install(bob.membership) is Taken.NEW
    assert install(bob.membership, t=NOW - 1) is Taken.HELD
    again = Member(BOB_L2, marks=bob.marks)
    assert install(again.membership) is Taken.AGAIN
    assert install(again.membership) is Taken.HELD


def test_a_tag_of_another_ssv_installs_nothing():
    bob = Member(BOB_L2)
    given = keying(1, bytes(16))
    with pytest.raises(TagMismatch):
        bob.membership.install(given, SSV, keyer=KEYER, place=place_of(2), t_ntp_s=NOW, now_ntp_s=NOW)
    assert not bob.marks.values and bob.membership.newest(GROUP_L2) is None


def test_each_keyer_has_indices_of_its_own():
    every = [index for place in range(8) for index in pgk_ids_of(place)]
    assert sorted(every) == list(range(1, 32))
    bob = Member(BOB_L2)
    with pytest.raises(WrongIndexError):
        bob.membership.check(keying(pgk_id=1), place=1, removals=(), now_ntp_s=NOW)


def test_a_new_key_is_sent_under_a_second_after_its_time_or_at_once_where_somebody_is_out():
    for removals, waits in (((), True), ((out("tel:+7"),), False)):
        alice = Member(ALICE_L2)
        install(alice.membership)
        install(alice.membership, epoch=2, ssv=bytes(16), t=NOW, removals=removals)
        assert alice.send()[2] == (2 if waits else 3)
        assert alice.membership.next_deadline_ntp_s == (NOW + 1 if waits else NOW + T_OLD_S)
        alice.traffic.expire(NOW + 1)
        assert alice.send()[2] == 3


def test_a_clock_ahead_does_not_put_the_switch_off():
    alice = Member(ALICE_L2)
    install(alice.membership)
    install(alice.membership, epoch=2, ssv=bytes(16), t=NOW + 250)
    alice.traffic.expire(NOW + 1)
    assert alice.send()[2] == 3


def test_an_old_message_brings_a_key_to_read_with_until_a_fresh_one_names_it():
    for fresh in (False, True):
        alice, bob = Member(ALICE_L2), Member(BOB_L2)
        install(alice.membership)
        install(bob.membership)
        for member, t in ((alice, NOW), (bob, NOW - WINDOW_S - 1)):
            install(member.membership, epoch=2, ssv=bytes(16), t=t)
        alice.traffic.expire(NOW + 1)
        assert bob.traffic.open(*alice.send()) == b"hello"
        with pytest.raises(GroupError, match="superseded"):
            bob.send()
        assert install(bob.membership, epoch=2, ssv=bytes(16), t=NOW - WINDOW_S - 1) is Taken.HELD
        later = {"t": NOW - WINDOW_S - 1, "fresh": True} if fresh else {"t": NOW - 2}
        assert install(bob.membership, epoch=2, ssv=bytes(16), **later) is Taken.CONFIRMED
        assert alice.traffic.open(*bob.send()) == b"hello"


def test_a_removal_ahead_of_the_clock_is_refused():
    bob = Member(BOB_L2)
    with pytest.raises(RemovalAheadError):
        install(bob.membership, removals=(out("tel:+7", NOW + WINDOW_S + 2),))
    install(bob.membership, removals=(out("tel:+7", NOW + WINDOW_S),))


def test_lists_of_removals_merge_alike_in_any_order():
    entries = [out("tel:+1", 5), out("tel:+1", 5, is_out=False), out("tel:+1", 9, is_out=False), out("tel:+2", 3)]
    records = []
    for order in (entries, entries[::-1], entries[2:] + entries[:2]):
        record = RemovalRecord(Marks(), GROUP)
        for entry in order:
            record.merge((entry,))
        records.append(record.entries())
    assert records[0] == records[1] == records[2]
    assert set(records[0]) == {out("tel:+1", 9, is_out=False), out("tel:+2", 3)}


def test_at_equal_seconds_out_counts_and_a_list_is_full_with_sixteen():
    record = RemovalRecord(Marks(), GROUP)
    record.merge((out("tel:+1", 5, is_out=False),))
    assert not record.is_out("tel:+1")
    record.merge((out("tel:+1", 5),))
    assert record.is_out("tel:+1")
    for number in range(2, MAX_LISTED + 1):
        record.note(f"tel:+{number}", is_out=True, now_ntp_s=NOW)
    assert len(record.listed(NOW)) == MAX_LISTED
    with pytest.raises(GroupError, match="another identity"):
        record.note("tel:+99", is_out=True, now_ntp_s=NOW)
    record.note("tel:+2", is_out=False, now_ntp_s=NOW)
    assert not record.is_out("tel:+2"), "a second later than the removal"


def test_keys_do_not_show():
    group = keyer()
    order = group.new_epoch(expiry_ntp_s=int(NOW) + 5)
    bob = Member(BOB_L2)
    install(bob.membership, ssv=order.ssv)
    text = repr((group, order, bob.membership.sending_key(GROUP_L2)))
    assert order.ssv.hex() not in text
    assert repr(order.ssv) not in text
    assert "pgk=" not in text
    group.wipe()
    assert group._current is None


def test_gmk_of_another_system(vectors):
    for case in vectors("streamwide_imessages.json")["cases"]:
        i_message = parse_i_message(base64.b64decode(case["I-MESSAGE"].removeprefix("mikey ")))
        gmk, user = bytes.fromhex(case["expected_key"]), case["Responder URI"]
        if i_message.csb_id >> 28:
            with pytest.raises(GroupError):
                imported_gmk_id(i_message, gmk, user)
        else:
            gmk_id = imported_gmk_id(i_message, gmk, user)
            assert guk_id(gmk, gmk_id, user) == i_message.csb_id
            assert gmk_id >> 28 == 0


def test_an_index_that_is_not_held_is_told():
    alice, bob = pair()
    install(alice.membership, epoch=2, ssv=bytes(16))
    told, heard = [], []
    bob.traffic.on_unheld = lambda *told_of: told.append(told_of)
    bob.traffic.on_heard = heard.append
    with pytest.raises(NoKeyHeld):
        bob.traffic.open(*alice.send())
    assert (told, heard) == ([(GROUP_L2, 3)], [])


def test_what_was_derived_goes_with_its_pgk_at_once():
    """Of many new epochs within a minute the last four are held; what goes takes its PEKs along."""
    alice, bob = pair()
    bob.traffic.open(*alice.send())
    bob.send()
    first = bob.membership.newest(GROUP_L2)
    for epoch in range(2, KEYS_KEPT + 2):
        assert first.pgk is not None
        install(bob.membership, epoch=epoch, ssv=bytes(16))
    assert first.pgk is None and len(bob.membership._keys[GROUP_L2]) == KEYS_KEPT
    assert not bob.traffic._receivers
    assert not bob.traffic._senders
