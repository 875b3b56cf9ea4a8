"""What a hostile core can do to a UE of the IMS carrier: each is bounded, told, and survived."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from prose_link.carriers.ims.connection import PATIENCE_S
from prose_link.carriers.ims.edge import MAX_CONNECTIONS
from prose_link.carriers.ims.envelope import Body, request_body
from prose_link.carriers.ims.events import ImsBodyRefused, SipMessageSeen
from prose_link.carriers.protocol import MAX_WAITING
from prose_link.sip.calls import MAX_CALLS
from prose_link.sip.headers import Headers
from prose_link.sip.message import Request, Response, parse, to_octets
from tests.benches.ims_bench import ACCEPT, REQUEST, A, B, Ue, run, wait_until


@pytest.fixture
def ue() -> Iterator[Ue]:
    one = Ue(B, peers={f"tel:{A}": "sip:127.0.0.1:9"})
    yield one
    one.carrier.close()


class Core:
    """A socket that says what it likes."""

    def __init__(self, ue: Ue) -> None:
        self.ue = ue
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(2.0)
        self.port = self.socket.getsockname()[1]

    def send(self, octets: bytes) -> None:
        self.socket.sendto(octets, ("127.0.0.1", self.ue.carrier.port))

    def invite(self, n: int, body: Body, *fields: tuple[str, str]) -> None:
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{n}"),
            ("From", f"<tel:{A}>;tag={n}"),
            ("To", f"<tel:{B}>"),
            ("Call-ID", str(n)),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<sip:127.0.0.1:{self.port}>"),
            *body.fields,
            *fields,
        ]
        self.send(to_octets(Request(method="INVITE", uri=f"tel:{B}", headers=Headers(headers), body=body.octets)))

    def answers(self) -> list[int]:
        run([self.ue], 0.05)
        self.socket.setblocking(False)
        found = []
        while True:
            try:
                message = parse(self.socket.recv(65535))
            except BlockingIOError:
                return found
            if isinstance(message, Response):
                found.append(message.status)


@pytest.fixture
def core(ue: Ue) -> Iterator[Core]:
    one = Core(ue)
    yield one
    one.socket.close()


BODY = request_body(REQUEST, "127.0.0.1", 1, bytes)


def changed(old: bytes, new: bytes) -> Body:
    assert old in BODY.octets
    return Body(BODY.content_type, BODY.octets.replace(old, new))


@pytest.mark.parametrize(
    "body",
    [
        changed(b"a=key-mgmt", b"a=nothing"),
        changed(b"mikey ", b"other "),
        changed(b"a=key-mgmt", b"m=audio 9 RTP/SAVP 0\r\na=key-mgmt"),
        changed(b"a=key-mgmt", b"a=key-mgmt:mikey AQAB\r\na=key-mgmt"),
        changed(b"vnd.pc5lab.pc5s", b"vnd.pc5lab.xxxx"),
    ],
)
def test_a_core_that_strips_or_downgrades_the_keys_is_refused(ue: Ue, core: Core, body: Body) -> None:
    core.invite(1, body, ("P-Asserted-Identity", f"<tel:{A}>"))
    assert core.answers()[-1] in (415, 488) and ue.brought == []
    core.invite(2, BODY)
    assert core.answers() == [100, 180] and len(ue.brought) == 1
    assert all(one.named == f"tel:{A}" for one in ue.told_of(ImsBodyRefused))


def test_a_core_that_names_somebody_else_is_handed_on_as_such(ue: Ue, core: Core) -> None:
    core.invite(1, BODY, ("P-Asserted-Identity", "<tel:+447700900009>"))
    core.answers()
    assert ue.take()[1].named_sender == "tel:+447700900009"


def test_a_core_that_replays_an_offer_brings_it_again_as_another_call(ue: Ue, core: Core) -> None:
    core.invite(1, BODY)
    core.invite(1, BODY)
    core.invite(2, BODY)
    core.answers()
    assert [one.pdu.data for one in ue.brought] == [ue.brought[0].pdu.data] * 2, "SIP's own repetition is absorbed"
    assert len({one.via.address for one in ue.brought}) == 2


def test_answers_out_of_nowhere_are_counted(ue: Ue, core: Core) -> None:
    for status in (180, 200, 488):
        headers = [
            ("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx"),
            ("From", "<tel:+1>;tag=1"),
            ("To", "<tel:+2>;tag=2"),
        ]
        headers += [("Call-ID", "x"), ("CSeq", "1 INVITE")]
        core.send(to_octets(Response(status=status, headers=Headers(headers), body=ACCEPT)))
    core.answers()
    assert ue.brought == [] and ue.carrier.counters["response out of nowhere"] == 3


def test_a_flood_of_offers_is_bounded(ue: Ue, core: Core) -> None:
    answers = []
    for n in range(200):
        core.invite(n, BODY)
        if n % 20 == 19:
            answers += core.answers()
    assert answers.count(180) == MAX_CALLS and answers.count(486) >= 200 - MAX_CALLS, (
        "486 is repeated: nobody sends an ACK"
    )
    assert len(ue.brought) <= MAX_WAITING


def test_a_stream_that_is_slow_or_has_no_end_is_closed(ue: Ue, core: Core) -> None:
    def opened() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", ue.carrier.port))
        sock.settimeout(0.2)
        return sock

    slow, endless, lengthless = opened(), opened(), opened()
    slow.sendall(b"INVITE sip:a SIP/2.0\r\nVia: ")
    lengthless.sendall(b"OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n")
    endless.sendall(b"X" * 70_000)
    wait_until(lambda: len(ue.carrier._edge._connections) == 1, [ue])
    run([ue], 0.05)
    ue.ahead_s = PATIENCE_S + 1
    wait_until(lambda: not ue.carrier._edge._connections, [ue])
    for sock in (slow, endless, lengthless):
        sock.close()


def test_connections_are_bounded(ue: Ue, core: Core) -> None:
    held = [socket.create_connection(("127.0.0.1", ue.carrier.port)) for _ in range(MAX_CONNECTIONS)]
    run([ue], 0.3)
    held += [socket.create_connection(("127.0.0.1", ue.carrier.port)) for _ in range(10)]
    run([ue], 0.3)
    assert 0 < len(ue.carrier._edge._connections) <= MAX_CONNECTIONS
    for sock in held:
        sock.close()
    core.invite(1, BODY)
    assert core.answers() == [100, 180]


def test_every_message_is_shown_for_captures(ue: Ue, core: Core) -> None:
    core.invite(1, BODY)
    core.answers()
    seen = [(one.direction, one.data.split(b" ")[0]) for one in ue.told_of(SipMessageSeen)]
    assert seen == [("rx", b"INVITE"), ("tx", b"SIP/2.0"), ("tx", b"SIP/2.0")]
