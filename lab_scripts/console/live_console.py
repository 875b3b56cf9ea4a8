"""The console of one process that a person runs: its events as lines, as they come."""

from __future__ import annotations

from typing import Final, TypeAlias

from rich.console import Console
from rich.markup import escape

from lab_scripts.console.timeline import time_of_day, told
from lab_scripts.events.selection import AnyEvent
from prose_link.discovery.events import DiscoveryDropped
from prose_link.pc5s.core.events import Dropped
from prose_link.ue.events import L2Dropped
from prose_link.userplane.events import PacketDropped

_Drop: TypeAlias = DiscoveryDropped | Dropped | L2Dropped | PacketDropped
_WHAT: Final[dict[type[_Drop], str]] = {
    DiscoveryDropped: "a discovery message",
    Dropped: "a PC5-S message",
    L2Dropped: "a PDU",
    PacketDropped: "an IP packet",
}


class LiveConsole:
    """Prints events on stderr; of dropped PDUs only the first of each kind, since the others add nothing."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._dropped: set[tuple[type[_Drop], str]] = set()

    def tell(self, timed: AnyEvent) -> None:
        """Print one event, if it has a sentence."""
        event = timed.event
        line = self._told_drop(timed, event) if isinstance(event, _Drop) else told(timed, time_of_day)
        if line:
            self._console.print(line)

    def _told_drop(self, timed: AnyEvent, drop: _Drop) -> str | None:
        kind = type(drop), drop.why.partition(":")[0]
        if kind in self._dropped:
            return None
        self._dropped.add(kind)
        head = f"[dim]{time_of_day(timed)}[/]  {timed.source:<5} [yellow]dropped[/]"
        return f"{head} {_WHAT[type(drop)]}: {escape(drop.why)} (first)"
