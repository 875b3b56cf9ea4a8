"""Rows 53 to 57 of the test matrix over whole entities: several keyers, removals, restarts, late keys, receipts."""

import pytest

from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_config import AfterRestart, info_of
from prose_link.pc5s.core.group_events import (
    GroupAskAnswered,
    GroupAsked,
    GroupEpochStarted,
    GroupEpochYielded,
    GroupKeyConfirmed,
    GroupKeyDelivered,
    GroupKeyReceived,
    GroupRemovalDone,
    GroupRemovalsLearnt,
    GroupRestarted,
)
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord
from prose_link.pc5s.identity.key_exchange import asked, build_accept
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    Cause,
    ChosenAlgorithms,
    DirectAccept,
    DirectReject,
    DirectRequest,
    MemberOut,
    MemberState,
)
from security.groups import GroupError, member_hash
from security.mikey import parse_profile_i_message
from tests.benches.group_bench import (
    GROUP,
    GroupAir,
    Talk,
    keying,
    keying_request,
    locate_all,
    member,
    newest,
    newest_mark,
    two_keyers,
    world,
)
from tests.benches.pc5s_bench import A, B, C, E, at, draft_accept, plain


def keyer(ue):
    return ue.entity.groups.keyer(GROUP)


def test_row_53_two_keyers_at_once_come_to_one_key():
    a, b, _, _, air = two_keyers()
    talk = Talk()
    keyer(a).new_epoch(air.now)
    keyer(b).new_epoch(air.now)
    marks = {newest_mark(a), newest_mark(b)}
    assert len(marks) == 2
    air.run(5)
    assert {newest_mark(ue) for ue in air.ues} == {max(marks)}
    (loser,) = (ue for ue in (a, b) if ue.of(GroupEpochYielded))
    assert loser.of(GroupEpochYielded)[0].keyer in {A, B} - {loser.uri}
    for ue in air.ues:
        others = [other for other in air.ues if other is not ue]
        assert talk.say(ue, *others) == others
    assert not keyer(a).waiting | keyer(b).waiting


@pytest.mark.parametrize("renewer_first", [False, True])
def test_row_53_a_removal_stands_though_another_keyers_key_wins(renewer_first):
    """K1 removes R, K2 doesn't hear of it and makes the greater key, which R gets: R is out again soon."""
    a, b, c, e, air = two_keyers()
    talk = Talk()
    keyer(a).new_epoch(air.now)
    air.run(3)
    deaf = (a.l2_id, b.l2_id)
    air.pass_on = lambda frame: [] if (frame.src_l2, frame.dst_l2) == deaf else air.spread(frame)
    if renewer_first:
        keyer(b).new_epoch(air.now)
    keyer(a).remove(E, air.now)
    air.run(1.2)
    if not renewer_first:
        keyer(b).new_epoch(air.now)
        assert newest_mark(b) > newest_mark(a)
    air.pass_on = air.spread
    air.run(8)
    assert newest_mark(a) == newest_mark(b) == newest_mark(c) > newest_mark(e)
    started = [event.why for event in a.of(GroupEpochStarted)]
    if not renewer_first:
        assert f"the key in use lacks the removal of {E}" in started
    (learnt,) = b.of(GroupRemovalsLearnt)
    assert (learnt.keyer, learnt.members_out) == (A, (E,))
    done = {(event.removed, event.member) for event in a.of(GroupRemovalDone)}
    assert done == {(E, B), (E, C)}
    for ue in (a, b, c):
        others = [other for other in (a, b, c) if other is not ue]
        assert talk.say(ue, *others, e) == others
    keyer(b).new_epoch(air.now)
    air.run(3)
    assert newest(b).removals and newest_mark(c) == newest_mark(b) > newest_mark(e), "K2 renews and R stays out"
    assert talk.say(c, a, b, e) == [a, b]


def test_row_53_the_removed_member_opens_nothing_made_after_its_removal_was_received():
    """The switch is immediate where the list differs: no second's grace under the old key."""
    a, b, c, e, air = two_keyers()
    talk = Talk()
    keyer(a).new_epoch(air.now)
    air.run(3)
    assert talk.say(c, a, b, e) == [a, b, e]
    keyer(a).remove(E, air.now)
    for _ in range(30):
        air.run(0.05)
        for ue in (a, b, c):
            if newest(ue).removals:
                assert talk.say(ue, e) == []
    assert all(newest(ue).removals for ue in (a, b, c))


def test_row_53_a_removal_from_the_future_is_refused():
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    before = newest_mark(c)
    future = MemberOut(member=member_hash(E), ntp_s=int(air.now.ntp_s) + WINDOW_S + 9, state=MemberState.OUT)
    for ue in (b, c):
        air.inject(plain(keying_request(a, ue, air, members_out=(future,)), a.l2_id, ue.l2_id))
    air.run(0.3)
    assert newest_mark(c) == newest_mark(b) == before
    for ue in (b, c):
        (refused,) = ue.of(RequestRefused)
        assert (refused.step, refused.cause, refused.why) == (8, Cause.TIME_OR_KEY_PERIOD, "removal ahead of the clock")
    assert not b.of(GroupRemovalsLearnt)
    keyer(b).new_epoch(air.now)
    air.run(3)
    assert Talk().say(b, c, e) == [c, e]


def test_row_53_a_removal_made_by_a_clock_that_was_ahead_stands_as_of_now():
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    a.record.raise_mark(f"group {GROUP} out {member_hash(E).hex()}", int(air.now.ntp_s) + 86400 << 1 | 1)
    keyer(a).new_epoch(air.now)
    air.run(5)
    assert len(a.of(GroupEpochStarted)) == 2, "and no key more than that one"
    assert b.of(GroupRemovalsLearnt)[0].members_out == (E,)
    assert Talk().say(a, b, c, e) == [b, c]


def test_row_53_a_message_that_loses_by_its_mark_still_brings_its_removals():
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    gone = MemberOut(member=member_hash(E), ntp_s=int(air.now.ntp_s), state=MemberState.OUT)
    lower = keying(air, epoch=1)
    for ue in (b, c):
        air.inject(plain(keying_request(a, ue, air, key=lower, members_out=(gone,)), a.l2_id, ue.l2_id))
    air.run(0.2)
    for ue in (b, c):
        assert [event.why for event in ue.of(RequestRefused)] == ["the group has a newer key"]
    assert b.of(GroupRemovalsLearnt)[0].members_out == (E,)
    air.run(3)
    assert b.of(GroupEpochStarted)[-1].why == f"the key in use lacks the removal of {E}"
    assert newest_mark(a) == newest_mark(b) == newest_mark(c) > newest_mark(e)
    assert Talk().say(c, a, b, e) == [a, b]


def test_row_53_a_member_let_in_again_reads_and_the_other_keyer_goes_by_it():
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    keyer(a).remove(E, air.now)
    air.run(3)
    keyer(b).add(E, air.now)
    air.run(3)
    assert [one.is_out for one in newest(a).removals] == [False]
    assert Talk().say(a, b, c, e) == [b, c, e]
    assert keyer(a).members == keyer(b).members == {C, E}


def test_row_53_nobody_removes_a_keyer():
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    with pytest.raises(GroupError, match="take it off every member's list"):
        keyer(a).remove(B, air.now)
    assert Talk().say(a, b, c, e) == [b, c, e]


def test_row_54_a_keyer_without_its_record_does_not_let_a_removed_member_in_again():
    """It learns of the removal from the other keyer, which makes the next key at once; its own list never shrinks."""
    a, _, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    keyer(a).remove(E, air.now)
    air.run(3)
    forgetful = member(B, keyers=(A, B), members=(C, E), record=MemoryRecord(), seed="record lost")
    air.ues[1] = forgetful
    locate_all(air)
    keyer(forgetful).new_epoch(air.now)
    air.run(6)
    assert newest_mark(a) == newest_mark(forgetful) == newest_mark(c) > newest_mark(e)
    assert forgetful.of(GroupRemovalsLearnt)
    assert Talk().say(forgetful, a, c, e) == [a, c]


@pytest.mark.parametrize("restart", AfterRestart)
def test_row_55_a_member_that_restarts_has_the_key_within_two_seconds(restart):
    a, b, c, air = world(asks=True, restart=restart)
    talk = Talk()
    talk.say(c, a, b)
    before = newest_mark(c)
    again = member(C, record=c.record, seed="restarted", asks=True, restart=restart)
    air.ues[2] = again
    locate_all(air)
    air.run(2)
    (one,) = again.of(GroupAsked)
    assert (one.why, one.keyer, one.tries) == ("no key is held", A, 1)
    (answer,) = (event for event in a.of(GroupAskAnswered) if event.member == C)
    assert answer.new_epoch is (restart is AfterRestart.ASK_NEW)
    if restart is AfterRestart.SAME_KEY:
        assert newest_mark(again) == before
        assert "can't be told from new ones" in again.of(GroupRestarted)[0].why
    else:
        assert newest_mark(again) == newest_mark(a) > before
        assert not again.of(GroupRestarted)
    air.run(1)
    for _ in range(3):
        assert talk.say(again, a, b) == [a, b]
        assert talk.say(a, b, again) == [b, again]
    to_c = (frame.data for frame in air.sent(DirectRequest, by=a) if frame.dst_l2 == c.l2_id)
    answer_octets = {octets for octets in to_c if decode(octets).request_hash}
    assert len(answer_octets) == 1


def test_row_55_the_key_of_before_the_restart_that_was_not_asked_for_is_refused_where_a_new_one_is():
    a, _, c, air = world(asks=True, restart=AfterRestart.ASK_NEW)
    again = member(C, record=c.record, seed="restarted", asks=True, restart=AfterRestart.ASK_NEW)
    air.ues[2] = again
    air.pass_on = lambda frame: [] if frame.src_l2 == again.l2_id else air.spread(frame)
    order = keyer(a)._keyer.current
    keyer(a)._deliveries.queue((C,), info_of(order.keying), order.removals, order.ssv, {C: at(C, again.l2_id)})
    keyer(a)._deliveries.take_turns(air.now)
    air.run(0.3)
    assert [event.why for event in again.of(RequestRefused)] == [
        "key from before the restart, and a new one is asked for"
    ]
    assert newest(again) is None
    air.pass_on = air.spread
    air.run(8)
    assert newest_mark(again) == newest_mark(a)


@pytest.mark.parametrize("asks", [False, True])
def test_row_56_a_superseded_key_delivered_late_reads_only(asks):
    """C was cut off while E was removed; the key from before the removal, held back, must not make it speak to E."""
    a, b, c, e, air = two_keyers(deferred_delivery=True, asks=asks)
    talk = Talk()
    keyer(a).new_epoch(air.now)
    air.run(3)
    held_back = []

    def cut_off(frame):
        if c.l2_id in (frame.dst_l2, frame.src_l2):
            held_back.append(frame)
            return []
        return [one for one in air.spread(frame) if one.dst_l2 != c.l2_id]

    air.pass_on = cut_off
    keyer(a).new_epoch(air.now)
    air.run(WINDOW_S + 20)
    keyer(a).remove(E, air.now)
    air.run(12)
    late = next(frame for frame in held_back if frame.dst_l2 == c.l2_id and frame.data[0] == 1)
    air.inject(late)
    air.run(0.2)
    got = c.of(GroupKeyReceived)[-1]
    assert (got.epoch, got.reads_only) == (decode(late.data).group_info.epoch, True)
    with pytest.raises(GroupError, match="superseded"):
        talk.say(c, e)
    assert e not in talk.say(a, b, e)
    air.pass_on = air.spread
    if not asks:
        keyer(a).new_epoch(air.now)
    air.run(70)
    assert newest_mark(c) == newest_mark(a) == newest_mark(b)
    assert talk.say(c, a, b, e) == [a, b]
    assert bool(c.of(GroupAsked)) is asks


def test_row_56_a_late_key_that_is_the_current_one_is_confirmed_by_an_answer():
    a, b, c, air = world(deferred_delivery=True)
    air.run(WINDOW_S + 60)
    late = member(C, seed="late", deferred_delivery=True, asks=True)
    air.ues[2] = late
    air.inject(next(frame for frame in air.sent(DirectRequest, by=a) if frame.dst_l2 == c.l2_id))
    air.run(0.03)
    assert newest(late).reads_only
    locate_all(air)
    air.run(2)
    assert late.of(GroupKeyConfirmed) and not newest(late).reads_only
    assert Talk().say(late, a, b) == [a, b]


def forged_receipt(request_octets, ssv, named, air, signer=None):
    """A receipt in another member's name, of an insider that opened its own copy of the SSV."""
    request = decode(request_octets)
    half = asked(request, parse_profile_i_message(request.i_message).signed_part)
    algorithms = ChosenAlgorithms(eea=request.group_info.eea, eia=0)
    draft = draft_accept(request, half.request_hash, named, algorithms=algorithms)
    return build_accept(draft, half, ssv_a=ssv, signer=signer, ntp_s=air.now.ntp_s).octets


def test_row_57_a_receipt_forged_by_another_member_reports_nothing():
    """C holds the group's SSV and drops what goes to B: nothing that C can make stands for B's receipt."""
    a, b, c = member(A), member(B), member(C)
    air = GroupAir(a, b, c)
    locate_all(air)
    air.pass_on = lambda frame: [] if frame.dst_l2 == b.l2_id else air.spread(frame)
    keyer(a).new_epoch(air.now)
    air.run(1.5)
    ssv = keyer(a)._keyer.current.ssv
    to_b = next(frame.data for frame in air.sent(DirectRequest, by=a) if frame.dst_l2 == b.l2_id)
    for signer in (None, c.credentials):
        air.inject(plain(forged_receipt(to_b, ssv, b, air, signer), b.l2_id, a.l2_id))
        air.run(0.2)
    assert B in keyer(a).waiting
    assert {event.recipient for event in a.of(GroupKeyDelivered)} == {C}
    assert a.entity.counters["bad receipt of a group key"] == 2
    air.pass_on = air.spread
    air.run(3)
    assert keyer(a).waiting == frozenset()
    genuine = [decode(frame.data) for frame in air.sent(DirectAccept, by=b)]
    assert genuine and all(accept.i_message for accept in genuine)
    assert Talk().say(a, b, c) == [b, c]


def test_row_57_altered_receipts_by_the_hundred_use_nothing_up():
    """The genuine one still counts."""
    a, b = member(A, members=(B,)), member(B)
    air = GroupAir(a, b)
    locate_all(air)
    air.pass_on = lambda frame: [] if frame.src_l2 == b.l2_id else air.spread(frame)
    keyer(a).new_epoch(air.now)
    air.run(0.2)
    (genuine,) = {frame.data for frame in air.sent(DirectAccept, by=b)}
    for number in range(200):
        bad = genuine[:-1] + bytes([genuine[-1] ^ (number % 255 + 1)])
        air.inject(plain(bad, b.l2_id, a.l2_id))
    air.run(0.3)
    assert keyer(a).waiting == {B}
    air.inject(plain(genuine, b.l2_id, a.l2_id))
    air.run(0.3)
    assert keyer(a).waiting == frozenset()
    assert not a.entity.links


def test_row_57_a_receipt_under_an_established_link_needs_no_signature():
    a, b, c, air = world()
    air.connect(b, a)
    air.run(1)
    assert a.states() == ["established"]
    before = len(air.sent(DirectAccept, by=b))
    keyer(a).new_epoch(air.now)
    air.run(2)
    assert keyer(a).waiting == frozenset()
    assert len(air.sent(DirectAccept, by=b)) == before, "nothing of it without protection"
    assert newest_mark(b) == newest_mark(a)
    assert Talk().say(b, a, c) == [a, c]
    assert not air.sent(DirectReject)
