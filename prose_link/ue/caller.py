"""Calls the peers that a UE is to have links with: when they are met, and again when a link is lost or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prose_link.config.link import LinkSection, PeerEntry
from prose_link.pc5s.wire.party import Party

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""After each call that fails the pause doubles, from the first to the longest."""
CALLS_AT_ONCE = 4
"""Calls under way at one time: each takes the air for itself, and more would only repeat while they wait."""


@dataclass(slots=True)
class _Call:
    """One peer: where it is, whether a call or a link is there, and when to call next."""

    entry: PeerEntry
    l2_id: int
    not_before_s: float
    is_calling: bool = False
    has_link: bool = False
    is_over: bool = False
    pause_s: float = FIRST_PAUSE_S


class Caller:
    """Knows where each peer is, whether a call or a link is there, and when to call next; no clock."""

    def __init__(self, link: LinkSection) -> None:
        self._calls = {
            entry.identity: _Call(entry, entry.l2_id, link.connect_after_s if entry.is_known_beforehand else 0.0)
            for entry in link.called
        }

    @property
    def done(self) -> bool:
        """Whether every peer has had its link, and the link its end; so it is where nobody is to be called."""
        return all(call.is_over for call in self._calls.values())

    def met(self, user_info_id: int, l2_id: int) -> None:
        """Discovery heard somebody."""
        for call in self._calls.values():
            if call.entry.user_info_id and call.entry.user_info_id == user_info_id:
                call.l2_id = l2_id

    def lost_sight(self, l2_id: int) -> None:
        """Discovery has not heard somebody for long: where the peer is, is known no more."""
        for call in self._calls.values():
            if call.l2_id == l2_id and not call.entry.l2_id:
                call.l2_id = 0

    def linked(self, peer: str) -> None:
        """There is a link with somebody, whoever asked for it."""
        if call := self._calls.get(peer):
            call.is_calling, call.has_link = False, True
            call.pause_s = FIRST_PAUSE_S

    def link_lost(self, peer: str) -> None:
        """A link ended that neither end had released: call at once."""
        if call := self._calls.get(peer):
            call.has_link = False

    def call_failed(self, peer: str, now_s: float) -> None:
        """A call came to nothing, or gave way to one of the peer's: wait before the next."""
        if call := self._calls.get(peer):
            call.is_calling = False
            call.not_before_s = now_s + call.pause_s
            call.pause_s = min(2 * call.pause_s, LONGEST_PAUSE_S)

    def over(self, peer: str) -> None:
        """A link was released, or is given up: it is not called again."""
        if call := self._calls.get(peer):
            call.is_over = True

    def take_due_calls(self, now_s: float, reach: Callable[[PeerEntry, int | None], Party | None]) -> Iterator[Party]:
        """Hand out the peers to call now; each call counts as made.

        `reach` says where a peer is by the carrier of its entry, None while that carrier can't tell; it is given the
        peer's layer-2 id, None while that is not known.
        """
        room = CALLS_AT_ONCE - sum(call.is_calling for call in self._calls.values())
        for call in self._calls.values():
            is_wanted = not (call.is_calling or call.has_link or call.is_over)
            if room and is_wanted and now_s >= call.not_before_s and (party := reach(call.entry, call.l2_id or None)):
                call.is_calling = True
                room -= 1
                yield party
