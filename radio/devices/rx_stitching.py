"""Packets of received samples with time stamps made into one unbroken stream.

A radio gives packets, each with the time of its first sample. Between two of them samples may be missing (an overflow),
or be there twice. The port asks for samples that follow on each other, with true time: a gap is filled with zeros and
counted, what overlaps is dropped, and a jump of seconds is not a gap but a clock that was set, which is an error.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import DeviceLost

MAX_GAP_SAMPLES = 1 << 26
"""More than a few seconds missing is not an overflow but a clock that jumped."""


class RxStitcher:
    """Takes packets and returns samples; it counts gaps and fills them with zeros."""

    def __init__(self) -> None:
        self._packets: deque[Iq] = deque()
        self._next_in = 0
        self.position = 0
        self.gaps = 0

    @property
    def n_ready(self) -> int:
        """Samples that can be taken."""
        return self._next_in - self.position

    def put(self, first_sample: int, iq: Iq) -> None:
        """Take a packet; what overlaps with samples already there is dropped. Raises DeviceLost when time jumps."""
        missing = first_sample - self._next_in
        if missing > MAX_GAP_SAMPLES:
            raise DeviceLost(f"the radio's clock jumped from sample {self._next_in} to {first_sample}")
        if missing > 0:
            self.gaps += 1
            self._append(np.zeros(missing, dtype=np.complex64))
        self._append(iq[max(0, -missing) :])

    def take(self, n_samples: int) -> tuple[Iq, int]:
        """Return the next samples and the count at the first; at least `n_samples` must be ready."""
        first = self.position
        out = np.empty(n_samples, dtype=np.complex64)
        filled = 0
        while filled < n_samples:
            head = self._packets.popleft()
            part = head[: n_samples - filled]
            out[filled : filled + len(part)] = part
            if len(part) < len(head):
                self._packets.appendleft(head[len(part) :])
            filled += len(part)
        self.position += n_samples
        return out, first

    def _append(self, iq: Iq) -> None:
        if len(iq):
            self._packets.append(iq)
            self._next_in += len(iq)
