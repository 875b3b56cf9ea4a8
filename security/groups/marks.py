"""The port of groups to a device's record: values that only rise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Marks(Protocol):
    """Values that only rise and are on disk when `raise_mark` returns; `security.device.record.DeviceRecord` is one."""

    def mark(self, name: str) -> int:
        """The highest value recorded for this name; 0 if there is none."""

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin with this prefix."""

    def raise_mark(self, name: str, value: int) -> None:
        """Write a higher value to the disk. Raises a SecurityError unless it is higher and was written."""
