"""The upkeep of one end of a link, alone: how a link is released, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    Dropped,
    LinkFailed,
)
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, Release, ReleaseAccept, ReleaseReason
from tests.benches.upkeep_bench import ID, NOW, OLD_ID, PEER, Bench, released


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
