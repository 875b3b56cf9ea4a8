"""Drives one UE: reads its radio, steps it, writes its bursts. The only place of the link that looks at a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from prose_link.event_stream import EventStream
from prose_link.ue.events import NodeStopped, Progress
from prose_link.ue.key_renewal import KeyRenewal
from prose_link.ue.node import Node
from radio.devices.protocol import EndOfSamples, TimedIqDevice

_PROGRESS_EVERY_STEPS = 250
_SUBFRAME_S = 1e-3
_CATCH_UP_S = 0.020
"""What a UE that was held up may make good: half an SC period, so that programs hardly see it."""


@dataclass(slots=True)
class Pace:
    """How fast the UE goes through its air time."""

    steps: int = 0
    busy_s: float = 0.0
    started_s: float = 0.0

    @property
    def ms_per_subframe(self) -> float:
        """Mean processing time of one subframe, waiting for samples not counted."""
        return 1e3 * self.busy_s / self.steps if self.steps else 0.0

    def real_time_factor(self, now_s: float) -> float:
        """Air seconds per wall second since the first samples came."""
        return 1e-3 * self.steps / max(now_s - self.started_s, 1e-9)


class WallClock:
    """Holds virtual air to real time: the emulator waits for its slowest UE, so one that waits holds all."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def wait(self) -> None:
        """Wait until the next subframe is due; time lost beyond `_CATCH_UP_S` stays lost."""
        now_s = time.perf_counter()
        self._due_s = max(self._due_s + _SUBFRAME_S, now_s - _CATCH_UP_S)
        if self._due_s > now_s:
            time.sleep(self._due_s - now_s)


def run(
    node: Node,
    device: TimedIqDevice,
    stream: EventStream,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    wall_clock: WallClock | None = None,
    calendar: Callable[[], float] | None = None,
    renewal: KeyRenewal | None = None,
) -> Pace:
    """Run a UE on a radio until it is done, the radio ends, or it is asked to stop.

    Args:
        node: the UE.
        device: its radio.
        stream: where `Progress` and `NodeStopped` go.
        should_stop: looked at once a subframe.
        wall_clock: holds the air to real time, where programs outside the UE take part.
        calendar: tells UTC (Unix time), where the UE's calendar clock is the system's.
        renewal: contacts the KMS when that is due.

    Returns:
        How fast it went.

    Raises:
        radio.devices.protocol.DeviceError: the radio was lost or did not answer.
    """
    try:
        return _run(node, device, stream, should_stop, wall_clock, calendar, renewal)
    finally:
        node.close()


def _run(
    node: Node,
    device: TimedIqDevice,
    stream: EventStream,
    should_stop: Callable[[], bool],
    wall_clock: WallClock | None,
    calendar: Callable[[], float] | None,
    renewal: KeyRenewal | None,
) -> Pace:
    n_samples = device.sample_rate_hz // 1000
    pace = Pace()
    why = "asked to stop"
    while not should_stop():
        try:
            iq, first_sample = device.read(n_samples)
        except EndOfSamples as end:
            why = str(end)
            break
        if wall_clock is not None:
            wall_clock.wait()
        if calendar is not None:
            node.clock.set_calendar(calendar(), time.clock_gettime(time.CLOCK_BOOTTIME))
        if renewal is not None:
            renewal.step(node)
        began_s = time.perf_counter()
        pace.started_s = pace.started_s or began_s
        for burst, at_sample in node.step(iq, first_sample):
            device.write(burst, at_sample)
        now_s = time.perf_counter()
        pace.steps += 1
        pace.busy_s += now_s - began_s
        if pace.steps % _PROGRESS_EVERY_STEPS == 0:
            stream.emit(_progress(node, pace, now_s), node.now)
        if node.done:
            why = node.done
            break
    live_contexts = node.shut_down()
    stopped = NodeStopped(why=why, subframes=pace.steps, live_contexts=live_contexts, late_bursts=device.status.late)
    stream.emit(_progress(node, pace, time.perf_counter()), node.now)
    stream.emit(stopped, node.now)
    return pace


def _progress(node: Node, pace: Pace, now_s: float) -> Progress:
    return Progress(
        subframe=node.subframe,
        real_time_factor=round(pace.real_time_factor(now_s), 4),
        cpu_ms_per_subframe=round(pace.ms_per_subframe, 4),
    )
