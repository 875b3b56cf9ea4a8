"""The port to radios: timed samples in and out, counted in ticks of the radio's own sample clock.

Who calls what, and when: the owner opens a device through its `DeviceKind`, then in each step reads the next samples,
lets the UE work on them, and writes the bursts that the UE gives back. One thread does all this. At the end it closes
the device.

The lock-step promise. A reader that has come to sample n has promised to write nothing before `earliest_write_sample`,
which depends on n alone. A virtual air may go on as soon as all its radios have read far enough: it waits for nothing
else, and so a run does not depend on the speed of any process. A real radio keeps the same rule with the margin that
its transport needs.
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
    """No such radio, or the software that drives it is missing."""

    exit_code: ClassVar[int] = HARDWARE


class DeviceLost(DeviceError):
    """The radio was there and is gone."""

    exit_code: ClassVar[int] = HARDWARE


class DeviceTimeout(DeviceError):
    """The radio did not answer in time; the message says what is waited for."""

    exit_code: ClassVar[int] = TIMEOUT


class EndOfSamples(DeviceError):
    """The radio has no more samples: a recording is at its end or the run is over."""

    exit_code: ClassVar[int] = FAILED


Stopped = Callable[[], bool]
"""Says whether the owner of a radio has been asked to stop. A radio that waits for others asks it now and then."""


def never_stopped() -> bool:
    """The `Stopped` of an owner whom nobody stops."""
    return False


@dataclass(slots=True)
class DeviceStatus:
    """What has gone wrong so far."""

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
    """Whose time the samples of a radio keep."""

    REAL = "real"
    """An antenna: samples come at the sample rate, whether they are read or not."""
    VIRTUAL = "virtual"
    """An emulated air or a recording: samples come as fast as they are read."""
    PEERS = "the peer's"
    """Another program sets the pace."""


@runtime_checkable
class DeviceKind(Protocol):
    """One kind of radio: what it is called in a UE's configuration, its options there, and how it is opened."""

    name: str
    """The value of `device` in `[radio]`."""
    air: AirKind
    options: type[Any]
    """A frozen dataclass: the keys that `[radio]` takes beside the common ones, each with its meaning under it."""

    def open(self, options: Any, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped) -> TimedIqDevice:
        """A radio that runs.

        Args:
            options: an instance of the kind's `options`.
            ue: the name of the UE that opens it.
            sample_rate_hz: the rate that the UE's channel needs.
            stopped: once it says yes, a `read` that waits for somebody else ends with EndOfSamples, within a second.

        Raises DeviceNotFound, DeviceError for what it can't do, DeviceTimeout.
        """
