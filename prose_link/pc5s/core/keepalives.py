"""The exchange by which each end of a link makes sure that the other end hears it (PROFILE 9 (L1)).

A UE that hears its peer does not know that the peer hears it. So the initiator asks: T4102 after the last exchange it
sends a Keepalive with the next counter, and repeats it until the Ack with that counter comes. Only the Ack ends the
exchange, because it is an answer; user data of the peer stops and restarts nothing. The exchange shows the initiator
that it is heard and that it hears. It also makes sure that the responder hears something, however little the initiator
has to send.

Both ends run T4108, the longest silence, which the initiator's Request has announced. At the responder every PDU that
verifies restarts it; at the initiator only the Ack does. An end whose T4108 expires gives the link up and releases it
on the air, since the other end may hear it well and may still hold the link for established.

A Keepalive is repeated by T4101 as often as N4101 says, so that single losses cost little, and after that every
`SLOWLY_S` until T4108. So a loss of some seconds ends no link that its peer still keeps.

With null integrity a PDU proves nothing, and user data doesn't count as heard. Keepalives and their Acks do count: any
sender can forge them there, as any sender can forge a Release.
"""

from __future__ import annotations

from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.asking import CONFIRM_OR_KEEPALIVE
from prose_link.pc5s.core.fsm import Action, Input
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.machine import Actions, Turn
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, ReleaseReason
from prose_link.pc5s.wire.pdus import ReceivedPdu

SLOWLY_S: Final = 2.0
"""Time between two copies of a Keepalive after the first N4101 ones (PROFILE 9 (L1))."""


class Keepalives:
    """Both roles of the exchange, and the reaction of each end to silence."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def actions(self) -> Actions[Link]:
        """The actions for which the tables of all profiles need a method."""
        return {
            Action.NOTE_PEER_ALIVE: self._note_peer_alive,
            Action.SEND_KEEPALIVE: self._send,
            Action.RESEND_KEEPALIVE: self._send_again,
            Action.RESEND_KEEPALIVE_SLOWLY: self._send_again_slowly,
            Action.ANSWER_KEEPALIVE: self._answer,
            Action.COMPLETE_KEEPALIVE: self._complete,
            Action.BLAME_SILENCE: self._blame_silence,
        }

    def start(self, link: Link, now: Instant) -> None:
        """The link is up, and both ends have just heard each other: start the timers."""
        self._desk.start(link, Timer.T4108, link.terms.inactivity_period_s, now)
        if link.initiator:
            self._desk.start(link, Timer.T4102, self._desk.config.timers.t4102_s, now)

    def on_keepalive(self, link: Link, pdu: ReceivedPdu, message: Keepalive, now: Instant) -> None:
        """Answer a Keepalive: the next one, or a copy of the last one."""
        if message.counter not in (link.liveness.keepalives, link.liveness.keepalives + 1):
            self._desk.drop(pdu, "keepalive", "unexpected counter")
            return
        link.liveness.keepalives = message.counter
        if not self._desk.run(link, Input.KEEPALIVE, now):
            self._desk.drop(pdu, "keepalive", f"not expected when {link.state.value}")

    def on_ack(self, link: Link, pdu: ReceivedPdu, message: KeepaliveAck, now: Instant) -> None:
        """Complete the exchange that is open."""
        if not link.liveness.keepalive_octets or message.counter != link.liveness.keepalives + 1:
            self._desk.drop(pdu, "keepalive ack", "unexpected counter")
        elif not self._desk.run(link, Input.KEEPALIVE_ACK, now):
            self._desk.drop(pdu, "keepalive ack", f"not expected when {link.state.value}")

    def _note_peer_alive(self, turn: Turn[Link]) -> None:
        if not turn.owner.initiator:
            self._desk.start(turn.owner, Timer.T4108, turn.owner.terms.inactivity_period_s, turn.now)

    def _send(self, turn: Turn[Link]) -> None:
        link = turn.owner
        sequence_number = self._desk.outbox.next_sequence_number()
        message = Keepalive(sequence_number=sequence_number, counter=link.liveness.keepalives + 1)
        link.liveness.keepalive_octets = encode(message)
        CONFIRM_OR_KEEPALIVE.ask(self._desk, link, lambda: self._put(link), turn.now)

    def _send_again(self, turn: Turn[Link]) -> None:
        link = turn.owner
        CONFIRM_OR_KEEPALIVE.ask_again(self._desk, link, lambda: self._put(link), turn.now)

    def _send_again_slowly(self, turn: Turn[Link]) -> None:
        self._put(turn.owner)
        self._desk.start(turn.owner, Timer.T4101, max(SLOWLY_S, self._desk.config.timers.t4101_s), turn.now)

    def _put(self, link: Link) -> None:
        self._desk.send_protected(link, link.liveness.keepalive_octets)

    def _answer(self, turn: Turn[Link]) -> None:
        link = turn.owner
        sequence_number = self._desk.outbox.next_sequence_number()
        self._desk.send_message(link, KeepaliveAck(sequence_number=sequence_number, counter=link.liveness.keepalives))
        self._note_peer_alive(turn)

    def _complete(self, turn: Turn[Link]) -> None:
        link = turn.owner
        link.liveness.keepalives += 1
        link.liveness.keepalive_octets = b""
        self._desk.stop(link, Timer.T4101)
        self.start(link, turn.now)

    def _blame_silence(self, turn: Turn[Link]) -> None:
        link = turn.owner
        link.ending.reason = ReleaseReason.NO_LONGER_AVAILABLE
        what = "acknowledged no Keepalive" if link.initiator else "sent nothing"
        link.ending.why = f"the peer has {what} for {link.terms.inactivity_period_s:g} s"
