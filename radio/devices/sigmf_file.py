"""A recording as a device to read from, and a recorder that writes SigMF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

from radio.arrays import Iq
from radio.devices.iq_file import IqOptions, open_iq
from radio.devices.protocol import DeviceError, DeviceStatus, EndOfSamples
from radio.emulator.actions import AirBlock
from radio.emulator.scenario import Scenario

_SPECIFICATION = "1.0.0"
"""The first version that has all the fields written here."""


class SigMfFileDevice:
    """A recording played as a radio that only receives; what is written goes nowhere."""

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


class SigMfRecorder:
    """A tap that records what each UE hears, one SigMF recording per UE, each at most `max_ms` long."""

    def __init__(self, folder: Path, scenario: Scenario, *, max_ms: int) -> None:
        """Create the folder; raises DeviceError when that fails."""
        self._folder = folder
        self._scenario = scenario
        self._max_samples = max_ms * scenario.block_samples
        self._files: dict[str, BinaryIO] = {}
        self._written: dict[str, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeviceError(f"can't record into {folder}: {error.strerror or error}") from None

    def block(self, block: AirBlock) -> None:
        """Append one block to its UE's recording."""
        if block.ue not in self._files:
            self._files[block.ue] = (self._folder / f"{block.ue}.sigmf-data").open("wb")
            self._written[block.ue] = 0
            write_metadata(
                self._folder / f"{block.ue}.sigmf-meta",
                sample_rate_hz=self._scenario.sample_rate_hz,
                description=f"{block.ue} in scenario {self._scenario.name}, seed {self._scenario.seed}",
                first_sample=block.first_sample,
            )
        room = self._max_samples - self._written[block.ue]
        if room > 0:
            part = block.iq[:room]
            self._files[block.ue].write(part.astype("<c8", copy=False).tobytes())
            self._written[block.ue] += len(part)

    def close(self) -> None:
        """Finish the recordings."""
        for file in self._files.values():
            file.close()


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
