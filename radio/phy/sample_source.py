"""Where the samples of a recording come from: read stretch by stretch, so that a recording need not fit into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from radio.arrays import Iq
from radio.errors import RadioError


class SampleError(RadioError):
    """Samples that are no numbers."""


class SampleSource(Protocol):
    """A recording of `n_samples` samples."""

    @property
    def n_samples(self) -> int:
        """Samples in all."""
        ...

    def samples(self, first: int, n_samples: int) -> Iq:
        """Samples `first` .. of the recording, complex64, fewer at its end."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """A recording that is in memory."""

    iq: Iq = field(repr=False)

    @property
    def n_samples(self) -> int:
        return self.iq.size

    def samples(self, first: int, n_samples: int) -> Iq:
        """Samples `first` .. of the array, fewer at its end."""
        return self.iq[first : first + n_samples]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleWindow:
    """A stretch of a recording from sample `first_sample` on; before and after the recording it holds zeros.

    `iq` is scaled by a power of two so that its strongest sample is near 1: what follows may then use float32 whatever
    full scale the recording has. `has_signal` is False where every sample is zero.
    """

    iq: Iq = field(repr=False)
    first_sample: int
    has_signal: bool

    def view(self, first_sample: int, n_samples: int) -> Iq:
        """`n_samples` from `first_sample` on."""
        offset = first_sample - self.first_sample
        return self.iq[offset : offset + n_samples]


def read_window(source: SampleSource, first_sample: int, n_samples: int) -> SampleWindow:
    """Samples `first_sample` .. + `n_samples` of a recording, which they may leave on either side.

    Raises SampleError where one is no finite number.
    """
    iq = np.zeros(n_samples, dtype=np.complex64)
    begin, end = max(first_sample, 0), min(first_sample + n_samples, source.n_samples)
    if end > begin:
        part = source.samples(begin, end - begin)
        iq[begin - first_sample : begin - first_sample + part.size] = part
    parts = iq.view(np.float32)
    largest = max(float(parts.max(initial=0.0)), -float(parts.min(initial=0.0)))
    if not math.isfinite(largest):
        bad = int(np.flatnonzero(~np.isfinite(parts))[0]) // 2
        raise SampleError(f"sample {first_sample + bad} of the recording is not a finite number")
    if largest:
        parts *= np.float32(2.0 ** -math.frexp(largest)[1])
    return SampleWindow(iq=iq, first_sample=first_sample, has_signal=largest > 0)
