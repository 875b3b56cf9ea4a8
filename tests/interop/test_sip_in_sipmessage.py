"""Every SIP message of a registration and a call, read by another parser: the package `sipmessage`."""

from __future__ import annotations

import pytest

from prose_link.carriers.ims.envelope import ACCEPTED, accept_body, request_body
from prose_link.sip.digest import Credentials
from prose_link.sip.message import Request, cseq_of, from_of, to_octets, to_of
from prose_link.sip.reports import CallOffered
from prose_link.sip.sdp import offer
from prose_link.sip.transport import Hop, Transport
from tests.benches.ims_bench import ACCEPT, REQUEST
from tests.benches.sip_bench import Registrar, Wire, events_of

sipmessage = pytest.importorskip("sipmessage")
pytestmark = pytest.mark.interop

A, B, P = "10.0.0.1", "10.0.0.2", "10.0.0.9"


def messages():
    """A registration by Digest; then a call with binary bodies, its 200, ACK and BYE."""
    wire, proxy = Wire(), Hop(Transport.UDP, P, 5060)
    wire.ends[proxy] = Registrar(proxy, {"01@ims.test": "secret-01"})
    wire.agent("01", A, proxy=proxy, registers=True).register(wire.now)
    wire.run(1.0)
    a = wire.agent("03", "10.0.0.3", proxy=Hop(Transport.UDP, B, 5060), account={"accepts": ACCEPTED})
    b = wire.agent(
        "02",
        B,
        proxy=Hop(Transport.UDP, A, 5060),
        account={"accepts": ACCEPTED},
        credentials=Credentials(user_name="b"),
    )
    body = request_body(REQUEST, A, 1, bytes)
    call = a.call(f"sip:{B}:5060", body.fields, body.octets, wire.now)
    wire.run(2.0)
    (offered,) = events_of(b)
    assert isinstance(offered, CallOffered)
    answer = accept_body(ACCEPT, offer(A, 1, 1, b"x"), B, 2, bytes)
    b.accept(offered.call, answer.fields, answer.octets, wire.now)
    wire.run(3.0)
    a.hang_up(call, wire.now)
    wire.run(4.0)
    return [message for _, _, _, message in wire.seen]


def test_another_parser_reads_the_same() -> None:
    seen = messages()
    kinds = {message.method if isinstance(message, Request) else str(message.status) for message in seen}
    assert {"REGISTER", "401", "200", "INVITE", "100", "ACK", "BYE"} <= kinds
    for ours in seen:
        theirs = sipmessage.Message.parse(to_octets(ours))
        assert theirs.body == ours.body
        if isinstance(ours, Request):
            assert (theirs.method, str(theirs.uri)) == (ours.method, ours.uri)
        else:
            assert theirs.code == ours.status
        cseq = theirs.headers.get("CSeq") if hasattr(theirs, "headers") else None
        assert cseq == str(cseq_of(ours))
        assert sipmessage.Address.parse(theirs.headers["From"]).parameters.get("tag") == from_of(ours).tag
        assert sipmessage.Address.parse(theirs.headers["To"]).parameters.get("tag") == to_of(ours).tag
        via = sipmessage.Via.parse(theirs.headers["Via"])
        assert via.parameters["branch"].startswith("z9hG4bK")
