"""Rows 39 to 42 of the profile's test matrix, as far as keys and counters decide them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from security.errors import SecurityError
from security.groups import GroupError, GroupKeyer, GroupMembership, GroupReplay, GroupTraffic, KeyingMode, Taken
from security.groups.keying import mark_name, place_of

GROUP = "tel:+447700900099"
GROUP_L2, ALICE_L2, BOB_L2 = 0x00BEEF, 0x0000A1, 0x0000B2
NOW = 4_000_000_000.0
KEYER = "tel:+9"


class Marks:
    def __init__(self):
        self.values = {}

    def mark(self, name):
        return self.values.get(name, 0)

    def marks_named(self, prefix):
        return {name: value for name, value in self.values.items() if name.startswith(prefix)}

    def raise_mark(self, name, value):
        if value <= self.mark(name):
            raise SecurityError("marks only rise")
        self.values[name] = value


def octets(seed):
    state = [0]

    def draw(n):
        state[0] += 1
        return hashlib.shake_256(f"{seed} {state[0]}".encode()).digest(n)

    return draw


class Device:
    """A UE's record outlives its processes."""

    def __init__(self, name, l2):
        self.name, self.l2, self.marks, self.starts = name, l2, Marks(), 0
        self.start()

    def start(self, *, record_lost=False):
        self.starts += 1
        if record_lost:
            self.marks = Marks()
        self.membership = GroupMembership(marks=self.marks)
        self.traffic = GroupTraffic(
            self.membership,
            sender_l2=self.l2,
            marks=self.marks,
            random=octets(f"{self.name} {self.starts}"),
            record_lost=record_lost,
        )

    def take(self, order, t=NOW - 2):
        """A keying message that was verified and opened."""
        return self.membership.install(
            order.keying,
            order.ssv,
            keyer=KEYER,
            place=place_of(order.keying.pgk_id),
            removals=order.removals,
            t_ntp_s=t,
            now_ntp_s=NOW,
        )

    def send(self, data=b"hello"):
        index, ptk_id, sn = self.traffic.next_key(GROUP_L2, 3)
        sealed = self.traffic.seal(GROUP_L2, index, ptk_id, sn, 3, data)
        return self.traffic.sender_l2, GROUP_L2, index, ptk_id, sn, 3, sealed

    @property
    def state(self):
        return dict(self.marks.values), self.membership.sending_key(GROUP_L2)


def make_keyer(mode=KeyingMode.PER_MEMBER, seed="keyer"):
    return GroupKeyer(
        identity=KEYER,
        keyers=(KEYER,),
        group_identity=GROUP,
        group_l2=GROUP_L2,
        eea=2,
        mode=mode,
        members=["tel:+1", "tel:+2", "tel:+3"],
        marks=Marks(),
        random=octets(seed),
    )


def order(keyer):
    made = keyer.new_epoch(expiry_ntp_s=int(NOW) + 1000)
    keyer._marks.raise_mark(mark_name(GROUP), made.keying.mark)
    return made


@pytest.fixture
def group():
    keyer, alice, bob = make_keyer(), Device("alice", ALICE_L2), Device("bob", BOB_L2)
    first = order(keyer)
    assert alice.take(first) is Taken.NEW
    assert bob.take(first) is Taken.NEW
    return keyer, alice, bob, first


def test_row_39_lower_epoch_changes_nothing(group):
    keyer, alice, bob, first = group
    second = order(keyer)
    assert bob.take(second) is Taken.NEW
    before = bob.state
    with pytest.raises(GroupError):
        bob.take(first)
    assert bob.state == before
    alice.take(second)
    assert bob.traffic.open(*alice.send()) == b"hello"


def test_row_39_same_epoch_with_another_ssv_changes_nothing(group):
    """The tag is bound to the SSV: neither the held key's description nor a lower mark brings another key."""
    _, alice, bob, first = group
    pdu = alice.send()
    bob.traffic.open(*pdu)
    before = bob.state
    ssvs = (bytes([number]) * 16 for number in range(64))
    lower = next(ssv for ssv in ssvs if first.keying.tagged(ssv, KEYER).mark < first.keying.mark)
    for other in (
        replace(first, ssv=bytes(16)),
        replace(first, keying=first.keying.tagged(lower, KEYER), ssv=lower),
    ):
        with pytest.raises(GroupError):
            bob.take(other)
    assert bob.state == before
    with pytest.raises(GroupReplay):
        bob.traffic.open(*pdu)
    assert bob.traffic.open(*alice.send()) == b"hello"


def test_row_39_the_same_message_again_resets_no_counter(group):
    _, alice, bob, first = group
    pdu = alice.send()
    bob.traffic.open(*pdu)
    before = bob.state
    assert bob.take(first) is Taken.HELD
    assert alice.take(first) is Taken.HELD
    assert bob.state == before
    with pytest.raises(GroupReplay):
        bob.traffic.open(*pdu)
    assert alice.send()[4] == pdu[4] + 1


def test_row_39_replay_after_a_restart(group):
    """The newest key comes again, an older one doesn't; marks stay as they are."""
    keyer, _, bob, first = group
    second = order(keyer)
    bob.take(second)
    before = dict(bob.marks.values)
    bob.start()
    with pytest.raises(GroupError):
        bob.take(first)
    assert bob.take(second) is Taken.AGAIN
    assert bob.marks.values == before
    assert bob.take(order(keyer)) is Taken.NEW


@pytest.mark.parametrize("record_lost", [False, True])
def test_row_40_no_key_and_count_twice_over_restarts(group, record_lost):
    """The key comes again after each restart, as it would if the keyer gave it a second time."""
    _, alice, _, first = group
    trace = []
    for _ in range(30):
        alice.start(record_lost=record_lost)
        assert alice.take(first) is (Taken.NEW if record_lost else Taken.AGAIN)
        trace += [alice.send()[:5] for _ in range(40)]
    assert len(set(trace)) == len(trace) == 1200
    assert len({pdu[0] for pdu in trace}) == 30
    assert (ALICE_L2 in {pdu[0] for pdu in trace}) is not record_lost, "its own id in its first run alone"


def test_row_40_two_senders_with_one_layer_2_id(group):
    _, alice, bob, first = group
    twin = Device("twin", ALICE_L2)
    twin.take(first)
    pdu = twin.send()
    with pytest.raises(GroupError):
        alice.traffic.open(*pdu)
    assert alice.traffic.sender_l2 != ALICE_L2
    trace = [*(device.send() for device in (alice, twin) for _ in range(50))]
    assert len({pdu[:5] for pdu in trace}) == 100
    for pdu in trace:
        assert bob.traffic.open(*pdu) == b"hello"


def test_row_41_removed_member_reads_no_more_after_a_per_member_epoch(group):
    keyer, alice, bob, _ = group
    after = keyer.remove("tel:+2", expiry_ntp_s=int(NOW) + 1000)
    assert after.recipients == ("tel:+1", "tel:+3")
    alice.take(after)
    assert [entry.is_out for entry in after.removals] == [True]
    with pytest.raises(GroupError):
        bob.traffic.open(*alice.send())


def test_row_41_message_to_the_group_identity_can_not_exclude_anybody():
    """Known limit: every holder of the group identity's RSK opens it, so the keyer never removes that way."""
    keyer = make_keyer(KeyingMode.GROUP_IDENTITY)
    assert order(keyer).recipients == (GROUP,)
    after = keyer.remove("tel:+2", expiry_ntp_s=int(NOW) + 1000)
    assert GROUP not in after.recipients
    assert after.keying.mode == KeyingMode.PER_MEMBER


def test_row_42_outsiders_numbers_stop_nobody(group):
    _, alice, bob, _ = group
    first = alice.send(b"first")
    assert bob.traffic.open(*first) == b"first"
    sender, _, index, ptk_id, _, lcid, _ = first
    for number in (0xFFFF, 0xFFFE, 0x8000):
        bob.traffic.open(sender, GROUP_L2, index, ptk_id, number, lcid, b"garbage")
        for other in range(1, 9):
            bob.traffic.open(sender, GROUP_L2, index, (ptk_id + other) % 0xFFFF + 1, number, lcid, b"garbage")
    for _ in range(20):
        assert bob.traffic.open(*alice.send(b"genuine")) == b"genuine"
