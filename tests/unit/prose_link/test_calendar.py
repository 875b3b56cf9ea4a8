"""A UE whose calendar clock is the system's keeps to it although its air stands still now and then."""

from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.config.ue import UeConfig
from prose_link.event_stream import EventStream
from prose_link.pc5s.core.events import ClockJumped
from prose_link.pc5s.core.own_clock import OwnClock
from prose_link.ue.clock import MAX_CALENDAR_ERROR_S, UeClock
from prose_link.ue.runtime import run
from radio.devices.protocol import EndOfSamples

KMS = {"url": "https://kms.lab.invalid", "ticket": "t", "store": "s"}
SDR = {"device": "uhd", "carrier_hz": 2.57e9, "rx_gain_db": 1.0, "tx_gain_db": 1.0}
CONFIG = {"name": "ue-a", "identity": "tel:+447700900001", "l2_id": 1, "kms": KMS}


def test_the_clock_follows_the_calendar_once_they_have_come_apart() -> None:
    clock = UeClock(1000, 1_773_144_000.0)
    clock.advance_to(2500)
    started = clock.now
    clock.set_calendar(started.utc_s + 0.9 * MAX_CALENDAR_ERROR_S, 2.5)
    assert clock.now == started
    clock.set_calendar(started.utc_s + 30.0, 32.5)
    assert (clock.now.utc_s, clock.now.mono_s) == (started.utc_s + 30.0, started.mono_s)
    assert (clock.own.utc_s, clock.own.mono_s, clock.own.counted_s) == (clock.now.utc_s, 2.5, 32.5)


def test_air_that_stands_still_is_no_jump_of_the_calendar_and_a_calendar_that_was_set_is() -> None:
    clock, held = UeClock(1000, 1_773_144_000.0), OwnClock()
    for second in range(0, 2000, 100):
        clock.advance_to(second * 500)
        clock.set_calendar(1_773_144_000.0 + second, 7000.0 + second)
        assert held.observe(clock.own) is None, "half of real time"
    clock.set_calendar(1_773_144_000.0 + 1900 + 400, 7000.0 + 1900)
    assert isinstance(held.observe(clock.own), ClockJumped)


def test_a_clock_in_error_is_off_by_the_error_alone() -> None:
    clock = UeClock(1000, 1_773_144_000.0, error_s=-600.0)
    clock.advance_to(1500)
    assert (clock.own.mono_s, clock.own.utc_s) == (1.5, clock.now.utc_s - 600.0)


def test_the_calendar_is_looked_at_before_each_step() -> None:
    seen: list[object] = []

    class Device:
        sample_rate_hz = 1000
        status = SimpleNamespace(late=0)
        reads = 0

        def read(self, n_samples: int) -> tuple[list[int], int]:
            self.reads += 1
            if self.reads > 2:
                raise EndOfSamples("over")
            return [0] * n_samples, self.reads

    fake: Any = SimpleNamespace(
        clock=SimpleNamespace(set_calendar=lambda utc_s, _machine_s: seen.append(utc_s)),
        step=lambda _iq, _first: seen.append("step") or (),
        done="",
        subframe=0,
        now=SimpleNamespace(utc_s=0.0, mono_s=0.0),
        shut_down=lambda: 0,
        close=lambda: None,
    )
    device: Any = Device()
    run(fake, device, EventStream("ue-a"), calendar=iter([5.0, 6.0]).__next__)
    assert seen == [5.0, "step", 6.0, "step"]


def test_virtual_air_is_held_to_real_time_for_programs_and_for_the_systems_calendar() -> None:
    at = {"utc_at_power_on": "2026-03-10T12:00:00Z"}
    tun = {"userplane": {"kind": "tun"}}
    assert not UeConfig.model_validate(CONFIG | at).held_to_real_time
    assert UeConfig.model_validate(CONFIG).held_to_real_time
    assert UeConfig.model_validate(CONFIG | at | tun).held_to_real_time
    assert not UeConfig.model_validate(CONFIG | tun | {"radio": SDR}).held_to_real_time


def test_nothing_jumps_when_the_machines_counter_is_first_known():
    """Signalling looks at the clock before the first samples come; a machine may have been on for months by then."""
    clock = UeClock(1000, 1_773_144_000.0)
    before = clock.own
    clock.advance_to(500)
    clock.set_calendar(1_773_144_000.5, 9_000_000.0)
    assert clock.own.counted_s - before.counted_s == pytest.approx(0.5)
    clock.set_calendar(1_773_144_002.5, 9_000_002.0)
    assert clock.own.counted_s - before.counted_s == pytest.approx(2.5)
