"""IQ files: SigMF recordings and bare interleaved float32, as a device to read from, and a recorder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from radio.arrays import Iq
from radio.devices.protocol import DeviceError, DeviceNotFound, DeviceStatus, EndOfSamples
from radio.emulator.actions import AirBlock
from radio.emulator.scenario import Scenario

_DATATYPES = {"cf32_le": ("<f4", 1.0), "ci16_le": ("<i2", 2.0**-15), "ci8": ("i1", 2.0**-7)}
"""SigMF datatypes that can be read: numpy's name of a component and the factor to full scale 1."""
_BARE_SUFFIXES = (".cf32", ".fc32", ".dat", ".iq")


class IqFile:
    """A recording to be read: `sample_rate_hz` (None if nobody said), `n_samples`, `samples(first, n)`.

    `path` is a SigMF data or metadata file, or interleaved little-endian float32 (`.cf32`, `.fc32`, `.dat`, `.iq`).
    """

    def __init__(self, path: Path, *, sample_rate_hz: int | None = None) -> None:
        """Raises DeviceNotFound for a missing file, DeviceError for one that can't be understood."""
        datatype = "cf32_le"
        if path.suffix in (".sigmf-meta", ".sigmf-data"):
            metadata = _read_metadata(path.with_suffix(".sigmf-meta"))
            datatype = str(metadata.get("core:datatype"))
            recorded = metadata.get("core:sample_rate")
            sample_rate_hz = sample_rate_hz or (round(recorded) if isinstance(recorded, int | float) else None)
            path = path.with_suffix(".sigmf-data")
        elif path.suffix not in _BARE_SUFFIXES:
            raise DeviceError(f"{path}: IQ files end in .sigmf-meta, .sigmf-data or {', '.join(_BARE_SUFFIXES)}")
        if datatype not in _DATATYPES:
            raise DeviceError(f"{path}: datatype {datatype!r} can't be read; {', '.join(_DATATYPES)} can")
        dtype, self._scale = _DATATYPES[datatype]
        self._path, self._dtype = path, np.dtype(dtype)
        self.sample_rate_hz = sample_rate_hz
        try:
            octets = path.stat().st_size
            width = 2 * np.dtype(dtype).itemsize
            self.n_samples = octets // width
        except OSError as error:
            raise DeviceNotFound(f"can't read {path}: {error.strerror or error}") from None
        if octets % width:
            raise DeviceError(f"{path} has {octets} octets, not a whole number of {datatype} samples of {width} octets")

    def samples(self, first: int, n_samples: int) -> Iq:
        """Return samples first.. of the file, fewer at its end."""
        try:
            octets = 2 * self._dtype.itemsize
            stored = np.fromfile(self._path, self._dtype, count=2 * n_samples, offset=octets * first)
        except OSError as error:
            raise DeviceError(f"can't read {self._path}: {error.strerror or error}") from None
        part = np.ascontiguousarray(stored[: stored.size // 2 * 2], dtype=np.float32)
        if self._scale != 1.0:
            part = part * np.float32(self._scale)
        return part.view(np.complex64).reshape(-1)


class IqFileSource:
    """The samples of a file, from its first to its last."""

    def __init__(self, file: IqFile) -> None:
        self._file = file
        self._position = 0

    def read(self, n_samples: int) -> Iq:
        """The next samples, fewer than `n_samples` only at the end."""
        iq = self._file.samples(self._position, n_samples)
        self._position += iq.size
        return iq


class SigMfFileDevice:
    """A recording played as a radio that only receives; what is written goes nowhere."""

    def __init__(self, path: Path | str, *, sample_rate_hz: int | None = None) -> None:
        """Raises DeviceNotFound, DeviceError (also when the file doesn't say its rate and the caller neither)."""
        self.status = DeviceStatus()
        self._file = IqFile(Path(path), sample_rate_hz=sample_rate_hz)
        if self._file.sample_rate_hz is None:
            raise DeviceError(f"{path} doesn't say its sample rate: give one")
        self._sample_rate_hz = self._file.sample_rate_hz
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
        iq = self._file.samples(first, n_samples)
        if len(iq) < n_samples:
            raise EndOfSamples(f"the recording ends after {self._file.n_samples} samples")
        self._position += n_samples
        return iq, first

    def write(self, iq: Iq, first_sample: int) -> None:
        """Ignore a burst: a recording has no antenna."""

    def close(self) -> None:
        """Do nothing: the file is only mapped."""


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
            "core:version": "1.0.0",
            "core:description": description,
            "core:recorder": "pc5lab",
            "core:offset": first_sample,
        },
        "captures": [{"core:sample_start": first_sample}],
        "annotations": [],
    }
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_text(json.dumps(document, indent=1) + os.linesep, encoding="utf-8")
    temporary.replace(path)


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeviceNotFound(f"can't read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DeviceError(f"{path} is not JSON: {error}") from None
    described = document.get("global") if isinstance(document, dict) else None
    if not isinstance(described, dict):
        raise DeviceError(f"{path} has no SigMF 'global' object")
    return described
