"""Radios joined in one process through the emulated air, for tests: no sockets, the same channel."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import DeviceStatus, DeviceTimeout, EndOfSamples
from radio.emulator.actions import OverTheAirAction, Tap
from radio.emulator.air import Air
from radio.emulator.lock_step import LockStepClock
from radio.emulator.scenario import Scenario


class MemoryAir:
    """The devices of a scenario's UEs, by name in `devices`.

    They may be used from one thread in turn (each may read up to `tx_lead_blocks` - 2 ms ahead of the others) or from
    a thread each: a device that reads too far ahead waits, and after `timeout_s` raises DeviceTimeout.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        actions: Sequence[OverTheAirAction] = (),
        taps: Sequence[Tap] = (),
        timeout_s: float = 5.0,
    ) -> None:
        self.air = Air(scenario, actions=actions, taps=taps)
        self.timeout_s = timeout_s
        self.changed = threading.Condition()
        self.devices = {ue.name: MemoryDevice(self, ue.name) for ue in scenario.ues}

    def close(self) -> None:
        """Close all devices and the taps."""
        for device in self.devices.values():
            device.close()
        self.air.close()

    def step(self) -> bool:
        """Mix the next block if it can be; the caller holds `changed`."""
        if self.air.waiting_for():
            return False
        for block in self.air.mix():
            self.devices[block.ue].clock.push(block.iq)
        self.changed.notify_all()
        return True


class MemoryDevice:
    """One UE's radio; see `TimedIqDevice`."""

    def __init__(self, memory_air: MemoryAir, ue: str) -> None:
        self.status = DeviceStatus()
        self._shared = memory_air
        self._ue = ue
        self._closed = False
        scenario = memory_air.air.scenario
        self.clock = LockStepClock(scenario.block_samples, scenario.tx_lead_blocks)
        memory_air.air.declare_complete(ue, self.clock.complete_to)

    @property
    def sample_rate_hz(self) -> int:
        """Return the scenario's nominal sample rate."""
        return self._shared.air.scenario.sample_rate_hz

    @property
    def earliest_write_sample(self) -> int:
        """Return the first sample that can still be written (see `lock_step`)."""
        return self.clock.complete_to

    def read(self, n_samples: int) -> tuple[Iq, int]:
        """Return the next samples; see `TimedIqDevice.read`."""
        clock, air = self.clock, self._shared.air
        end = clock.position + n_samples
        with self._shared.changed:
            while True:
                if self._closed:
                    raise EndOfSamples(f"the radio of {self._ue} is closed")
                available = min(end, clock.position + clock.n_buffered)
                air.declare_complete(self._ue, clock.advance_to(max(clock.position, min(available, end - 1))))
                self._shared.changed.notify_all()
                if available >= end:
                    return clock.pull(n_samples)
                if not self._shared.step() and not self._shared.changed.wait(self._shared.timeout_s):
                    raise DeviceTimeout(f"{self._ue} waits for {', '.join(air.waiting_for())} to read on")

    def write(self, iq: Iq, first_sample: int) -> None:
        """Send a burst; see `TimedIqDevice.write`."""
        with self._shared.changed:
            if first_sample < self.clock.complete_to:
                self.status.late += 1
                return
            self._shared.air.write(self._ue, first_sample, np.array(iq, dtype=np.complex64))

    def close(self) -> None:
        """Leave the air."""
        with self._shared.changed:
            if not self._closed:
                self._closed = True
                self._shared.air.switch_off(self._ue)
                self._shared.changed.notify_all()
