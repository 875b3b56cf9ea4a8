"""The watch over one UE's clock: when it looks, what becomes of the floor, and which key periods it lets go of.

The record begins at the floor 5000 and the counter at 10, where a test says no other.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
from prose_link.pc5s.core.clock_watch import FLOOR_STEP_S, WIPE_AFTER_S, ClockWatch
from prose_link.pc5s.core.credentials import HeldPeriod
from prose_link.pc5s.core.events import ClockApartFromKms, ClockBackInStep, ClockJumped, KeysWiped
from prose_link.pc5s.core.own_clock import OwnClock
from prose_link.pc5s.core.replay import WINDOW_S, MemoryRecord
from prose_link.pc5s.core.shared import Outbox
from security.device.record import RecordError

FAR = 10**9
FAULT = "record can't be used"
MAY, JUNE = HeldPeriod(kms_uri="kms", key_period_no=5), HeldPeriod(kms_uri="kms", key_period_no=6)


def at(counted_s: float, ntp_s: float) -> Instant:
    """A moment whose machine counter is another one than that of the samples."""
    return Instant(counted_s + 1000, ntp_s - NTP_EPOCH_OFFSET_S, counted_s)


class Record(MemoryRecord):
    """A record that notes what it was asked, and that another process can change or break."""

    def __init__(self, floor_ntp_s: int) -> None:
        super().__init__(floor_ntp_s=floor_ntp_s)
        self.looks = 0
        self.raised: list[int] = []
        self.contacts: list[tuple[int, int]] = []
        self.broken = False

    @property
    def time_floor_ntp_s(self) -> int:
        self.looks += 1
        if self.broken:
            raise RecordError("torn")
        return self._floor_ntp_s

    def set_floor(self, ntp_s: int) -> None:
        self._floor_ntp_s = ntp_s

    def raise_floor(self, ntp_s: int) -> None:
        self.raised.append(ntp_s)
        super().raise_floor(ntp_s)

    def kms_contact(self, kms_ntp_s: int, *, keys_end_ntp_s: int) -> Any:
        if self.broken:
            raise RecordError("torn")
        self.contacts.append((kms_ntp_s, keys_end_ntp_s))
        return super().kms_contact(kms_ntp_s, keys_end_ntp_s=keys_end_ntp_s)


class Credentials:
    """Keys of periods that end, with their overlap, at the times given."""

    def __init__(self, ends: dict[HeldPeriod, float]) -> None:
        self.ends = ends
        self.keys_end_ntp_s = FAR
        self.forgotten: list[float] = []
        self.floors: list[float] = []

    def forget_ended(self, ntp_s: float) -> None:
        self.forgotten.append(ntp_s)

    def use_none_over_by(self, floor_ntp_s: float) -> None:
        self.floors.append(floor_ntp_s)

    def periods_over(self, ntp_s: float) -> frozenset[HeldPeriod]:
        return frozenset(period for period, end_s in self.ends.items() if end_s <= ntp_s)

    def wipe(self, period: HeldPeriod) -> None:
        del self.ends[period]


class Bench:
    """A watch with its record, its keys and its events."""

    def __init__(self, floor_ntp_s: int = 5000, **ends: float) -> None:
        self.record = Record(floor_ntp_s)
        self.credentials = Credentials({{"may": MAY, "june": JUNE}[name]: end_s for name, end_s in ends.items()})
        self.outbox, self.clock = Outbox(), OwnClock()
        desk: Any = SimpleNamespace(
            record=self.record, credentials=self.credentials, outbox=self.outbox, clock=self.clock
        )
        self.watch = ClockWatch(desk)

    def observe(self, counted_s: float, ntp_s: float) -> int:
        """The floor after an observation."""
        self.watch.observe(at(counted_s, ntp_s))
        return self.record._floor_ntp_s

    def events(self) -> list[Any]:
        events = []
        while (event := self.outbox.next_event()) is not None:
            events.append(event)
        return events


def test_an_observation_sets_the_time_and_reports_the_verdict_on_the_clock() -> None:
    bench = Bench()
    bench.observe(10, 5000)
    assert bench.outbox.now_s == 1010 and bench.events() == []
    bench.observe(11, 9000)
    assert bench.events() == [ClockJumped(now_ntp_s=9000, step_s=3999)]
    bench.observe(12, 5002)
    assert bench.events() == [ClockBackInStep(now_ntp_s=5002)]
    assert bench.outbox.counters[FAULT] == 0


def test_a_new_record_takes_its_floor_from_the_clock() -> None:
    bench = Bench(0)
    assert bench.observe(10, 5000.9) == 5000
    assert bench.record.raised == [5000] and bench.clock.may_raise_floor


def test_a_clock_below_the_floor_leaves_it_where_it_is() -> None:
    bench = Bench()
    assert bench.observe(10, 4000) == 5000
    assert bench.record.raised == [] and bench.credentials.floors == [5000]


def test_a_counter_that_has_run_for_long_before_the_start_adds_nothing() -> None:
    assert Bench().observe(1e6, 4000) == 5000


def test_the_clock_raises_the_floor_no_further_than_the_keys_last() -> None:
    bench = Bench()
    bench.credentials.keys_end_ntp_s = 7000
    assert bench.observe(10, 9000) == 7000
    assert bench.credentials.floors == [7000]


def test_values_computed_from_old_keys_are_dropped_every_150_s() -> None:
    bench = Bench(0)
    bench.observe(10, 149.9)
    assert bench.credentials.forgotten == []
    for counted_s, ntp_s in ((10.1, 150.0), (160, 299.9), (161, 300.0), (162, 301.0)):
        bench.observe(counted_s, ntp_s)
    assert bench.credentials.forgotten == [150.0, 300.0]
    bench.observe(163, 9000)
    assert bench.credentials.forgotten == [150.0, 300.0], "the clock is out of step"


def test_it_looks_again_when_the_counter_has_run_on() -> None:
    bench = Bench()
    bench.observe(10, 4000)
    assert bench.record.looks == 1
    bench.observe(10 + FLOOR_STEP_S - 0.1, 4149)
    assert bench.record.looks == 1
    bench.observe(10 + FLOOR_STEP_S, 4150)
    assert bench.record.looks == 2
    bench.observe(10 + 2 * FLOOR_STEP_S - 0.1, 4299)
    assert bench.record.looks == 2
    bench.observe(10 + 2 * FLOOR_STEP_S, 4300)
    assert bench.record.looks == 3


def test_it_looks_again_when_the_clock_has_run_on() -> None:
    bench = Bench()
    bench.observe(10, 5000)
    bench.observe(20, 5149.9)
    assert bench.record.looks == 1
    assert bench.observe(20, 5150) == 5150
    assert bench.record.looks == 2
    bench.observe(20, 5299)
    assert bench.record.looks == 2


def test_a_clock_out_of_step_makes_it_look_no_sooner_and_raises_nothing() -> None:
    bench = Bench()
    bench.observe(10, 5000)
    assert bench.observe(20, 9000) == 5000
    assert bench.record.looks == 1
    assert bench.observe(160, 9140) == 5149, "the counter alone, less a ten-thousandth"


def test_the_counter_raises_the_floor_and_a_ten_thousandth_of_it_does_not_count() -> None:
    bench = Bench()
    bench.observe(10, 4000)
    assert bench.observe(10 + 20_005, 4000 + 20_005) == 5000 + 20_002
    assert bench.observe(10 + 40_005, 4000 + 40_005) == 5000 + 40_000
    assert bench.record.raised == [25_002, 45_000]
    assert bench.credentials.floors == [5000, 25_002, 45_000]


def test_the_counter_goes_on_from_what_the_clock_has_raised() -> None:
    bench = Bench()
    bench.observe(10, 6000)
    assert bench.observe(10 + 20_005, 4000) == 6000 + 20_002


def test_a_floor_that_another_process_raised_is_where_counting_goes_on() -> None:
    bench = Bench()
    bench.observe(10, 4000)
    bench.record.set_floor(8000)
    assert bench.observe(210, 4200) == 8000
    assert bench.record.raised == [] and bench.clock.may_raise_floor
    assert bench.observe(20_215, 24_205) == 8000 + 20_002


def test_a_floor_that_another_process_took_back_disputes_the_clock() -> None:
    bench = Bench()
    bench.observe(10, 9000)
    bench.record.set_floor(6000)
    assert bench.observe(160, 9150) == 6000
    assert not bench.clock.may_raise_floor
    assert bench.observe(20_165, 29_155) == 6000 + 20_002


def test_a_record_that_cannot_be_used_is_counted_and_tried_again_at_once() -> None:
    bench = Bench()
    bench.record.broken = True
    for n in range(1, 3):
        bench.observe(10 + n, 5000 + n)
        assert (bench.record.looks, bench.outbox.counters[FAULT]) == (n, n)
    bench.record.broken = False
    assert bench.observe(13, 5003) == 5003


def test_a_contact_that_agrees_sets_floor_and_clock() -> None:
    bench = Bench()
    bench.observe(10, 4000)
    bench.credentials.keys_end_ntp_s = 50_000
    bench.watch.kms_contact(20_000, at(20, 20_010))
    assert bench.record.contacts == [(20_000, 50_000)]
    floor_ntp_s = 20_000 - WINDOW_S
    assert bench.credentials.floors == [5000, floor_ntp_s] and bench.events() == []
    assert bench.clock.told and bench.clock.may_raise_floor
    looks = bench.record.looks
    assert bench.observe(21, 20_011) == 20_011
    assert bench.record.looks == looks + 1, "the next observation looks, however soon"


def test_after_a_contact_the_counter_goes_on_from_the_floor_that_it_gave() -> None:
    bench = Bench()
    bench.watch.kms_contact(20_000, at(20, 100))
    floor_ntp_s = 20_000 - WINDOW_S
    assert bench.events() == [ClockApartFromKms(now_ntp_s=100, kms_ntp_s=20_000)]
    assert not bench.clock.may_raise_floor
    assert bench.observe(20 + 20_005, 100 + 20_005) == floor_ntp_s + 20_002
    assert not bench.clock.out_of_step


def test_a_contact_that_takes_the_floor_back_lets_it_rise_from_there() -> None:
    bench = Bench(90_000)
    bench.observe(10, 90_000)
    bench.watch.kms_contact(20_000, at(20, 20_000))
    assert bench.observe(21, 20_001) == 20_001
    assert bench.clock.may_raise_floor, "this process took the floor back itself"


def test_a_contact_wipes_what_is_over_by_its_time_less_w() -> None:
    bench = Bench(may=20_000 - WINDOW_S, june=20_000 - WINDOW_S + 1)
    bench.watch.kms_contact(20_000, at(20, 20_000))
    assert list(bench.credentials.ends) == [JUNE]
    assert bench.events() == [KeysWiped(kms="kms", key_period=5)]


def test_a_contact_without_a_record_wipes_all_the_same() -> None:
    bench = Bench(may=100)
    bench.record.broken = True
    for n in range(1, 3):
        bench.watch.kms_contact(20_000, at(20, 20_000))
        assert bench.outbox.counters[FAULT] == n
    assert bench.events() == [KeysWiped(kms="kms", key_period=5)]
    assert bench.credentials.floors == []


def test_keys_are_wiped_once_the_floor_has_called_their_period_over_for_a_day() -> None:
    bench = Bench(may=5000, june=5000 + 80_000)
    bench.clock.dispute()
    bench.observe(10, 5000)
    last_s = 10 + WIPE_AFTER_S
    bench.observe(last_s - 0.1, 5000)
    assert bench.events()[:1] == [ClockJumped(now_ntp_s=5000, step_s=-86399)]
    assert MAY in bench.credentials.ends
    bench.observe(last_s + FLOOR_STEP_S, 5000)
    assert bench.events() == [KeysWiped(kms="kms", key_period=5)]
    assert list(bench.credentials.ends) == [JUNE], "June is over since a short while only"


def test_the_day_ends_with_its_last_second() -> None:
    bench = Bench(may=5000)
    bench.observe(10, 5000)
    bench.observe(10 + WIPE_AFTER_S, 5000)
    assert bench.credentials.ends == {}


def test_a_period_that_the_floor_no_longer_calls_over_begins_its_day_anew() -> None:
    bench = Bench(may=5000)
    bench.observe(10, 5000)
    bench.record.set_floor(4000)
    bench.observe(200, 5190)
    bench.record.set_floor(6000)
    bench.observe(400, 5390)
    bench.observe(10 + WIPE_AFTER_S, 5000 + WIPE_AFTER_S)
    assert MAY in bench.credentials.ends
    bench.observe(400 + WIPE_AFTER_S, 5390 + WIPE_AFTER_S)
    assert bench.credentials.ends == {}


def test_a_period_that_was_wiped_and_came_back_has_a_day_again() -> None:
    bench = Bench(may=5000)
    bench.observe(10, 5000)
    bench.observe(10 + WIPE_AFTER_S, 5000)
    bench.credentials.ends[MAY] = 5000
    bench.observe(10 + WIPE_AFTER_S + FLOOR_STEP_S, 5000)
    assert MAY in bench.credentials.ends


@pytest.mark.parametrize("counted_s", [10.0, 5e5])
def test_a_clock_that_goes_back_takes_no_second_off_the_floor(counted_s: float) -> None:
    bench = Bench()
    bench.observe(counted_s, 5400)
    assert bench.observe(counted_s + FLOOR_STEP_S, 5300) >= 5400
