"""The start of a link, alike for all profiles: from the owner's request to the repeated Request (PROFILE 6, 7).

The UE first checks a request of its owner against its clock, its record, the policy, and the room for links. Only then
does the profile make a Request. The Request is sent after a short random wait, so that UEs that were switched on
together don't send together. Then the same octets are sent again each time T4100 expires, until the answer comes or the
number of transmissions of the carrier is used up. T4100 is drawn at random each time. A Reject that names the Request
ends nothing, since any sender can make one; its cause is reported when the attempt fails.
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
        """Start a link from the result of `make_link`, which makes its Request.

        Does nothing while a link with this peer is coming up. If `make_link` raises SecurityError or ProseLinkError
        there is no link, and an event gives the reason.
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
        """Handle the expiry of T4100 of a Request."""
        again = link.sent[Timer.T4100] < link.via.traits.n4100
        self._desk.run(link, Input.T4100_TRIES_LEFT if again else Input.T4100_NONE_LEFT, now)

    def _look_for_obstacle(self, peer: str, now: Instant) -> str | None:
        """The reason why this UE can't send a Request now, None if there is none.

        An event reports a clock that is too far below the time floor.
        """
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
        """Send the Request for the first time, after a short random wait."""
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
    """The reason why the carrier can't take the Request; None if it can."""
    octets, traits = len(link.setup.request_octets), link.via.traits
    if octets <= traits.max_pdu_octets:
        return None
    return f"request of {octets} octets is too long for carrier {traits.name}, which takes {traits.max_pdu_octets}"
