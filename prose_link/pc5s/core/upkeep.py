"""What both ends of a link do once it is up: keepalives, release, and every way a link ends (PROFILE 7, 9)."""

from __future__ import annotations

from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    ClockBelowFloor,
    LinkEstablished,
    LinkFailed,
    LinkReleased,
    RejectReceived,
)
from prose_link.pc5s.core.fsm import Action, Input, RekeyInput, RekeyState, State
from prose_link.pc5s.core.link import UP, Link
from prose_link.pc5s.core.policy import NULL_ALGORITHM
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.shared import Desk, LinkActions, LinkMachine, RekeyMachine, Turn
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.messages import (
    Keepalive,
    KeepaliveAck,
    Release,
    ReleaseAccept,
    ReleaseReason,
)
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.device.record import RecordError


class Upkeep:
    """Keeps links alive and ends them."""

    def __init__(self, desk: Desk, machine: LinkMachine, rekey_machine: RekeyMachine) -> None:
        self._desk = desk
        self._machine = machine
        self._rekey_machine = rekey_machine

    @property
    def actions(self) -> LinkActions:
        """The actions that both ends share."""
        return {
            Action.COUNT: _nothing,
            Action.IGNORE: _nothing,
            Action.REMEMBER_CAUSE: self._remember_cause,
            Action.FAIL: self._fail,
            Action.ESTABLISH: self._establish,
            Action.NOTE_PEER_ALIVE: self._note_peer_alive,
            Action.SEND_KEEPALIVE: self._send_keepalive,
            Action.RESEND_KEEPALIVE: self._resend_keepalive,
            Action.ANSWER_KEEPALIVE: self._answer_keepalive,
            Action.COMPLETE_KEEPALIVE: self._complete_keepalive,
            Action.SEND_RELEASE: self._send_release,
            Action.RESEND_RELEASE: self._resend_release,
            Action.ANSWER_RELEASE: self._answer_release,
            Action.ANSWER_RELEASE_AGAIN: self._answer_release_again,
            Action.END: self._end,
            Action.WIPE: _nothing,
        }

    def release(self, link: Link, reason: ReleaseReason, now: Instant) -> None:
        """Release a link that the peer may hold for up with its knowledge; end any other one here."""
        link.release_reason = reason
        if link.state in (State.CONFIRMING, State.ESTABLISHED):
            self._machine.run(link, Input.RELEASE_WANTED, now, "released by this end")
        else:
            self._machine.run(link, Input.ENDED, now, "given up by this end")

    def end(self, link: Link, now: Instant, why: str) -> None:
        """End a link at once, without a word to the peer."""
        self._machine.run(link, Input.ENDED, now, why)

    def on_keepalive(self, link: Link, pdu: ReceivedPdu, message: Keepalive, now: Instant) -> None:
        """Answer a Keepalive: the next one, or the last one again."""
        if message.counter not in (link.keepalives, link.keepalives + 1):
            self._desk.drop(pdu, "keepalive", "unexpected counter")
            return
        link.keepalives = message.counter
        if not self._machine.run(link, Input.KEEPALIVE, now):
            self._desk.drop(pdu, "keepalive", f"not expected when {link.state.value}")

    def on_keepalive_ack(self, link: Link, pdu: ReceivedPdu, message: KeepaliveAck, now: Instant) -> None:
        """Complete the exchange under way."""
        if not link.keepalive_octets or message.counter != link.keepalives + 1:
            self._desk.drop(pdu, "keepalive ack", "unexpected counter")
        elif not self._machine.run(link, Input.KEEPALIVE_ACK, now):
            self._desk.drop(pdu, "keepalive ack", f"not expected when {link.state.value}")

    def on_release(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Answer a Release under the context it came on."""
        link.release_id = pdu.kd_sess_id
        if not self._machine.run(link, Input.RELEASE, now):
            self._desk.drop(pdu, "release", f"not expected when {link.state.value}")

    def on_release_accept(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """The peer knows that the link has ended."""
        if not self._machine.run(link, Input.RELEASE_ACCEPT, now):
            self._desk.drop(pdu, "release accept", f"not expected when {link.state.value}")

    def on_timer(self, link: Link, timer: Timer, now: Instant) -> None:
        """The timers of a link that is up, and T4111."""
        match timer:
            case Timer.T4101:
                again = link.sent.get(timer, 0) < self._desk.config.timers.n4101
                self._machine.run(link, Input.T4101_TRIES_LEFT if again else Input.T4101_NONE_LEFT, now)
            case Timer.T4103:
                again = link.state is State.RELEASING and link.sent.get(timer, 0) < self._desk.config.timers.n4103
                self._machine.run(link, Input.T4103_TRIES_LEFT if again else Input.T4103_NONE_LEFT, now)
            case Timer.T4102:
                self._machine.run(link, Input.T4102, now)
            case Timer.T4108:
                self._machine.run(link, Input.T4108, now)
            case Timer.T4111:
                self._machine.run(link, Input.T4111, now)

    def _remember_cause(self, turn: Turn) -> None:
        link = turn.link
        cause = link.remembered_cause or 0
        self._desk.outbox.emit(RejectReceived(peer=link.peer, peer_l2=link.peer_l2, cause=cause))

    def _fail(self, turn: Turn) -> None:
        link = turn.link
        failed = LinkFailed(peer=link.peer, peer_l2=link.peer_l2, cause=link.remembered_cause, why=turn.why)
        self._desk.outbox.emit(failed)

    def _establish(self, turn: Turn) -> None:
        link = turn.link
        for older in self._desk.links.in_state(*UP):
            if older.peer == link.peer and older is not link:
                self.end(older, turn.now, "superseded by a new link with the peer")
        self._desk.timers.stop_all(link.number)
        link.sent.clear()
        self._note_peer_alive(turn)
        self.schedule_rekey(link, turn.now)
        self._desk.outbox.emit(
            LinkEstablished(
                peer=link.peer,
                peer_l2=link.peer_l2,
                kd_sess_id=link.current_id,
                initiator=link.initiator,
                mutual=link.mutual,
                eea=link.eea,
                eia=link.eia,
                null_algorithm=NULL_ALGORITHM in (link.eea, link.eia),
                peer_link_local=link.peer_link_local,
                ip_versions=link.ip_versions,
            )
        )

    def schedule_rekey(self, link: Link, now: Instant) -> None:
        """Start the timers that a KD brings: its age or the end of a key period, and the end of what that allows."""
        desk = self._desk
        period_end, last = desk.credentials.key_times(link.peer, link.kd_born_ntp_s)
        due = min(link.kd_born_ntp_s + desk.config.kd_age_s, period_end)
        desk.start(link, Timer.REKEY_DUE, due - now.ntp_s, now)
        desk.start(link, Timer.KEYS_END, last - now.ntp_s, now)

    def _note_peer_alive(self, turn: Turn) -> None:
        link = turn.link
        if link.initiator:
            self._desk.stop(link, Timer.T4101)
            self._desk.start(link, Timer.T4102, self._desk.config.timers.t4102_s, turn.now)
        else:
            self._desk.start(link, Timer.T4108, link.inactivity_period_s, turn.now)

    def _send_keepalive(self, turn: Turn) -> None:
        link = turn.link
        sequence_number = self._desk.outbox.next_sequence_number()
        message = Keepalive(sequence_number=sequence_number, counter=link.keepalives + 1)
        link.keepalive_octets = self._desk.send_message(link, message)
        link.sent[Timer.T4101] = 1
        self._desk.start(link, Timer.T4101, self._desk.config.timers.t4101_s, turn.now)

    def _resend_keepalive(self, turn: Turn) -> None:
        link = turn.link
        self._desk.send_protected(link, link.keepalive_octets)
        link.sent[Timer.T4101] += 1
        self._desk.start(link, Timer.T4101, self._desk.config.timers.t4101_s, turn.now)

    def _answer_keepalive(self, turn: Turn) -> None:
        link = turn.link
        sequence_number = self._desk.outbox.next_sequence_number()
        self._desk.send_message(link, KeepaliveAck(sequence_number=sequence_number, counter=link.keepalives))

    def _complete_keepalive(self, turn: Turn) -> None:
        link = turn.link
        link.keepalives += 1
        link.keepalive_octets = b""

    def _send_release(self, turn: Turn) -> None:
        link = turn.link
        self._settle(link, turn.now)
        link.release_id = link.current_id
        sequence_number = self._desk.outbox.next_sequence_number()
        message = Release(sequence_number=sequence_number, reason=link.release_reason)
        link.release_octets = self._desk.send_message(link, message, kd_sess_id=link.release_id)
        link.sent[Timer.T4103] = 1
        self._desk.start(link, Timer.T4103, self._desk.config.timers.t4103_s, turn.now)

    def _resend_release(self, turn: Turn) -> None:
        link = turn.link
        self._desk.send_protected(link, link.release_octets, kd_sess_id=link.release_id)
        link.sent[Timer.T4103] += 1
        self._desk.start(link, Timer.T4103, self._desk.config.timers.t4103_s, turn.now)

    def _settle(self, link: Link, now: Instant) -> None:
        """No rekey and no keepalive any more: the link is about to end."""
        if link.rekey.state is not RekeyState.NONE:
            self._rekey_machine.run(link, RekeyInput.ENDED, now)
        self._desk.timers.stop_all(link.number)

    def _answer_release(self, turn: Turn) -> None:
        link = turn.link
        self._settle(link, turn.now)
        if link.release_id not in link.contexts:
            link.release_id = link.current_id
        self._report_end(link, "released by the peer", agreed=True)
        self._answer_release_again(turn)

    def _answer_release_again(self, turn: Turn) -> None:
        link = turn.link
        sequence_number = self._desk.outbox.next_sequence_number()
        self._desk.send_message(link, ReleaseAccept(sequence_number=sequence_number), kd_sess_id=link.release_id)
        self._desk.start(link, Timer.T4103, self._desk.config.timers.t4103_s, turn.now)

    def _end(self, turn: Turn) -> None:
        self._report_end(turn.link, turn.why, agreed=bool(turn.link.release_octets))

    def _report_end(self, link: Link, why: str, *, agreed: bool) -> None:
        self._desk.outbox.emit(
            LinkReleased(peer=link.peer, peer_l2=link.peer_l2, kd_sess_id=link.current_id, why=why, agreed=agreed)
        )


def _nothing(_turn: Turn) -> None:
    """The table asks for no more than the transition itself."""


def obstacle_to_asking(desk: Desk, peer: str, now: Instant) -> str | None:
    """What keeps this UE from asking at all."""
    try:
        fault = desk.clock_fault(now)
        floor_ntp_s = desk.record.time_floor_ntp_s
    except RecordError as error:
        return f"record can't be used: {error}"
    if fault is not None:
        if now.ntp_s < floor_ntp_s - WINDOW_S:
            desk.outbox.emit(ClockBelowFloor(now_ntp_s=int(now.ntp_s), floor_ntp_s=floor_ntp_s))
        return fault
    if not desk.config.policy.authorises(peer):
        return "not authorised"
    if desk.credentials.denies(peer):
        return "on the deny list"
    if not desk.links.has_room(peer) or desk.links.free_msb(desk.random_bytes) is None:
        return "no room for a link"
    return None
