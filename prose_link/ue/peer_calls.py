"""Joins a UE's discovery to its calls: a peer that is found may be called, a peer that is lost may not.

Discovery is asked for its events first, so that a peer which was found in this step is called in the same step. Then
every call that is due is started: the caller says with whom and by which carrier, the phone book gives the identity of
a peer that is known by its telephone number only, and signalling sets the link up. A UE that is about to switch off
starts no call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prose_link.discovery.entity import DiscoveryEntity
from prose_link.discovery.events import PeerDiscovered, PeerLost, Solicited
from prose_link.instant import Instant
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.wire.party import UNKNOWN_L2
from prose_link.ue.bearers import Bearers
from prose_link.ue.events import Connecting, NumberNotResolved, NumberResolved, StatementRefused, UeEvent
from prose_link.ue.group_role import GroupRole
from prose_link.ue.lifecycle import Lifecycle
from prose_link.ue.phone_book import PhoneBook
from security.device.number_store import RefusedStatement
from security.identity_map import checks


class PeerCalls:
    """Follows the peers that discovery finds and loses, and calls those that are due.

    Args:
        discovery: finds peers on the air.
        lifecycle: holds the calls to make, and says when no more are made.
        phone_book: the identities of telephone numbers.
        pc5s: sets up the links.
        bearers: say by which carriers a peer can be reached.
        group: the UE's part in a group, which learns layer-2 ids from discovery; None without one.
        emit: called with events.
    """

    def __init__(
        self,
        discovery: DiscoveryEntity,
        lifecycle: Lifecycle,
        phone_book: PhoneBook,
        pc5s: Pc5sEntity,
        bearers: Bearers,
        group: GroupRole | None,
        emit: Callable[[UeEvent], None],
    ) -> None:
        self._discovery = discovery
        self._lifecycle = lifecycle
        self._phone_book = phone_book
        self._pc5s = pc5s
        self._bearers = bearers
        self._group = group
        self._emit = emit

    def run(self, now: Instant, own: Instant) -> None:
        """Do the work of discovery that is due, and start the calls that are.

        `now`: the lab's time, by which calls are planned. `own`: the UE's own time, which discovery and signalling use.
        """
        self._discovery.handle_timer(own)
        caller = self._lifecycle.caller
        while (event := self._discovery.next_event()) is not None:
            self._emit(event)
            if isinstance(event, PeerDiscovered | Solicited):
                self._meet(event)
            elif isinstance(event, PeerLost):
                caller.lost_sight(event.prose_ue_id)
        if not self._lifecycle.is_stopping:
            for party in caller.take_due_calls(now.mono_s, self._bearers.reach, lambda one: self._resolve(one, own)):
                calls = Connecting(peer=party.identity, peer_l2=party.l2_id or UNKNOWN_L2, carrier=party.via.carrier)
                self._emit(calls)
                self._pc5s.connect(party, own)

    def tell_refused(self, refused: Iterable[RefusedStatement]) -> None:
        """Tell of statements of the identity map that were refused."""
        for one in refused:
            self._emit(StatementRefused(number=one.number, why=one.why))

    def _resolve(self, number: str, own: Instant) -> str | None:
        """The identity of a telephone number now."""
        try:
            resolved = self._phone_book.resolve(number, own.ntp_s)
        except checks.NumberNotResolved as error:
            self._emit(NumberNotResolved(number=number, why=str(error)))
            return None
        self._emit(NumberResolved(number=number, identity=resolved.identity, by=resolved.by))
        return resolved.identity

    def _meet(self, peer: PeerDiscovered | Solicited) -> None:
        """A peer's layer-2 id is known now: by its announcement, its response, or its question."""
        if self._group is not None:
            self._group.discovered(peer.user_info_id, peer.prose_ue_id)
        self._lifecycle.caller.met(peer.user_info_id, peer.prose_ue_id)
