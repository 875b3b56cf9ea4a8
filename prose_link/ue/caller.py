"""Calls the peers of a UE: when discovery has heard them, and again when a link is lost or refused.

Each peer has its own state: where it is, whether a call or a link exists, and the time of the next call. A peer is
called when its place is known, from discovery or the configuration. After a failed call the pause doubles, up to a
maximum; a lost link is called again at once; a link that was released is not called again. Few calls run at one time,
since each one needs the air.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prose_link.config.link import LinkSection, PeerEntry
from prose_link.pc5s.wire.party import DIRECT, Party

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""After each call that fails the pause doubles, from the first to the longest."""
CALLS_AT_ONCE = 4
"""Most calls at one time: each needs the air, and more of them would only repeat their Requests while they wait."""


Reach = Callable[[str, str, int | None], Party | None]
"""Carrier, identity, layer-2 id or None -> the peer at its address on this carrier; None while the carrier doesn't know
it.
"""
Resolve = Callable[[str], str | None]
"""Telephone number -> its identity; None if it has no holder now."""


@dataclass(slots=True)
class _Call:
    """One peer: its place, whether a call or a link exists, and the time of the next call.

    `peer` is empty until its number has been looked up.
    """

    entry: PeerEntry
    peer: str
    l2_id: int
    not_before_s: float
    is_calling: bool = False
    has_link: bool = False
    is_over: bool = False
    pause_s: float = FIRST_PAUSE_S


class Caller:
    """The peers to call: their places, whether a call or a link exists, and the times of the next calls; no clock."""

    def __init__(self, link: LinkSection) -> None:
        self._all = [
            _Call(entry, entry.identity, entry.l2_id, link.connect_after_s if entry.is_known_beforehand else 0.0)
            for entry in link.called
        ]
        self._linked: set[str] = set()

    @property
    def done(self) -> bool:
        """Whether every peer has had its link and the link has ended; also True if there are no peers to call."""
        return all(call.is_over for call in self._all)

    def met(self, user_info_id: int, l2_id: int) -> None:
        """Discovery has heard a peer."""
        for call in self._all:
            if call.entry.user_info_id and call.entry.user_info_id == user_info_id:
                call.l2_id = l2_id

    def lost_sight(self, l2_id: int) -> None:
        """Discovery has not heard a peer for long: its place is not known any more."""
        for call in self._all:
            if call.l2_id == l2_id and not call.entry.l2_id:
                call.l2_id = 0

    def linked(self, peer: str) -> None:
        """There is a link with a peer, from either end."""
        self._linked.add(peer)
        for call in self._with(peer):
            call.is_calling, call.has_link = False, True
            call.pause_s = FIRST_PAUSE_S

    def link_lost(self, peer: str) -> None:
        """A link ended that neither end had released: call at once."""
        self._linked.discard(peer)
        for call in self._with(peer):
            call.has_link = False

    def call_failed(self, peer: str, now_s: float) -> None:
        """A call failed, or gave way to one of the peer's: wait before the next."""
        for call in self._with(peer):
            self._pause(call, now_s)

    def over(self, peer: str) -> None:
        """A link was released, or is given up: the peer is not called again."""
        self._linked.discard(peer)
        for call in self._with(peer):
            call.is_over = True

    def take_due_calls(self, now_s: float, reach: Reach, resolve: Resolve = lambda _number: None) -> Iterator[Party]:
        """Return the peers to call now; each call counts as made.

        `resolve` returns the identity of a number, None if it isn't known now: that counts as a failed call.
        """
        room = CALLS_AT_ONCE - sum(call.is_calling for call in self._all)
        for call in self._all:
            is_wanted = not (call.is_calling or call.has_link or call.is_over)
            is_found = bool(call.l2_id) or call.entry.carrier != DIRECT
            if not (room and is_wanted and is_found and now_s >= call.not_before_s):
                continue
            if call.entry.number and not self._look_up(call, now_s, resolve):
                continue
            party = reach(call.entry.carrier, call.peer, call.l2_id or None)
            if party is None:
                if call.entry.number:  # a number is not looked up in each step
                    self._pause(call, now_s)
                continue
            call.is_calling = True
            room -= 1
            yield party

    def _look_up(self, call: _Call, now_s: float, resolve: Resolve) -> bool:
        """Find the identity of a number before the call.

        Returns False if the peer can't be called, or is linked already.
        """
        call.peer = resolve(call.entry.number) or ""
        if not call.peer:
            self._pause(call, now_s)
        call.has_link = call.peer in self._linked
        return bool(call.peer) and not call.has_link

    def _with(self, peer: str) -> Iterator[_Call]:
        return (call for call in self._all if call.peer == peer)

    @staticmethod
    def _pause(call: _Call, now_s: float) -> None:
        call.is_calling = False
        call.not_before_s = now_s + call.pause_s
        call.pause_s = min(2 * call.pause_s, LONGEST_PAUSE_S)
