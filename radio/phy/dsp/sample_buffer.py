"""A bounded run of the latest received samples, addressed by the count of the sample clock.

A receiver works on subframes, whose starts don't fall on the blocks in which samples arrive, and it may look back: a
synchronisation signal is whole only some samples after its peak was seen. The buffer holds the last `capacity` samples
and gives views of any run among them, with no copy. Storage is twice the capacity: samples are appended until it is
full, and then what is held moves to its front, once in `capacity` samples.
"""

from __future__ import annotations

import numpy as np

from radio.arrays import Iq


class SampleBuffer:
    """The latest `capacity` samples of a stream. New samples push the oldest ones out."""

    def __init__(self, capacity: int) -> None:
        self._storage = np.empty(2 * capacity, dtype=np.complex64)
        self._capacity = capacity
        self._begin = 0
        self._end = 0
        self._first_sample = 0

    @property
    def first_sample(self) -> int:
        """Count of the oldest sample held."""
        return self._first_sample

    @property
    def end_sample(self) -> int:
        """Count of the sample that comes next."""
        return self._first_sample + self._end - self._begin

    def append(self, iq: Iq, first_sample: int) -> bool:
        """Append up to `capacity` samples, complex64 (n,), that begin at `first_sample`.

        Returns False if they do not follow directly on the last ones held. The buffer then drops the old samples first.
        """
        follows_on = first_sample == self.end_sample
        if not follows_on:
            self._begin = self._end = 0
            self._first_sample = first_sample
        if self._end + iq.size > self._storage.size:
            held = self._end - self._begin
            self._storage[:held] = self._storage[self._begin : self._end]
            self._begin, self._end = 0, held
        self._storage[self._end : self._end + iq.size] = iq
        self._end += iq.size
        self.drop_before(self.end_sample - self._capacity)
        return follows_on

    def drop_before(self, sample: int) -> None:
        """Forget all samples before `sample`."""
        n = min(max(sample - self._first_sample, 0), self._end - self._begin)
        self._begin += n
        self._first_sample += n

    def view(self, first_sample: int, n_samples: int) -> Iq | None:
        """A view of `n_samples` from `first_sample` on, complex64 (n_samples,), valid until the next `append`.

        Returns None if the buffer does not hold all of them.
        """
        offset = first_sample - self._first_sample
        if offset < 0 or self._begin + offset + n_samples > self._end:
            return None
        return self._storage[self._begin + offset : self._begin + offset + n_samples]
