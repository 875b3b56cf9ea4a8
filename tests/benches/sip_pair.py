"""Two user agents with nothing between them; shared by the tests of calls."""

from __future__ import annotations

from prose_link.sip.headers import Headers
from prose_link.sip.message import Request, parse, to_octets
from prose_link.sip.reports import (
    CallAnswered,
    CallConfirmed,
    CallOffered,
)
from prose_link.sip.transport import Hop, Received, Transport
from tests.benches.sip_bench import Wire, events_of

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
