"""A UE that is asked to stop goes on while its air moves, for a bounded time, and ends at once if it stands still."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.event_stream import EventStream
from prose_link.ue.events import NodeStopped
from prose_link.ue.runtime import StopRequest, run
from radio.devices.protocol import EndOfSamples


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", made)
    return made


class Node:
    """Leaves, and is done `steps_to_leave` steps later."""

    def __init__(self, steps_to_leave: int) -> None:
        self.clock = SimpleNamespace()
        self.done = ""
        self.subframe = 0
        self.now = SimpleNamespace(utc_s=0.0, mono_s=0.0)
        self.left: list[str] = []
        self.steps = 0
        self._steps_to_leave = steps_to_leave

    def leave(self, why: str) -> None:
        self.left.append(why)
        self._finish_if_due()

    def step(self, _iq: list[int], _first: int) -> list[Any]:
        self.steps += 1
        if self.left:
            self._steps_to_leave -= 1
            self._finish_if_due()
        return []

    def shut_down(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _finish_if_due(self) -> None:
        if self._steps_to_leave <= 0:
            self.done = "asked to stop"


class Device:
    """Air of 1 ms a read; from `still_from` reads on it waits until its owner has stopped."""

    sample_rate_hz = 1000
    status = SimpleNamespace(late=0)

    def __init__(self, clock: Clock, stop: StopRequest, step_s: float = 1e-3, still_from: int = 1 << 30) -> None:
        self._clock, self._stop, self._step_s, self._still_from = clock, stop, step_s, still_from
        self.reads = 0

    def read(self, n_samples: int) -> tuple[list[int], int]:
        self.reads += 1
        if self.reads > self._still_from:
            while not self._stop.is_final():
                self._clock.now_s += 0.05
            raise EndOfSamples("asked to stop")
        self._clock.now_s += self._step_s
        return [0] * n_samples, self.reads


def stopped(node: Node, clock: Clock, asked_at_s: float, **air: Any) -> tuple[NodeStopped, float]:
    """Run until the end; returns what was told of it, and how long after the request it came."""
    told: list[Any] = []
    stop = StopRequest(lambda: clock.now_s >= asked_at_s)
    fake: Any = node
    device: Any = Device(clock, stop, **air)
    run(fake, device, EventStream("ue-a", told.append), stop=stop)
    (end,) = [one.event for one in told if isinstance(one.event, NodeStopped)]
    return end, clock.now_s - asked_at_s


def test_it_goes_on_until_its_links_are_released(clock: Clock) -> None:
    node = Node(steps_to_leave=80)
    end, took_s = stopped(node, clock, 100.010)
    assert end.why == "asked to stop" and set(node.left) == {"asked to stop"}
    assert took_s == pytest.approx(0.080, abs=0.003)


def test_without_a_link_it_ends_before_another_read(clock: Clock) -> None:
    node = Node(steps_to_leave=0)
    _end, took_s = stopped(node, clock, 100.010)
    assert took_s < 0.002


def test_air_that_stands_still_already_ends_it_at_once(clock: Clock) -> None:
    node = Node(steps_to_leave=80)
    end, took_s = stopped(node, clock, 110.0, still_from=5)
    assert node.steps == 5 and end.why == "asked to stop"
    assert took_s < 0.1


def test_air_that_falls_still_under_the_farewell_ends_it_within_half_a_second(clock: Clock) -> None:
    node = Node(steps_to_leave=80)
    _end, took_s = stopped(node, clock, 100.010, still_from=30)
    assert took_s < 0.6


def test_air_much_slower_than_real_time_cuts_the_farewell_short(clock: Clock) -> None:
    node = Node(steps_to_leave=80)
    _end, took_s = stopped(node, clock, 100.5, step_s=0.1)
    assert not node.done and took_s < 3.3


def test_who_asks_again_is_not_kept_waiting(clock: Clock) -> None:
    node = Node(steps_to_leave=80)
    told: list[Any] = []
    stop = StopRequest(lambda: clock.now_s >= 100.010, lambda: clock.now_s >= 100.030)
    fake: Any = node
    device: Any = Device(clock, stop)
    run(fake, device, EventStream("ue-a", told.append), stop=stop)
    assert clock.now_s - 100.010 == pytest.approx(0.020, abs=0.003)
    assert told[-1].event.why == "asked to stop"


def test_asking_again_is_nothing_to_one_that_was_not_asked() -> None:
    assert not StopRequest(lambda: False, lambda: True).is_final()


def test_nobody_waits_for_a_radio_that_has_never_brought_a_sample(clock: Clock) -> None:
    assert StopRequest(lambda: True).is_final()
    assert not StopRequest(lambda: False).is_final()
    assert clock.now_s == 100.0
