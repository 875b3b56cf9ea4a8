"""Common parts of the drivers of streaming radios: the count of samples, waiting reads, and late bursts.

A driver opens its radio, then passes the packets that arrive to the stitcher, with the tick of their first sample. This
class turns them into reads of any length, and keeps the rule of `TimedIqDevice` that a burst before
`earliest_write_sample` is counted as late and not sent.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import DeviceError, DeviceStatus, DeviceTimeout
from radio.devices.rx_stitching import RxStitcher

START_AFTER_S = 0.1
"""Time from the order to start until the first sample."""
TX_MARGIN_MS = 2.0
READ_TIMEOUT_S = 3.0
_RATE_TOLERANCE_HZ = 0.5


class StreamedSdr(ABC):
    """One channel of a radio, full duplex.

    Args:
        what: name of the radio in messages. sample_rate_hz: of both directions. tx_margin_ms: time that the transport
            needs between the last sample read and a burst. read_timeout_s: longest wait of a read.
    """

    def __init__(self, what: str, *, sample_rate_hz: int, tx_margin_ms: float, read_timeout_s: float) -> None:
        self.status = DeviceStatus()
        self._what = what
        self._sample_rate_hz = sample_rate_hz
        self._margin = round(tx_margin_ms * sample_rate_hz / 1000)
        self._read_timeout_s = read_timeout_s
        self._stitcher = RxStitcher()
        self._closed = False

    @property
    def sample_rate_hz(self) -> int:
        """Return the rate of the sample clock."""
        return self._sample_rate_hz

    @property
    def earliest_write_sample(self) -> int:
        """Return the end of what was read plus the margin the transport needs."""
        return self._stitcher.position + self._margin

    def read(self, n_samples: int) -> tuple[Iq, int]:
        """Return the next samples; see `TimedIqDevice.read`."""
        deadline = time.monotonic() + self._read_timeout_s
        while self._stitcher.n_ready < n_samples:
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"the {self._what} gave no samples for {self._read_timeout_s:.0f} s")
            self._read_packet()
        self._count_transmit_faults()
        return self._stitcher.take(n_samples)

    def write(self, iq: Iq, first_sample: int) -> None:
        """Send a burst; see `TimedIqDevice.write`."""
        if first_sample < self.earliest_write_sample:
            self.status.late += 1
            return
        self._send(np.ascontiguousarray(iq, dtype=np.complex64), first_sample)

    def close(self) -> None:
        """Stop; may be called twice."""
        if not self._closed:
            self._closed = True
            self._stop()

    def _check_rate(self, actual: float) -> None:
        """Raise DeviceError if the radio has chosen another rate than requested."""
        if abs(actual - self._sample_rate_hz) > _RATE_TOLERANCE_HZ:
            raise DeviceError(f"the {self._what} runs at {actual:.1f} samples/s instead of {self._sample_rate_hz}")

    def _put(self, first_sample: int, iq: Iq) -> None:
        """Take a packet; the caller must not use the array afterwards."""
        self._stitcher.put(first_sample, iq)
        self._count_overflows(self._stitcher.gaps)

    def _count_overflows(self, at_least: int) -> None:
        self.status.overflow = max(self.status.overflow, at_least)

    def _count_lost_packet(self) -> None:
        """Handle the radio's report of lost samples; the next packet shows the gap, which must not count twice."""
        self._count_overflows(self._stitcher.gaps + 1)

    @abstractmethod
    def _read_packet(self) -> None:
        """Wait a moment for a packet and `_put` it. Raises DeviceLost, DeviceError."""

    @abstractmethod
    def _send(self, samples: Iq, first_sample: int) -> None:
        """Give a burst to the radio, contiguous complex64. Raises DeviceLost."""

    @abstractmethod
    def _count_transmit_faults(self) -> None:
        """Read the radio's reports of bursts that were late or broke off, if it reports them separately."""

    @abstractmethod
    def _stop(self) -> None:
        """Stop both streams."""
