"""What groups need of a device's record: values that only rise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Marks(Protocol):
    """Values that only rise and are on disk when `raise_mark` returns; `security.device.record.DeviceRecord` is one."""

    def mark(self, name: str) -> int:
        """The highest value ever raised for this name; 0 if none."""

    def marks_named(self, prefix: str) -> Mapping[str, int]:
        """All marks whose names begin so."""

    def raise_mark(self, name: str, value: int) -> None:
        """Bring a higher value to the disk; raises a SecurityError unless it is higher and was written."""
