"""Row 58: clocks that jump, clocks and KMSs that disagree, and what a link makes of them (PROFILE 13)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.clock_watch import FLOOR_STEP_S, WIPE_AFTER_S
from prose_link.pc5s.core.events import (
    ClockApartFromKms,
    ClockBackInStep,
    ClockBelowFloor,
    ClockJumped,
    KeysWiped,
    LinkEstablished,
    LinkFailed,
)
from prose_link.pc5s.core.own_clock import OwnClock, RequireKms
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord
from prose_link.pc5s.wire.messages import Cause
from security import sakke
from security.identifiers import NoKeysError
from security.mikey import Kind
from tests.benches.attack_bench import assert_genuine_exchange, attack, refusals
from tests.benches.pc5s_bench import UTC_S, A, Air, B, Ue, at, forged_request, make_kms, pair

DAY_S = 86_400.0
OUT_OF_STEP = (6, Cause.TIME_OR_KEY_PERIOD, "clock out of step with the monotonic counter")


@pytest.fixture
def world():
    a, b, air = pair()
    tick(a, b, air=air)
    return a, b, air


def tick(*ues: Ue, air: Air) -> None:
    """Let UEs look at their clocks, as their owners do at every step."""
    for ue in ues:
        ue.entity.handle_timer(air.now)
    air.run(0.01)


def set_clock(ue: Ue, air: Air, by_s: float) -> None:
    """Move one UE's calendar clock: its entity sees other instants than the rest of the air."""
    inner = getattr(ue.entity, "inner", ue.entity)
    ue.entity = Shifted(inner, by_s)


def events(ue: Ue) -> list:
    """Everything an entity has told."""
    return list(iter(ue.entity.next_event, None))


class Shifted:
    """An entity whose calendar clock is off."""

    def __init__(self, inner, by_s):
        self.inner, self.by_s = inner, by_s

    def __getattr__(self, name):
        attribute = getattr(self.inner, name)
        if not callable(attribute):
            return attribute

        def called(*arguments, **keywords):
            return attribute(
                *(Instant(one.mono_s, one.utc_s + self.by_s) if isinstance(one, Instant) else one for one in arguments),
                **keywords,
            )

        return called


def test_row_58_clock_forward_by_two_windows_and_back_takes_no_request_twice(world):
    a, b, air = world
    request = forged_request(a, b, air).octets
    attack(air, request)
    air.run(7)
    set_clock(b, air, 2 * WINDOW_S + 60)
    floor = b.record.time_floor_ntp_s
    tick(b, air=air)
    assert [event.step_s for event in b.of(ClockJumped)] == [2 * WINDOW_S + 60]
    attack(air, request)
    fresh = forged_request(a, b, air, ntp_s=air.now.ntp_s + 2 * WINDOW_S + 60).octets
    attack(air, fresh)
    assert refusals(b) == [(7, None, "replay"), OUT_OF_STEP]
    assert b.record.time_floor_ntp_s == floor
    set_clock(b, air, 0)
    b.events.clear()
    attack(air, request)
    assert b.of(ClockBackInStep) and refusals(b) == [(7, None, "replay")]
    assert b.holds_nothing()
    assert_genuine_exchange(a, b, air)


def test_entries_outlive_a_clock_that_runs_ahead_and_is_set_back_within_the_window(world):
    """Each step is within W, so that the clock is believed; the entry is there as long as T can be taken again."""
    a, b, air = world
    request = forged_request(a, b, air, ntp_s=air.now.ntp_s + WINDOW_S - 10).octets
    attack(air, request)
    for by_s in (WINDOW_S - 20, 0, WINDOW_S - 20, 0):
        air.run(2 * WINDOW_S - 60)
        set_clock(b, air, by_s)
        attack(air, request)
    assert len(b.record) == 1
    assert {(step, why) for step, _, why in refusals(b)} <= {(7, "replay"), (6, "time outside the window")}
    assert not b.of(LinkEstablished)


@pytest.mark.parametrize("back_s", [4 * WINDOW_S, 30 * DAY_S])
def test_row_58_a_clock_set_back_while_the_ue_runs_stops_set_ups(world, back_s):
    a, b, air = world
    set_clock(b, air, -back_s)
    b.entity.connect(at(A, a.l2_id), air.now)
    air.run(0.1)
    assert len(b.of(ClockJumped)) == len(b.of(ClockBelowFloor)) == 1
    assert b.of(LinkFailed)[0].why == "clock below the time floor"
    set_clock(b, air, 0)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("ahead_s", [1 - WINDOW_S, -60, 0, 60, WINDOW_S])
def test_a_kms_ahead_or_behind_shuts_nobody_out(world, ahead_s):
    a, b, air = world
    b.entity.kms_contact(int(air.now.ntp_s + ahead_s), air.now)
    air.run(0.05)
    assert not b.of(ClockApartFromKms)
    assert b.record.accept_after_ntp_s == 0
    assert_genuine_exchange(a, b, air)


def test_row_58_a_kms_far_ahead_is_an_event_and_closes_set_ups_until_the_clock_is_right(world):
    a, b, air = world
    b.entity.kms_contact(int(air.now.ntp_s) + 3 * WINDOW_S, air.now)
    attack(air, forged_request(a, b, air).octets)
    assert len(b.of(ClockApartFromKms)) == 1
    assert refusals(b) == [(6, Cause.TIME_OR_KEY_PERIOD, "clock below the time floor")]
    b.entity.kms_contact(int(air.now.ntp_s), air.now)
    assert b.record.time_floor_ntp_s == int(air.now.ntp_s) - WINDOW_S
    air.run(1.1)
    assert_genuine_exchange(a, b, air)


def test_row_58_a_clock_set_back_and_left_there_never_comes_up_to_the_floor(world):
    """Back by 4 W, and waited for as long: the counter has raised the floor meanwhile, so stolen old keys stay bad."""
    a, b, air = world
    set_clock(b, air, -4 * WINDOW_S)
    for _ in range(5):
        air.run(WINDOW_S)
        tick(b, air=air)
        attack(air, forged_request(a, b, air, ntp_s=air.now.ntp_s - 4 * WINDOW_S).octets)
    assert set(refusals(b)) == {(6, Cause.TIME_OR_KEY_PERIOD, "clock below the time floor")}
    assert b.record.time_floor_ntp_s > air.now.ntp_s - 2 * FLOOR_STEP_S
    set_clock(b, air, 0)
    assert_genuine_exchange(a, b, air)


def test_row_58_keys_of_a_month_that_is_over_by_the_floor_are_not_used():
    """The clock is turned back into the overlap, as far as the floor allows: no key of the old month is used."""
    kms = make_kms()
    a, b, air = pair(ring=None, a={"ring": kms.ring(A, months=(0, 1))}, b={"ring": kms.ring(B, months=(0, 1))})
    old = kms.domain.period_of(air.now.ntp_s)
    over_ntp_s = kms.domain.period_bounds(old)[1] + kms.domain.overlap_s()
    air.utc_offset_s += over_ntp_s + 10 - air.now.ntp_s
    tick(b, air=air)
    air.utc_offset_s -= WINDOW_S - 10
    assert kms.domain.accepts_period(air.now.ntp_s, kms.domain.period_bounds(old)[1] - 1)
    dated = SimpleNamespace(initiator_uri=A, responder_uri=B, ntp_s=kms.domain.period_bounds(old)[1] - 1)
    assert not b.credentials.accepts_period(dated, air.now.ntp_s)
    with pytest.raises(NoKeysError):
        b.credentials.issue(Kind.REQUEST, bytes(32), to=A, ntp_s=kms.domain.period_bounds(old)[1] - 1)
    assert_genuine_exchange(a, b, air)


def test_keys_are_wiped_after_a_day_of_the_floor_saying_so_and_not_by_a_jump():
    kms = make_kms()
    b = Ue(B, ring=kms.ring(B, months=(-1, 0, 1)))
    old, present, new = sorted({keys.key_period_no for keys in b.credentials.key_ring.users})
    present_over = kms.domain.period_bounds(present)[1] + kms.domain.overlap_s() - NTP_EPOCH_OFFSET_S

    def held():
        return sorted(keys.key_period_no for keys in b.credentials.key_ring.users)

    b.entity.handle_timer(Instant(1.0, UTC_S))
    b.entity.handle_timer(Instant(2.0, present_over + 9))
    assert held() == [old, present, new], "a jump wipes nothing"
    b.entity.handle_timer(Instant(WIPE_AFTER_S + 200, UTC_S + WIPE_AFTER_S + 199))
    assert held() == [present, new], "the month before has been over for a day"
    assert [event.key_period for event in events(b) if isinstance(event, KeysWiped)] == [old]
    b.entity.kms_contact(int(present_over + NTP_EPOCH_OFFSET_S), Instant(WIPE_AFTER_S + 300, present_over))
    assert held() == [present, new], "the contact is within W of the end of the overlap"
    told = int(present_over + NTP_EPOCH_OFFSET_S) + WINDOW_S
    b.entity.kms_contact(told, Instant(WIPE_AFTER_S + 600, present_over + WINDOW_S))
    assert held() == [new], "a contact shows it at once"
    assert not sakke.holds_lines_of(kms.ring(B).users[0].rsk)


def test_a_floor_that_another_process_lowered_is_not_raised_again_by_the_clock_that_had_spoilt_it():
    record = MemoryRecord()
    one, other = Ue(B, record=record), Ue(B, record=record)
    true_ntp_s, ahead_s = int(UTC_S + NTP_EPOCH_OFFSET_S), 2 * DAY_S
    one.entity.handle_timer(Instant(1.0, UTC_S + ahead_s))
    assert record.time_floor_ntp_s == true_ntp_s + ahead_s
    other.entity.handle_timer(Instant(2.0, UTC_S + ahead_s))
    other.entity.kms_contact(true_ntp_s, Instant(3.0, UTC_S + ahead_s))
    assert record.time_floor_ntp_s == true_ntp_s - WINDOW_S
    one.entity.handle_timer(Instant(1000.0, UTC_S + ahead_s + 999))
    one.entity.handle_timer(Instant(2000.0, UTC_S + ahead_s + 1999))
    assert true_ntp_s < record.time_floor_ntp_s < true_ntp_s + 1999
    assert other.credentials.key_ring.users


@pytest.mark.parametrize(
    ("require_kms", "record", "refused"),
    [
        (RequireKms.NEVER, MemoryRecord(accept_after_ntp_s=7), False),
        (RequireKms.AFTER_LOSS, MemoryRecord(), False),
        (RequireKms.AFTER_LOSS, MemoryRecord(accept_after_ntp_s=7), True),
        (RequireKms.AFTER_START, MemoryRecord(), True),
    ],
)
def test_row_58_until_the_kms_has_told_the_time_nothing_is_set_up_where_that_is_required(require_kms, record, refused):
    a, b, air = pair(b={"record": record, "require_kms": require_kms})
    awaited = (6, Cause.TIME_OR_KEY_PERIOD, "the home KMS has not told the time")
    attack(air, forged_request(a, b, air).octets)
    assert refusals(b) == [awaited] * refused
    b.entity.connect(at(A, a.l2_id), air.now)
    air.run(0.1)
    assert [event.why for event in b.of(LinkFailed)] == [awaited[2]] * refused
    assert b.entity.kms_is_awaited is refused
    if refused:
        b.entity.kms_contact(int(air.now.ntp_s), air.now)
        assert_genuine_exchange(a, b, air)
    restarted = Ue(B, record=record, require_kms=require_kms)
    assert restarted.entity.kms_is_awaited is (require_kms is RequireKms.AFTER_START)


def test_row_58_after_a_loss_with_the_clock_set_back_nothing_is_taken_twice():
    """Taken, then the record is lost and the clock set back by less than 2 W: the KMS's contact lets nothing old in."""
    a, b, air = pair()
    tick(a, b, air=air)
    request = forged_request(a, b, air).octets
    attack(air, request)
    assert not refusals(b)
    back_s = 1.5 * WINDOW_S
    air.run(back_s - 60)
    began_ntp_s = int(air.now.ntp_s - back_s)
    record = MemoryRecord(floor_ntp_s=began_ntp_s, accept_after_ntp_s=began_ntp_s)
    restarted = Ue(B, record=record, require_kms=RequireKms.AFTER_LOSS)
    air.ues[1] = restarted
    set_clock(restarted, air, -back_s)
    tick(restarted, air=air)
    assert restarted.entity.kms_is_awaited
    restarted.entity.kms_contact(int(air.now.ntp_s), air.now)
    attack(air, request)
    assert len(restarted.of(ClockApartFromKms)) == 1
    assert refusals(restarted) == [(6, Cause.TIME_OR_KEY_PERIOD, "time not after the record's start")]
    assert restarted.holds_nothing()
    set_clock(restarted, air, 0)
    tick(restarted, air=air)
    restarted.entity.kms_contact(int(air.now.ntp_s), air.now)
    assert_genuine_exchange(a, restarted, air)


def test_a_contact_mends_a_floor_that_a_wrong_clock_had_raised(world):
    a = world[0]
    ahead = 2 * DAY_S
    record = MemoryRecord()
    wrong = Ue(B, record=record)
    air = Air(a, wrong)
    air.utc_offset_s += ahead
    tick(wrong, air=air)
    assert record.time_floor_ntp_s == int(air.now.ntp_s)
    restarted = Ue(B, record=record)
    air = Air(a, restarted)
    air.mono_s += 1
    fresh = Ue(A)
    air.ues[0] = fresh
    attack(air, forged_request(fresh, restarted, air).octets)
    assert refusals(restarted) == [(6, Cause.TIME_OR_KEY_PERIOD, "clock below the time floor")]
    told = int(air.now.ntp_s)
    restarted.entity.kms_contact(told, air.now)
    assert (record.time_floor_ntp_s, record.accept_after_ntp_s) == (told - WINDOW_S, told)
    attack(air, forged_request(fresh, restarted, air, ntp_s=told - 1).octets)
    assert refusals(restarted)[1:] == [(6, Cause.TIME_OR_KEY_PERIOD, "time not after the record's start")]
    air.run(2)
    assert_genuine_exchange(fresh, restarted, air)


def test_the_own_clock_raises_the_floor_no_further_than_the_keys_last():
    kms = make_kms()
    b = Ue(B, ring=kms.ring(B))
    domain = kms.domain
    _, end = domain.period_bounds(domain.period_of(UTC_S + NTP_EPOCH_OFFSET_S))
    b.entity.handle_timer(Instant(1.0, UTC_S + 400 * DAY_S))
    assert b.record.time_floor_ntp_s == end == b.credentials.keys_end_ntp_s


def test_the_operators_word_and_a_contact_end_a_jump():
    for mend in ("word", "contact"):
        a, b, air = pair()
        tick(a, b, air=air)
        air.utc_offset_s += 3 * WINDOW_S
        air.connect(a, b)
        air.run(0.1)
        assert a.of(LinkFailed)[0].why == OUT_OF_STEP[2]
        for ue in (a, b):
            if mend == "word":
                ue.entity.trust_clock(air.now)
            else:
                ue.entity.kms_contact(int(air.now.ntp_s), air.now)
        assert_genuine_exchange(a, b, air)


def test_a_disputed_clock_raises_no_floor():
    clock = OwnClock()
    assert clock.observe(Instant(1.0, 5000.0)) is None and clock.may_raise_floor
    contact = clock.kms_contact(5000.0 + NTP_EPOCH_OFFSET_S + WINDOW_S + 1, Instant(1.0, 5000.0))
    assert isinstance(contact, ClockApartFromKms)
    assert not clock.may_raise_floor and not clock.out_of_step
    assert clock.kms_contact(5000.0 + NTP_EPOCH_OFFSET_S, Instant(1.0, 5000.0)) is None
    assert clock.may_raise_floor


def test_lines_of_an_rsk_leave_with_its_period_its_owner_and_its_replacement():
    kms = make_kms()
    b = Ue(B, ring=kms.ring(B, months=(-1, 0)))
    old, new = sorted(b.credentials.key_ring.users, key=lambda keys: keys.key_period_no)
    for keys in (old, new):
        sakke.prepare_tables(kms.domain.z, keys.rsk)
    _, end = kms.domain.period_bounds(old.key_period_no)
    lasting_utc_s = end + kms.domain.overlap_s() - NTP_EPOCH_OFFSET_S
    b.entity.handle_timer(Instant(1.0, lasting_utc_s - 1))
    assert sakke.holds_lines_of(old.rsk)
    b.entity.handle_timer(Instant(200.0, lasting_utc_s + 199))
    assert not sakke.holds_lines_of(old.rsk) and sakke.holds_lines_of(new.rsk)
    later = kms.ring(B, months=(1,))
    b.credentials.replace_keys(later)
    assert not sakke.holds_lines_of(new.rsk)
    newest = later.users[0]
    sakke.prepare_tables(kms.domain.z, newest.rsk)
    b.entity.shut_down(Instant(300.0, lasting_utc_s + 300))
    assert not sakke.holds_lines_of(newest.rsk)
