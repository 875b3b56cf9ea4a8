"""One packet of a capture, of whatever format the file was."""

from __future__ import annotations

from dataclasses import dataclass

from lab_scripts.capture.pcapng import Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet of a capture; `time_ns` since the Unix epoch, None if the file holds no time of it."""

    number: int
    interface: Interface
    time_ns: int | None
    data: bytes
    comment: str = ""
