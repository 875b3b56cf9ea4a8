"""A recording as a device to read from, and a recorder that writes SigMF.

A UE with this device hears the recording and has no antenna: its bursts are dropped, and none is ever late. Time
advances as fast as the UE reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from radio.arrays import Iq
from radio.devices.iq_file import IqOptions, open_iq
from radio.devices.protocol import (
    AirKind,
    DeviceError,
    DeviceStatus,
    EndOfSamples,
    Stopped,
    never_stopped,
)

_SPECIFICATION = "1.0.0"
"""The first version that has all the fields written here."""


class SigMfFileDevice:
    """A recording played as a radio that only receives; bursts are dropped."""

    def __init__(self, path: Path | str, *, sample_rate_hz: int | None = None) -> None:
        """Raises DeviceNotFound, DeviceError (also when the file doesn't say its rate and the caller neither)."""
        self.status = DeviceStatus()
        self._stream = open_iq(path, IqOptions(sample_rate_hz=sample_rate_hz))
        rate = self._stream.sample_rate_hz
        if rate is None or rate != round(rate):
            self._stream.close()
            said = "doesn't say its sample rate: give one" if rate is None else f"has {rate} samples/s, no whole number"
            raise DeviceError(f"{path} {said}")
        self._sample_rate_hz = round(rate)
        self._position = 0

    @property
    def sample_rate_hz(self) -> int:
        """Return the recording's sample rate."""
        return self._sample_rate_hz

    @property
    def earliest_write_sample(self) -> int:
        """Return the reading position."""
        return self._position

    def read(self, n_samples: int) -> tuple[Iq, int]:
        """Return the next samples; raises EndOfSamples when fewer than `n_samples` are left."""
        first = self._position
        iq = self._stream.read(n_samples)
        self._position += len(iq)
        if len(iq) < n_samples:
            raise EndOfSamples(f"the recording ends after {self._position} samples")
        return iq, first

    def write(self, iq: Iq, first_sample: int) -> None:
        """Ignore a burst: a recording has no antenna."""

    def close(self) -> None:
        """Close the recording."""
        self._stream.close()


def write_metadata(path: Path, *, sample_rate_hz: int, description: str, first_sample: int = 0) -> None:
    """Write the SigMF metadata of a cf32_le recording."""
    document = {
        "global": {
            "core:datatype": "cf32_le",
            "core:sample_rate": sample_rate_hz,
            "core:version": _SPECIFICATION,
            "core:description": description,
            "core:recorder": "pc5lab",
            "core:offset": first_sample,
        },
        "captures": [{"core:sample_start": first_sample}],
        "annotations": [],
    }
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """A recording that the UE hears; the UE's bursts are dropped."""

    path: Path
    """A file of samples, or a SigMF recording."""


class RecordingKind:
    """The `DeviceKind` of recordings."""

    name = "sigmf"
    air = AirKind.VIRTUAL
    options = RecordingOptions

    def open(
        self, options: RecordingOptions, *, ue: str, sample_rate_hz: int, stopped: Stopped = never_stopped
    ) -> SigMfFileDevice:
        """Open the file; see `DeviceKind.open`."""
        return SigMfFileDevice(options.path, sample_rate_hz=sample_rate_hz)


KIND = RecordingKind()
