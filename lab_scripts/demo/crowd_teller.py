"""Tells a run of many UEs to a person."""

from __future__ import annotations

from lab_scripts.console.timeline import line_of, told
from lab_scripts.events.selection import AnyEvent, is_of
from prose_link.discovery.events import PeerDiscovered


class CrowdTeller:
    """Tells the events of a crowd: discoveries, which grow with its square, once all others are discovered."""

    def __init__(self, n_ues: int) -> None:
        self._n_others = n_ues - 1
        self._discovered: dict[str, set[int]] = {}

    def told(self, timed: AnyEvent) -> str | None:
        """An event as a line, None for those that are not told."""
        if not is_of(timed, PeerDiscovered):
            return told(timed)
        known = self._discovered.setdefault(timed.source, set())
        is_new = timed.event.prose_ue_id not in known
        known.add(timed.event.prose_ue_id)
        if not is_new or len(known) < self._n_others:
            return None
        return line_of(timed, f"has discovered all others, {self._n_others} UEs")
