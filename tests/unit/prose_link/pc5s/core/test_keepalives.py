"""The exchange by which both ends of a link make sure that they hear each other, at one end alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prose_link.instant import Instant
from prose_link.pc5s.core.events import Dropped
from prose_link.pc5s.core.fsm import Input, State
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, ReleaseReason
from tests.benches.upkeep_bench import ID, NOW, TIMERS, Bench

LATER = Instant(107.0, NOW.utc_s + 7.0)


def dropped(message: str, why: str) -> Dropped:
    return Dropped(src_l2=0x0B0002, lcid=30, message=message, why=why, detail="")


@pytest.mark.parametrize("initiator", [True, False])
def test_a_keepalive_is_answered_with_its_counter_and_the_responder_waits_anew(initiator: bool) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED, initiator=initiator)
    for counter, number in ((1, 1), (1, 2), (2, 3)):
        bench.receive(link, Keepalive(sequence_number=77, counter=counter), now=LATER)
        assert bench.sent() == [(KeepaliveAck(sequence_number=number, counter=counter), ID)]
        assert link.liveness.keepalives == counter
    assert bench.deadlines(link) == ({} if initiator else {Timer.T4108: 137.0})
    assert bench.events() == [] and link.liveness.keepalive_octets == b""


def test_the_first_keepalive_may_be_a_copy_of_none() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED, initiator=False)
    bench.receive(link, Keepalive(sequence_number=77, counter=0))
    assert bench.sent() == [(KeepaliveAck(sequence_number=1, counter=0), ID)]


@pytest.mark.parametrize("counter", [3, 6])
def test_a_keepalive_out_of_turn_is_dropped_and_changes_nothing(counter: int) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED, initiator=False)
    link.liveness.keepalives = 4
    bench.receive(link, Keepalive(sequence_number=77, counter=counter))
    assert bench.events() == [dropped("keepalive", "unexpected counter")]
    assert bench.sent() == [] and bench.deadlines(link) == {} and link.liveness.keepalives == 4


def test_a_keepalive_has_the_next_counter_and_is_repeated_octet_for_octet() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    link.liveness.keepalives = 6
    bench.desk.outbox.next_sequence_number()
    bench.upkeep.handle_timer(link, Timer.T4102, NOW)
    keepalive = Keepalive(sequence_number=2, counter=7)
    assert bench.sent() == [(keepalive, ID)]
    assert link.liveness.keepalive_octets == encode(keepalive) and link.liveness.keepalives == 6
    assert bench.deadlines(link) == {Timer.T4101: 100.4} and link.sent == {Timer.T4101: 1}
    bench.upkeep.handle_timer(link, Timer.T4101, LATER)
    assert bench.sent() == [(keepalive, ID)]
    assert bench.deadlines(link) == {Timer.T4101: 107.4} and link.sent == {Timer.T4101: 2}
    bench.upkeep.handle_timer(link, Timer.T4101, LATER)
    assert bench.sent() == [(keepalive, ID)]
    assert bench.deadlines(link) == {Timer.T4101: 109.0} and link.sent == {Timer.T4101: 2}


def test_slow_copies_are_no_faster_than_t4101() -> None:
    bench = Bench(timers=replace(TIMERS, t4101_s=2.5))
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.handle_timer(link, Timer.T4102, NOW)
    for _ in range(2):
        bench.upkeep.handle_timer(link, Timer.T4101, LATER)
        assert bench.deadlines(link) == {Timer.T4101: 109.5}


@pytest.mark.parametrize("initiator", [True, False])
def test_the_ack_completes_the_exchange_and_starts_the_timers(initiator: bool) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED, initiator=initiator)
    link.liveness.keepalives = 6
    bench.upkeep.handle_timer(link, Timer.T4102, NOW)
    bench.receive(link, KeepaliveAck(sequence_number=9, counter=7), now=LATER)
    assert bench.events() == []
    assert (link.liveness.keepalives, link.liveness.keepalive_octets) == (7, b"")
    expected = {Timer.T4108: 137.0, Timer.T4102: 112.0} if initiator else {Timer.T4108: 137.0}
    assert bench.deadlines(link) == expected
    bench.receive(link, KeepaliveAck(sequence_number=9, counter=7), now=LATER)
    bench.receive(link, KeepaliveAck(sequence_number=9, counter=8), now=LATER)
    assert bench.events() == [dropped("keepalive ack", "unexpected counter")] * 2, "no exchange is open"
    assert link.liveness.keepalives == 7


@pytest.mark.parametrize("counter", [6, 8])
def test_an_ack_of_another_exchange_is_dropped(counter: int) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    link.liveness.keepalives = 6
    bench.upkeep.handle_timer(link, Timer.T4102, NOW)
    bench.receive(link, KeepaliveAck(sequence_number=9, counter=counter), now=LATER)
    assert bench.events() == [dropped("keepalive ack", "unexpected counter")]
    assert bench.deadlines(link) == {Timer.T4101: 100.4} and link.liveness.keepalive_octets


def test_an_ack_that_comes_after_the_release_is_dropped() -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED)
    bench.upkeep.handle_timer(link, Timer.T4102, NOW)
    bench.upkeep.release(link, ReleaseReason.NO_LONGER_NEEDED, NOW)
    bench.receive(link, KeepaliveAck(sequence_number=9, counter=1))
    bench.receive(link, Keepalive(sequence_number=9, counter=1))
    why = f"not expected when {State.RELEASING.value}"
    assert bench.events() == [dropped("keepalive ack", why), dropped("keepalive", why)]


@pytest.mark.parametrize(("initiator", "running"), [(True, {}), (False, {Timer.T4108: 137.0})])
def test_data_of_the_peer_shows_the_responder_alone_that_it_is_there(initiator: bool, running: Any) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED, initiator=initiator)
    bench.run(link, Input.VERIFIED_PDU, LATER)
    assert bench.deadlines(link) == running


@pytest.mark.parametrize(("initiator", "what"), [(True, "acknowledged no Keepalive"), (False, "sent nothing")])
def test_a_peer_that_was_silent_for_too_long_is_no_longer_available(initiator: bool, what: str) -> None:
    bench = Bench()
    link = bench.link(State.ESTABLISHED, initiator=initiator)
    bench.upkeep.handle_timer(link, Timer.T4108, NOW)
    assert link.ending.reason is ReleaseReason.NO_LONGER_AVAILABLE
    assert link.ending.why == f"the peer has {what} for 30 s"
    ((release, _),) = bench.sent()
    assert release.reason is ReleaseReason.NO_LONGER_AVAILABLE
