"""The samples of one recording as a stream: in order and in blocks, with the zeros that stand for lost samples.

`radio.devices.iq_file` opens a recording and says what it is made of: a list of pieces, each some octets to skip, zeros
to insert, and samples to read. The stream does these in order. It reads at most 16 MiB of the file at a time, and its
memory grows with what the caller asks for, not with the length of the recording. A plain file of one piece can also be
read at any place. Of every other source the stream keeps the first octets, because a pipe can't be read a second time.

A recording that ends within a sample, or before the last sample that it promises, raises DeviceError with the reason: a
recording that was cut short must not look like a whole one.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import DeviceError
from radio.devices.sample_types import SampleType
from radio.devices.sigmf_archive import DAMAGED

_MAX_READ_OCTETS = 16 << 20
_KEPT_OCTETS = 24 << 20
"""A tenth of a second at the highest rate in float32: enough to look at the beginning of a pipe again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Octets to skip, zeros to insert, then samples to read; `n_samples` None: to the end."""

    skipped_octets: int
    filled_samples: int
    n_samples: int | None


class IqStream:
    """Samples of one channel of a recording: in order with `read`, or, if the file allows it, with `samples`.

    Use as a context manager, or close it. `n_samples` is None if only the end of the stream shows it.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        name: str,
        kind: SampleType,
        sample_rate_hz: float | None,
        n_samples: int | None,
        pieces: Sequence[Piece],
        n_channels: int = 1,
        channel: int = 0,
    ) -> None:
        self.name = name
        self.sample_type = kind
        self.sample_rate_hz = sample_rate_hz
        self.n_samples = n_samples
        self.n_channels = n_channels
        self.channel = channel
        self._file = file
        self._pieces = list(pieces)
        alone = self._pieces[0] if len(self._pieces) == 1 and not self._pieces[0].filled_samples else None
        self._first_octet = alone.skipped_octets if alone and _is_plain(file) else None
        self._to_fill = 0
        self._left: int | None = 0
        self._kept: list[bytes] = []
        self._to_keep = 0 if _is_plain(file) else _KEPT_OCTETS

    def read(self, n_samples: int) -> Iq:
        """The next samples, complex64, fewer than `n_samples` only at the end, none after it.

        Raises DeviceError where the recording ends within a sample or can't be read on.
        """
        parts: list[Iq] = []
        wanted = n_samples
        while wanted:
            part = self._next(wanted)
            if part is None:
                break
            parts.append(part)
            wanted -= part.size
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.complex64)

    def read_octets(self, n_octets: int) -> bytes:
        """The next octets as they are stored; for a look at a recording that is opened for nothing else."""
        while self._pieces and self._left == 0:
            self._begin(self._pieces.pop(0))
        return self._read(n_octets)

    @property
    def is_seekable(self) -> bool:
        """Whether `samples` can be had in any order: one piece of a file that can be read at any place."""
        return self.n_samples is not None and self._first_octet is not None

    def samples(self, first: int, n_samples: int) -> Iq:
        """Samples first.. , complex64, fewer at the end; only where `is_seekable`, and not mixed with `read`."""
        if self._first_octet is None or self.n_samples is None:
            raise DeviceError(f"{self.name} can only be read from its beginning to its end")
        count = max(0, min(n_samples, self.n_samples - first))
        width = self.sample_type.octets * self.n_channels
        self._file.seek(self._first_octet + first * width)
        octets = self._read(count * width)
        if len(octets) < count * width:
            raise DeviceError(f"{self.name} became shorter while it was read")
        return self.sample_type.to_complex64(octets, n_channels=self.n_channels, channel=self.channel)

    @property
    def head(self) -> bytes:
        """The first octets read from a source that can be read only once; empty for a plain file."""
        return b"".join(self._kept)

    def close(self) -> None:
        """Close the file; samples that were read stay valid."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _next(self, wanted: int) -> Iq | None:
        """Some of the samples wanted, None at the end."""
        while self._left == 0 and not self._to_fill:
            if not self._pieces:
                return None
            self._begin(self._pieces.pop(0))
        if self._to_fill:
            filled = min(wanted, self._to_fill)
            self._to_fill -= filled
            return np.zeros(filled, dtype=np.complex64)
        width = self.sample_type.octets * self.n_channels
        count = min(wanted if self._left is None else min(wanted, self._left), max(1, _MAX_READ_OCTETS // width))
        octets = self._read(count * width)
        whole = len(octets) // width
        if len(octets) % width:
            raise DeviceError(
                f"{self.name} ends with {len(octets) % width} octets that are no whole {self.sample_type.name} sample "
                f"of {width} octets"
            )
        if whole < count:
            if self._left is not None:
                raise DeviceError(f"{self.name} ends {self._left - whole} samples before it should: it is cut short")
            self._pieces.clear()
            self._left = 0
        elif self._left is not None:
            self._left -= whole
        return self.sample_type.to_complex64(octets, n_channels=self.n_channels, channel=self.channel)

    def _begin(self, piece: Piece) -> None:
        left = piece.skipped_octets
        while left:
            passed = len(self._read(min(left, 1 << 20)))
            if not passed:
                raise DeviceError(f"{self.name} ends within the {piece.skipped_octets} octets in front of its samples")
            left -= passed
        self._to_fill, self._left = piece.filled_samples, piece.n_samples

    def _read(self, n_octets: int) -> bytes:
        """Octets of the file, fewer than asked for only at its end."""
        chunks: list[bytes] = []
        left = n_octets
        try:
            while left:
                chunk = self._file.read(left)
                if not chunk:
                    break
                chunks.append(chunk)
                left -= len(chunk)
                if self._to_keep > 0:
                    self._kept.append(chunk[: self._to_keep])
                    self._to_keep -= len(chunk)
        except (OSError, EOFError, ValueError, *DAMAGED) as error:
            raise DeviceError(f"{self.name} can't be read on: {error}") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_plain(file: BinaryIO) -> bool:
    """Whether a file is an ordinary file of the file system, not a pipe and not a part of an archive."""
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and isinstance(file, io.BufferedReader | io.FileIO)
    except (OSError, AttributeError, ValueError):
        return False
