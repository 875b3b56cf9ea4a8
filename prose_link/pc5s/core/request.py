"""Asking a peer for a link: what all profiles do alike, whatever their Request looks like (PROFILE 6, 7).

A wish to connect is first held against what this UE knows: its clock, its record, policy, and the room for links. Only
then is a Request made, by the profile. It goes out after a short wait at random, so that UEs that were switched on
together don't speak together, and then again each time T4100 runs out, always the same octets, until the answer comes
or it has gone out as often as its carrier allows. T4100 is drawn anew each time. A Reject that names it ends nothing,
since anybody can send one; its cause is told when the attempt fails for good.
"""

from __future__ import annotations

from collections.abc import Callable

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import ClockBelowFloor, LinkFailed, RequestSent
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.machine import Actions, Turn
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.party import UNKNOWN_L2, Party
from security.device.record import RecordError
from security.errors import SecurityError


class Requests:
    """Sends Requests of any profile and repeats them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def actions(self) -> Actions[Link]:
        """The actions of an initiator before its answer comes."""
        return {Action.SEND_REQUEST: self._send_request, Action.RESEND_REQUEST: self._resend_request}

    def ask(self, party: Party, now: Instant, make_link: Callable[[], Link]) -> None:
        """Start a link that `make_link` makes with its Request; one that is coming up with this peer is left to come.

        `make_link` may raise SecurityError or ProseLinkError: then there is no link, and an event says why.
        """
        desk = self._desk
        peer = party.identity
        if self.is_coming_up(peer):
            return
        fault = self._look_for_obstacle(peer, now)
        if fault is None:
            try:
                link = make_link()
            except (SecurityError, ProseLinkError) as error:
                fault = f"request can't be made: {error}"
            else:
                fault = _too_long(link)
                if fault is None:
                    desk.links.add(link)
                    desk.run(link, Input.CONNECT, now)
                    return
                link.wipe()
        desk.outbox.emit(LinkFailed(peer=peer, peer_l2=party.l2_id or UNKNOWN_L2, cause=None, why=fault))

    def is_coming_up(self, peer: str) -> bool:
        """Whether a link with a peer is being set up, by either end."""
        return self._desk.links.with_peer(peer, State.WAIT_ACCEPT, State.CONFIRMING, State.PROVISIONAL) is not None

    def handle_timer(self, link: Link, now: Instant) -> None:
        """T4100 of a Request has run out."""
        again = link.sent[Timer.T4100] < link.via.traits.n4100
        self._desk.run(link, Input.T4100_TRIES_LEFT if again else Input.T4100_NONE_LEFT, now)

    def _look_for_obstacle(self, peer: str, now: Instant) -> str | None:
        """What keeps this UE from asking at all; an event where the clock is too far below the time floor."""
        desk = self._desk
        try:
            fault = desk.clock_fault(now)
            floor_ntp_s = desk.record.time_floor_ntp_s
        except RecordError as error:
            return f"record can't be used: {error}"
        if fault is not None:
            if now.ntp_s < floor_ntp_s - WINDOW_S:
                desk.outbox.emit(ClockBelowFloor(now_ntp_s=int(now.ntp_s), floor_ntp_s=floor_ntp_s))
            return fault
        if not desk.authorises(peer):
            return "not authorised"
        if desk.credentials.denies(peer):
            return "on the deny list"
        if not desk.links.has_room(peer) or desk.links.draw_msb(desk.random_bytes) is None:
            return "no room for a link"
        return None

    def _send_request(self, turn: Turn[Link]) -> None:
        """The first time after a short wait at random."""
        wait_s = self._desk.first_wait_s()
        if wait_s:
            turn.owner.sent[Timer.T4100] = 0
            self._desk.start(turn.owner, Timer.T4100, wait_s, turn.now)
        else:
            self._resend_request(turn)

    def _resend_request(self, turn: Turn[Link]) -> None:
        link, desk = turn.owner, self._desk
        link.sent[Timer.T4100] = link.sent.get(Timer.T4100, 0) + 1
        desk.send_plain(link.setup.request_octets, link.party)
        desk.start(link, Timer.T4100, desk.spread(link.via.traits.t4100_s), turn.now)
        if link.sent[Timer.T4100] == 1:
            desk.outbox.emit(
                RequestSent(
                    peer=link.peer,
                    peer_l2=link.peer_l2,
                    request_hash=link.asked.request_hash,
                    octets=len(link.setup.request_octets),
                    mutual=link.setup.mutual_asked,
                )
            )


def _too_long(link: Link) -> str | None:
    """What is wrong where the carrier can't take the Request, None if nothing is."""
    octets, traits = len(link.setup.request_octets), link.via.traits
    if octets <= traits.max_pdu_octets:
        return None
    return f"request of {octets} octets is too long for carrier {traits.name}, which takes {traits.max_pdu_octets}"
