"""The four machines: every cue in every state, and the times at which messages go out (RFC 3261 17, RFC 6026)."""

from __future__ import annotations

import itertools

import pytest

from prose_link.sip.headers import Headers
from prose_link.sip.message import Request, Response, parse, to_octets
from prose_link.sip.responses import response_to
from prose_link.sip.timers import Timer, TimerValues, duration_s
from prose_link.sip.transaction import ResponseCame, TimedOut, Transaction, TransportFailed
from prose_link.sip.transaction_layer import MAX_TRANSACTIONS, TransactionLayer
from prose_link.sip.transaction_tables import (
    INVITE_CLIENT_MACHINE,
    INVITE_SERVER_MACHINE,
    MACHINES,
    OTHER_CLIENT_MACHINE,
    OTHER_SERVER_MACHINE,
    Action,
    Cue,
    State,
)
from prose_link.sip.transport import Hop, Received, Transport
from tests.benches.sip_bench import counted

UDP, TCP = Hop(Transport.UDP, "10.0.0.2", 5060), Hop(Transport.TCP, "10.0.0.2", 5060)
VALUES = TimerValues()


def request(method: str = "INVITE", branch: str = "z9hG4bKx", body: bytes = b"") -> Request:
    fields = [
        ("Via", f"SIP/2.0/UDP 10.0.0.1:5060;branch={branch}"),
        ("From", "<sip:a@h>;tag=1"),
        ("To", "<sip:b@h>"),
        ("Call-ID", "c"),
        ("CSeq", f"1 {method}"),
        ("Max-Forwards", "70"),
    ]
    return Request(method=method, uri="sip:b@h", headers=Headers(fields), body=body)


def response(status: int, method: str = "INVITE") -> Response:
    return response_to(request(method), status, to_tag="9")


def made(machine, hop: Hop = UDP, method: str = "INVITE") -> Transaction:
    transaction = Transaction(machine, ("k",), request(method), hop, VALUES)
    transaction.begin(0.0)
    return transaction


def sent_at(transaction: Transaction, until_s: float) -> list[float]:
    """When messages go out, the first ones included."""
    times = [0.0] * len(transaction.outgoing)
    transaction.outgoing.clear()
    while (due := transaction.next_timer()) is not None and due <= until_s:
        transaction.handle_timer(due)
        times += [due] * len(transaction.outgoing)
        transaction.outgoing.clear()
    return times


# Tables.


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_row_is_reached_from_the_start_and_every_timer_that_starts_has_an_end(machine) -> None:
    reached, started = {machine.initial}, set(machine.start)
    for _ in State:
        for (state, _cue), row in machine.table.items():
            if state in reached:
                reached.add(row.to)
                started.update(row.start)
    assert {state for state, _ in machine.table} <= reached and State.TERMINATED in reached
    assert {cue for _, cue in machine.table if isinstance(cue, Timer)} == started
    assert not any(state is State.TERMINATED for state, _ in machine.table)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_no_sequence_of_three_cues_raises_or_leaves_a_timer_in_a_state_without_its_row(machine) -> None:
    cues = [*Cue, *(cue for _, cue in machine.table if isinstance(cue, Timer))]
    for sequence in itertools.product(cues, repeat=3):
        transaction = made(machine)
        for cue in sequence:
            transaction.take(cue, response(200) if cue is Cue.SUCCESS else response(404), 1.0)
        for timer in transaction._deadlines_s:
            assert (transaction.state, timer) in machine.table, (sequence, timer)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("hop", [UDP, TCP], ids=["udp", "tcp"])
def test_left_alone_every_transaction_ends(machine, hop: Hop) -> None:
    answers = (Cue.SUCCESS, Cue.FAILURE)
    for cue in answers:
        transaction = made(machine, hop)
        transaction.take(cue, response(200 if cue is Cue.SUCCESS else 404), 0.0)
        sent_at(transaction, 200.0)
        assert transaction.state is State.TERMINATED


@pytest.mark.parametrize(
    ("timer", "unreliable_s", "reliable_s"),
    [
        (Timer.A, 0.5, 0.5), (Timer.B, 32, 32), (Timer.D, 32, 0), (Timer.E, 0.5, 0.5), (Timer.F, 32, 32),
        (Timer.G, 0.5, 0.5), (Timer.H, 32, 32), (Timer.I, 5, 0), (Timer.J, 32, 0), (Timer.K, 5, 0), (Timer.L, 32, 32),
        (Timer.M, 32, 32),
    ],
)  # fmt: skip
def test_durations_are_those_of_table_4(timer: Timer, unreliable_s: float, reliable_s: float) -> None:
    assert duration_s(timer, VALUES, reliable=False, repeats=0) == unreliable_s
    assert duration_s(timer, VALUES, reliable=True, repeats=0) == reliable_s


# Times.


def test_an_invite_is_repeated_at_doubling_distances_for_32_s() -> None:
    transaction = made(INVITE_CLIENT_MACHINE)
    assert sent_at(transaction, 40.0) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert transaction.heard == [TimedOut(("k",), True)] and transaction.state is State.TERMINATED


def test_another_request_is_repeated_up_to_t2_and_at_t2_once_it_is_proceeding() -> None:
    transaction = made(OTHER_CLIENT_MACHINE, method="OPTIONS")
    assert sent_at(transaction, 40.0) == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    proceeding = made(OTHER_CLIENT_MACHINE, method="OPTIONS")
    proceeding.take(Cue.PROVISIONAL, response(100, "OPTIONS"), 0.1)
    assert sent_at(proceeding, 9.0) == [0, 0.5, 4.5, 8.5]


@pytest.mark.parametrize("machine", [INVITE_CLIENT_MACHINE, OTHER_CLIENT_MACHINE])
def test_over_tcp_nothing_is_repeated(machine) -> None:
    transaction = made(machine, TCP)
    assert sent_at(transaction, 40.0) == [0] and transaction.heard == [TimedOut(("k",), True)]


def test_a_refusal_is_repeated_until_its_ack_and_acks_are_absorbed() -> None:
    transaction = made(INVITE_SERVER_MACHINE)
    transaction.take(Cue.FAILURE, response(486), 0.0)
    assert sent_at(transaction, 8.0) == [0, 0.5, 1.5, 3.5, 7.5]
    transaction.take(Cue.ACK, request("ACK"), 8.0)
    assert transaction.state.name == "CONFIRMED" and sent_at(transaction, 12.9) == []
    sent_at(transaction, 13.0)
    assert transaction.state.name == "TERMINATED" and transaction.heard == []


def test_a_refusal_without_ack_is_given_up() -> None:
    transaction = made(INVITE_SERVER_MACHINE)
    transaction.take(Cue.FAILURE, response(486), 0.0)
    assert sent_at(transaction, 40.0)[-1] < 32 and transaction.heard == [TimedOut(("k",), False)]


def test_every_refusal_is_acknowledged_and_told_once() -> None:
    transaction = made(INVITE_CLIENT_MACHINE)
    for _ in range(3):
        transaction.take(Cue.FAILURE, response(486), 1.0)
    acks = [parse(one.octets) for one in transaction.outgoing[1:]]
    assert [ack.method for ack in acks] == ["ACK"] * 3 and len(transaction.heard) == 1
    assert acks[0].headers.one("To") == "<sip:b@h>;tag=9" and acks[0].headers.one("CSeq") == "1 ACK"
    assert acks[0].headers.values("Via") == request().headers.values("Via")


def test_every_2xx_of_a_fork_is_told_for_32_s_and_none_is_acknowledged_here() -> None:
    transaction = made(INVITE_CLIENT_MACHINE)
    for at_s in (1.0, 5.0, 32.0):
        transaction.take(Cue.SUCCESS, response(200), at_s)
    assert len(transaction.heard) == 3 and len(transaction.outgoing) == 1
    assert not transaction.take(Cue.PROVISIONAL, response(180), 6.0), "a late 180"
    sent_at(transaction, 33.0)
    assert transaction.state is State.TERMINATED


def test_an_accepted_invite_absorbs_repeats_and_tells_of_acks() -> None:
    transaction = made(INVITE_SERVER_MACHINE)
    transaction.take(Cue.SUCCESS, response(200), 0.0)
    transaction.outgoing.clear()
    assert not transaction.take(Cue.REQUEST, request(), 1.0) and transaction.outgoing == []
    assert transaction.take(Cue.ACK, request("ACK"), 1.0) and len(transaction.heard) == 1


def test_the_last_response_is_repeated_to_a_repeated_request() -> None:
    transaction = made(OTHER_SERVER_MACHINE, method="OPTIONS")
    assert not transaction.take(Cue.REQUEST, request("OPTIONS"), 0.1)
    transaction.take(Cue.SUCCESS, response(200, "OPTIONS"), 0.2)
    transaction.take(Cue.REQUEST, request("OPTIONS"), 0.3)
    assert len(transaction.outgoing) == 2 and transaction.outgoing[0] == transaction.outgoing[1]


def test_transport_errors_end_clients_and_not_invite_servers() -> None:
    client, server = made(INVITE_CLIENT_MACHINE), made(INVITE_SERVER_MACHINE)
    for transaction in (client, server):
        transaction.take(Cue.TRANSPORT_ERROR, None, 1.0)
    assert client.state is State.TERMINATED and client.heard == [TransportFailed(("k",), True)]
    assert server.state is State.PROCEEDING and server.heard == [TransportFailed(("k",), False)]


def test_each_action_stands_in_some_row() -> None:
    assert {action for machine in MACHINES for row in machine.table.values() for action in row.actions} == set(Action)


# The layer.

LOCAL = {Transport.UDP: ("10.0.0.1", 5060), Transport.TCP: ("10.0.0.1", 5060)}


def layer(**others) -> TransactionLayer:
    return TransactionLayer(LOCAL, counted("layer"), **others)


def bare(method: str = "INVITE", body: bytes = b"") -> Request:
    whole = request(method, body=body)
    return Request(method=method, uri=whole.uri, headers=whole.headers.without("Via"), body=body)


@pytest.mark.parametrize(("octets", "transport"), [(700, Transport.UDP), (1200, Transport.TCP)])
def test_a_long_request_goes_by_tcp(octets: int, transport: Transport) -> None:
    one = layer()
    one.send_request(bare(body=bytes(octets)), UDP, 0.0)
    (out,) = one.messages_to_send()
    assert out.to.transport is transport
    assert (
        parse(out.octets).headers.values("Via")[0].startswith(f"SIP/2.0/{transport.value} 10.0.0.1:5060;branch=z9hG4bK")
    )


def test_a_long_request_goes_by_udp_after_all_where_there_is_no_tcp() -> None:
    one = layer()
    one.send_request(bare(body=bytes(2000)), UDP, 0.0)
    one.messages_to_send()
    one.transport_failed(TCP, 0.1)
    (out,) = one.messages_to_send()
    assert out.to == UDP and one.next_heard() is None
    assert len(parse(out.octets).headers.values("Via")) == 1 and b"SIP/2.0/UDP" in out.octets
    one.handle_timer(0.6)
    assert [again.octets for again in one.messages_to_send()] == [out.octets]


def test_responses_are_matched_by_branch_method_and_call_id() -> None:
    one = layer()
    key = one.send_request(bare(), UDP, 0.0)
    sent = parse(one.messages_to_send()[0].octets)
    good = response_to(sent, 180, to_tag="9")
    for name, value in (
        ("CSeq", "1 OPTIONS"),
        ("Call-ID", "other"),
        ("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKy"),
    ):
        bad = Response(status=180, headers=good.headers.without(name).adding((name, value)))
        one.receive(Received(to_octets(bad), UDP), 0.1)
    assert one.next_heard() is None and sum(one.dropped.values()) == 3
    one.receive(Received(to_octets(good), UDP), 0.1)
    heard = one.next_heard()
    assert isinstance(heard, ResponseCame) and heard.key == key


def test_the_number_of_transactions_is_bounded() -> None:
    one = layer()
    for n in range(MAX_TRANSACTIONS + 10):
        one.receive(Received(to_octets(request("OPTIONS", branch=f"z9hG4bK{n}")), UDP), 0.0)
    assert len(one) == MAX_TRANSACTIONS
    assert [parse(out.octets).status for out in one.messages_to_send()] == [503] * 10


@pytest.mark.parametrize(
    ("via", "source", "to"),
    [
        ("10.0.0.5:5080;branch=z9hG4bKr", Hop(Transport.UDP, "10.0.0.5", 9999), ("10.0.0.5", 5080)),
        ("10.0.0.5:5080;branch=z9hG4bKr;rport", Hop(Transport.UDP, "10.0.0.5", 9999), ("10.0.0.5", 9999)),
        ("host.test;branch=z9hG4bKr", Hop(Transport.UDP, "10.0.0.6", 9999), ("10.0.0.6", 5060)),
        ("10.0.0.5:5080;branch=z9hG4bKr", Hop(Transport.TCP, "10.0.0.5", 9999), ("10.0.0.5", 9999)),
    ],
)
def test_responses_go_where_rfc_3581_says(via: str, source: Hop, to: tuple[str, int]) -> None:
    one = layer()
    whole = request("OPTIONS")
    fields = [("Via", f"SIP/2.0/{source.transport.value} {via}"), *whole.headers.without("Via")]
    one.receive(Received(to_octets(Request(method="OPTIONS", uri=whole.uri, headers=Headers(fields))), source), 0.0)
    heard = one.next_heard()
    assert heard is not None
    one.respond(heard.key, response_to(heard.request, 200, to_tag="1"), 0.0)
    (out,) = one.messages_to_send()
    assert (out.to.host, out.to.port) == to and out.to.transport is source.transport
    top = parse(out.octets).headers.values("Via")[0]
    assert ("received=" in top) == (source.host not in via or "rport" in via)
    if source.transport is Transport.TCP:
        assert out.otherwise == Hop(Transport.TCP, "10.0.0.5", 5080)


def test_an_invite_is_answered_by_100_at_once() -> None:
    one = layer()
    one.receive(Received(to_octets(request()), UDP), 0.0)
    (trying,) = one.messages_to_send()
    assert parse(trying.octets).status == 100
