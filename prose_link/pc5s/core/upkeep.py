"""The upkeep of established links at both ends, and every way in which a link ends (PROFILE 7, 9).

`keepalives` has the exchange by which the ends make sure that they hear each other.

A release is agreed if possible. The end that wants it, or that gives up a silent peer, stops user data, sends Release
under the context in use and repeats it by T4103. The other end answers under the context of the Release, reports the
end to its owner, and stays for T4103 to answer copies. All other ends of a link (the deny list, the end of a key
period, shutdown) end it at once and locally, without a message.

All of this is alike in every profile. A procedure that a profile runs beside a link, such as a rekey, ends when the
profile gets `settle`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.asking import CONFIRM_OR_KEEPALIVE, RELEASE
from prose_link.pc5s.core.events import (
    LinkEstablished,
    LinkFailed,
    LinkKeysRunOut,
    LinkReleased,
    ProvisionalEnded,
    RejectReceived,
)
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.keepalives import Keepalives
from prose_link.pc5s.core.link import UP, Link
from prose_link.pc5s.core.machine import Actions, Turn, nothing
from prose_link.pc5s.core.policy import NULL_ALGORITHM
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import (
    Keepalive,
    KeepaliveAck,
    Release,
    ReleaseAccept,
    ReleaseReason,
)
from prose_link.pc5s.wire.pdus import ReceivedPdu

KD_AGE_SPREAD: Final = 0.1
"""A KD is replaced up to this part of its age early, at random, so that both ends don't ask at once (PROFILE 9)."""
KEYS_RUN_OUT_AHEAD_S: Final = 25 * 3600.0
"""Before the end of a key period, an end without keys of the next one tells it so early: over a day (PROFILE 10)."""
KEYS_RUN_OUT_AHEAD: Final = 0.75
"""The same as part of the overlap of two periods, where periods are short: keys are fetched before the overlap."""
RENEW_AGAIN_AFTER_S: Final = 1.0
"""Time between two attempts to get new keys for a bearer that runs out of numbers; at first 8,192 numbers are left."""
UpkeepMessage: TypeAlias = Keepalive | KeepaliveAck | Release | ReleaseAccept
"""Messages of an established link in every profile; a Confirm, which is encoded as a Keepalive, is not one of them."""

UpkeepTimer: TypeAlias = Literal[
    Timer.T4101, Timer.T4102, Timer.T4103, Timer.T4108, Timer.T4111, Timer.KEYS_LOW, Timer.KEYS_END
]
"""The timers that run alike in every profile."""


class Upkeep:
    """Keeps links alive and ends them.

    The class is longer than most: it has a method for each action on the way to a link and to its end.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._keepalives = Keepalives(desk)

    @property
    def actions(self) -> Actions[Link]:
        """The actions that both ends share."""
        return {
            Action.COUNT: nothing,
            Action.IGNORE: nothing,
            Action.ANSWER_BESIDES: nothing,
            Action.REMEMBER_CAUSE: self._remember_cause,
            Action.FAIL: self._fail,
            Action.DROP_PROVISIONAL: self._drop_provisional,
            Action.ESTABLISH: self._establish,
            **self._keepalives.actions,
            Action.SEND_RELEASE: self._send_release,
            Action.RESEND_RELEASE: self._resend_release,
            Action.ANSWER_RELEASE: self._answer_release,
            Action.ANSWER_RELEASE_AGAIN: self._answer_release_again,
            Action.END: self._end,
            Action.WIPE: nothing,
        }

    def release(self, link: Link, reason: ReleaseReason, now: Instant) -> None:
        """Release a link that the peer may take for established, by a message. End any other link locally."""
        link.ending.reason = reason
        if link.state in (State.CONFIRMING, State.ESTABLISHED):
            self._desk.run(link, Input.RELEASE_WANTED, now, "released by this end")
        else:
            self._desk.run(link, Input.ENDED, now, "given up by this end")

    def give_up(self, link: Link, now: Instant, why: str) -> None:
        """Release a link that can't go on, by a message, which the peer may hear or not."""
        link.ending.reason, link.ending.why = ReleaseReason.NO_LONGER_AVAILABLE, why
        self._desk.run(link, Input.RELEASE_WANTED, now, why)

    def end(self, link: Link, now: Instant, why: str) -> None:
        """End a link at once, without a message to the peer."""
        self._desk.run(link, Input.ENDED, now, why)

    def _on_release(self, link: Link, pdu: ReceivedPdu, message: Release, now: Instant) -> None:
        """Answer a Release under the context on which it came."""
        link.ending.kd_sess_id = pdu.kd_sess_id
        if link.state is State.ESTABLISHED:
            link.ending.reason = message.reason
        if not self._desk.run(link, Input.RELEASE, now):
            self._desk.drop(pdu, "release", f"not expected when {link.state.value}")

    def _on_release_accept(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Handle the Release Accept: the peer knows that the link has ended."""
        if not self._desk.run(link, Input.RELEASE_ACCEPT, now):
            self._desk.drop(pdu, "release accept", f"not expected when {link.state.value}")

    def handle_timer(self, link: Link, timer: UpkeepTimer, now: Instant) -> None:
        """Handle the timers that all links have from the answer on.

        Timers of the set-up and of rekeys are handled elsewhere.
        """
        match timer:
            case Timer.T4101:
                self._desk.run(link, CONFIRM_OR_KEEPALIVE.run_out(self._desk, link), now)
            case Timer.T4103:
                is_asking = link.state is State.RELEASING
                run_out = RELEASE.run_out(self._desk, link) if is_asking else RELEASE.none_left
                self._desk.run(link, run_out, now)
            case Timer.T4102:
                self._desk.run(link, Input.T4102, now)
            case Timer.T4108:
                self._desk.run(link, Input.T4108, now)
            case Timer.T4111:
                self._desk.run(link, Input.T4111, now)
            case Timer.KEYS_LOW:
                self._say_keys_run_out(link, now)
            case Timer.KEYS_END:
                self.end(link, now, "the key period has ended")
            case _:
                assert_never(timer)

    def receive(self, link: Link, pdu: ReceivedPdu, message: UpkeepMessage, now: Instant) -> None:
        """Handle a message of the upkeep that came on a link."""
        match message:
            case Keepalive():
                self._keepalives.on_keepalive(link, pdu, message, now)
            case KeepaliveAck():
                self._keepalives.on_ack(link, pdu, message, now)
            case Release():
                self._on_release(link, pdu, message, now)
            case ReleaseAccept():
                self._on_release_accept(link, pdu, now)
            case _:
                assert_never(message)

    def next_renewal_s(self) -> float | None:
        """The time when the next link that runs out of numbers is due for new keys; None if there is none."""
        due = [self._renewal_due_s(link) for link in self._desk.links.in_state(State.ESTABLISHED)]
        return min((due_s for due_s in due if due_s is not None), default=None)

    def renew_what_is_due(self, now: Instant) -> None:
        """Get new keys for links whose bearers run out of numbers. A failed attempt is repeated later."""
        for link in self._desk.links.in_state(State.ESTABLISHED):
            due_s = self._renewal_due_s(link)
            if due_s is not None and due_s <= now.mono_s:
                link.keys.renewal_tried_at_s = now.mono_s
                self._desk.profiles[link.profile].renew(link, now)

    def _renewal_due_s(self, link: Link) -> float | None:
        if not link.context.wants_rekey or not self._desk.profiles[link.profile].can_renew(link):
            return None
        tried_at_s = link.keys.renewal_tried_at_s
        return self._desk.outbox.now_s if tried_at_s is None else tried_at_s + RENEW_AGAIN_AFTER_S

    def _remember_cause(self, turn: Turn[Link]) -> None:
        link = turn.owner
        cause = link.setup.remembered_cause or 0
        self._desk.outbox.emit(RejectReceived(peer=link.peer, peer_l2=link.peer_l2, cause=cause))

    def _fail(self, turn: Turn[Link]) -> None:
        """End a link that failed.

        The end of a provisional link beside an own request to the same peer is no failure.
        """
        link = turn.owner
        own = self._desk.links.with_peer(link.peer, State.WAIT_ACCEPT, State.CONFIRMING)
        if own is not None and own is not link:
            self._drop_provisional(turn)
            return
        failed = LinkFailed(peer=link.peer, peer_l2=link.peer_l2, cause=link.setup.remembered_cause, why=turn.why)
        self._desk.outbox.emit(failed)

    def _drop_provisional(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._desk.outbox.emit(ProvisionalEnded(peer=link.peer, peer_l2=link.peer_l2, why=turn.why))

    def _establish(self, turn: Turn[Link]) -> None:
        link = turn.owner
        for besides in self._desk.links.in_state(State.PROVISIONAL):
            if besides.peer == link.peer:
                self._desk.run(besides, Input.REPLACED, turn.now)
        for older in self._desk.links.in_state(*UP):
            if older.peer == link.peer and older is not link:
                self.end(older, turn.now, "superseded by a new link with the peer")
        self._desk.timers.stop_all(link.number)
        link.sent.clear()
        self._keepalives.start(link, turn.now)
        self.schedule_rekey(link, turn.now)
        self._desk.outbox.emit(
            LinkEstablished(
                peer=link.peer,
                peer_l2=link.peer_l2,
                kd_sess_id=link.keys.current_id,
                initiator=link.initiator,
                mutual=link.terms.mutual,
                eea=link.eea,
                eia=link.eia,
                null_algorithm=NULL_ALGORITHM in (link.eea, link.eia),
                peer_link_local=link.terms.peer_link_local,
                ip_versions=link.terms.ip_versions,
            )
        )

    def schedule_rekey(self, link: Link, now: Instant) -> None:
        """Start the timers of a KD: its age or the end of a key period, and the end of the overlap after it."""
        desk = self._desk
        period_end, last = desk.credentials.key_times(link.peer, link.keys.born_ntp_s)
        age_s = desk.config.kd_age_s * (1.0 - KD_AGE_SPREAD)
        age_s += desk.part_of(desk.config.kd_age_s * KD_AGE_SPREAD)
        due = min(link.keys.born_ntp_s + age_s, period_end)
        desk.start(link, Timer.REKEY_DUE, due - now.ntp_s, now)
        if period_end > link.keys.told_period_end_ntp_s:
            ahead_s = min(KEYS_RUN_OUT_AHEAD_S, KEYS_RUN_OUT_AHEAD * (last - period_end))
            desk.start(link, Timer.KEYS_LOW, period_end - ahead_s - now.ntp_s, now)
        desk.start(link, Timer.KEYS_END, last - now.ntp_s, now)

    def _say_keys_run_out(self, link: Link, now: Instant) -> None:
        """The key period is about to end: say so where this end has no keys of the next one, once for each period."""
        period_end, last = self._desk.credentials.key_times(link.peer, link.keys.born_ntp_s)
        if self._desk.credentials.has_keys_at(period_end) or now.ntp_s >= last:
            return
        link.keys.told_period_end_ntp_s = period_end
        self._desk.outbox.emit(
            LinkKeysRunOut(
                peer=link.peer,
                peer_l2=link.peer_l2,
                period_ends_ntp_s=round(period_end),
                link_ends_ntp_s=round(last),
            )
        )

    def _send_release(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._settle(link, turn.now)
        link.ending.kd_sess_id = link.keys.current_id
        sequence_number = self._desk.outbox.next_sequence_number()
        message = Release(sequence_number=sequence_number, reason=link.ending.reason)
        link.ending.octets = encode(message)
        RELEASE.ask(self._desk, link, lambda: self._put_release(link), turn.now)

    def _resend_release(self, turn: Turn[Link]) -> None:
        link = turn.owner
        RELEASE.ask_again(self._desk, link, lambda: self._put_release(link), turn.now)

    def _put_release(self, link: Link) -> None:
        self._desk.send_protected(link, link.ending.octets, kd_sess_id=link.ending.kd_sess_id)
        if link.ending.also_under:
            self._desk.send_protected(link, link.ending.octets, kd_sess_id=link.ending.also_under)

    def _settle(self, link: Link, now: Instant) -> None:
        """End the procedures beside the link and its keepalives: the link is about to end."""
        self._desk.profiles[link.profile].settle(link, now)
        self._desk.timers.stop_all(link.number)

    def _answer_release(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._settle(link, turn.now)
        if link.ending.kd_sess_id not in link.keys.contexts:
            link.ending.kd_sess_id = link.keys.current_id
        self._report_end(link, "released by the peer", agreed=link.ending.is_wanted)
        self._answer_release_again(turn)

    def _answer_release_again(self, turn: Turn[Link]) -> None:
        link = turn.owner
        sequence_number = self._desk.outbox.next_sequence_number()
        self._desk.send_message(link, ReleaseAccept(sequence_number=sequence_number), kd_sess_id=link.ending.kd_sess_id)
        self._desk.start(link, Timer.T4103, self._desk.config.timers.t4103_s, turn.now)

    def _end(self, turn: Turn[Link]) -> None:
        ending = turn.owner.ending
        self._report_end(turn.owner, ending.why or turn.why, agreed=bool(ending.octets) and ending.is_wanted)

    def _report_end(self, link: Link, why: str, *, agreed: bool) -> None:
        self._desk.outbox.emit(
            LinkReleased(peer=link.peer, peer_l2=link.peer_l2, kd_sess_id=link.keys.current_id, why=why, agreed=agreed)
        )
