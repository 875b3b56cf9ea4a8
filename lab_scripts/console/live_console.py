"""The console of one process that a person runs: its events as lines, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from lab_scripts.console.timeline import time_of_day, told

_DROPS = {
    "discovery-dropped": "a discovery message",
    "dropped": "a PC5-S message",
    "l2-dropped": "a PDU",
    "packet-dropped": "an IP packet",
}


class LiveConsole:
    """Tells events on stderr; of what is dropped the first of each kind, since the rest says nothing new."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._dropped: set[tuple[str, str]] = set()

    def tell(self, record: Mapping[str, Any]) -> None:
        """Tell one event, if a person needs to see it."""
        what = _DROPS.get(record["event"])
        if what is None:
            line = told(record, time_of_day)
        else:
            line = self._told_drop(record, what)
        if line:
            self._console.print(line)

    def _told_drop(self, record: Mapping[str, Any], what: str) -> str | None:
        kind = record["event"], record["why"].partition(":")[0]
        if kind in self._dropped:
            return None
        self._dropped.add(kind)
        head = f"[dim]{time_of_day(record)}[/]  {record['source']:<5} [yellow]dropped[/]"
        return f"{head} {what}: {escape(record['why'])} (first)"
