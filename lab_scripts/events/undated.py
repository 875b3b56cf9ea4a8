"""An event as the KMS, the emulator and the warm-up put it on their standard output: without time and source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prose_link.event_stream import event_name, fields_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UndatedEvent:
    """An event whose source does not date it."""

    event: object
    worker: str | None = None
    """The serving process of a KMS that tells it, where there are several and the event itself does not say."""

    def record(self) -> dict[str, Any]:
        """The JSON form."""
        worker = {} if self.worker is None else {"worker": self.worker}
        return {"event": event_name(type(self.event)), **fields_of(self.event), **worker}
