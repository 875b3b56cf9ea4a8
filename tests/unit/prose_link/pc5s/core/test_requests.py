"""Asking a peer for a link: when a request goes out, and what keeps a UE from asking."""

from __future__ import annotations

from typing import Any

import pytest

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    ClockBelowFloor,
    LinkFailed,
    RequestSent,
)
from prose_link.pc5s.core.fsm import Action, Input, Role, State, Table, to
from prose_link.pc5s.core.link import MAX_ESTABLISHED, Link
from prose_link.pc5s.core.machine import nothing
from prose_link.pc5s.core.policy import Policy, Profile
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.request import Requests
from prose_link.pc5s.core.shared import (
    Desk,
    link_machine,
)
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.wire.party import Via
from security.errors import SecurityError
from tests.benches.desk_bench import CORE, NOW, PEER, desk_of, events_of, link_of

TABLE: Table[State] = {
    (State.IDLE, Input.CONNECT): to(State.WAIT_ACCEPT, Action.SEND_REQUEST),
    (State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT): to(State.WAIT_ACCEPT, Action.RESEND_REQUEST),
    (State.WAIT_ACCEPT, Input.T4100_NONE_LEFT): to(State.IDLE, Action.COUNT),
}


class Toy:
    """A profile that can ask, and no more."""

    def __init__(self, desk: Desk, requests: Requests) -> None:
        actions = {**requests.actions, Action.COUNT: nothing}
        self.run = link_machine(desk, {Role.INITIATOR: TABLE, Role.RESPONDER: {}}, actions).run


def asking(desk: Desk) -> Requests:
    requests = Requests(desk)
    toy: Any = Toy(desk, requests)
    desk.profiles[Profile.IDENTITY] = toy
    return requests


def test_a_request_goes_out_by_t4100_and_its_attempt_ends() -> None:
    desk = desk_of(timers=TimerValues(t4100_s=1.0, n4100=3, first_within_s=0.1), chance=1 << 31)
    requests = asking(desk)
    link = link_of(desk)
    requests.ask(link.party, NOW, lambda: link)
    assert link.state is State.WAIT_ACCEPT and requests.is_coming_up(PEER)
    assert desk.outbox.take_pdus() == [] and desk.timers.next_deadline_s() == pytest.approx(100.05)
    for n in range(3):
        now = Instant(101.0 + n, NOW.utc_s)
        requests.handle_timer(link, now)
        (pdu,) = desk.outbox.take_pdus()
        assert (pdu.data, pdu.lcid, pdu.to) == (b"request", 28, link.party)
        assert desk.timers.next_deadline_s() == pytest.approx(now.mono_s + 1.0)
    assert events_of(desk.outbox) == [
        RequestSent(peer=PEER, peer_l2=0xB, request_hash=b"hr", octets=7, mutual="wanted")
    ]
    requests.handle_timer(link, NOW)
    assert desk.outbox.take_pdus() == [] and len(desk.links) == 0 and not requests.is_coming_up(PEER)


def test_without_a_first_wait_a_request_goes_out_at_once() -> None:
    desk = desk_of(timers=TimerValues(first_within_s=0.0))
    link = link_of(desk)
    asking(desk).ask(link.party, NOW, lambda: link)
    assert len(desk.outbox.take_pdus()) == 1


@pytest.mark.parametrize("state", [State.WAIT_ACCEPT, State.CONFIRMING, State.PROVISIONAL])
def test_a_link_that_is_coming_up_is_left_to_come(state: State) -> None:
    desk = desk_of()
    requests = asking(desk)
    link = link_of(desk)
    link.state = state
    desk.links.add(link)
    requests.ask(link.party, NOW, lambda: pytest.fail("asked again"))
    assert events_of(desk.outbox) == [] and len(desk.links) == 1
    link.state = State.ESTABLISHED
    assert not requests.is_coming_up(PEER)


def failed(why: str) -> LinkFailed:
    return LinkFailed(peer=PEER, peer_l2=0xB, cause=None, why=why)


def test_what_keeps_a_ue_from_asking() -> None:
    desk = desk_of(policy=Policy(deny=("tel:no",)))
    requests = asking(desk)
    link = link_of(desk)
    credentials: Any = desk.credentials

    def ask(now: Instant = NOW) -> list[Any]:
        requests.ask(link.party, now, lambda: pytest.fail("a request was made"))
        return events_of(desk.outbox)

    record: Any = desk.record
    record.broken = True
    assert ask() == [failed("record can't be used: torn")]
    record.broken = False
    credentials.granted = False
    assert ask() == [failed("not authorised")]
    credentials.granted = True
    credentials.denied = {PEER}
    assert ask() == [failed("on the deny list")]
    credentials.denied = set()
    for n in range(MAX_ESTABLISHED):
        other = link_of(desk)
        other.state, other.peer = State.ESTABLISHED, f"peer {n}"
        desk.links.add(other)
    assert ask() == [failed("no room for a link")]
    record.raise_floor(int(5000 + WINDOW_S + 1))
    below = ClockBelowFloor(now_ntp_s=5000, floor_ntp_s=int(5000 + WINDOW_S + 1))
    assert ask() == [below, failed("clock below the time floor")]


def test_a_clock_that_jumped_keeps_a_ue_from_asking() -> None:
    desk = desk_of()
    requests = asking(desk)
    desk.clock.observe(NOW)
    desk.clock.observe(Instant(100.0, NOW.utc_s + WINDOW_S + 1))
    requests.ask(link_of(desk).party, NOW, lambda: pytest.fail("a request was made"))
    assert events_of(desk.outbox) == [failed("clock out of step with the monotonic counter")]


@pytest.mark.parametrize("error", [SecurityError("no key"), ProseLinkError("no key")])
def test_a_request_that_cannot_be_made(error: Exception) -> None:
    desk = desk_of()

    def make() -> Link:
        raise error

    asking(desk).ask(link_of(desk).party, NOW, make)
    assert events_of(desk.outbox) == [failed("request can't be made: no key")]
    assert len(desk.links) == 0


def test_a_request_that_its_carrier_cannot_take() -> None:
    via = Via(traits=CORE, address="sip:bob")
    for n_octets, fits in ((10, True), (11, False)):
        desk = desk_of(timers=TimerValues(first_within_s=0.0))
        link = link_of(desk, via=via, octets=bytes(n_octets))
        asking(desk).ask(link.party, NOW, lambda link=link: link)
        told = events_of(desk.outbox)
        if fits:
            assert [type(event) for event in told] == [RequestSent]
        else:
            assert told == [failed("request of 11 octets is too long for carrier core, which takes 10")]
            assert len(desk.links) == 0
