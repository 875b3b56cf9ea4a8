"""What a link and an entity are put together from: clocks, secrets, buckets, remembered requests, records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.buckets import ANSWERS, REJECT_AGAIN, Bucket, Buckets, Rate
from prose_link.pc5s.core.events import ClockApartFromKms, ClockBackInStep, ClockJumped
from prose_link.pc5s.core.fsm import RekeyState, State, Table, to
from prose_link.pc5s.core.link import LinkTable
from prose_link.pc5s.core.machine import Place, StateMachine, StateMachineError, Turn, nothing
from prose_link.pc5s.core.own_clock import OwnClock
from prose_link.pc5s.core.passed_over import PassedOver
from prose_link.pc5s.core.rekey_parts import KeptRekey, NewKeys, OwnRekey, Rekey
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord, RefusedRing
from prose_link.pc5s.core.secret import Answers, Secret
from security.device.record import RecordError, RecordFullError


def at(mono_s: float, ntp_s: float) -> Instant:
    return Instant(mono_s, ntp_s - NTP_EPOCH_OFFSET_S)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_is_out_of_step_when_it_is_more_than_w_from_the_counter(sign: int) -> None:
    clock = OwnClock()
    assert clock.observe(at(10, 5000)) is None
    assert clock.observe(at(20, 5010 + sign * WINDOW_S)) is None
    assert not clock.out_of_step and clock.may_raise_floor
    jumped = at(30, 5020 + sign * (WINDOW_S + 2))
    assert clock.observe(jumped) == ClockJumped(now_ntp_s=int(jumped.ntp_s), step_s=int(sign * (WINDOW_S + 2)))
    assert clock.out_of_step and not clock.may_raise_floor
    assert clock.observe(jumped) is None
    assert clock.observe(at(40, 5030)) == ClockBackInStep(now_ntp_s=5030)
    assert clock.observe(at(50, 5040)) is None
    assert not clock.out_of_step and clock.may_raise_floor


def test_an_operator_who_trusts_a_clock_ends_its_being_out_of_step() -> None:
    clock = OwnClock()
    clock.observe(at(10, 5000))
    clock.observe(at(20, 9000))
    clock.dispute()
    assert not clock.may_raise_floor
    clock.trust(at(20, 9000))
    assert clock.may_raise_floor and not clock.out_of_step and not clock.told
    assert clock.observe(at(30, 9010)) is None


def test_a_clock_that_jumps_right_after_it_was_trusted_is_out_of_step() -> None:
    clock = OwnClock()
    clock.trust(at(20, 9000))
    assert clock.observe(at(30, 9500)) == ClockJumped(now_ntp_s=9500, step_s=490)


def test_a_disputed_clock_raises_no_floor_until_a_contact_agrees() -> None:
    clock = OwnClock()
    clock.observe(at(10, 5000))
    clock.dispute()
    assert not clock.may_raise_floor and not clock.out_of_step
    apart = ClockApartFromKms(now_ntp_s=5000, kms_ntp_s=int(5000 + WINDOW_S + 1))
    assert clock.kms_contact(5000 + WINDOW_S + 1, at(10, 5000)) == apart
    assert clock.told and not clock.may_raise_floor
    for agreeing_s in (WINDOW_S, -WINDOW_S, 0.0):
        assert clock.kms_contact(5000 + agreeing_s, at(10, 5000)) is None
        assert clock.may_raise_floor


def test_a_secret_can_be_overwritten_and_does_not_show() -> None:
    secret = Secret(b"key")
    held = secret._octets
    assert (bool(secret), bytes(secret), repr(secret)) == (True, b"key", "Secret(held)")
    secret.wipe()
    assert (bool(secret), bytes(secret), repr(secret), bytes(held)) == (False, b"", "Secret(none)", b"")
    assert bytes(Secret()) == b""


def test_answers_are_kept_up_to_their_number_and_wiped() -> None:
    answers = Answers()
    pairs = [(bytes((n,)), b"s") for n in range(ANSWERS.burst + 1)]
    for pair in pairs:
        answers.keep(pair, b"ssv" + pair[0])
    oldest = answers._opened[pairs[1]]
    assert answers.opened(pairs[0]) == b""
    assert [answers.opened(pair) for pair in pairs[1:]] == [b"ssv" + pair[0] for pair in pairs[1:]]
    answers.wipe()
    assert answers.opened(pairs[1]) == b"" and not oldest


def test_answers_are_opened_no_faster_than_their_rate() -> None:
    answers = Answers()
    assert [answers.take(5.0) for _ in range(ANSWERS.burst + 1)] == [True] * ANSWERS.burst + [False]
    assert (ANSWERS.per_s, ANSWERS.burst) == (4, 16)
    assert not answers.take(5.2)
    assert answers.take(5.3) and not answers.take(5.3)


def test_a_bucket_holds_no_more_than_its_burst_and_a_part_of_a_token_is_none() -> None:
    bucket = Bucket(Rate(per_s=2.0, burst=3), 10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.has_token(10.4)
    assert bucket.has_token(10.5) and bucket.take(10.5) and not bucket.take(10.5)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(50.0) and not bucket.take(100.4)
    assert bucket.take(100.5)


def test_a_source_whose_bucket_is_empty_takes_nothing_of_the_common_one() -> None:
    buckets = Buckets(Rate(per_s=1, burst=3), Rate(per_s=1, burst=1))
    assert [buckets.take("a", 0.0) for _ in range(9)] == [True] + [False] * 8
    assert [buckets.take(source, 0.0) for source in "bcd"] == [True, True, False]
    assert buckets.take("d", 1.0), "it has kept its own token"


def test_sources_used_longest_ago_make_room() -> None:
    buckets = Buckets(None, Rate(per_s=0.001, burst=1), max_sources=2)
    assert [buckets.take(source, 0.0) for source in "abab"] == [True, True, False, False]
    assert buckets.take("c", 0.0)
    assert not buckets.take("b", 0.0)
    assert buckets.take("a", 0.0), "it was forgotten, and is new"


class Links:
    """A link table that knows links by number."""

    def __init__(self, *links: Any) -> None:
        self._links = {link.number: link for link in links}

    def get(self, number: int) -> Any:
        return self._links.get(number)


@pytest.mark.parametrize(
    ("state", "cause", "stands"),
    [
        (State.WAIT_ACCEPT, None, True),
        (State.WAIT_ACCEPT, 6, False),
        (State.CONFIRMING, 6, True),
        (State.PROVISIONAL, None, True),
        (State.ESTABLISHED, None, False),
        (State.IDLE, None, False),
    ],
)
def test_a_request_is_passed_over_while_something_stands_in_its_way(
    state: State, cause: int | None, stands: bool
) -> None:
    link: Any = SimpleNamespace(number=7, state=state, setup=SimpleNamespace(remembered_cause=cause))
    passed_over, links = PassedOver(), Links(link)
    passed_over.add(b"hr", link)
    assert passed_over.is_passed_over(b"hr", links) is stands
    assert not passed_over.is_passed_over(b"other", links)
    assert not passed_over.is_passed_over(b"hr", LinkTable())


def test_the_oldest_of_the_requests_passed_over_makes_room() -> None:
    link: Any = SimpleNamespace(number=7, state=State.CONFIRMING)
    passed_over, links = PassedOver(2), Links(link)
    for request_hash in (b"1", b"2", b"1", b"3"):
        passed_over.add(request_hash, link)
    assert len(passed_over) == 2
    found = [passed_over.is_passed_over(request_hash, links) for request_hash in (b"1", b"2", b"3")]
    assert found == [True, False, True]


def test_what_a_rekey_holds_is_wiped_and_its_state_stays() -> None:
    secrets = [Secret(b"one"), Secret(b"two"), Secret(b"three")]
    answers = Answers()
    answers.keep((b"a", b"b"), b"ssv")
    own = OwnRekey(ssv=secrets[0], answers=answers, made=NewKeys(kd_next=secrets[1], expected_conf_i=b"conf"))
    kept = KeptRekey(made=NewKeys(kd_next=secrets[2], expected_conf_i=b"conf"))
    rekey = Rekey(state=RekeyState.AWAIT_CONFIRM, own=own, kept=kept, failures=3, asked_msbs={1})
    rekey.wipe()
    assert not any(secrets) and answers.opened((b"a", b"b")) == b""
    assert own.made.expected_conf_i == kept.made.expected_conf_i == b""
    assert rekey.own is not own and rekey.kept is not kept
    assert (rekey.state, rekey.failures, rekey.asked_msbs) == (RekeyState.AWAIT_CONFIRM, 3, {1})


def test_a_machine_changes_the_state_first_and_then_acts_in_order() -> None:
    owner = SimpleNamespace(state=State.IDLE)
    log: list[Any] = []
    now = at(1, 2)

    def note(name: str) -> Any:
        return lambda turn: log.append((name, owner.state, turn))

    table: Table[Any] = {(State.IDLE, RekeyState.NONE): to(State.CONFIRMING, State.ESTABLISHED, State.RELEASING)}
    machine: StateMachine[Any] = StateMachine(
        {"only": table},
        {State.ESTABLISHED: note("one"), State.RELEASING: note("two"), State.LINGERING: nothing},
        place=lambda one: Place(table="only", holder=one),
        on_unlisted=lambda: log.append("unlisted"),
        after=log.append,
    )
    assert machine.run(owner, RekeyState.NONE, now)
    turn = Turn(owner=owner, now=now, why="none")
    assert log == [("one", State.CONFIRMING, turn), ("two", State.CONFIRMING, turn), owner]
    del log[:]
    assert not machine.run(owner, RekeyState.NONE, now)
    assert log == ["unlisted"] and owner.state is State.CONFIRMING
    owner.state = State.IDLE
    machine.run(owner, RekeyState.NONE, now, "because")
    assert log[1][2].why == "because"


def test_a_machine_without_a_method_for_an_action_is_refused() -> None:
    table: Table[Any] = {(State.IDLE, RekeyState.NONE): to(State.CONFIRMING, State.RELEASING, State.ESTABLISHED)}
    with pytest.raises(StateMachineError, match=r"state tables a: no method for State\.ESTABLISHED, State\.RELEASING"):
        StateMachine({"a": table}, {}, place=lambda one: one, on_unlisted=lambda: None)


def test_a_record_in_memory() -> None:
    record = MemoryRecord(floor_ntp_s=100, accept_after_ntp_s=50)
    assert (record.time_floor_ntp_s, record.accept_after_ntp_s, record.time_unproven) == (100, 50, True)
    assert not MemoryRecord().time_unproven
    record.raise_floor(90)
    assert record.time_floor_ntp_s == 100
    record.raise_floor(110)
    assert record.time_floor_ntp_s == 110
    record.kms_contact(120, keys_end_ntp_s=10**6)
    assert not record.time_unproven and record.time_floor_ntp_s >= 110
    assert record.mark("a") == 0
    record.raise_mark("a/1", 5)
    record.raise_mark("b/1", 1)
    assert (record.mark("a/1"), record.marks_named("a/")) == (5, {"a/1": 5})
    for value in (5, 4):
        with pytest.raises(RecordError, match=f"a/1: {value} is not above 5"):
            record.raise_mark("a/1", value)
    record.raise_mark("a/1", 6)
    assert record.mark("a/1") == 6


def test_a_contact_with_the_kms_moves_what_a_record_in_memory_accepts() -> None:
    record = MemoryRecord()
    assert (record.time_floor_ntp_s, record.accept_after_ntp_s) == (0, 0)
    record.kms_contact(10_000, keys_end_ntp_s=10**6)
    assert (record.time_floor_ntp_s, record.accept_after_ntp_s) == (10_000 - WINDOW_S, 0)
    record.kms_contact(5000, keys_end_ntp_s=10**6)
    assert (record.time_floor_ntp_s, record.accept_after_ntp_s) == (5000 - WINDOW_S, 5000), "it was taken back"
    lost = MemoryRecord(accept_after_ntp_s=50)
    lost.kms_contact(8000, keys_end_ntp_s=7000)
    assert (lost.time_floor_ntp_s, lost.accept_after_ntp_s, lost.time_unproven) == (7000, 8000, False)
    lost.kms_contact(9000, keys_end_ntp_s=10**6)
    assert lost.accept_after_ntp_s == 8000
    later = MemoryRecord(accept_after_ntp_s=9000)
    later.kms_contact(8900, keys_end_ntp_s=10**6)
    assert later.accept_after_ntp_s == 9000


def test_a_record_in_memory_takes_an_entry_once() -> None:
    record = MemoryRecord()
    assert not record.contains(b"d")
    assert record.remember(b"d", signer="a", expires_ntp_s=1000, now_ntp_s=10)
    assert record.contains(b"d") and len(record) == 1
    assert not record.remember(b"d", signer="b", expires_ntp_s=2000, now_ntp_s=10)
    n = 0
    with pytest.raises(RecordFullError, match="no room for another replay entry of a"):
        while n < 10**5:
            record.remember(n.to_bytes(4, "big"), signer="a", expires_ntp_s=1000, now_ntp_s=10)
            n += 1
    assert not record.has_room("a", now_ntp_s=10) and record.has_room("b", now_ntp_s=10)


def test_a_reject_is_repeated_at_its_own_rate() -> None:
    ring = RefusedRing(2)
    ring.add(b"1", b"reject 1")
    assert (ring.reject_for(b"1"), ring.reject_for(b"2")) == (b"reject 1", None)
    assert [ring.take_repeat(b"1", 0.0) for _ in range(5)] == [True] * REJECT_AGAIN.burst + [False]
    ring.add(b"2", b"reject 2")
    assert ring.take_repeat(b"2", 0.0)
    assert ring.take_repeat(b"1", 0.5) and not ring.take_repeat(b"1", 0.5)
    ring.add(b"3", b"reject 3")
    assert [ring.reject_for(one) for one in (b"1", b"2", b"3")] == [None, b"reject 2", b"reject 3"]
    assert b"1" not in ring._buckets and b"2" in ring._buckets
