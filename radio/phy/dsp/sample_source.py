"""Sources of recorded samples, read stretch by stretch, so that a recording need not fit into memory.

A survey looks at a recording in stretches that overlap: what begins near the end of one stretch is whole in the next.
`WindowReader` gives each stretch with a margin before and after it, zeros where the recording has not begun or has
ended, and reads the source once, from its beginning to its end, which may be a pipe. A window whose strongest sample is
far from 1 is scaled by a power of two, since receivers work in float32 and recordings come in any full scale; a scale
by a power of two loses nothing. A sample that is no finite number is an error that names its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from radio.arrays import Iq
from radio.errors import RadioError

_MAX_EXPONENT = 126
"""Of a scale that float32 holds."""
_LARGEST, _SMALLEST = 2.0**10, 2.0**-10
"""Windows whose strongest sample is between these are left as they are."""


class SampleError(RadioError):
    """Samples that are not finite numbers."""


class SampleSource(Protocol):
    """A recording that is read once, from its beginning to its end."""

    def read(self, n_samples: int) -> Iq:
        """The next samples, complex64 (n,) with n at most `n_samples`; an empty array only at the end."""
        ...


@dataclass(slots=True, eq=False)
class ArraySource:
    """A recording that is in memory."""

    iq: Iq = field(repr=False)
    _position: int = 0

    def read(self, n_samples: int) -> Iq:
        """The next samples of the array, complex64 (n,): fewer than `n_samples` only at its end."""
        part = self.iq[self._position : self._position + n_samples]
        self._position += part.size
        return part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleWindow:
    """A stretch of a recording, samples `begin` to `end` (exclusive), with margins on either side.

    `iq` begins at sample `first_sample`; before and after the recording it holds zeros. Its strongest sample is not far
    from 1: what follows may use float32 whatever full scale the recording has. It is good until the next window is
    read. `recording_end` is the number of samples of the whole recording as far as it is known: more than the window
    holds where the recording goes on. `has_signal` is False where every sample is zero.
    """

    iq: Iq = field(repr=False)
    first_sample: int
    begin: int
    end: int
    recording_end: int
    has_signal: bool

    @property
    def is_last(self) -> bool:
        """Whether the recording ends in this stretch."""
        return self.end == self.recording_end

    def view(self, first_sample: int, n_samples: int) -> Iq:
        """Samples of the window from `first_sample` on, complex64 (n_samples,)."""
        offset = first_sample - self.first_sample
        return self.iq[offset : offset + n_samples]


class WindowReader:
    """Reads a source in stretches of `stretch` samples, with `before` and `after` more on either side.

    It holds the samples of one window.
    """

    def __init__(self, source: SampleSource, *, before: int, stretch: int, after: int) -> None:
        self._source = source
        self._before, self._stretch, self._after = before, stretch, after
        self._held = np.zeros(before + stretch + after, dtype=np.complex64)
        """Samples as read, the end of the last window at the end."""
        self._n_read = 0
        self._begin = 0
        self._is_over = False

    def next(self) -> SampleWindow | None:
        """The next window, None after the last. Raises SampleError where a sample is not a finite number."""
        n_new = self._stretch if self._n_read else self._stretch + self._after
        if self._begin and self._is_over and self._begin >= self._n_read:
            return None
        self._held[:-n_new] = self._held[n_new:]
        self._fill(self._held[-n_new:])
        if not self._n_read:
            return None
        begin = self._begin
        self._begin += self._stretch
        iq, has_signal = self._scaled(begin - self._before)
        return SampleWindow(
            iq=iq,
            first_sample=begin - self._before,
            begin=begin,
            end=min(begin + self._stretch, self._n_read),
            recording_end=self._n_read,
            has_signal=has_signal,
        )

    def _fill(self, room: Iq) -> None:
        """Read as many samples as the source has for the window, and put zeros after its end."""
        filled = 0
        while filled < room.size and not self._is_over:
            part = self._source.read(room.size - filled)
            room[filled : filled + part.size] = part
            filled += part.size
            self._is_over = not part.size
        room[filled:] = 0
        self._n_read += filled

    def _scaled(self, first_sample: int) -> tuple[Iq, bool]:
        parts = self._held.view(np.float32)
        largest = max(float(parts.max()), -float(parts.min()))
        if not math.isfinite(largest):
            bad = int(np.flatnonzero(~np.isfinite(parts))[0]) // 2
            raise SampleError(f"sample {first_sample + bad} of the recording is not a finite number")
        if not largest:
            return self._held, False
        if _SMALLEST <= largest <= _LARGEST:
            return self._held, True
        exponent = min(max(-math.frexp(largest)[1], -_MAX_EXPONENT), _MAX_EXPONENT)
        return (parts * np.float32(2.0**exponent)).view(np.complex64), True
