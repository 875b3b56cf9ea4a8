"""A radio as the UE sees it: timed samples in and out, counted in ticks of its own sample clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from radio.arrays import Iq
from radio.errors import RadioError


class DeviceError(RadioError):
    """A radio that can't do what it was asked for."""


class DeviceNotFound(DeviceError):
    """No such radio, or the software that drives it is missing."""


class DeviceLost(DeviceError):
    """The radio was there and is gone."""


class DeviceTimeout(DeviceError):
    """The radio did not answer in time; the message says who is waited for."""


class EndOfSamples(DeviceError):
    """The radio has no more samples: a recording is at its end or the run is over."""


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
