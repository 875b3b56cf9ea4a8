"""A keyer that could not reach a member brings it the key when it hears it, and can't be worn out by what it hears."""

from __future__ import annotations

from prose_link.pc5s.core.group_events import GroupKeyDelivered, GroupKeySent, GroupKeyUndelivered
from prose_link.pc5s.wire.messages import DirectRequest
from tests.benches.group_bench import GROUP, GroupAir, member, newest_mark
from tests.benches.pc5s_bench import A, B, Ue


def out_of_reach() -> tuple[Ue, Ue, GroupAir]:
    """A keyer that has given up on its only member, which has come back."""
    a, b = member(A, members=(B,)), member(B)
    air = GroupAir(a, b)
    air.pass_on = lambda frame: []
    air.keyed(a, b)
    air.run(20)
    assert a.of(GroupKeyUndelivered) and not newest_mark(b)
    air.pass_on = air.spread
    return a, b, air


def test_who_is_heard_again_is_brought_the_key() -> None:
    a, b, air = out_of_reach()
    a.entity.groups.heard(b.l2_id, air.now)
    air.run(1.5)
    assert newest_mark(b) == newest_mark(a) != 0
    assert [event.receipt for event in a.of(GroupKeyDelivered)] == [True]


def test_its_message_is_a_new_one_of_now() -> None:
    """The old one may be older than a member takes for fresh by then."""
    a, b, air = out_of_reach()
    air.run(400)
    a.entity.groups.heard(b.l2_id, air.now)
    air.run(1.5)
    assert newest_mark(b) == newest_mark(a)
    assert len({frame.data for frame in air.sent(DirectRequest)}) == 2


def test_nobody_else_makes_the_keyer_send() -> None:
    a, b, air = out_of_reach()
    a.entity.groups.heard(0x123456, air.now)
    air.run(5)
    assert not newest_mark(b)


def test_who_has_the_key_or_waits_for_it_is_sent_nothing_more() -> None:
    a, b = member(A, members=(B,)), member(B)
    air = GroupAir(a, b)
    air.keyed(a, b)
    sent = len(air.sent(DirectRequest))
    for _ in range(20):
        a.entity.groups.heard(b.l2_id, air.now)
        air.run(1)
    assert len(air.sent(DirectRequest)) == sent and len(a.of(GroupKeySent)) == 1


def test_announcements_of_one_who_never_answers_wear_nobody_out() -> None:
    a, b, air = out_of_reach()
    air.pass_on = lambda frame: []
    before = len(a.of(GroupKeySent))
    for _ in range(300):
        a.entity.groups.heard(b.l2_id, air.now)
        air.run(1)
    # at 0, 10, 30, 70, 150 s
    assert len(a.of(GroupKeySent)) - before == 5
    assert a.entity.groups.keyer(GROUP).waiting == {B}
