"""The door's shares and deadlines, in virtual time: no sockets."""

from __future__ import annotations

from typing import Any

import pytest

from security.kms.anonymous_pace import LONGEST_WAIT_S, REQUESTS_AT_ONCE, REQUESTS_PER_S, AnonymousPace
from security.kms.door import Door, DoorLimits, Guest, Share, Stage, Wait, address_block
from security.kms.events import KmsRefusals, KmsRefused
from security.kms.refusal_reports import EVENTS_AT_ONCE, SUMMARY_INTERVAL_S, RefusalReports

HERE, THERE = "127.0.0.1", "192.0.2.7"
SMALL = DoorLimits(
    silent=Share(in_all=6, of_one=4),
    handshaking=Share(in_all=4, of_one=3),
    anonymous=Share(in_all=3, of_one=2),
    certified=Share(in_all=4, of_one=2),
)


def enter(door: Door, host: str = HERE, now_s: float = 0.0) -> tuple[Guest, list[tuple[Guest, str]]]:
    guest, closings = door.enter(host, now_s=now_s)
    return guest, [(closing.guest, closing.why) for closing in closings]


def established(door: Door, stage: Stage, holder: str | None = None, host: str = HERE) -> tuple[Guest, list[Guest]]:
    guest, _ = door.enter(host, now_s=0.0)
    door.advance(guest, Stage.HANDSHAKING, now_s=0.0)
    closings = door.advance(guest, stage, now_s=0.0, holder=holder)
    return guest, [closing.guest for closing in closings]


def test_a_flood_closes_its_own_oldest_connection_and_never_the_newcomer() -> None:
    door = Door(SMALL)
    other, _ = enter(door, THERE)
    first = [enter(door)[0] for _ in range(4)]
    for number in range(50):
        newcomer, closed = enter(door)
        assert [guest for guest, _ in closed] == [first[number] if number < 4 else first.pop(4)]
        first.append(newcomer)
        assert door.count(Stage.SILENT) == 5
    assert other in set(door.guests())


def test_the_share_in_all_is_kept_at_the_cost_of_the_address_that_holds_most() -> None:
    door = Door(SMALL)
    greedy = [enter(door)[0] for _ in range(4)]
    modest = [enter(door, f"192.0.2.{number}")[0] for number in range(2)]
    _, closed = enter(door, "192.0.2.9")
    assert closed == [(greedy[0], "silent-share-full")]
    assert set(modest) <= set(door.guests())


def test_who_began_a_handshake_outlasts_those_that_sent_nothing() -> None:
    door = Door(SMALL)
    speaker, _ = enter(door)
    door.waits_for(speaker, Wait.TURN, now_s=0.0)
    for _ in range(100):
        enter(door)
    assert speaker in set(door.guests())


def test_no_number_of_connections_without_a_certificate_touches_one_with_it() -> None:
    door = Door(SMALL)
    enrolled, _ = established(door, Stage.CERTIFIED, "aa")
    for _ in range(1000):
        established(door, Stage.ANONYMOUS)
        enter(door)
    assert enrolled in set(door.guests())
    assert len(door) <= 6 + 4 + 3 + 4


def test_one_certificate_has_a_share_of_its_own() -> None:
    door = Door(SMALL)
    mine, _ = established(door, Stage.CERTIFIED, "aa")
    theirs = [established(door, Stage.CERTIFIED, "bb") for _ in range(5)]
    assert [closed for _, closed in theirs] == [[], [], [theirs[0][0]], [theirs[1][0]], [theirs[2][0]]]
    assert mine in set(door.guests())


def test_a_request_in_hand_is_never_closed_for_a_newcomer() -> None:
    door = Door(SMALL)
    busy = [established(door, Stage.ANONYMOUS)[0] for _ in range(2)]
    for guest in busy:
        door.waits_for(guest, Wait.NOTHING, now_s=0.0)
    newcomer, closed = established(door, Stage.ANONYMOUS)
    assert closed == [newcomer]
    door.waits_for(busy[1], Wait.BODY, now_s=0.0)
    _, closed = established(door, Stage.ANONYMOUS)
    assert closed == [busy[1]]


def test_a_good_token_leaves_the_anonymous_share() -> None:
    door = Door(SMALL)
    guest, _ = established(door, Stage.ANONYMOUS)
    door.waits_for(guest, Wait.NOTHING, now_s=3.0)
    assert door.advance(guest, Stage.CERTIFIED, now_s=3.0, holder="token of alice") == ()
    assert (guest.wait, door.count(Stage.ANONYMOUS), door.count(Stage.CERTIFIED)) == (Wait.NOTHING, 0, 1)


def test_a_handshake_has_time_before_it_may_be_closed_for_another() -> None:
    door = Door(SMALL)
    for _ in range(3):
        door.advance(enter(door)[0], Stage.HANDSHAKING, now_s=10.0)
    newcomer, _ = enter(door, now_s=10.1)
    assert door.handshake_in(newcomer, now_s=10.1) == pytest.approx(0.15)
    assert door.handshake_in(newcomer, now_s=10.25) == 0.0
    stranger, _ = enter(door, THERE, now_s=10.1)
    assert door.handshake_in(stranger, now_s=10.1) == 0.0
    door.advance(stranger, Stage.HANDSHAKING, now_s=10.1)
    third, _ = enter(door, "192.0.2.8", now_s=10.2)
    assert door.handshake_in(third, now_s=10.2) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("wait", "lasts_s"),
    [(Wait.HEADER, 5.0), (Wait.BODY, 5.0), (Wait.NOTHING, 12.0), (Wait.READING, 10.0), (Wait.NEXT_REQUEST, 15.0)],
)
def test_every_wait_ends(wait: Wait, lasts_s: float) -> None:
    door = Door()
    guest, _ = established(door, Stage.CERTIFIED, "aa")
    door.waits_for(guest, wait, now_s=100.0)
    assert door.overdue(100.0 + lasts_s - 0.01) == ()
    (closing,) = door.overdue(100.0 + lasts_s)
    assert (closing.guest, closing.why) == (guest, f"{wait}-timeout")


def test_silence_and_handshakes_end_too() -> None:
    door = Door()
    guest, _ = enter(door, now_s=1.0)
    assert [closing.why for closing in door.overdue(6.0)] == ["hello-timeout"]
    door.advance(guest, Stage.HANDSHAKING, now_s=5.0)
    assert door.overdue(9.9) == ()
    assert [closing.why for closing in door.overdue(10.0)] == ["handshake-timeout"]
    door.leave(guest)
    door.leave(guest)
    assert (len(door), door.advance(guest, Stage.ANONYMOUS, now_s=11.0)) == (0, ())


@pytest.mark.parametrize(
    ("host", "block"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_an_ipv6_subscriber_is_one_address(host: str, block: str) -> None:
    assert address_block(host) == block


def test_the_default_shares_fit_the_usual_limit_of_open_files() -> None:
    limits = DoorLimits()
    assert sum(limits.share(stage).in_all for stage in Stage) <= 1024 - 256
    assert all(limits.share(stage).of_one < limits.share(stage).in_all for stage in Stage)


def test_refusals_are_told_one_by_one_while_few_and_counted_while_many() -> None:
    events: list[Any] = []
    reports = RefusalReports(events.append)
    for number in range(1000):
        reports.refused("bad-request", f"number {number}", now_s=0.0)
        reports.at_the_door("not-tls", f"192.0.2.{number % 200}")
    assert [type(event) for event in events] == [KmsRefused] * EVENTS_AT_ONCE
    reports.flush(now_s=0.0)
    told = events[-1]
    assert isinstance(told, KmsRefusals)
    assert told.connections_closed == {"not-tls": 1000}
    assert told.requests_refused == {"bad-request": 1000 - EVENTS_AT_ONCE}
    assert "others" in told.addresses and len(told.addresses) == 5
    reports.at_the_door("not-tls", HERE)
    reports.flush(now_s=SUMMARY_INTERVAL_S - 0.1)
    assert events[-1] is told
    reports.flush(now_s=SUMMARY_INTERVAL_S)
    assert events[-1].connections_closed == {"not-tls": 1}
    reports.flush(now_s=100.0)
    assert len(events) == EVENTS_AT_ONCE + 2
    reports.refused("bad-request", "later", now_s=100.0)
    last = events[-1]
    assert isinstance(last, KmsRefused) and last.message == "later"


def test_the_pace_of_the_anonymous() -> None:
    pace = AnonymousPace()
    assert [pace.wait_s(0.0) for _ in range(REQUESTS_AT_ONCE)] == [0.0] * REQUESTS_AT_ONCE
    waits = [pace.wait_s(0.0) for _ in range(1000)]
    allowed = [wait for wait in waits if wait is not None]
    assert len(allowed) == int(LONGEST_WAIT_S * REQUESTS_PER_S)
    assert allowed == sorted(allowed) and allowed[-1] <= LONGEST_WAIT_S
    assert pace.wait_s(LONGEST_WAIT_S + 1.0) == 0.0
