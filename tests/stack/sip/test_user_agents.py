"""Calls between two user agents: set up, taken back, forked, offered anew, and ended."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from prose_link.sip.errors import SipError
from prose_link.sip.message import Request, to_octets
from prose_link.sip.reports import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallProgressed,
    CallRefused,
    ReofferAnswered,
    Reoffered,
    ReofferRefused,
)
from prose_link.sip.responses import response_to
from prose_link.sip.transport import Hop, Transport
from tests.benches.sip_bench import DELAY_S, events_of
from tests.benches.sip_pair import BODY, SDP, A, B, Pair, answer_to, request


def test_a_call_from_invite_to_bye(pair: Pair) -> None:
    call = pair.call()
    offered = pair.offered()
    pair.b.ring(offered, pair.wire.now)
    pair.wire.run(2.0)
    (ringing,) = events_of(pair.a)
    assert isinstance(ringing, CallProgressed) and ringing.response.status == 180
    pair.b.accept(offered, SDP, b"answer", pair.wire.now)
    pair.wire.run(3.0)
    (answered,) = events_of(pair.a)
    assert isinstance(answered, CallAnswered) and answered.kept and answered.response.body == b"answer"
    assert events_of(pair.b) == [CallConfirmed(call=offered)]
    pair.b.hang_up(offered, pair.wire.now)
    pair.wire.run(4.0)
    assert [type(one) for one in events_of(pair.a)] == [CallEnded]
    pair.wire.run(200.0)
    assert not pair.a._calls.parts() and not pair.b._calls.parts() and len(pair.a._layer) == 0
    assert pair.a._exchanges._by_key == {}
    with pytest.raises(SipError):
        pair.a.reoffer(call, SDP, BODY, pair.wire.now)


def test_a_refusal_brings_its_fields_and_body(pair: Pair) -> None:
    pair.call()
    fields = (("Warning", '306 pc5lab "Attribute not understood"'), ("Content-Type", "application/vnd.pc5lab.pc5s"))
    pair.b.refuse(pair.offered(), 488, fields, b"\x00reject", pair.wire.now)
    pair.wire.run(2.0)
    (refused,) = events_of(pair.a)
    assert isinstance(refused, CallRefused) and refused.status == 488 and refused.response is not None
    assert refused.response.body == b"\x00reject" and refused.response.headers.first("Warning").startswith("306")
    assert len(pair.wire.sent("ACK")) == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_third_of_all_messages_is_lost_doubled_or_late(seed: int) -> None:
    pair = Pair()
    dice = itertools.count(seed)

    def filtered(*_):
        n = hash((next(dice) * 2654435761) & 0xFFFFFFFF) % 9
        return {0: [], 1: [], 2: [], 3: [0.01, 0.02], 4: [0.9], 5: [0.01, 1.1]}.get(n, [DELAY_S])

    pair.wire.filter = filtered
    call = pair.call()
    for _ in range(60):
        pair.wire.run(pair.wire.now_s + 0.5)
        for event in events_of(pair.b):
            if isinstance(event, CallOffered):
                pair.b.accept(event.call, SDP, b"answer", pair.wire.now)
    answers = [one for one in events_of(pair.a) if isinstance(one, CallAnswered)]
    assert [one.kept for one in answers] == [True]
    pair.a.hang_up(call, pair.wire.now)
    pair.wire.run(pair.wire.now_s + 200.0)
    assert not pair.a._calls.parts() and not pair.b._calls.parts()


def test_a_180_behind_its_200_is_ignored(pair: Pair) -> None:
    pair.wire.filter = lambda _, __, message: [0.5 if getattr(message, "status", 0) == 180 else DELAY_S]
    pair.call()
    offered = pair.offered()
    pair.b.ring(offered, pair.wire.now)
    pair.b.accept(offered, SDP, BODY, pair.wire.now)
    pair.wire.run(3.0)
    assert [type(one) for one in events_of(pair.a)] == [CallAnswered]


def test_a_200_is_repeated_until_its_ack_and_each_is_acknowledged(pair: Pair) -> None:
    lost = iter([[], [], []])
    pair.wire.filter = lambda _, __, message: (
        next(lost, [DELAY_S]) if getattr(message, "method", "") == "ACK" else [DELAY_S]
    )
    pair.call()
    pair.b.accept(pair.offered(), SDP, BODY, pair.wire.now)
    began_s = pair.wire.now_s
    pair.wire.run(20.0)
    assert [round(at_s - began_s, 2) for at_s, _ in pair.wire.sent(200)] == [0, 0.5, 1.5, 3.5]
    assert len(pair.wire.sent("ACK")) == 4 and len({to_octets(one) for _, one in pair.wire.sent("ACK")}) == 1
    assert [type(one) for one in events_of(pair.a)] == [CallAnswered]


def test_a_200_without_ack_ends_the_call_by_bye_after_32_s(pair: Pair) -> None:
    pair.wire.filter = lambda _, __, message: [] if getattr(message, "method", "") == "ACK" else [DELAY_S]
    pair.call()
    pair.b.accept(pair.offered(), SDP, BODY, pair.wire.now)
    pair.wire.run(40.0)
    assert [type(one) for one in events_of(pair.b)] == [CallEnded] and len(pair.wire.sent("BYE", B)) == 1


def test_nobody_answers(pair: Pair) -> None:
    pair.wire.filter = lambda *_: []
    pair.call()
    pair.wire.run(33.0)
    (refused,) = events_of(pair.a)
    assert isinstance(refused, CallRefused) and refused.status == 408 and len(pair.wire.sent("INVITE")) == 7


def test_an_owner_that_says_nothing_is_answered_for(pair: Pair) -> None:
    pair.call()
    pair.offered()
    pair.wire.run(70.0)
    assert events_of(pair.a)[-1].status == 480 and isinstance(events_of(pair.b)[-1], CallEnded)


def test_a_call_is_taken_back(pair: Pair) -> None:
    call = pair.call()
    offered = pair.offered()
    pair.b.ring(offered, pair.wire.now)
    pair.wire.run(1.5)
    pair.a.hang_up(call, pair.wire.now)
    pair.wire.run(3.0)
    assert events_of(pair.a)[-1].status == 487
    assert events_of(pair.b) == [CallEnded(call=offered, why="the caller took it back")]
    assert len(pair.wire.sent("CANCEL")) == 1
    with pytest.raises(SipError):
        pair.b.accept(offered, SDP, BODY, pair.wire.now)


def test_a_cancel_waits_for_the_first_provisional_response(pair: Pair) -> None:
    pair.wire.filter = lambda _, __, message: [0.3 if getattr(message, "status", 0) == 100 else DELAY_S]
    call = pair.call()
    pair.wire.run(0.1)
    pair.a.hang_up(call, pair.wire.now)
    pair.wire.run(0.2)
    assert pair.wire.sent("CANCEL") == []
    pair.b.ring(events_of(pair.b)[0].call, pair.wire.now)
    pair.wire.run(1.0)
    assert len(pair.wire.sent("CANCEL")) == 1 and events_of(pair.a)[-1].status == 487


def test_a_200_that_crosses_a_cancel_is_ended_by_bye(pair: Pair) -> None:
    call = pair.call()
    offered = pair.offered()
    pair.b.ring(offered, pair.wire.now)
    pair.wire.run(1.5)
    pair.b.accept(offered, SDP, BODY, pair.wire.now)
    pair.a.hang_up(call, pair.wire.now)
    pair.wire.run(5.0)
    assert len(pair.wire.sent("BYE", A)) == 1 and isinstance(events_of(pair.b)[-1], CallEnded)
    assert [type(one) for one in events_of(pair.a)] == [CallProgressed, CallRefused]


def test_a_cancel_out_of_nowhere_is_481(pair: Pair) -> None:
    answer = answer_to(pair, request("CANCEL"))
    assert answer.status == 481


def forked(pair: Pair, tag: str, body: bytes, at: str = "10.0.0.7") -> None:
    """Another end answers the INVITE of `a`."""
    invite = pair.wire.sent("INVITE", A)[0][1]
    fields = (("Contact", f"<sip:{at}:5060>"), *SDP)
    answer = response_to(invite, 200, to_tag=tag, headers=fields, body=body)
    pair.wire.send(Hop(Transport.UDP, at, 5060), Hop(Transport.UDP, A, 5060), to_octets(answer))


def test_of_a_fork_the_first_answer_is_kept_and_all_others_are_ended(pair: Pair) -> None:
    call = pair.call()
    pair.wire.run(0.1)
    for n in range(3):
        forked(pair, f"leg{n}", b"%d" % n)
        pair.wire.run(pair.wire.now_s + 0.1)
    forked(pair, "leg1", b"1")
    pair.wire.run(pair.wire.now_s + 1.0)
    answers = [one for one in events_of(pair.a) if isinstance(one, CallAnswered)]
    assert [(one.kept, one.response.body) for one in answers] == [(True, b"0"), (False, b"1"), (False, b"2")]
    assert [one.call for one in answers] == [call] * 3
    ended = {message.headers.one("To")[-4:] for _, message in pair.wire.sent("BYE", A)}
    assert ended == {"leg1", "leg2"}
    acknowledged = [message.headers.one("To")[-4:] for _, message in pair.wire.sent("ACK", A)]
    assert acknowledged == ["leg0", "leg1", "leg2", "leg1"]


def test_the_legs_of_a_fork_are_bounded(pair: Pair) -> None:
    pair.call()
    pair.wire.run(0.1)
    for n in range(30):
        forked(pair, f"leg{n:02}", b"")
    pair.wire.run(1.0)
    assert len(events_of(pair.a)) == 8


def test_an_invite_that_comes_by_two_ways_is_482(pair: Pair) -> None:
    pair.call()
    pair.offered()
    invite = pair.wire.sent("INVITE")[0][1]
    other = replace(
        invite,
        headers=invite.headers.without("Via").before(("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKotherway")),
    )
    assert answer_to(pair, other).status == 482


def test_keys_are_offered_anew_by_reinvite_in_both_directions(pair: Pair) -> None:
    call, offered = pair.answered()
    for asks, asked, mine, theirs in ((pair.a, pair.b, call, offered), (pair.b, pair.a, offered, call)):
        asks.reoffer(mine, SDP, b"again", pair.wire.now)
        pair.wire.run(pair.wire.now_s + 1.0)
        (came,) = events_of(asked)
        assert isinstance(came, Reoffered) and came.call == theirs and came.request.body == b"again"
        asked.accept(theirs, SDP, b"yes", pair.wire.now)
        pair.wire.run(pair.wire.now_s + 1.0)
        (answer,) = events_of(asks)
        assert isinstance(answer, ReofferAnswered) and answer.response.body == b"yes"
        assert events_of(asked) == [CallConfirmed(call=theirs)]
    tags = [message.headers.one("To") for _, message in pair.wire.sent("INVITE")[1:]]
    assert all(";tag=" in one for one in tags)


def test_a_reinvite_is_refused_and_the_session_goes_on(pair: Pair) -> None:
    call, offered = pair.answered()
    pair.a.reoffer(call, SDP, b"again", pair.wire.now)
    pair.wire.run(3.0)
    pair.b.refuse(offered, 488, (), b"", pair.wire.now)
    pair.wire.run(4.0)
    (refused,) = events_of(pair.a)
    assert isinstance(refused, ReofferRefused) and refused.status == 488
    pair.a.reoffer(call, SDP, b"once more", pair.wire.now)
    with pytest.raises(SipError):
        pair.a.reoffer(call, SDP, b"two at once", pair.wire.now)


def test_glare_is_491_and_the_owner_of_the_call_id_waits_longer(pair: Pair) -> None:
    call, offered = pair.answered()
    began_s = pair.wire.now_s
    pair.a.reoffer(call, SDP, b"from a", pair.wire.now)
    pair.b.reoffer(offered, SDP, b"from b", pair.wire.now)
    for _ in range(60):
        pair.wire.run(pair.wire.now_s + 0.1)
        for agent, number in ((pair.a, call), (pair.b, offered)):
            for event in events_of(agent):
                if isinstance(event, Reoffered):
                    agent.accept(number, SDP, b"yes", pair.wire.now)
    assert len(pair.wire.sent(491)) == 2
    again = {source: at_s - began_s for source in (A, B) for at_s, one in pair.wire.sent("INVITE", source)[-1:]}
    assert 0 <= again[B] <= 2.1 < again[A] <= 4.1


def test_a_request_with_a_number_that_was_there_is_500(pair: Pair) -> None:
    pair.answered()
    invite = pair.wire.sent("INVITE")[0][1]
    tag = pair.wire.sent(200)[0][1].headers.one("To")
    headers = invite.headers.without("Via", "To", "CSeq").before(("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKold"))
    for number, status in ((1, 500), (7, 200), (6, 500)):
        old = Request(
            method="OPTIONS",
            uri=invite.uri,
            headers=headers.without("Via")
            .before(("Via", f"SIP/2.0/UDP {A}:5060;branch=z9hG4bK{number}"))
            .adding(("To", tag), ("CSeq", f"{number} OPTIONS")),
        )
        assert answer_to(pair, replace(old, body=b"")).status == status


def test_a_peer_that_has_forgotten_the_call_ends_it(pair: Pair) -> None:
    call, _ = pair.answered()
    pair.b._calls._incoming.clear()
    pair.a.reoffer(call, SDP, b"again", pair.wire.now)
    pair.wire.run(4.0)
    assert [type(one) for one in events_of(pair.a)] == [ReofferRefused, CallEnded]
