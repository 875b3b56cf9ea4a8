"""The port to radios: timed samples in and out, counted in ticks of the radio's own sample clock.

The calls, and when they come: the owner opens a device through its `DeviceKind`. In each step it reads the next
samples, passes them to the UE, and writes the bursts that the UE returns. One thread makes all calls. At the end it
closes the device.

The lock-step promise. A reader that has come to sample n has promised to write nothing before `earliest_write_sample`,
which depends on n alone. A virtual air may advance as soon as all its radios have read far enough. It waits for nothing
else, so a run does not depend on the speed of any process. A real radio keeps the same rule with the margin that its
transport needs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from radio.arrays import Iq
from radio.errors import FAILED, HARDWARE, TIMEOUT, RadioError


class DeviceError(RadioError):
    """A radio that can't do what it was asked for."""


class DeviceNotFound(DeviceError):
    """There is no such radio, or the software that drives it is missing."""

    exit_code: ClassVar[int] = HARDWARE


class DeviceLost(DeviceError):
    """The radio worked before and is gone."""

    exit_code: ClassVar[int] = HARDWARE


class DeviceTimeout(DeviceError):
    """The radio did not answer in time; the message says what is waited for."""

    exit_code: ClassVar[int] = TIMEOUT


class EndOfSamples(DeviceError):
    """The radio has no more samples: a recording is at its end or the run is over."""

    exit_code: ClassVar[int] = FAILED


Stopped = Callable[[], bool]
"""Returns whether the owner of a radio has been asked to stop. A radio that waits for others calls it from time to
time.
"""


def never_stopped() -> bool:
    """The `Stopped` of an owner that is never asked to stop."""
    return False


@dataclass(slots=True)
class DeviceStatus:
    """Counts of the faults so far."""

    late: int = 0
    """Bursts that came after their time and were not sent."""
    underflow: int = 0
    """Times the transmitter ran out of samples inside a burst."""
    overflow: int = 0
    """Times received samples were lost; `read` fills the gap with zeros."""


@runtime_checkable
class TimedIqDevice(Protocol):
    """A full-duplex radio. One thread uses it. Sample 0 is when its clock started; samples are complex64, O(1)."""

    status: DeviceStatus

    @property
    def sample_rate_hz(self) -> int:
        """Return the rate of the sample clock, nominally."""
        ...

    @property
    def earliest_write_sample(self) -> int:
        """Return the first sample that can still be written; it moves when `read` does."""
        ...

    def read(self, n_samples: int) -> tuple[Iq, int]:
        """Return the next (n_samples,) received samples and the clock's count at the first; they follow on each other.

        Raises EndOfSamples, DeviceLost, DeviceTimeout.
        """
        ...

    def write(self, iq: Iq, first_sample: int) -> None:
        """Send a burst, (n,) complex64, starting exactly at `first_sample`; between bursts the radio is silent.

        A burst that starts before `earliest_write_sample` is not sent but counted in `status.late`.
        """
        ...

    def close(self) -> None:
        """Stop; may be called twice."""
        ...


class AirKind(enum.Enum):
    """The time base of a radio's samples."""

    REAL = "real"
    """An antenna: samples come at the sample rate, whether they are read or not."""
    VIRTUAL = "virtual"
    """An emulated air or a recording: samples come as fast as they are read."""
    PEERS = "the peer's"
    """Another program sets the pace."""


@runtime_checkable
class DeviceKind(Protocol):
    """One kind of radio: its name in a UE's configuration, its options there, and the function that opens it."""

    name: str
    """The value of `device` in `[radio]`."""
    air: AirKind
    options: type[Any]
    """A frozen dataclass with the keys of `[radio]` besides the common ones; the string under each field is its
    meaning.
    """

    def open(self, options: Any, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped) -> TimedIqDevice:
        """Open a radio that runs.

        Args:
            options: an instance of the kind's `options`.
            ue: the name of the UE that opens it.
            sample_rate_hz: the rate that the UE's channel needs.
            stopped: once it returns True, a `read` that waits for another program ends with EndOfSamples, within a
                second.

        Raises DeviceNotFound, DeviceError for an impossible request, DeviceTimeout.
        """
