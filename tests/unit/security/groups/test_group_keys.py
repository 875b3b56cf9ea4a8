from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from security.ciphers.algorithms import eea
from security.errors import SecurityError
from security.groups import (
    EpochAheadError,
    GroupError,
    GroupExhausted,
    GroupKeyer,
    GroupKeying,
    GroupMembership,
    GroupReplay,
    GroupTraffic,
    KeyingMode,
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
from security.groups.keying import EPOCHS_BEGIN_NTP_S, TAG_BITS, epoch_at, mark_name, pgk_ids_of, place_of
from security.groups.membership import KEYS_KEPT, OLD_READ_S, T_OLD_S, WINDOW_S
from security.groups.numbers import LAST_SN, PTK_BLOCK, PTK_IDS
from security.groups.removals import MAX_LISTED, RemovalRecord
from security.groups.traffic import CHANGE_EVERY_S
from security.link.key_ladder import FC33303, derive_pek, derive_ptk
from security.mikey import parse_i_message
from security.mikey.key_derivation import guk_id

GROUP = "tel:+447700900099"
GROUP_L2, ALICE_L2, BOB_L2 = 0x00BEEF, 0x0000A1, 0x0000B2
NOW = 4_000_000_000.0
NTP_OF_UNIX_EPOCH = 2_208_988_800
SSV = bytes(range(16))
KEYER = "tel:+9"


class Marks:
    """A record in memory."""

    def __init__(self, values=None):
        self.values = dict(values or {})
        self.full = False

    def mark(self, name):
        return self.values.get(name, 0)

    def marks_named(self, prefix):
        return {name: value for name, value in self.values.items() if name.startswith(prefix)}

    def raise_mark(self, name, value):
        if self.full or value <= self.mark(name):
            raise SecurityError("not written")
        self.values[name] = value


def octets(seed):
    """A repeatable source of randomness."""
    state = [0]

    def draw(n):
        state[0] += 1
        return hashlib.shake_256(f"{seed} {state[0]}".encode()).digest(n)

    return draw


def keying(epoch=1, ssv=SSV, **changes):
    values = {
        "group_identity": GROUP,
        "group_l2": GROUP_L2,
        "pgk_id": epoch % 31 + 1,
        "epoch": epoch,
        "expiry_ntp_s": int(NOW) + 1000,
        "eea": 2,
        "mode": 1,
    }
    return GroupKeying(**(values | changes)).tagged(ssv, KEYER)


def install(membership, epoch=1, ssv=SSV, t=NOW - 2, now=NOW, removals=(), fresh=False, **changes):
    """Without more it is a message of two seconds ago, so that the key is sent under at once."""
    given = keying(epoch, ssv, **changes)
    return membership.install(
        given,
        ssv,
        keyer=KEYER,
        place=place_of(given.pgk_id),
        removals=removals,
        t_ntp_s=t,
        now_ntp_s=now,
        fresh=fresh,
    )


def out(identity, at=NOW, *, is_out=True):
    return Removal(member=member_hash(identity), ntp_s=int(at), is_out=is_out)


class Member:
    def __init__(self, l2, seed="member", marks=None, record_lost=False):
        self.marks = marks or Marks()
        self.membership = GroupMembership(marks=self.marks)
        self.traffic = GroupTraffic(
            self.membership, sender_l2=l2, marks=self.marks, random=octets(seed), record_lost=record_lost
        )

    def send(self, data=b"hello", lcid=3):
        index, ptk_id, sn = self.traffic.next_key(GROUP_L2, lcid)
        sealed = self.traffic.seal(GROUP_L2, index, ptk_id, sn, lcid, data)
        return self.traffic.sender_l2, GROUP_L2, index, ptk_id, sn, lcid, sealed


def pair():
    alice, bob = Member(ALICE_L2, "a"), Member(BOB_L2, "b")
    for member in (alice, bob):
        assert install(member.membership) is Taken.NEW
    return alice, bob


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


def test_senders_and_ptk_ids_remembered_are_bounded():
    alice, bob = pair()
    index = alice.send()[2]
    for number in range(300):
        bob.traffic.open(0x5000 + number, GROUP_L2, index, 1 + number, 1, 3, b"x")
        bob.traffic.open(0x5000, GROUP_L2, index, 1 + number, 2 + number, 3, b"x")
    assert len(bob.traffic._receivers) == 64
    assert len(bob.traffic._receivers[GROUP_L2, keying().mark, 0x5000].windows) == 4


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


def keyer(mode=KeyingMode.PER_MEMBER, marks=None, **changes):
    values = {
        "identity": KEYER,
        "keyers": (KEYER,),
        "group_identity": GROUP,
        "group_l2": GROUP_L2,
        "eea": 2,
        "mode": mode,
        "members": ["tel:+1", "tel:+2"],
        "marks": marks or Marks(),
        "random": octets("keyer"),
    }
    return GroupKeyer(**(values | changes))


def test_keyer_orders_one_message_a_member_or_one_for_all():
    assert keyer().new_epoch(expiry_ntp_s=9).recipients == ("tel:+1", "tel:+2")
    assert keyer(KeyingMode.GROUP_IDENTITY).new_epoch(expiry_ntp_s=9).recipients == (GROUP,)


def made(marks, **given):
    """A keyer's next key, its mark on record as its membership puts it there."""
    order = keyer(marks=marks).new_epoch(expiry_ntp_s=9, **given)
    marks.raise_mark(mark_name(GROUP), order.keying.mark)
    return order


def test_epochs_rise_over_restarts_and_keys_differ():
    marks = Marks()
    orders = [made(marks) for _ in range(40)]
    assert [order.keying.epoch for order in orders] == list(range(1, 41))
    assert all(order.keying.pgk_index for order in orders)
    assert all(a.keying.pgk_index != b.keying.pgk_index for a, b in pairwise(orders))


def test_an_epoch_is_at_least_the_seconds_since_2020():
    marks, known = Marks(), epoch_at(NOW)
    assert datetime(2020, 1, 1, tzinfo=UTC).timestamp() + NTP_OF_UNIX_EPOCH == EPOCHS_BEGIN_NTP_S
    orders = [made(marks, now_ntp_s=now) for now in (NOW, NOW, NOW - 99, NOW + 31)]
    assert [order.keying.epoch for order in orders] == [known, known + 1, known + 2, known + 31]
    assert all(a.keying.pgk_index != b.keying.pgk_index for a, b in pairwise(orders))
    lost = keyer(marks=Marks()).new_epoch(expiry_ntp_s=9, now_ntp_s=NOW + 32)
    assert lost.keying.epoch == known + 32, "a lost record does not throw a keyer back"


def test_a_keyer_goes_above_what_another_one_gave():
    marks = Marks({mark_name(GROUP): (epoch_at(NOW) + 7) << TAG_BITS})
    assert keyer(marks=marks).new_epoch(expiry_ntp_s=9, now_ntp_s=NOW).keying.epoch == epoch_at(NOW) + 8


@pytest.mark.parametrize(("ahead", "taken"), [(0, True), (300, True), (301, False), (0xFFFFFFFF, False)])
def test_an_epoch_may_lead_the_clock_by_a_window(ahead, taken):
    bob, epoch = Member(BOB_L2), min(epoch_at(NOW) + ahead, 0xFFFFFFFF)
    if taken:
        install(bob.membership, epoch=epoch)
        assert bob.membership.sending_key(GROUP_L2).keying.epoch == epoch
        return
    with pytest.raises(EpochAheadError):
        install(bob.membership, epoch=epoch)
    install(bob.membership, epoch=1)


def test_joiner_gets_a_new_epoch_or_the_current_key():
    group = keyer()
    first = group.new_epoch(expiry_ntp_s=9)
    group._marks.raise_mark(mark_name(GROUP), first.keying.mark)
    second = group.add("tel:+3", expiry_ntp_s=9)
    assert (second.keying.epoch, second.recipients) == (2, ("tel:+1", "tel:+2", "tel:+3"))
    assert first.ssv != second.ssv
    group = keyer(backward_secrecy=False)
    first = group.new_epoch(expiry_ntp_s=9)
    joined = group.add("tel:+3", expiry_ntp_s=9)
    assert (joined.keying, joined.ssv, joined.recipients) == (first.keying, first.ssv, ("tel:+3",))


def test_leaver_is_left_out_and_the_group_keyed_per_member_from_then_on():
    group = keyer(KeyingMode.GROUP_IDENTITY)
    group.new_epoch(expiry_ntp_s=9)
    order = group.remove("tel:+2", expiry_ntp_s=9)
    assert (order.keying.mode, order.recipients) == (KeyingMode.PER_MEMBER, ("tel:+1",))
    assert [entry.member for entry in order.removals] == [member_hash("tel:+2")]
    restarted = keyer(KeyingMode.GROUP_IDENTITY, marks=group._marks)
    assert restarted.new_epoch(expiry_ntp_s=9).recipients == ("tel:+1",), "who is out stays out over a restart"
    assert restarted.add("tel:+2", expiry_ntp_s=9).recipients == (GROUP,), "until it is let in again"
    group = keyer(KeyingMode.GROUP_IDENTITY, marks=Marks())
    group.remove("tel:+2", expiry_ntp_s=9)
    assert group.new_epoch(expiry_ntp_s=9).recipients == ("tel:+1",)
    with pytest.raises(GroupError):
        group.remove("tel:+2", expiry_ntp_s=9)


def test_epochs_end():
    with pytest.raises(GroupError):
        keyer(marks=Marks({mark_name(GROUP): 0xFFFFFFFF << TAG_BITS})).new_epoch(expiry_ntp_s=9)
    with pytest.raises(GroupError, match="keyer"):
        keyer(keyers=(KEYER, "tel:+1")).remove("tel:+1", expiry_ntp_s=9)


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
