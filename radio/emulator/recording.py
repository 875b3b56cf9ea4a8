"""Records the samples of each UE on the emulated air, as SigMF recordings."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from radio.devices.protocol import DeviceError
from radio.devices.sigmf_file import write_metadata
from radio.emulator.actions import AirBlock
from radio.emulator.scenario import Scenario


class SigMfRecorder:
    """A tap that records the samples of each UE, one SigMF recording per UE, each at most `max_ms` long."""

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
