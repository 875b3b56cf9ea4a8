"""The upkeep of one end of a link, alone: release, end, renewal, and what a link that comes up brings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.events import (
    Dropped,
    LinkEstablished,
    LinkFailed,
    LinkReleased,
    ProvisionalEnded,
    RejectReceived,
)
from prose_link.pc5s.core.fsm import Action, Input, Role, State, Table, to
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.shared import Desk, Pc5sConfig, link_machine
from prose_link.pc5s.core.tables import ESTABLISHED
from prose_link.pc5s.core.timers import Timer, TimerValues
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.upkeep import Upkeep
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, Release, ReleaseAccept, ReleaseReason
from prose_link.pc5s.wire.party import Via
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, ReceivedPdu
from security.link.context import REKEY_SN, SecurityContext

TIMERS = TimerValues(t4101_s=0.4, n4101=2, t4102_s=5.0, t4103_s=0.6, n4103=3)
NOW = Instant(100.0, 5000.0 - NTP_EPOCH_OFFSET_S)
"""5000 s of NTP's time."""
PEER, OTHER = "tel:+447700900002", "tel:+447700900003"
OLD_ID, ID = 0x2106, 0x2107
PERIOD_END, LAST = 9000.0, 9900.0
TABLE: Table[State] = {
    **ESTABLISHED,
    (State.CONFIRMING, Input.ACK): to(State.ESTABLISHED, Action.ESTABLISH),
    (State.CONFIRMING, Input.REJECT): to(State.CONFIRMING, Action.REMEMBER_CAUSE),
    (State.CONFIRMING, Input.T4101_TRIES_LEFT): to(State.CONFIRMING, Action.COUNT),
    (State.CONFIRMING, Input.T4101_NONE_LEFT): to(State.IDLE, Action.FAIL),
    (State.CONFIRMING, Input.RELEASE_WANTED): to(State.RELEASING, Action.SEND_RELEASE),
    (State.PROVISIONAL, Input.T4111): to(State.IDLE, Action.FAIL),
    (State.PROVISIONAL, Input.REPLACED): to(State.IDLE, Action.DROP_PROVISIONAL),
    (State.PROVISIONAL, Input.ENDED): to(State.IDLE, Action.FAIL),
}


class Bench:
    """One end of links, its upkeep, and a profile that knows no more than to run the rows all links share."""

    name = Profile.IDENTITY

    def __init__(self, *, chance: int = 0) -> None:
        config = Pc5sConfig(l2_id=0x0A0001, timers=TIMERS, kd_age_s=1000.0)
        self.desk = Desk(
            config=config,
            direct=TIMERS.direct,
            credentials=self,
            record=None,
            random_bytes=bytes,
            chance=lambda n: chance.to_bytes(n, "big"),
        )
        self.upkeep = Upkeep(self.desk)
        tables = {Role.INITIATOR: TABLE, Role.RESPONDER: TABLE}
        self.run = link_machine(self.desk, tables, self.upkeep.actions).run
        self.desk.profiles[self.name] = self
        self.period_end, self.last = PERIOD_END, LAST
        self.asked_times: list[tuple[str, float]] = []
        self.settled: list[tuple[int, Instant]] = []
        self.renewed: list[tuple[int, Instant]] = []
        self.can_be_renewed = True

    def key_times(self, peer: str, ntp_s: float) -> tuple[float, float]:
        self.asked_times.append((peer, ntp_s))
        return self.period_end, self.last

    def settle(self, link: Link, now: Instant) -> None:
        self.settled.append((link.number, now))

    def can_renew(self, _link: Link) -> bool:
        return self.can_be_renewed

    def renew(self, link: Link, now: Instant) -> None:
        self.renewed.append((link.number, now))

    def link(self, state: State, *, peer: str = PEER, initiator: bool = True) -> Link:
        contexts = {
            one: SecurityContext(kd_sess_id=one, pek=bytes(16), pik=bytes(16), eea=2, eia=1, direction=0)
            for one in (OLD_ID, ID)
        }
        link = Link(
            number=self.desk.links.next_number(),
            initiator=initiator,
            peer=peer,
            peer_l2=0x0B0002,
            via=Via(traits=TIMERS.direct, address=0x0B0002),
            policy=LinkPolicy(),
            profile=self.name,
            asked=Asked(message=SimpleNamespace(), t1=b"", signed_part=b"", request_hash=b""),
            state=state,
            setup=Setup(),
            terms=Terms(mutual=True, peer_link_local=bytes(16), ip_versions=frozenset({6}), inactivity_period_s=30.0),
            keys=LinkKeys(born_ntp_s=4000.0, contexts=contexts, current_id=ID),
        )
        self.desk.links.add(link)
        return link

    def events(self) -> list[Any]:
        events = []
        while (event := self.desk.outbox.next_event()) is not None:
            events.append(event)
        return events

    def sent(self) -> list[tuple[Any, int]]:
        """Messages on their way out, each with its KD-sess ID."""
        pdus = self.desk.outbox.take_pdus()
        assert {pdu.lcid for pdu in pdus} <= {LCID_PROTECTED}
        assert {(pdu.to.identity, pdu.to.l2_id) for pdu in pdus} <= {(PEER, 0x0B0002)}
        return [(decode(pdu.data), pdu.kd_sess_id) for pdu in pdus]

    def deadlines(self, link: Link) -> dict[Timer, float]:
        running = self.desk.timers._deadlines.items()
        return {timer: deadline for (owner, timer), deadline in running if owner == link.number}

    def receive(self, link: Link, message: Any, kd_sess_id: int = ID, now: Instant = NOW) -> None:
        pdu = ReceivedPdu(
            data=b"", src_l2=link.peer_l2, dst_l2=1, lcid=LCID_PROTECTED, kd_sess_id=kd_sess_id, sn=1, via=link.via
        )
        self.upkeep.receive(link, pdu, message, now)


def released(why: str, *, agreed: bool, kd_sess_id: int = ID) -> LinkReleased:
    return LinkReleased(peer=PEER, peer_l2=0x0B0002, kd_sess_id=kd_sess_id, why=why, agreed=agreed)


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.CONFIRMING])
def test_a_release_is_sent_and_repeated_and_then_the_link_ends(state: State) -> None:
    bench = Bench()
    link = bench.link(state)
    bench.desk.start(link, Timer.T4102, 1.0, NOW)
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_NEEDED, NOW)
    assert link.state is State.RELEASING
    assert bench.settled == [(link.number, NOW)]
    assert bench.deadlines(link) == {Timer.T4103: 100.6}
    ((release, under),) = bench.sent()
    assert (type(release), release.reason, under) == (Release, ReleaseReason.NO_LONGER_NEEDED, ID)
    for again in range(2):
        now = Instant(101.0 + again, 5001.0)
        bench.upkeep.handle_timer(link, Timer.T4103, now)
        assert bench.sent() == [(release, ID)]
        assert bench.deadlines(link) == {Timer.T4103: now.mono_s + 0.6}
    bench.upkeep.handle_timer(link, Timer.T4103, NOW)
    assert bench.sent() == [] and len(bench.desk.links) == 0 and link.keys.contexts == {}
    assert bench.events() == [released("T4103, none left", agreed=True)]


def test_the_accept_of_a_release_ends_the_link() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_ALLOWED, NOW)
    bench.receive(link, ReleaseAccept(sequence_number=1))
    assert len(bench.desk.links) == 0
    assert bench.events() == [released("Release Accept received", agreed=True)]
    assert link.ending.octets


def test_a_release_goes_out_under_the_other_context_too_where_the_peer_may_use_it() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    link.ending.also_under = OLD_ID
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_NEEDED, NOW)
    (first, under), (second, also_under) = bench.sent()
    assert (first, under, also_under) == (second, ID, OLD_ID)


def test_a_link_that_is_not_up_is_given_up_without_a_word() -> None:
    bench = Bench()
    link = bench.link(State.PROVISIONAL)
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_NEEDED, NOW)
    assert bench.sent() == [] and len(bench.desk.links) == 0
    assert bench.events() == [LinkFailed(peer=PEER, peer_l2=0x0B0002, cause=None, why="given up by this end")]


def test_what_cannot_go_on_is_released_and_its_end_is_not_agreed() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.give_up(link, NOW, "no numbers left")
    ((release, _),) = bench.sent()
    assert release.reason is ReleaseReason.NO_LONGER_AVAILABLE
    bench.receive(link, ReleaseAccept(sequence_number=1))
    assert bench.events() == [released("no numbers left", agreed=False)]


def test_an_end_at_once() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.end(link, NOW, "shut down")
    assert bench.sent() == [] and len(bench.desk.links) == 0
    assert bench.events() == [released("shut down", agreed=False)]


def test_the_end_of_the_key_period_ends_the_link() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.handle_timer(link, Timer.KEYS_END, NOW)
    assert bench.events() == [released("the key period has ended", agreed=False)]


@pytest.mark.parametrize(("came_on", "answered_on"), [(OLD_ID, OLD_ID), (ID, ID), (0x2108, ID)])
def test_a_release_is_answered_under_the_context_it_came_on(came_on: int, answered_on: int) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.desk.start(link, Timer.T4108, 9.0, NOW)
    bench.receive(link, Release(sequence_number=5, reason=ReleaseReason.NO_LONGER_NEEDED), came_on)
    assert link.state is State.LINGERING
    assert [(type(message), under) for message, under in bench.sent()] == [(ReleaseAccept, answered_on)]
    assert bench.deadlines(link) == {Timer.T4103: 100.6}
    assert bench.settled == [(link.number, NOW)]
    assert bench.events() == [released("released by the peer", agreed=True)]
    later = Instant(100.5, 5000.5)
    bench.receive(link, Release(sequence_number=5, reason=ReleaseReason.NO_LONGER_NEEDED), ID, later)
    assert [(type(message), under) for message, under in bench.sent()] == [(ReleaseAccept, ID)]
    assert bench.deadlines(link) == {Timer.T4103: 101.1}
    bench.upkeep.handle_timer(link, Timer.T4103, later)
    assert len(bench.desk.links) == 0 and bench.events() == []


def test_a_peer_that_is_no_longer_available_agrees_on_nothing() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.receive(link, Release(sequence_number=5, reason=ReleaseReason.NO_LONGER_AVAILABLE))
    assert bench.events() == [released("released by the peer", agreed=False)]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (Release(sequence_number=5, reason=ReleaseReason.NO_LONGER_NEEDED), "release"),
        (ReleaseAccept(sequence_number=5), "release accept"),
        (Keepalive(sequence_number=5, counter=1), "keepalive"),
    ],
)
def test_what_is_not_expected_is_dropped(message: Any, name: str) -> None:
    bench = Bench()
    link = bench.link(State.CONFIRMING)
    bench.receive(link, message)
    why = "not expected when confirming"
    assert bench.events() == [Dropped(src_l2=0x0B0002, lcid=30, message=name, why=why, detail="")]
    assert link.state is State.CONFIRMING and link.ending.reason is ReleaseReason.NO_LONGER_NEEDED


def test_an_ack_that_nothing_waits_for_is_dropped() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.receive(link, KeepaliveAck(sequence_number=5, counter=1))
    (dropped,) = bench.events()
    assert (dropped.message, dropped.why) == ("keepalive ack", "unexpected counter")


@pytest.mark.parametrize(
    ("timer", "sent", "state"),
    [(Timer.T4102, Keepalive, State.ESTABLISHED), (Timer.T4108, Release, State.RELEASING)],
)
def test_timers_of_a_link_that_is_up(timer: Any, sent: type, state: State) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.handle_timer(link, timer, NOW)
    assert [type(message) for message, _ in bench.sent()] == [sent]
    assert link.state is state


def test_a_keepalive_is_repeated_by_t4101_and_then_slowly() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.handle_timer(link, Timer.T4102, NOW)
    waits = [bench.deadlines(link)[Timer.T4101] - NOW.mono_s]
    for _ in range(3):
        bench.upkeep.handle_timer(link, Timer.T4101, NOW)
        waits.append(bench.deadlines(link)[Timer.T4101] - NOW.mono_s)
    assert waits == pytest.approx([0.4, 0.4, 2.0, 2.0])
    assert len({message.sequence_number for message, _ in bench.sent()}) == 1


def test_a_provisional_link_ends_with_t4111() -> None:
    bench = Bench()
    link = bench.link(State.PROVISIONAL, initiator=False)
    bench.upkeep.handle_timer(link, Timer.T4111, NOW)
    assert bench.events() == [LinkFailed(peer=PEER, peer_l2=0x0B0002, cause=None, why="T4111")]


@pytest.mark.parametrize("initiator", [True, False])
def test_a_link_that_comes_up_is_told_with_its_terms_and_starts_its_timers(initiator: bool) -> None:
    bench = Bench()
    link = bench.link(State.CONFIRMING, initiator=initiator)
    link.sent[Timer.T4101] = 3
    bench.desk.start(link, Timer.T4111, 1.0, NOW)
    bench.run(link, Input.ACK, NOW)
    assert bench.events() == [
        LinkEstablished(
            peer=PEER,
            peer_l2=0x0B0002,
            kd_sess_id=ID,
            initiator=initiator,
            mutual=True,
            eea=2,
            eia=1,
            null_algorithm=False,
            peer_link_local=bytes(16),
            ip_versions=frozenset({6}),
        )
    ]
    assert link.sent == {}
    expected = {Timer.T4108: 130.0, Timer.REKEY_DUE: 100.0 + 4000 + 900 - 5000, Timer.KEYS_END: 100.0 + LAST - 5000}
    if initiator:
        expected[Timer.T4102] = 105.0
    assert bench.deadlines(link) == pytest.approx(expected)
    assert bench.asked_times == [(PEER, 4000.0)]


@pytest.mark.parametrize(("eea", "eia", "null"), [(0, 2, True), (2, 0, True), (2, 2, False)])
def test_null_algorithms_are_told(eea: int, eia: int, null: bool) -> None:
    bench = Bench()
    link = bench.link(State.CONFIRMING)
    link.keys.contexts[ID] = SecurityContext(kd_sess_id=ID, pek=bytes(16), pik=bytes(16), eea=eea, eia=eia, direction=0)
    bench.run(link, Input.ACK, NOW)
    (event,) = bench.events()
    assert (event.eea, event.eia, event.null_algorithm) == (eea, eia, null)


def test_a_link_takes_the_place_of_others_with_the_peer_and_of_no_others() -> None:
    bench = Bench()
    older = [bench.link(state) for state in (State.ESTABLISHED, State.RELEASING, State.PROVISIONAL)]
    others = [bench.link(state, peer=OTHER) for state in (State.ESTABLISHED, State.PROVISIONAL)]
    asking = bench.link(State.CONFIRMING)
    link = bench.link(State.CONFIRMING)
    bench.run(link, Input.ACK, NOW)
    assert [one.number for one in bench.desk.links] == [*(one.number for one in others), asking.number, link.number]
    why = "superseded by a new link with the peer"
    ended, *superseded, _ = bench.events()
    assert ended == ProvisionalEnded(peer=PEER, peer_l2=0x0B0002, why=str(Input.REPLACED.value))
    assert superseded == [released(why, agreed=False)] * 2
    assert all(one.keys.contexts == {} for one in older)


@pytest.mark.parametrize(
    ("chance", "period_end", "due_ntp_s"),
    [(0, PERIOD_END, 4900.0), (1 << 31, PERIOD_END, 4950.0), ((1 << 32) - 1, PERIOD_END, 5000.0), (0, 4800.0, 4800.0)],
)
def test_a_kd_is_renewed_at_its_age_less_a_part_or_at_the_end_of_its_period(
    chance: int, period_end: float, due_ntp_s: float
) -> None:
    bench = Bench(chance=chance)
    bench.period_end = period_end
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.schedule_rekey(link, NOW)
    expected = {Timer.REKEY_DUE: NOW.mono_s + due_ntp_s - NOW.ntp_s, Timer.KEYS_END: NOW.mono_s + LAST - NOW.ntp_s}
    assert bench.deadlines(link) == pytest.approx(expected, abs=1e-4)


def test_a_bearer_that_runs_out_of_numbers_is_renewed_at_once_and_again_each_second() -> None:
    bench = Bench()
    link, other = bench.link(State.ESTABLISHED), bench.link(State.ESTABLISHED, peer=OTHER)
    bench.desk.outbox.go_to(100.0)
    assert bench.upkeep.next_renewal_s() is None
    bench.upkeep.renew_what_is_due(NOW)
    assert bench.renewed == []
    link.context._next_sn[4] = REKEY_SN + 1
    assert bench.upkeep.next_renewal_s() == 100.0
    bench.upkeep.renew_what_is_due(NOW)
    assert bench.renewed == [(link.number, NOW)]
    assert bench.upkeep.next_renewal_s() == 101.0
    for mono_s, times in ((100.9, 1), (101.0, 2), (101.5, 2), (102.0, 3)):
        bench.upkeep.renew_what_is_due(Instant(mono_s, 5000.0))
        assert len(bench.renewed) == times
    other.context._next_sn[4] = REKEY_SN + 1
    bench.desk.outbox.go_to(102.5)
    assert bench.upkeep.next_renewal_s() == 102.5
    bench.can_be_renewed = False
    assert bench.upkeep.next_renewal_s() is None
    bench.upkeep.renew_what_is_due(Instant(200.0, 5000.0))
    assert len(bench.renewed) == 3


def test_links_that_are_not_established_are_not_renewed() -> None:
    bench = Bench()
    for state in (State.CONFIRMING, State.RELEASING, State.LINGERING):
        bench.link(state).context._next_sn[4] = REKEY_SN + 1
    assert bench.upkeep.next_renewal_s() is None


def test_a_reject_is_remembered_until_the_request_fails() -> None:
    bench = Bench()
    link = bench.link(State.CONFIRMING)
    for cause in (None, 6):
        link.setup.remembered_cause = cause
        bench.run(link, Input.REJECT, NOW)
    assert bench.events() == [RejectReceived(peer=PEER, peer_l2=0x0B0002, cause=cause) for cause in (0, 6)]
    for timer_runs_out in range(2):
        link.sent[Timer.T4101] = 1 + timer_runs_out
        bench.upkeep.handle_timer(link, Timer.T4101, NOW)
    assert bench.events() == [LinkFailed(peer=PEER, peer_l2=0x0B0002, cause=6, why="T4101, none left")]


@pytest.mark.parametrize("own", [State.WAIT_ACCEPT, State.CONFIRMING])
def test_a_provisional_link_beside_an_own_request_is_no_failure(own: State) -> None:
    bench = Bench()
    bench.link(own)
    link = bench.link(State.PROVISIONAL, initiator=False)
    bench.run(link, Input.T4111, NOW, "never confirmed")
    assert bench.events() == [ProvisionalEnded(peer=PEER, peer_l2=0x0B0002, why="never confirmed")]


def test_an_own_request_to_somebody_else_hides_no_failure() -> None:
    bench = Bench()
    bench.link(State.WAIT_ACCEPT, peer=OTHER)
    link = bench.link(State.PROVISIONAL, initiator=False)
    bench.run(link, Input.T4111, NOW)
    assert [type(event) for event in bench.events()] == [LinkFailed]
