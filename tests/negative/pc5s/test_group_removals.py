"""Row 53 at members: a member that has learnt of a removal sends under no key of any keyer that leaves it out."""

import pytest

from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_config import AfterRestart
from prose_link.pc5s.core.group_events import (
    GroupAskAnswered,
    GroupAsked,
    GroupKeyReceived,
    GroupRemovalDone,
    GroupRemovalsLearnt,
    GroupUnsure,
)
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.groups.asks import LEAVES_OUT
from prose_link.pc5s.groups.keyer import ReadableSsvs
from prose_link.pc5s.wire.messages import DirectRequest, MemberOut, MemberState
from security.errors import SecurityError
from security.groups import GroupError, member_hash
from tests.benches.group_bench import (
    GROUP,
    Talk,
    keying,
    keying_request,
    locate_all,
    member,
    newest,
    newest_mark,
    two_keyers,
)
from tests.benches.pc5s_bench import A, B, C, E, plain


def keyer(ue):
    return ue.entity.groups.keyer(GROUP)


def removed_by_a_behind_the_back_of_b(**changed):
    """A removes E and has C's receipt; B, out of A's hearing, has made a key for E too, which is on its way to C.

    Returns the UEs, the air (which passes nothing between the two keyers), and B's keying message to C.
    """
    a, b, c, e, air = two_keyers(**changed)
    keyer(a).new_epoch(air.now)
    air.run(3)
    apart, held_back = {(a.l2_id, b.l2_id), (b.l2_id, a.l2_id)}, []

    def pipe(frame):
        if (frame.src_l2, frame.dst_l2) == (b.l2_id, c.l2_id):
            held_back.append(frame)
            return []
        return [one for one in air.spread(frame) if (one.src_l2, one.dst_l2) not in apart]

    air.pass_on = pipe
    keyer(a).remove(E, air.now)
    air.run(1.2)
    keyer(b).new_epoch(air.now)
    air.run(0.5)
    assert newest_mark(b) == newest_mark(e) > newest_mark(c) == newest_mark(a)
    assert [(done.removed, done.member) for done in a.of(GroupRemovalDone)] == [(E, C)]
    return a, b, c, e, air, held_back[0]


def silent(ue, e):
    """Whether a UE sends nothing to its group, and for that reason."""
    with pytest.raises(GroupError, match="leaves out a removal"):
        Talk().say(ue, e)
    return not ue.entity.groups.may_send(GROUP)


@pytest.mark.parametrize("delay_s", [0.0, 2.0, 60.0])
def test_row_53_another_keyers_key_without_the_removal_is_read_only(delay_s):
    """After C's receipt for a key without E, nothing that C sends can be read by E."""
    a, _, c, e, air, of_b = removed_by_a_behind_the_back_of_b()
    talk = Talk()
    assert talk.say(c, a, e) == [a]
    air.run(delay_s)
    air.inject(of_b)
    air.run(0.1)
    got = c.of(GroupKeyReceived)[-1]
    assert (got.keyer, got.reads_only) == (B, True)
    assert silent(c, e)
    (unsure,) = c.of(GroupUnsure)
    assert (unsure.group, unsure.speaks, unsure.why) == (GROUP, False, LEAVES_OUT)
    assert talk.say(e, c) == [c], "C reads on"
    air.pass_on = air.spread
    keyer(a).new_epoch(air.now)
    air.run(3)
    assert newest_mark(c) == newest_mark(a) > newest_mark(e)
    assert talk.say(c, a, e) == [a]


def test_row_53_what_names_the_key_again_does_not_make_it_fit_to_send_under():
    """Neither a repetition nor a fresh message of the same key confirms it."""
    _, b, c, e, air, of_b = removed_by_a_behind_the_back_of_b()
    air.inject(of_b)
    air.run(0.1)
    before = newest_mark(c)
    for _ in range(3):
        air.inject(of_b)
        air.run(2)
    keyer(b).try_again(air.now)
    air.pass_on = air.spread
    air.run(0.1)
    assert newest_mark(c) == before
    assert silent(c, e)


def test_row_53_a_removal_that_comes_late_silences_the_key_held():
    """The message loses by its mark, and its list of removed members counts."""
    a, b, c, e, air = two_keyers()
    keyer(b).new_epoch(air.now)
    air.run(3)
    talk = Talk()
    assert talk.say(c, a, b, e) == [a, b, e]
    gone = MemberOut(member=member_hash(E), ntp_s=int(air.now.ntp_s), state=MemberState.OUT)
    late = keying_request(a, c, air, key=keying(air, epoch=1), members_out=(gone,))
    air.inject(plain(late, a.l2_id, c.l2_id))
    air.run(0.1)
    assert [event.why for event in c.of(RequestRefused)] == ["the group has a newer key"]
    (learnt,) = c.of(GroupRemovalsLearnt)
    assert (learnt.keyer, learnt.members_out) == (A, (E,))
    assert [event.why for event in c.of(GroupUnsure)] == [LEAVES_OUT]
    assert silent(c, e)
    keyer(b).remove(E, air.now)
    air.run(3)
    assert newest_mark(c) == newest_mark(b)
    assert talk.say(c, a, b, e) == [a, b]


def test_a_removal_that_no_keyer_has_signed_is_not_learnt():
    """Neither one in a message of a member, nor one in a message whose signature is bad."""
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    gone = MemberOut(member=member_hash(E), ntp_s=int(air.now.ntp_s), state=MemberState.OUT)
    air.inject(plain(keying_request(e, c, air, members_out=(gone,)), e.l2_id, c.l2_id))
    genuine = keying_request(a, c, air, members_out=(gone,))
    air.inject(plain(genuine[:-1] + bytes([genuine[-1] ^ 1]), a.l2_id, c.l2_id))
    air.run(0.3)
    assert len(c.of(RequestRefused)) == 2
    assert not c.of(GroupRemovalsLearnt)
    assert Talk().say(c, a, b, e) == [a, b, e]


def test_nobody_takes_a_keyer_for_one_who_is_out():
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    gone = MemberOut(member=member_hash(B), ntp_s=int(air.now.ntp_s), state=MemberState.OUT)
    late = keying_request(a, c, air, key=keying(air, epoch=1), members_out=(gone,))
    air.inject(plain(late, a.l2_id, c.l2_id))
    air.run(0.3)
    assert not c.of(GroupRemovalsLearnt)
    assert Talk().say(c, a, b, e) == [a, b, e]


@pytest.mark.parametrize("restart", AfterRestart)
def test_row_53_the_rule_outlives_a_restart(restart):
    """A removal is on the device's record before the receipt: a member that comes back obeys it."""
    a, _, c, e, air, of_b = removed_by_a_behind_the_back_of_b()
    again = member(C, record=c.record, seed="restarted", keyers=(A, B), members=(C, E), restart=restart)
    air.ues[2] = again
    locate_all(air)
    air.inject(of_b)
    air.run(0.1)
    assert newest(again).reads_only
    assert silent(again, e)
    air.pass_on = air.spread
    keyer(a).new_epoch(air.now)
    air.run(3)
    assert newest_mark(again) == newest_mark(a)
    assert Talk().say(again, a, e) == [a]


def test_row_53_a_silent_member_asks_until_a_keyer_has_the_removal():
    """The keyer that never heard of it answers with its own key, which changes nothing; the other one's answer does."""
    a, b, c, e, air, of_b = removed_by_a_behind_the_back_of_b(asks=True)
    deaf_to_a = air.pass_on
    air.pass_on = lambda frame: [] if {frame.src_l2, frame.dst_l2} == {a.l2_id, c.l2_id} else deaf_to_a(frame)
    air.inject(of_b)
    air.run(0.1)
    assert silent(c, e)
    apart = {a.l2_id, b.l2_id}, {a.l2_id, c.l2_id}
    air.pass_on = lambda frame: [] if {frame.src_l2, frame.dst_l2} in apart else air.spread(frame)
    air.run(30)
    asked = [event for event in c.of(GroupAsked) if event.why == LEAVES_OUT]
    assert {event.keyer for event in asked} == {A, B}
    assert len(asked) <= 8, "tries get rarer"
    assert [event.member for event in b.of(GroupAskAnswered)].count(C) >= 1
    assert silent(c, e)
    air.pass_on = air.spread
    air.run(80)
    assert newest_mark(c) == newest_mark(a) == newest_mark(b) > newest_mark(e)
    assert Talk().say(c, a, b, e) == [a, b]
    so_far = [event for event in c.of(GroupAsked) if event.why == LEAVES_OUT]
    air.run(70)
    assert [event for event in c.of(GroupAsked) if event.why == LEAVES_OUT] == so_far, "nothing is left to ask"


def test_a_keyer_whose_removal_can_not_be_keyed_says_nothing_until_it_can(monkeypatch):
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)

    def draw(_ssvs, _recipients):
        raise GroupError("no SSV that all can read")

    monkeypatch.setattr(ReadableSsvs, "draw", draw)
    with pytest.raises(SecurityError, match="no SSV that all can read"):
        keyer(a).remove(E, air.now)
    assert silent(a, e)
    monkeypatch.undo()
    air.run(8)
    assert newest_mark(a) == newest_mark(b) == newest_mark(c) > newest_mark(e)
    assert Talk().say(a, b, c, e) == [b, c]


def test_a_record_that_takes_nothing_lets_no_receipt_out():
    """What can't be kept is not acted on: the message is refused, and its keyer knows of no receipt."""

    class Full(MemoryRecord):
        def raise_mark(self, name, value):
            if " out " in name:
                raise GroupError("no room")
            super().raise_mark(name, value)

    a, b, _, e, air = two_keyers()
    c = air.ues[2] = member(C, record=Full(), keyers=(A, B), members=(C, E))
    locate_all(air)
    keyer(a).new_epoch(air.now)
    air.run(3)
    keyer(a).remove(E, air.now)
    air.run(3)
    first, *again = [event.why for event in c.of(RequestRefused)]
    assert (first, set(again)) == ("list of members out can't be kept", {"replay"})
    assert {done.member for done in a.of(GroupRemovalDone)} == {B}
    assert len(air.sent(DirectRequest, by=a)) > 3
    assert newest_mark(b) == newest_mark(a) > newest_mark(c) == newest_mark(e)
