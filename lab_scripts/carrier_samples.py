"""The samples of a carrier at any place, as the survey takes them: from the file itself, or from a copy on disk.

A plain file at a rate that fits is read where it is. What can be read but once (a pipe, an archive), or must be changed
(another rate, an offset taken out, lost samples filled), goes through a temporary file of float32: memory stays
bounded by a block, whatever the length.
"""

from __future__ import annotations

import tempfile
from typing import IO, Self

import numpy as np

from lab_scripts.carrier_stream import CarrierStream, Reading, open_carrier
from lab_scripts.exit_codes import LabError
from radio.arrays import Iq
from radio.devices.iq_file import is_pipe
from radio.phy.numerology import Carrier

_BLOCK = 1 << 18
_SAMPLE_OCTETS = 8


class CarrierSamples:
    """`n_samples` samples of `carrier`; `samples(first, n)` gives any of them. A context manager."""

    def __init__(self, stream: CarrierStream) -> None:
        """Raises LabError, radio.errors.RadioError."""
        self.carrier: Carrier = stream.carrier
        self.change = stream.change
        self.name = stream.name
        self.n_channels = stream.n_channels
        self._stream = stream
        self._copy: IO[bytes] | None = None
        n_samples = stream.n_samples
        if not stream.is_seekable or n_samples is None:
            self._copy = tempfile.TemporaryFile(prefix="pc5lab-")  # noqa: SIM115  it lives as long as this object
            n_samples = _copied(stream, self._copy)
        self.n_samples = n_samples

    def samples(self, first: int, n_samples: int) -> Iq:
        """Samples first.. , complex64, fewer at the end."""
        if self._copy is None:
            return self._stream.samples(first, n_samples)
        self._copy.seek(first * _SAMPLE_OCTETS)
        count = max(0, min(n_samples, self.n_samples - first))
        return np.frombuffer(self._copy.read(count * _SAMPLE_OCTETS), dtype=np.complex64)

    @property
    def head(self) -> bytes | None:
        """The first octets of a recording that can be read but once, None where the file can be opened again."""
        return self._stream.head or None if is_pipe(self._stream.path) else None

    def in_file(self, sample: float) -> float:
        """A place among these samples, counted in samples of the recording."""
        return sample if self.change is None else sample * self.change.down / self.change.up

    def close(self) -> None:
        self._stream.close()
        if self._copy is not None:
            self._copy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def open_samples(reading: Reading) -> CarrierSamples:
    """Open what a user names. Raises LabError, radio.errors.RadioError."""
    stream = open_carrier(reading)
    try:
        samples = CarrierSamples(stream)
    except BaseException:
        stream.close()
        raise
    if not samples.n_samples:
        samples.close()
        raise LabError(f"{samples.name} is empty")
    return samples


def _copied(stream: CarrierStream, copy: IO[bytes]) -> int:
    """Copy a stream to its end; gives the number of samples."""
    n_samples = 0
    while (iq := stream.read(_BLOCK)).size:
        copy.write(iq.tobytes())
        n_samples += iq.size
    return n_samples
