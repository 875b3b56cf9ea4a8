"""A recording as samples of a sidelink carrier: from any file, at any rate, with a known offset removed.

`open_carrier(...)` opens the user's file and returns a `CarrierStream`, whose `read` returns blocks at
`carrier.sample_rate_hz` for the survey. Only one block of a recording is in memory.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from lab_scripts.exit_codes import LabError
from radio.arrays import Iq
from radio.devices.iq_file import IqOptions, open_iq
from radio.devices.iq_stream import IqStream
from radio.phy.lte.grid.numerology import Carrier, NumerologyError
from radio.phy.lte.survey.resampling import RateChange, Resampler, rate_change

MAX_RATE_HZ = 1e9
"""Higher than the sample rate of any receiver of a 20 MHz carrier."""
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The way to read a recording: its type, the width of the carrier, and its faults as the user states them."""

    path: Path
    n_prb: int
    options: IqOptions
    cfo_hz: float = 0.0
    """Offset of the recording's carrier that is taken out of it."""
    swaps_iq: bool = False
    """I and Q change places: the spectrum is mirrored."""


class NotFinite(LabError):
    """Samples that are no numbers, most often because they are of another type; `head` as of CarrierStream."""

    def __init__(self, message: str, *, hint: str, head: bytes) -> None:
        super().__init__(message, hint=hint)
        self.head = head


class CarrierStream:
    """Samples of a carrier, complex64; `n_samples` is None where only the end of the recording tells."""

    def __init__(self, stream: IqStream, reading: Reading) -> None:
        """Raises LabError: no rate is known, or none that the carrier can be found in."""
        rate = stream.sample_rate_hz
        if rate is None:
            raise LabError(f"{stream.name} does not say its sample rate", hint="give it with --rate, in Hz")
        try:
            self.change: RateChange | None = rate_change(reading.n_prb, rate)
            to_hz = rate if self.change is None else self.change.to_hz
            self.carrier = Carrier.at_rate(reading.n_prb, to_hz)
        except NumerologyError as error:
            raise LabError(
                f"{stream.name}: {error}", hint="is this the rate and bandwidth it was recorded at?"
            ) from None
        if not abs(reading.cfo_hz) < rate / 2:
            raise LabError(f"--cfo {reading.cfo_hz:g} Hz is beyond half the sample rate of {rate:g} Hz")
        self.name = stream.name
        self.path = reading.path
        self.n_channels = stream.n_channels
        self.rate_hz = rate
        self.n_samples = stream.n_samples
        if self.n_samples is not None and self.change is not None:
            self.n_samples = -(-self.n_samples * self.change.up // self.change.down)
        self._stream = stream
        self._reading = reading
        self._resampler = None if self.change is None else Resampler(self.change, reading.n_prb)
        self._ready: list[Iq] = []
        self._n_ready = 0
        self._n_in = 0
        self._is_over = False

    def read(self, n_samples: int) -> Iq:
        """The next samples, fewer than `n_samples` only at the end. Raises LabError, radio.devices.DeviceError."""
        while self._n_ready < n_samples and not self._is_over:
            self._take(self._block())
        whole = np.concatenate(self._ready) if self._ready else np.empty(0, dtype=np.complex64)
        self._ready = [whole[n_samples:]]
        self._n_ready = self._ready[0].size
        return np.asarray(whole[:n_samples], dtype=np.complex64)

    @property
    def head(self) -> bytes:
        """The first octets of a recording that can be read but once."""
        return self._stream.head

    @property
    def is_seekable(self) -> bool:
        """Whether `samples` can be had in any order: a plain file whose samples are taken as they are."""
        is_as_stored = self.change is None and not self._reading.cfo_hz and not self._reading.swaps_iq
        return is_as_stored and self._stream.is_seekable

    def samples(self, first: int, n_samples: int) -> Iq:
        """Samples first.. , where `is_seekable`. Raises LabError, radio.devices.DeviceError."""
        return self._finite(self._stream.samples(first, n_samples))

    def close(self) -> None:
        """Close the recording."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _take(self, iq: Iq) -> None:
        if self._resampler is not None:
            iq = self._resampler.finish() if self._is_over else self._resampler.push(iq)
        self._ready.append(iq)
        self._n_ready += iq.size

    def _block(self) -> Iq:
        iq = self._stream.read(_BLOCK)
        self._is_over = iq.size < _BLOCK
        iq = self._finite(iq)
        if self._reading.swaps_iq:
            iq = np.asarray(1j * np.conj(iq), dtype=np.complex64)
        if self._reading.cfo_hz:
            turns = self._reading.cfo_hz / self.rate_hz * (self._n_in + np.arange(iq.size))
            iq = np.asarray(iq * np.exp(-2j * math.pi * (turns % 1.0)), dtype=np.complex64)
        self._n_in += iq.size
        if self._is_over and self._resampler is not None:
            self._take_last(iq)
        return iq

    def _finite(self, iq: Iq) -> Iq:
        if not np.isfinite(iq.view(np.float32)).all():
            raise NotFinite(
                f"{self.name} holds values that are not finite numbers",
                hint=f"is it {self._stream.sample_type.name}? another type of samples is given with --format",
                head=self.head,
            )
        return iq

    def _take_last(self, iq: Iq) -> None:
        """The last block goes through the resampler before it is finished."""
        assert self._resampler is not None
        out = self._resampler.push(iq)
        self._ready.append(out)
        self._n_ready += out.size


def open_carrier(reading: Reading) -> CarrierStream:
    """Open what a user names. Raises LabError, radio.errors.RadioError."""
    stream = open_iq(reading.path, reading.options, stdin=getattr(sys.stdin, "buffer", None))
    try:
        return CarrierStream(stream, reading)
    except LabError:
        stream.close()
        raise


def with_format(reading: Reading, name: str) -> Reading:
    """The same recording, read as samples of another type."""
    return replace(reading, options=replace(reading.options, format=name))
