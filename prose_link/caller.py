"""Calls the peer that a UE is to have a link with: when it is met, and again when the link is lost or refused."""

from __future__ import annotations

from prose_link.config import LinkSection
from prose_link.discovery.events import PeerDiscovered, PeerLost

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""After each call that fails the pause doubles, from the first to the longest."""


class Caller:
    """Knows where the peer is, whether a call or a link is there, and when to call next; no clock."""

    def __init__(self, link: LinkSection) -> None:
        self._link = link
        self._peer_l2 = link.peer_l2
        self._is_calling = False
        self._has_link = False
        self._not_before_s = link.connect_after_s if link.peer_l2 else 0.0
        self._pause_s = FIRST_PAUSE_S

    def met(self, peer: PeerDiscovered) -> None:
        """Discovery heard somebody."""
        if peer.user_info_id == self._link.peer_user_info_id:
            self._peer_l2 = peer.prose_ue_id

    def lost_sight(self, peer: PeerLost) -> None:
        """Discovery has not heard somebody for long: where the peer is, is known no more."""
        if peer.prose_ue_id == self._peer_l2 and not self._link.peer_l2:
            self._peer_l2 = 0

    def linked(self, peer: str) -> None:
        """There is a link with somebody, whoever asked for it."""
        if peer == self._link.connect_to:
            self._is_calling, self._has_link = False, True
            self._pause_s = FIRST_PAUSE_S

    def link_lost(self, peer: str) -> None:
        """A link ended that neither end had released: call at once."""
        if peer == self._link.connect_to:
            self._has_link = False

    def call_failed(self, peer: str, now_s: float) -> None:
        """A call came to nothing: wait before the next."""
        if peer == self._link.connect_to:
            self._is_calling = False
            self._not_before_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def due(self, now_s: float) -> int:
        """The layer-2 id to call now, which counts as done; 0 while nobody is to be called."""
        wanted = bool(self._link.connect_to) and not (self._is_calling or self._has_link)
        if not wanted or not self._peer_l2 or now_s < self._not_before_s:
            return 0
        self._is_calling = True
        return self._peer_l2
