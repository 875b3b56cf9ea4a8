"""The upkeep of one end of a link, alone: release, end, renewal, and what a link that comes up brings."""

from __future__ import annotations

from typing import Any

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    Dropped,
    LinkEstablished,
    LinkFailed,
    LinkKeysRunOut,
    LinkReleased,
    ProvisionalEnded,
    RejectReceived,
)
from prose_link.pc5s.core.fsm import Input, State
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, Release, ReleaseAccept, ReleaseReason
from security.link.context import REKEY_SN, SecurityContext
from tests.benches.upkeep_bench import ID, LAST, NOW, OLD_ID, OTHER, PEER, PERIOD_END, Bench


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
    reasons: list[str] = []
    run = bench.run
    bench.run = lambda *args: reasons.append(args[3]) or run(*args)
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_ALLOWED, NOW)
    assert reasons == ["released by this end"]
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


def test_copies_of_a_release_stay_under_its_context_when_another_one_comes_into_use() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_NEEDED, NOW)
    link.keys.current_id = OLD_ID
    bench.upkeep.handle_timer(link, Timer.T4103, NOW)
    assert [under for _, under in bench.sent()] == [ID, ID]


def test_every_input_of_a_link_comes_with_the_time() -> None:
    bench = Bench()
    times: list[Instant] = []
    run = bench.run
    bench.run = lambda link, event, now, why: times.append(now) or run(link, event, now, why)
    bench.link(State.PROVISIONAL)
    bench.link(State.ESTABLISHED)
    link = bench.link(State.CONFIRMING)
    bench.desk.run(link, Input.ACK, NOW)
    for timer in (Timer.T4102, Timer.T4101, Timer.T4101):
        bench.upkeep.handle_timer(link, timer, NOW)
    bench.receive(link, KeepaliveAck(sequence_number=1, counter=1))
    bench.receive(link, Keepalive(sequence_number=1, counter=1))
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_NEEDED, NOW)
    bench.receive(link, Release(sequence_number=1, reason=ReleaseReason.NO_LONGER_NEEDED))
    bench.receive(link, ReleaseAccept(sequence_number=1))
    assert len(times) == 11 and set(times) == {NOW}


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
    expected = {
        Timer.T4108: 130.0,
        Timer.REKEY_DUE: 100.0 + 4000 + 900 - 5000,
        Timer.KEYS_LOW: 100.0 + PERIOD_END - 0.75 * (LAST - PERIOD_END) - 5000,
        Timer.KEYS_END: 100.0 + LAST - 5000,
    }
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
    times = {
        Timer.REKEY_DUE: due_ntp_s,
        Timer.KEYS_LOW: period_end - 0.75 * (LAST - period_end),
        Timer.KEYS_END: LAST,
    }
    expected = {timer: NOW.mono_s + ntp_s - NOW.ntp_s for timer, ntp_s in times.items()}
    assert bench.deadlines(link) == pytest.approx(expected, abs=1e-4)


def test_where_periods_overlap_for_long_their_end_is_reported_25_hours_ahead() -> None:
    bench = Bench()
    bench.period_end, bench.last = 1_000_000.0, 1_172_800.0
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.schedule_rekey(link, NOW)
    assert bench.deadlines(link)[Timer.KEYS_LOW] == pytest.approx(100.0 + 1_000_000 - 25 * 3600 - 5000)


def test_an_end_without_keys_of_the_next_period_says_so_once_for_each_period() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.period_end, bench.last = 9000.4, 9900.6
    bench.keys_held_from = 9000.5
    late = Instant(200.0, NOW.utc_s + 4900.5)
    bench.upkeep.handle_timer(link, Timer.KEYS_LOW, late)
    assert bench.events() == [LinkKeysRunOut(peer=PEER, peer_l2=0x0B0002, period_ends_ntp_s=9000, link_ends_ntp_s=9901)]
    assert bench.asked_times == [(PEER, 4000.0)]
    bench.upkeep.schedule_rekey(link, NOW)
    assert Timer.KEYS_LOW not in bench.deadlines(link)
    bench.period_end = 9001.0
    bench.upkeep.schedule_rekey(link, NOW)
    assert Timer.KEYS_LOW in bench.deadlines(link)


def test_an_end_that_has_keys_of_the_next_period_or_none_in_use_says_nothing() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.keys_held_from = PERIOD_END
    bench.upkeep.handle_timer(link, Timer.KEYS_LOW, NOW)
    bench.keys_held_from = LAST
    bench.upkeep.handle_timer(link, Timer.KEYS_LOW, Instant(200.0, NOW.utc_s + LAST - 5000))
    assert bench.events() == [] and link.keys.told_period_end_ntp_s == 0.0


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
