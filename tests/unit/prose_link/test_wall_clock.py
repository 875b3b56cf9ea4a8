"""Virtual air held to real time, on a clock the test turns."""

import pytest

from prose_link.ue import runtime
from prose_link.ue.runtime import WallClock


class Clock:
    """Stands for `time`: moves only when the code sleeps or works."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(runtime, "time", made)
    return made


def spend(clock: Clock, wall_clock: WallClock, subframes: int, work_s: float) -> float:
    began_s = clock.now_s
    for _ in range(subframes):
        wall_clock.wait()
        clock.now_s += work_s
    return clock.now_s - began_s


def test_a_quick_ue_takes_a_second_for_a_second_of_air(clock: Clock) -> None:
    assert spend(clock, WallClock(), 1000, 0.0002) == pytest.approx(0.98, abs=0.003)


def test_a_slow_ue_is_not_held_up(clock: Clock) -> None:
    assert spend(clock, WallClock(), 1000, 0.002) == pytest.approx(2.0)


def test_lost_time_is_made_good_within_bounds_only(clock: Clock) -> None:
    wall_clock = WallClock()
    spend(clock, wall_clock, 100, 0.0002)
    clock.now_s += 5.0
    assert spend(clock, wall_clock, 1000, 0.0002) == pytest.approx(0.98, abs=0.003)
