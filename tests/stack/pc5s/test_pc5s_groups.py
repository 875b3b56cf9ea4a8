"""Groups over a clean and a lossy air: keying, joining, removing, expiring."""

import pytest

from prose_link.pc5s.core.group_config import GroupConfigError
from prose_link.pc5s.core.group_events import (
    GroupEpochStarted,
    GroupKeyDelivered,
    GroupKeyReceived,
    GroupKeysWiped,
    GroupKeyUndelivered,
)
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.wire.messages import DirectAccept, DirectRequest
from security.groups import GroupError, KeyingMode
from security.groups.keying import epoch_at
from tests.benches.group_bench import GROUP, GroupAir, group_config, group_ring, member, opened, sealed, world
from tests.benches.pc5s_bench import A, B, C, E, Ue, at

JOINER = E


def test_every_member_gets_the_key_and_reads_every_other():
    a, b, c, air = world()
    assert {event.recipient for event in a.of(GroupKeyDelivered)} == {B, C}
    assert a.entity.groups.keyer(GROUP).waiting == frozenset()
    (taken,) = b.of(GroupKeyReceived)
    assert 0 <= epoch_at(air.now.ntp_s) - taken.epoch <= 2, "the seconds since 2020 at its making"
    for sender, receivers in ((a, (b, c)), (b, (a, c)), (c, (a, b))):
        pdu = sealed(sender)
        assert [opened(receiver, pdu) for receiver in receivers] == [b"to all"] * 2
    requests = air.sent(DirectRequest)
    assert len(requests) == 2 and all(len(frame.data) < 900 for frame in requests)
    assert len(air.sent(DirectAccept)) == 2
    assert not a.entity.links and not b.entity.links


def test_mode_0_keys_everybody_with_one_message_and_no_answer():
    a, b, c, air = world(mode=KeyingMode.GROUP_IDENTITY)
    assert opened(b, sealed(a)) == opened(c, sealed(a)) == b"to all"
    assert not air.sent(DirectAccept)
    air.run(20)
    requests = air.sent(DirectRequest)
    assert len(requests) == 4 and len({frame.data for frame in requests}) == 1
    assert [event.receipt for event in a.of(GroupKeyDelivered)] == [False]
    assert len(b.of(GroupKeyReceived)) == 1


def test_lost_messages_and_receipts_are_made_up_for():
    a, b = member(A, members=(B,)), member(B)
    air = GroupAir(a, b)
    lost = {"request": 1, "accept": 2}

    def lose(frame):
        kind = "request" if frame.data[0] == 1 else "accept"
        lost[kind] -= 1
        return air.spread(frame) if lost[kind] < 0 else []

    air.pass_on = lose
    air.keyed(a, b)
    air.run(8)
    assert len({frame.data for frame in air.sent(DirectRequest)}) == 1
    assert len({frame.data for frame in air.sent(DirectAccept)}) == 1
    assert [event.receipt for event in a.of(GroupKeyDelivered)] == [True]
    assert len(b.of(GroupKeyReceived)) == 1


def test_who_stays_silent_is_reported_and_can_be_tried_again():
    a, b = member(A, members=(B,)), member(B)
    air = GroupAir(a, b)
    air.pass_on = lambda frame: []
    air.keyed(a, b)
    air.run(20)
    assert len(air.sent(DirectRequest)) == a.config.timers.n4100
    assert [event.recipient for event in a.of(GroupKeyUndelivered)] == [B]
    air.pass_on = air.spread
    a.entity.groups.keyer(GROUP).try_again(air.now)
    air.run(1.1)
    assert opened(b, sealed(a)) == b"to all"


@pytest.mark.parametrize("backward_secrecy", [False, True])
def test_a_late_joiner_gets_the_key_in_use_or_a_new_one(backward_secrecy):
    a, b, _c, air = world(backward_secrecy=backward_secrecy)
    late = member(JOINER)
    air.ues.append(late)
    before = sealed(b)
    keyer = a.entity.groups.keyer(GROUP)
    keyer.locate(at(JOINER, late.l2_id))
    keyer.add(JOINER, air.now)
    air.run(1.1)
    epochs = [event.epoch for event in a.of(GroupEpochStarted)]
    assert [event.epoch for event in late.of(GroupKeyReceived)] == epochs[-1:]
    assert len(set(epochs)) == (2 if backward_secrecy else 1)
    assert len(b.of(GroupKeyReceived)) == (2 if backward_secrecy else 1)
    assert opened(late, sealed(b)) == opened(b, sealed(late)) == b"to all"
    if backward_secrecy:
        with pytest.raises(GroupError):
            opened(late, before)
    else:
        assert opened(late, before) == b"to all"


def test_row_41_a_removed_member_reads_nothing_of_the_new_epoch():
    a, b, c, air = world()
    a.entity.groups.keyer(GROUP).remove(C, air.now)
    air.run(1.1)
    assert a.of(GroupEpochStarted)[-1].recipients == (B,)
    pdu = sealed(a)
    assert opened(b, pdu) == b"to all"
    with pytest.raises(GroupError):
        opened(c, pdu)


def test_row_41_mode_0_cannot_remove_anybody():
    a, _b, c, air = world(mode=KeyingMode.GROUP_IDENTITY)
    with pytest.raises(GroupConfigError, match="no member can be removed"):
        a.entity.groups.keyer(GROUP).remove(C, air.now)
    a.entity.groups.keyer(GROUP).new_epoch(air.now)
    air.run(1.1)
    assert opened(c, sealed(a)) == b"to all"


def test_the_old_key_is_received_under_for_a_minute_then_wiped():
    a, b, c, air = world()
    old = sealed(b), sealed(b)
    a.entity.groups.keyer(GROUP).new_epoch(air.now)
    air.run(1.1)
    assert opened(c, old[0]) == b"to all"
    air.run(60.5)
    with pytest.raises(GroupError):
        opened(c, old[1])
    assert opened(c, sealed(b)) == b"to all"


def test_keys_go_when_they_expire_and_when_a_member_leaves():
    _a, b, c, air = world(lifetime_s=30)
    b.entity.groups.leave(GROUP)
    air.run(0.1)
    assert not b.entity.groups.holds_key(GROUP)
    air.run(40)
    assert [event.why for event in c.of(GroupKeysWiped)] == ["its key has expired"]
    with pytest.raises(GroupError):
        sealed(c)


def test_shut_down_leaves_no_key():
    a, b, _, air = world()
    for ue in (a, b):
        ue.entity.shut_down(air.now)
        assert not ue.entity.groups.holds_key(GROUP)
        with pytest.raises(GroupError):
            sealed(ue)
    assert a.entity.groups.keyer(GROUP).next_timer() is None


def test_at_most_four_members_are_keyed_at_one_time():
    members = tuple(f"tel:+4477009{i:05}" for i in range(10, 20))
    a = member(A, members=members)
    air = GroupAir(a)
    keyer = a.entity.groups.keyer(GROUP)
    for number, uri in enumerate(members):
        keyer.locate(at(uri, 0x100 + number))
    keyer.new_epoch(air.now)
    air.run(0.5)
    assert len({frame.dst_l2 for frame in air.sent(DirectRequest)}) == 4
    assert keyer.waiting == set(members)


def test_only_a_keyer_keys():
    _, b, _, _ = world()
    with pytest.raises(GroupError):
        b.entity.groups.keyer(GROUP)


def test_a_member_whose_record_was_lost_sends_from_a_drawn_id_and_is_read():
    a, b = member(A), member(B)
    record = MemoryRecord()
    lost = Ue(
        C, ring=group_ring(C, with_group_key=False), record=record, groups=(group_config(),), marks_lost_at_ntp_s=1.0
    )
    air = GroupAir(a, b, lost)
    air.keyed(a, b, lost)
    traffic = lost.entity.groups.traffic
    assert traffic.sender_l2 != lost.l2_id
    _, *rest = sealed(lost, b"from the drawn id")
    assert opened(b, (traffic.sender_l2, *rest)) == b"from the drawn id"
    again = Ue(C, ring=group_ring(C, with_group_key=False), record=record, groups=(group_config(),))
    assert again.entity.groups.traffic.sender_l2 != again.l2_id
