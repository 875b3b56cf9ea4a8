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
    imported_gmk_id,
)
from security.groups.keying import EPOCHS_BEGIN_NTP_S, epoch_at
from security.groups.membership import T_OLD_S, WINDOW_S
from security.groups.traffic import LAST_SN, PTK_BLOCK, PTK_IDS
from security.link.key_ladder import FC33303, derive_pek, derive_pgk, derive_ptk
from security.mikey import parse_i_message
from security.mikey.key_derivation import guk_id

GROUP = "tel:+447700900099"
GROUP_L2, ALICE_L2, BOB_L2 = 0x00BEEF, 0x0000A1, 0x0000B2
NOW = 4_000_000_000.0
NTP_OF_UNIX_EPOCH = 2_208_988_800
SSV = bytes(range(16))


class Marks:
    """A record in memory."""

    def __init__(self, values=None):
        self.values = dict(values or {})
        self.full = False

    def mark(self, name):
        return self.values.get(name, 0)

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


def keying(epoch=1, **changes):
    values = {
        "group_identity": GROUP,
        "group_l2": GROUP_L2,
        "pgk_id": epoch % 31 + 1,
        "epoch": epoch,
        "expiry_ntp_s": int(NOW) + 1000,
        "eea": 2,
        "mode": 1,
    }
    return GroupKeying(**(values | changes))


def install(membership, epoch=1, ssv=SSV, t=NOW, now=NOW, over_link=False, **changes):
    given = keying(epoch, **changes)
    digest = hashlib.sha256(repr((given, ssv, t)).encode()).digest()
    return membership.install(given, ssv, signed_part_hash=digest, t_ntp_s=t, now_ntp_s=now, over_link=over_link)


class Member:
    def __init__(self, l2, seed="member", marks=None, record_lost=False):
        self.marks = marks or Marks()
        self.membership = GroupMembership(marks=self.marks, marks_lost_at_ntp_s=NOW if record_lost else None)
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
        assert install(member.membership)
    return alice, bob


def test_ladder_is_the_profiles():
    alice, bob = pair()
    sender, _, index, ptk_id, sn, lcid, sealed = pdu = alice.send(b"to the group")
    assert (sender, index, sn, lcid) == (ALICE_L2, 2, 1, 3)
    pgk = derive_pgk(SSV, group_identity=GROUP, group_l2=GROUP_L2.to_bytes(3), pgk_id=2, epoch=1)
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
    sender = alice.traffic._senders[GROUP_L2]
    seen = set()
    recorded = f"group {GROUP} ptk {ALICE_L2:06x}"
    while True:
        sender._next_sn = LAST_SN
        try:
            _, ptk_id, sn = alice.traffic.next_key(GROUP_L2, 3)
            seen.add((ptk_id, sn))
            _, ptk_id, sn = alice.traffic.next_key(GROUP_L2, 3)
        except GroupExhausted:
            break
        seen.add((ptk_id, sn))
        assert alice.marks.values[recorded] & 0xFFFF >= len(seen) // 2
        assert alice.traffic.wants_epoch(GROUP_L2) is (sender.taken > PTK_IDS - PTK_IDS // 16)
    assert {ptk_id for ptk_id, _ in seen} == set(range(1, PTK_IDS + 1))
    assert len(seen) == 2 * PTK_IDS - 1
    assert install(alice.membership, epoch=2)
    assert alice.traffic.next_key(GROUP_L2, 3)[2] == 1


def test_nothing_is_sent_where_the_block_can_not_be_recorded():
    alice, _ = pair()
    alice.marks.full = True
    with pytest.raises(SecurityError):
        alice.traffic.next_key(GROUP_L2, 3)


def test_old_epoch_is_received_for_a_while_then_wiped():
    alice, bob = pair()
    late, later = alice.send(b"late"), alice.send(b"later")
    for member in (alice, bob):
        assert install(member.membership, epoch=2, ssv=bytes(16))
    assert bob.membership.next_deadline_ntp_s == NOW + T_OLD_S
    assert bob.traffic.open(*late) == b"late"
    assert bob.traffic.open(*alice.send(b"new")) == b"new"
    bob.traffic.expire(NOW + T_OLD_S)
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
    assert len(bob.traffic._receivers[GROUP_L2, 1, 0x5000].windows) == 4


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


def test_lost_marks_need_a_fresh_message_or_a_link():
    for t, over_link, taken in (
        (NOW + WINDOW_S, False, False),
        (NOW + WINDOW_S + 1, False, True),
        (NOW, True, True),
    ):
        bob = Member(BOB_L2, record_lost=True)
        if taken:
            assert install(bob.membership, t=t, over_link=over_link)
        else:
            with pytest.raises(GroupError):
                install(bob.membership, t=t, over_link=over_link)


def keyer(mode=KeyingMode.PER_MEMBER, marks=None, **changes):
    values = {
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


def test_epochs_rise_over_restarts_and_keys_differ():
    marks = Marks()
    orders = [keyer(marks=marks).new_epoch(expiry_ntp_s=9) for _ in range(40)]
    assert [order.keying.epoch for order in orders] == list(range(1, 41))
    assert all(order.keying.pgk_index for order in orders)
    assert all(a.keying.pgk_index != b.keying.pgk_index for a, b in pairwise(orders))


def test_an_epoch_is_at_least_the_seconds_since_2020():
    marks, known = Marks(), epoch_at(NOW)
    assert datetime(2020, 1, 1, tzinfo=UTC).timestamp() + NTP_OF_UNIX_EPOCH == EPOCHS_BEGIN_NTP_S
    orders = [keyer(marks=marks).new_epoch(expiry_ntp_s=9, now_ntp_s=now) for now in (NOW, NOW, NOW - 99, NOW + 31)]
    assert [order.keying.epoch for order in orders] == [known, known + 1, known + 2, known + 31]
    assert all(a.keying.pgk_index != b.keying.pgk_index for a, b in pairwise(orders))
    lost = keyer(marks=Marks()).new_epoch(expiry_ntp_s=9, now_ntp_s=NOW + 32)
    assert lost.keying.epoch == known + 32, "a lost record does not throw a keyer back"


def test_a_keyer_goes_above_what_another_one_gave():
    marks = Marks({f"group {GROUP} epoch": epoch_at(NOW) + 7})
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
    assert (order.keying.epoch, order.keying.mode, order.recipients) == (2, KeyingMode.PER_MEMBER, ("tel:+1",))
    assert group.new_epoch(expiry_ntp_s=9).recipients == ("tel:+1",)
    with pytest.raises(GroupError):
        group.remove("tel:+2", expiry_ntp_s=9)


def test_epochs_end():
    with pytest.raises(GroupError):
        keyer(marks=Marks({f"group {GROUP} keyer": 0xFFFFFFFF})).new_epoch(expiry_ntp_s=9)


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
    assert alice.marks.values[f"group {GROUP} ptk {ALICE_L2:06x}"] & 0xFFFF == PTK_BLOCK


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


def test_a_taken_layer_2_id_is_given_up_once_and_its_own_pdus_are_known_when_they_come_back():
    alice, bob = pair()
    before = [alice.send(b"before") for _ in range(3)]
    assert not alice.traffic.give_up_sender(BOB_L2)
    assert alice.traffic.give_up_sender(ALICE_L2)
    drawn = alice.traffic.sender_l2
    assert drawn not in (0, ALICE_L2, 0xFFFFFF)
    assert not alice.traffic.give_up_sender(ALICE_L2)
    after = alice.send(b"after")
    assert after[0] == alice.traffic.sender_l2 == drawn
    assert after[4] == 1
    for pdu in (*before, after):
        assert bob.traffic.open(*pdu) in (b"before", b"after")
    for pdu in before:
        with pytest.raises(GroupReplay, match="own came back"):
            alice.traffic.open(*pdu)
    twin = Member(ALICE_L2, "twin")
    install(twin.membership)
    assert alice.traffic.open(*twin.send(b"from the twin")) == b"from the twin"


def test_a_drawn_id_is_never_the_one_before_and_leaves_nothing_on_record():
    alice, _ = pair()
    alice.send()
    before, seen = dict(alice.marks.values), [ALICE_L2]
    for _ in range(200):
        assert alice.traffic.give_up_sender(seen[-1])
        alice.send()
        seen.append(alice.traffic.sender_l2)
    assert all(a != b for a, b in pairwise(seen))
    assert ALICE_L2 not in seen[1:]
    assert alice.marks.values == before
    assert len(alice.traffic._former) == 16


def test_a_lost_record_is_remembered_so_that_later_starts_draw_their_id_too():
    """What the own id sent before the loss is unknown for good, not only in the life that found out."""
    marks = Marks()
    first = Member(ALICE_L2, "first", marks=marks, record_lost=True)
    second = Member(ALICE_L2, "second", marks=marks)
    assert ALICE_L2 not in (first.traffic.sender_l2, second.traffic.sender_l2)
    assert first.traffic.sender_l2 != second.traffic.sender_l2
    assert Member(ALICE_L2, "whole").traffic.sender_l2 == ALICE_L2


def test_what_was_derived_goes_with_its_pgk_at_once():
    """Two new epochs within T_old: the one before the last is wiped at the second, and so are its PEKs."""
    alice, bob = pair()
    bob.traffic.open(*alice.send())
    bob.send()
    for epoch in (2, 3):
        install(bob.membership, epoch=epoch, ssv=bytes(16))
    assert not bob.traffic._receivers
    assert not bob.traffic._senders
