"""Drives one UE: reads its radio, steps it, writes its bursts. The only module of the link that reads a clock.

Each round reads one subframe of samples, takes the calendar and the result of a contact with the KMS if there is one,
steps the node, and writes the bursts that it returns. The samples are the clock of everything else. In virtual time the
emulator sets the pace; if programs outside the UE take part, `WallClock` keeps the air from running ahead of real time.

A UE that is asked to stop first releases its links on the air. `StopRequest` bounds this: it ends when the releases are
done, when the air stands still, or after a fixed time. At the end the node wipes its keys, and the last event says how
many contexts still held live keys, which must be none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from prose_link.event_stream import EventStream
from prose_link.ue.events import NodeStopped, Progress
from prose_link.ue.key_renewal import KeyRenewal
from prose_link.ue.node import Node
from radio.devices.protocol import EndOfSamples, TimedIqDevice, never_stopped

_PROGRESS_EVERY_STEPS = 250
_SUBFRAME_S = 1e-3
_CATCH_UP_S = 0.020
"""Delay that a UE may catch up: half an SC period, so that programs hardly notice it."""
_STILL_S = 0.5
"""Air without a sample for this time stands still: no UE would hear a transmission now."""
_FAREWELL_S = 3.0
"""Longest time in which a UE that is asked to stop may release its links; it matters if the air is slower than real
time.
"""


@dataclass(slots=True)
class Pace:
    """Speed of the UE through its air time."""

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
    """Keeps virtual air from running ahead of real time.

    The emulator waits for its slowest UE, so one UE that waits stops all of them.
    """

    def __init__(self) -> None:
        self._due_s = 0.0

    def wait(self) -> None:
        """Wait until the next subframe is due; time lost beyond `_CATCH_UP_S` stays lost."""
        now_s = time.perf_counter()
        self._due_s = max(self._due_s + _SUBFRAME_S, now_s - _CATCH_UP_S)
        if self._due_s > now_s:
            time.sleep(self._due_s - now_s)


class StopRequest:
    """Whether a UE has been asked to stop, and how long it continues: while the air moves, and for a bounded time.

    Args:
        asked: returns whether it has been asked.
        urgently: returns whether it has been asked again since.
    """

    def __init__(self, asked: Callable[[], bool], urgently: Callable[[], bool] = never_stopped) -> None:
        self._asked = asked
        self._urgently = urgently
        self._since_s: float | None = None
        self._moved_at_s = -math.inf

    def __call__(self) -> bool:
        """Whether the UE has been asked to stop."""
        if self._since_s is None and self._asked():
            self._since_s = time.perf_counter()
        return self._since_s is not None

    def air_moves(self) -> None:
        """Samples have come."""
        self._moved_at_s = time.perf_counter()

    def is_final(self) -> bool:
        """Whether the UE has to stop now; a radio's `Stopped`, so that it ends a `read` that waits."""
        if not self() or self._since_s is None:
            return False
        if self._urgently():
            return True
        now_s = time.perf_counter()
        return now_s - self._moved_at_s > _STILL_S or now_s - self._since_s > _FAREWELL_S


def run(
    node: Node,
    device: TimedIqDevice,
    stream: EventStream,
    *,
    stop: StopRequest | None = None,
    wall_clock: WallClock | None = None,
    calendar: Callable[[], float] | None = None,
    renewal: KeyRenewal | None = None,
) -> Pace:
    """Run a UE on a radio until it is done, the radio ends, or it is asked to stop and has released its links.

    Args:
        node: the UE.
        device: its radio.
        stream: takes `Progress` and `NodeStopped`.
        stop: called once a subframe.
        wall_clock: keeps the air to real time if programs outside the UE take part.
        calendar: returns UTC (Unix time) if the UE's calendar clock is the system's.
        renewal: contacts the KMS when that is due.

    Returns:
        The speed of the run.

    Raises:
        radio.devices.protocol.DeviceError: the radio was lost or did not answer.
    """
    try:
        return _run(node, device, stream, stop or StopRequest(never_stopped), wall_clock, calendar, renewal)
    finally:
        node.close()


def _run(
    node: Node,
    device: TimedIqDevice,
    stream: EventStream,
    stop: StopRequest,
    wall_clock: WallClock | None,
    calendar: Callable[[], float] | None,
    renewal: KeyRenewal | None,
) -> Pace:
    n_samples = device.sample_rate_hz // 1000
    pace = Pace()
    why = "asked to stop"
    while True:
        if stop():
            node.leave(why)
            if node.done or stop.is_final():
                break
        try:
            iq, first_sample = device.read(n_samples)
        except EndOfSamples as end:
            why = str(end)
            break
        stop.air_moves()
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
