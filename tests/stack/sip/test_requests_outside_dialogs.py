"""Requests to a user agent outside of its dialogs: what it answers before it looks into them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prose_link.sip.calls import MAX_CALLS
from prose_link.sip.message import Request, parse, to_octets
from prose_link.sip.transport import Hop, Received, Transport
from tests.benches.sip_bench import events_of
from tests.benches.sip_pair import SDP, A, Pair, answer_to, request


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
