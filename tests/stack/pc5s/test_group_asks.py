"""Members that may be deaf ask for the group's key: why, whom, how often, and what the keyer gives."""

import pytest

from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_events import (
    GroupAskAnswered,
    GroupAsked,
    GroupEpochStarted,
    GroupKeyReceived,
    GroupUnsure,
)
from prose_link.pc5s.identity.key_exchange import build_request
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    Cause,
    DirectReject,
    DirectRequest,
    GroupInfo,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from security.groups import GroupError, KeyingMode
from security.groups.keying import TAG_BITS, epoch_at
from security.mikey import Kind
from tests.benches.group_bench import (
    GROUP,
    GROUP_L2,
    GroupAir,
    Talk,
    keying_request,
    locate_all,
    member,
    newest,
    newest_mark,
    opened,
    sealed,
    two_keyers,
    world,
)
from tests.benches.pc5s_bench import A, B, C, E, draft_request, plain


def keyer(ue):
    return ue.entity.groups.keyer(GROUP)


def reasons(ue):
    return [event.why for event in ue.of(GroupAsked)]


def ask_of(sender, target, air, *, mark=0, at=0.0, kind=Kind.GROUP_ASK, l2_id=GROUP_L2):
    info = GroupInfo(
        group_l2_id=l2_id,
        pgk_id=0,
        epoch=mark >> TAG_BITS,
        expiry_ntp_s=0,
        eea=0,
        mode=0,
        group_identity=GROUP,
        tag=(mark & ((1 << TAG_BITS) - 1)).to_bytes(8),
    )
    draft = draft_request(
        sender,
        target,
        capabilities=SecurityCapabilities.of((2,), (0,)),
        profile=ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP_ASK),
        group_info=info,
    )
    return build_request(draft, sender.credentials, ntp_s=air.now.ntp_s + at, kind=kind).octets


def deaf_member(**changed):
    """A keyer and two members that have a key; C then misses a new one."""
    a, b, c, air = world(asks=True, **changed)
    air.run(1)
    air.pass_on = lambda frame: [one for one in air.spread(frame) if one.dst_l2 != c.l2_id]
    keyer(a).new_epoch(air.now)
    air.run(12)
    air.pass_on = air.spread
    assert newest_mark(b) == newest_mark(a) > newest_mark(c)
    return a, b, c, air


def test_two_pdus_under_an_index_that_is_not_held_make_a_member_ask():
    a, b, c, air = deaf_member()
    before = len(c.of(GroupAsked))
    for number in range(2):
        with pytest.raises(GroupError):
            opened(c, sealed(b))
        air.run(0.6)
        assert (len(c.of(GroupAsked)) > before) is (number == 1)
    assert reasons(c)[-1] == "the group speaks under a key that isn't held"
    assert newest_mark(c) == newest_mark(a)
    assert Talk().say(c, a, b) == [a, b]


def test_forged_pdus_of_indices_that_nobody_has_cost_less_and_less():
    a, _, c, air = world(asks=True)
    air.run(1)
    before = len(c.of(GroupAsked))
    for _ in range(240):
        with pytest.raises(GroupError):
            c.entity.groups.traffic.open(0x5555, GROUP_L2, 30, 1, 1, 3, b"x")
        air.run(0.5)
    asked = len(c.of(GroupAsked)) - before
    assert 3 <= asked <= 8, "4, 8, 16, 32 and then 60 s apart"
    assert len(a.of(GroupEpochStarted)) == 1, "and make no new key"


@pytest.mark.parametrize("speak_unsure", [False, True])
def test_half_a_minute_without_anybody_stops_a_member_until_it_knows(speak_unsure):
    a, b, c, air = world(asks=True, speak_unsure=speak_unsure)
    air.run(1)
    air.pass_on = lambda frame: []
    air.run(31)
    assert c.of(GroupUnsure)[-1].speaks is False
    assert reasons(c)[-1] == "neither a reference nor the group was heard"
    with pytest.raises(GroupError, match="asked whether"):
        sealed(c)
    air.run(11)
    if speak_unsure:
        assert c.of(GroupUnsure)[-1].speaks is True
        assert opened(b, sealed(c)) == b"to all"
    else:
        with pytest.raises(GroupError, match="asked whether"):
            sealed(c)
    air.pass_on = air.spread
    air.run(75)
    assert Talk().say(c, a, b) == [a, b]


def test_who_hears_a_reference_or_the_group_does_not_ask():
    a, b, c, air = world(asks=True)
    air.run(1)
    before = len(c.of(GroupAsked)), len(b.of(GroupAsked))
    for _ in range(20):
        air.run(5)
        b.entity.groups.heard_reference(air.now)
        opened(c, sealed(a))
    assert (len(c.of(GroupAsked)), len(b.of(GroupAsked))) == before


def test_a_member_asks_before_its_key_expires():
    a, b, c, air = world(asks=True, lifetime_s=400)
    for _ in range(36):
        for ue in (b, c):
            ue.entity.groups.heard_reference(air.now)
        air.run(10)
    assert "the key expires soon" not in reasons(c)
    keyer(a).new_epoch(air.now)
    for _ in range(45):
        for ue in (b, c):
            ue.entity.groups.heard_reference(air.now)
        air.run(10)
    assert "the key expires soon" in reasons(b) and "the key expires soon" in reasons(c)


def test_a_keyer_that_dies_is_followed_by_the_next_one():
    """C restarts while the first keyer is gone: two tries, then the second keyer, which makes a key of its own."""
    a, b, c, e, air = two_keyers()
    keyer(a).new_epoch(air.now)
    air.run(3)
    air.ues = [b, c, e]
    again = member(C, keyers=(A, B), members=(C, E), record=c.record, seed="restarted", asks=True)
    air.ues[1] = again
    locate_all(air)
    air.run(8)
    assert [event.keyer for event in again.of(GroupAsked)][:3] == [A, A, B]
    (answer,) = b.of(GroupAskAnswered)
    assert (answer.member, answer.new_epoch) == (C, True)
    assert b.of(GroupEpochStarted)[-1].why == f"{C} asks"
    assert newest_mark(again) == newest_mark(b) == newest_mark(e)
    assert Talk().say(again, b, e) == [b, e]


def test_who_is_no_member_or_was_removed_gets_cause_1_and_no_key():
    a, b, c, air = world()
    keyer(a).remove(C, air.now)
    air.run(3)
    before = newest_mark(a)
    air.inject(plain(ask_of(c, a, air), c.l2_id, a.l2_id))
    air.run(0.5)
    (refused,) = a.of(RequestRefused)
    assert (refused.step, refused.cause, refused.why) == (8, Cause.NOT_ALLOWED, "not a member of the group")
    (reject,) = air.sent(DirectReject, by=a)
    assert decode(reject.data).cause == Cause.NOT_ALLOWED
    assert not a.of(GroupAskAnswered) and newest_mark(a) == before
    assert Talk().say(b, a, c) == [a]


def test_the_same_ask_gets_the_same_octets_and_other_asks_are_answered_at_a_bounded_rate():
    a, _, c, air = world()
    octets = ask_of(c, a, air)
    before = len(air.sent(DirectRequest, by=a))
    for _ in range(30):
        air.inject(plain(octets, c.l2_id, a.l2_id))
    air.run(0.3)
    answers = {frame.data for frame in air.sent(DirectRequest, by=a)[before:]}
    assert len(answers) == 1
    assert decode(answers.pop()).request_hash is not None
    assert len(air.sent(DirectRequest, by=a)) - before <= 3
    for _ in range(20):
        air.inject(plain(ask_of(c, a, air), c.l2_id, a.l2_id))
    air.run(0.3)
    assert len(a.of(GroupAskAnswered)) == 2, "a burst of two, then one in two seconds"
    assert "too many asks to answer" in {event.why for event in a.of(RequestRefused)}
    assert len(a.of(GroupEpochStarted)) == 1


def test_a_greater_mark_in_an_ask_makes_a_key_above_it_once_in_half_a_minute():
    a, b, c, air = world()
    air.run(3)
    ahead = epoch_at(air.now.ntp_s) + 200
    for number in range(2):
        air.inject(plain(ask_of(c, a, air, mark=ahead + 50 * number << TAG_BITS), c.l2_id, a.l2_id))
        air.run(2.5)
    assert [event.epoch for event in a.of(GroupEpochStarted)][1:] == [ahead + 1]
    assert "a new key was made for an ask a moment ago" in {event.why for event in a.of(RequestRefused)}
    air.inject(plain(ask_of(c, a, air, mark=epoch_at(air.now.ntp_s) + 400 << TAG_BITS), c.l2_id, a.l2_id))
    air.run(2.5)
    assert a.of(RequestRefused)[-1].why == "epoch ahead of the clock"
    assert newest_mark(b) == newest_mark(a)


def test_a_keyer_that_was_asked_by_another_at_the_start_stands_in_for_it_at_once():
    """Asks of keyers and those of members are counted apart."""
    a, b, c, e, air = two_keyers()
    air.inject(plain(ask_of(a, b, air), a.l2_id, b.l2_id))
    air.run(2)
    keyer(a).new_epoch(air.now)
    air.run(2)
    assert b.of(GroupEpochStarted) and newest(b).keyer == A
    air.ues.remove(a)
    for asker in (c, e):
        air.inject(plain(ask_of(asker, b, air), asker.l2_id, b.l2_id))
        air.run(2)
    assert b.of(GroupEpochStarted)[-1].why == f"{C} asks"
    assert newest(c).keyer == newest(e).keyer == B and newest_mark(c) == newest_mark(b)
    assert len(b.of(GroupAskAnswered)) == 3, "the last one gets the key that was made for the one before"


@pytest.mark.parametrize("kind", [Kind.GROUP, Kind.REQUEST, Kind.ACCEPT])
def test_an_i_message_of_another_kind_asks_nothing(kind):
    a, _, c, air = world()
    air.inject(plain(ask_of(c, a, air, kind=kind), c.l2_id, a.l2_id))
    air.run(0.3)
    assert [event.why for event in a.of(RequestRefused)] == ["I_MESSAGE of another kind"]
    assert not a.of(GroupAskAnswered)


def test_an_ask_gets_an_answer_in_a_group_keyed_by_its_identity_too():
    """The answer is then to the group identity: another Group info would be another key."""
    a, b, c, air = world(mode=KeyingMode.GROUP_IDENTITY)
    late = member(C, record=c.record, seed="late", mode=KeyingMode.GROUP_IDENTITY, asks=True)
    air.ues[2] = late
    locate_all(air)
    air.run(2)
    assert newest_mark(late) == newest_mark(a)
    assert late.of(GroupKeyReceived)[-1].mode == KeyingMode.GROUP_IDENTITY
    assert Talk().say(late, a, b) == [a, b]


def test_an_answer_to_somebody_elses_ask_proves_nothing():
    """Held back until W is over it is an old message, whatever ask it names."""
    a, b, c, air = world()
    air.run(2)
    kept = keying_request(a, c, air, request_hash=bytes(32))
    air.run(400)
    air.inject(plain(kept, a.l2_id, c.l2_id))
    air.run(0.3)
    assert c.of(RequestRefused)[-1].why == "time outside the window"
    keyer(a).new_epoch(air.now)
    air.run(2)
    assert Talk().say(b, a, c) == [a, c]


def test_an_ask_goes_under_an_established_link_with_the_keyer():
    a, b, c, air = world()
    again = member(C, record=c.record, seed="again", asks=True)
    air.ues[2] = again
    air.connect(again, a)
    air.run(0.01)
    again.entity.groups._asks._watches[GROUP].round.due_s = air.mono_s + 1.0
    air.run(0.9)
    assert again.states() == ["established"]
    before = len(air.sent(DirectRequest, by=again))
    air.run(2)
    assert again.of(GroupAsked) and len(air.sent(DirectRequest, by=again)) == before
    assert newest_mark(again) == newest_mark(a)
    assert Talk().say(again, a, b) == [a, b]


def test_a_group_identity_is_nobody():
    """It neither asks for a link nor keys nor asks for a key; a member's RSK of it signs nothing."""
    a, b, c, air = world(mode=KeyingMode.GROUP_IDENTITY)
    as_group = draft_request(c, b, user_info=GROUP)
    octets = build_request(as_group, c.credentials, ntp_s=air.now.ntp_s).octets
    air.inject(plain(octets, c.l2_id, b.l2_id))
    air.run(0.3)
    refused = b.of(RequestRefused)[-1]
    assert (refused.step, refused.cause, refused.why) == (2, None, "a group identity in the place of a person")
    with pytest.raises(Exception, match="own identity"):
        member(E, keyers=(A, GROUP))
    assert newest(b) is not None and Talk().say(b, a, c) == [a, c]


def test_a_member_far_from_every_keyer_keeps_asking_ever_more_rarely():
    c = member(C, keyers=(A, B), members=(C,), asks=True)
    air = GroupAir(c)
    air.run(300)
    asked = c.of(GroupAsked)
    assert [event.keyer for event in asked[:6]] == [A, A, B, B, A, A]
    assert 7 <= len(asked) <= 11
    assert len({frame.data for frame in air.sent(DirectRequest)}) == (len(asked) + 1) // 2
