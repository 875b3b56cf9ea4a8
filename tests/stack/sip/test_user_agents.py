"""Two user agents and a registrar on a wire: calls, refusals, loss, forks, glare, registration and its recovery."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from prose_link.sip.calls import MAX_CALLS
from prose_link.sip.digest import Credentials
from prose_link.sip.errors import SipError
from prose_link.sip.headers import Headers
from prose_link.sip.message import Request, parse, to_octets
from prose_link.sip.reports import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallProgressed,
    CallRefused,
    Deregistered,
    Registered,
    RegistrationFailed,
    ReofferAnswered,
    Reoffered,
    ReofferRefused,
)
from prose_link.sip.responses import response_to
from prose_link.sip.transport import Hop, Received, Transport
from tests.benches.sip_bench import DELAY_S, Registrar, Wire, events_of

A, B, P = "10.0.0.1", "10.0.0.2", "10.0.0.9"
SDP = (("Content-Type", "application/sdp"),)
BODY = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\n"


class Pair:
    """`a` calls `b` with nothing between them."""

    def __init__(self, **others) -> None:
        self.wire = Wire()
        self.a = self.wire.agent("01", A, proxy=Hop(Transport.UDP, B, 5060), **others)
        self.b = self.wire.agent("02", B, proxy=Hop(Transport.UDP, A, 5060), **others)

    def call(self, body: bytes = BODY) -> int:
        return self.a.call(f"sip:{B}:5060", SDP, body, self.wire.now)

    def offered(self) -> int:
        self.wire.run(self.wire.now_s + 1.0)
        (event,) = events_of(self.b)
        assert isinstance(event, CallOffered)
        return event.call

    def answered(self) -> tuple[int, int]:
        """A call that stands, by its numbers at `a` and `b`."""
        call = self.call()
        offered = self.offered()
        self.b.accept(offered, SDP, BODY, self.wire.now)
        self.wire.run(self.wire.now_s + 1.0)
        assert [type(one) for one in events_of(self.a)] == [CallAnswered]
        assert [type(one) for one in events_of(self.b)] == [CallConfirmed]
        return call, offered


@pytest.fixture
def pair() -> Pair:
    return Pair()


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


# CANCEL.


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


# Forks.


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


# re-INVITE.


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


# What is asked of a user agent outside of dialogs.


def request(method: str, *fields: tuple[str, str], uri: str = f"sip:{B}:5060", body: bytes = b"") -> Request:
    base = [
        ("Via", f"SIP/2.0/UDP {A}:5060;branch=z9hG4bK{method}{len(fields)}{hash(body)}"),
        ("From", "<sip:x@h>;tag=1"),
        ("To", "<sip:b@h>"),
        ("Call-ID", "c"),
        ("CSeq", f"1 {method}"),
        ("Contact", f"<sip:{A}:5060>"),
    ]
    return Request(method=method, uri=uri, headers=Headers([*base, *fields]), body=body)


def answer_to(pair: Pair, message: Request):
    pair.wire.seen.clear()
    pair.b.receive(Received(to_octets(message), Hop(Transport.UDP, A, 5060)), pair.wire.now)
    finals = [parse(one.octets) for one in pair.b.pdus_to_send(pair.wire.now)]
    return finals[-1]


@pytest.mark.parametrize(
    ("message", "status", "field"),
    [
        (request("OPTIONS"), 200, ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")),
        (request("REGISTER"), 405, ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")),
        (request("NEWMETHOD"), 501, ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")),
        (request("OPTIONS", uri="nobodyKnowsThisScheme:x"), 416, None),
        (request("INVITE", ("Require", "nothingSupportsThis")), 420, ("Unsupported", "nothingSupportsThis")),
        (request("INVITE", ("Content-Type", "x/y"), body=b"x"), 415, ("Accept", "application/sdp, multipart/mixed")),
        (request("INVITE", ("Content-Type", "nonsense"), body=b"x"), 400, None),
        (request("INVITE", *SDP, ("Content-Encoding", "gzip"), body=b"x"), 415, ("Accept-Encoding", "identity")),
        (request("INVITE", ("Accept", "text/nobodyKnowsThis")), 406, None),
        (request("BYE"), 481, None),
        (request("BYE", ("To", "<sip:b@h>;tag=9")), 400, None),
    ],
)  # fmt: skip
def test_what_is_answered_before_anything_is_looked_into(pair: Pair, message, status, field) -> None:
    answer = answer_to(pair, message)
    assert answer.status == status and events_of(pair.b) == []
    if field is not None:
        assert answer.headers.first(field[0]) == field[1]


def test_a_required_part_that_nobody_knows_is_415_and_an_optional_one_is_not(pair: Pair) -> None:
    def multipart(handling: str) -> Request:
        fields = f"Content-Type: x/y\r\nContent-Disposition: render;handling={handling}"
        body = f"--b\r\n{fields}\r\n\r\nz\r\n--b--\r\n"
        return request("INVITE", ("Content-Type", 'multipart/mixed;boundary="b"'), body=body.encode())

    assert answer_to(pair, multipart("required")).status == 415
    assert answer_to(pair, multipart("optional")).status == 100 and len(events_of(pair.b)) == 1


def test_the_number_of_calls_is_bounded(pair: Pair) -> None:
    for n in range(MAX_CALLS + 5):
        message = request("INVITE")
        headers = message.headers.without("Via", "Call-ID").before(("Via", f"SIP/2.0/UDP {A};branch=z9hG4bK{n}"))
        pair.b.receive(
            Received(
                to_octets(replace(message, headers=headers.adding(("Call-ID", str(n))))), Hop(Transport.UDP, A, 5060)
            ),
            pair.wire.now,
        )
    statuses = [parse(one.octets).status for one in pair.b.pdus_to_send(pair.wire.now)]
    assert statuses.count(486) == 5 and len(events_of(pair.b)) == MAX_CALLS


# Registration.


class Home:
    """Two user agents with a registrar between them."""

    def __init__(self, algorithms=("SHA-256", "MD5"), **others) -> None:
        self.wire = Wire()
        proxy = Hop(Transport.UDP, P, 5060)
        self.registrar = Registrar(proxy, {"01@ims.test": "secret-01"}, algorithms)
        self.wire.ends[proxy] = self.registrar
        self.a = self.wire.agent("01", A, proxy=proxy, registers=True, **others)

    def register(self):
        self.a.register(self.wire.now)
        self.wire.run(self.wire.now_s + 1.0)
        return events_of(self.a)


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("SHA-256", "MD5"), ("SHA-512-256", "MD5")])
def test_registration_by_digest(algorithms) -> None:
    home = Home(algorithms if "SHA-512-256" not in algorithms else ("SHA-512-256", "MD5"))
    (registered,) = home.register()
    assert registered == Registered(
        expires_s=600, associated=("sip:x@ims.test", "tel:+1"), service_route=("<sip:orig@10.0.0.8:5060;lr>",)
    )
    first = home.wire.sent("REGISTER")[0][1]
    assert first.headers.one("Supported") == "path" and first.uri == "sip:ims.test"
    assert first.headers.one("To") == "<sip:+447700900001@ims.test>" and home.a.is_registered


def test_it_is_refreshed_at_its_half_and_given_up_on_request() -> None:
    home = Home()
    home.registrar.expires_s = 60
    home.register()
    home.wire.run(100.0)
    assert (
        len(events_of(home.a)) == 3 and len({one.headers.one("Call-ID") for _, one in home.wire.sent("REGISTER")}) == 1
    )
    numbers = [int(one.headers.one("CSeq").split()[0]) for _, one in home.wire.sent("REGISTER")]
    assert numbers == sorted(set(numbers))
    home.a.deregister(home.wire.now)
    home.wire.run(200.0)
    assert events_of(home.a) == [Deregistered()] and home.registrar.bindings == {} and not home.a.is_registered


def test_a_wrong_password_is_told_and_tried_again_ever_later() -> None:
    home = Home(credentials=Credentials(user_name="01@ims.test", password="wrong"))
    (failed,) = home.register()
    assert isinstance(failed, RegistrationFailed) and failed.status == 401 and "credentials" in failed.why
    home.wire.run(300.0)
    waits = [one.again_in_s for one in events_of(home.a)]
    assert 4 < len(waits) < 20 and max(waits) <= 60 and len(home.wire.sent("REGISTER")) < 50


def test_a_registrar_that_does_not_answer_is_told_and_tried_again() -> None:
    home = Home()
    home.wire.filter = lambda *_: []
    home.a.register(home.wire.now)
    home.wire.run(33.0)
    assert [one.status for one in events_of(home.a)] == [408]
    home.wire.filter = lambda *_: [DELAY_S]
    home.wire.run(40.0)
    assert home.a.is_registered


def test_a_call_takes_the_routes_of_the_registration() -> None:
    home = Home()
    home.register()
    home.a.call("tel:+447700900002", SDP, BODY, home.wire.now)
    home.wire.run(2.0)
    (_, invite) = home.wire.sent("INVITE")[0]
    assert invite.headers.lines("Route") == ["<sip:10.0.0.9:5060;lr>", "<sip:orig@10.0.0.8:5060;lr>"]
    assert invite.headers.one("P-Preferred-Identity") == "<tel:+447700900001>" and invite.uri == "tel:+447700900002"


@pytest.mark.parametrize("forgets", [True, False])
def test_a_core_that_has_forgotten_the_ue_is_registered_with_anew_and_asked_once_more(forgets: bool) -> None:
    home = Home()
    home.register()
    if forgets:
        home.registrar.bindings.clear()
    before = len(home.wire.sent("REGISTER"))
    home.a.call("tel:+447700900002", SDP, BODY, home.wire.now)
    home.wire.run(10.0)
    events = events_of(home.a)
    assert [type(one) for one in events] == [Registered, CallRefused]
    assert len(home.wire.sent("REGISTER")) == before + 1 and len(home.wire.sent("INVITE")) == 2
    (first, _), (second, _) = home.wire.sent("INVITE")
    assert 0 < second - first < 3.0
    assert events[-1].status == 404, "what the second attempt brings"


def test_no_new_registration_no_second_attempt() -> None:
    home = Home()
    home.register()
    home.registrar.bindings.clear()
    home.registrar.refusals = [403]
    home.a.call("tel:+447700900002", SDP, BODY, home.wire.now)
    home.wire.run(4.0)
    events = events_of(home.a)
    assert [type(one) for one in events[:2]] == [RegistrationFailed, CallRefused] and events[1].status == 403
    assert len(home.wire.sent("INVITE")) == 1


def test_a_lost_connection_to_the_proxy_makes_the_ue_register_anew() -> None:
    home = Home()
    home.register()
    home.a.connection_lost(Hop(Transport.UDP, P, 5060), home.wire.now)
    home.wire.run(5.0)
    assert [type(one) for one in events_of(home.a)] == [Registered]


@pytest.mark.parametrize("cut", range(0, 400, 13))
def test_whatever_comes_nothing_raises(pair: Pair, cut: int) -> None:
    pair.call()
    pair.wire.run(0.5)
    for _, _, _, message in list(pair.wire.seen):
        octets = to_octets(message)
        for changed in (octets[:cut], octets[cut:], octets[:cut] + b"\x00" + octets[cut + 1 :]):
            for agent in (pair.a, pair.b):
                agent.receive(Received(changed, Hop(Transport.UDP, A, 5060)), pair.wire.now)
    pair.wire.run(1.0)
