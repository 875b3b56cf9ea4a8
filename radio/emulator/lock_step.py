"""The rule that makes emulated runs repeatable: how far its writing has to be ahead of its reading."""

from __future__ import annotations

from collections import deque

import numpy as np

from radio.arrays import Iq


class LockStepClock:
    """Counts what a UE has read, and from that which of its samples can still be written.

    After a read that ended in block k (of its own clock), writes may start in block k + `lead_blocks` at the earliest:
    a UE that has received subframe n may send subframe n + 4. The rule looks at the UE's own counters only.
    """

    def __init__(self, block_samples: int, lead_blocks: int) -> None:
        self._block = block_samples
        self._lead = lead_blocks
        self._buffer: deque[Iq] = deque()
        self._buffered = 0
        self.position = 0
        self.complete_to = lead_blocks * block_samples

    @property
    def n_buffered(self) -> int:
        """Samples received and not read yet."""
        return self._buffered

    def advance_to(self, position: int) -> int:
        """Note that reading has come to `position` with more to come; return up to where writing is closed."""
        self.complete_to = max(self.complete_to, (position // self._block + self._lead) * self._block)
        return self.complete_to

    def push(self, iq: Iq) -> None:
        """Add received samples."""
        self._buffer.append(iq)
        self._buffered += len(iq)

    def pull(self, n_samples: int) -> tuple[Iq, int]:
        """Return `n_samples` of the received samples, and the count at the first."""
        first = self.position
        self.position += n_samples
        self._buffered -= n_samples
        if self._buffer and len(self._buffer[0]) == n_samples:
            return self._buffer.popleft(), first
        out = np.empty(n_samples, dtype=np.complex64)
        filled = 0
        while filled < n_samples:
            head = self._buffer.popleft()
            take = min(len(head), n_samples - filled)
            out[filled : filled + take] = head[:take]
            if take < len(head):
                self._buffer.appendleft(head[take:])
            filled += take
        return out, first
