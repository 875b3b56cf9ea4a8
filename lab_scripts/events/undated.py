"""An event of the KMS, the emulator or the warm-up on standard output: without time and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prose_link.event_stream import event_name, fields_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UndatedEvent:
    """An event whose source does not date it."""

    event: object
    worker: str | None = None
    """The serving process of a KMS that emitted it, if there are several and the event does not name it."""

    def record(self) -> dict[str, Any]:
        """The JSON form."""
        worker = {} if self.worker is None else {"worker": self.worker}
        return {"event": event_name(type(self.event)), **fields_of(self.event), **worker}
