"""Rekeying an established link, under its context in use and tied to its transcript (PROFILE 9).

Either end may ask: because KD is old, a key period ends, a bearer's numbers run out, or its owner wants it. Request and
Response go under the context in use and carry fresh nonces; with I_MESSAGEs in them a new KD comes of it, without them
only new keys from KD-next. The transcript of the rekey starts from that of the exchange before.

The hand-over never splits the link, whatever is lost:

1. the end that answers holds the new context for its Confirm only, and continues under the old one. It keeps it until
   the Confirm comes, however late, or a later Request takes its place: the end that asks may hold it for good;
2. the end that asks sends its Confirm under the new context until an answer comes under it, all else under the old one;
3. the Confirm takes the answering end over, its Ack or any other PDU under the new context the asking one. From then on
   an end sends nothing under the old context, takes no command under it, and never goes back. User data that is still
   under way is received for T_old; then the old context is wiped.

So a Confirm that doesn't get through leaves both ends on the old context, and an Ack that doesn't leaves them on
contexts that both still have, until T4108 ends the link. If both ends ask at once, the Request of the link's initiator
stands. An end that keeps a context without its Confirm may ask itself: a good Response shows that the other end hasn't
got over, and the Confirm that it has.

A Request without answer is tried again, nonces first with an I_MESSAGE (the other end may count otherwise), then after
longer and longer waits, while the link can go on under its context; then it is released, and set up anew.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, TypeAlias, assert_never

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.asking import Question
from prose_link.pc5s.core.events import RekeyFailed, RekeyStarted
from prose_link.pc5s.core.fsm import RekeyState, State
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.machine import Actions, Place, StateMachine, Turn, nothing
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.verify_budget import Waits
from prose_link.pc5s.identity.hand_over import OF_ONE_REKEY, HandOver
from prose_link.pc5s.identity.rekey_checks import (
    PreparedResponse,
    RekeyFault,
    check_response,
    contributes,
    prepare_response,
    request_half,
)
from prose_link.pc5s.identity.tables import REKEYING, RekeyAction, RekeyInput
from prose_link.pc5s.wire.messages import (
    Keepalive,
    KeepaliveAck,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    ReleaseReason,
)
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError

REKEY: Final = "rekeying"
"""The name of the one table that all rekeys use."""
CONFIRM_AGAIN_AT_MOST_S: Final = 2.0
"""Longest T4101 of a rekey's Confirm; it doubles up to this value (PROFILE 9)."""
RekeyTimer: TypeAlias = Literal[
    Timer.REKEY_T4100, Timer.REKEY_T4101, Timer.REKEY_T4108, Timer.REKEY_AGAIN, Timer.REKEY_DUE, Timer.T_OLD
]
"""The timers of a rekey, and of the context it has replaced."""
_READY: Final = (RekeyState.NONE, RekeyState.AWAIT_CONFIRM)
"""States without an open own Request."""
_ASKING: Final = (RekeyState.WAIT_RESPONSE, RekeyState.ASK_WHILE_AWAITING)
_KEEPING: Final = (RekeyState.AWAIT_CONFIRM, RekeyState.ASK_WHILE_AWAITING)

REKEY_REQUEST: Final = Question(
    timer=Timer.REKEY_T4100,
    wait_s=lambda timers: timers.t4100_s,
    transmissions=lambda timers: timers.n4100,
    tries_left=RekeyInput.T4100_TRIES_LEFT,
    none_left=RekeyInput.T4100_NONE_LEFT,
    is_spread=True,
)


class Rekeying:
    """Both roles of a rekey.

    The class is longer than most: it has a method for each action of one table, and they share one state.
    """

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._limits = parts.limits
        self._upkeep = parts.upkeep
        self._hand_over = HandOver(parts.desk, parts.upkeep)
        self._machine: StateMachine[Link] = StateMachine(
            {REKEY: REKEYING},
            self._actions(),
            place=lambda link: Place(table=REKEY, holder=link.rekey),
            on_unlisted=parts.desk.count_unlisted,
        )

    def _actions(self) -> Actions[Link]:
        return {
            RekeyAction.COUNT: nothing,
            RekeyAction.IGNORE: nothing,
            RekeyAction.SEND_REKEY_REQUEST: self._send_request,
            RekeyAction.RESEND_REKEY_REQUEST: self._resend_request,
            RekeyAction.GIVE_UP: self._give_up,
            RekeyAction.SEND_REKEY_CONFIRM: self._send_confirm,
            RekeyAction.RESEND_REKEY_CONFIRM: self._resend_confirm,
            RekeyAction.SEND_REKEY_RESPONSE: self._send_response,
            RekeyAction.RESEND_REKEY_RESPONSE: self._resend_response,
            RekeyAction.DROP_KEPT: self._drop_kept,
            RekeyAction.YIELD_REKEY: self._yield,
            RekeyAction.SEND_REKEY_ACK: self._send_ack,
            RekeyAction.TAKE_OWN: self._take_own,
            RekeyAction.TAKE_KEPT: self._take_kept,
            RekeyAction.FORGET: self._forget,
            RekeyAction.KEEP_FOR_RELEASE: self._keep_for_release,
            RekeyAction.END_LINK: self._end_link,
        }

    # Requests of the owner, and queries.

    def start(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:
        """Send a Request for a new context, if the link is up and no Request of this end is open.

        The Request brings an I_MESSAGE if `new_kd`, policy or the age of KD asks for it.
        """
        if not self.can_start(link):
            return
        self._desk.stop(link, Timer.REKEY_AGAIN)
        fault = self._hand_over.prepare_request(link, now, new_kd=new_kd or contributes(self._desk, link, now))
        if fault:
            self._report_failure(link, fault, now)
        else:
            self._machine.run(link, RekeyInput.WANTED, now)

    def can_start(self, link: Link) -> bool:
        """Whether the link is up and no Request of this end is open."""
        return link.state is State.ESTABLISHED and link.rekey.state in _READY

    def renews_by_itself(self, link: Link) -> bool:
        """Whether a rekey may start without the owner: not while a failed one waits for its next attempt."""
        return self.can_start(link) and not self._desk.timers.runs(link.number, Timer.REKEY_AGAIN)

    def trigger(self, link: Link) -> None:
        """Ask the peer to send a Request."""
        message = RekeyingTrigger(sequence_number=self._desk.outbox.next_sequence_number())
        self._desk.send_message(link, message)

    def run(self, link: Link, event: RekeyInput, now: Instant) -> bool:
        """Run the rekey of a link through its table. Returns False if the input has no effect in its state."""
        return self._machine.run(link, event, now)

    def awaits_confirm_on(self, link: Link, kd_sess_id: int) -> bool:
        """Whether a rekey has made this context here and its Confirm has not come yet."""
        return link.rekey.state in _KEEPING and kd_sess_id == link.rekey.kept.made.kd_sess_id

    def takes_confirm(self, link: Link, kd_sess_id: int) -> bool:
        """Whether a Confirm on a context belongs to a rekey, not to the set-up."""
        return link.keys.rekeyed or self.awaits_confirm_on(link, kd_sess_id)

    # Messages of the peer.

    def on_request(self, link: Link, pdu: ReceivedPdu, message: RekeyingRequest, now: Instant) -> None:
        """Answer a Request that came under the context in use. A Request with a fault gets no answer."""
        rekey = link.rekey
        half = request_half(link, message)
        if rekey.state in _KEEPING and hmac.compare_digest(half.request_hash, rekey.kept.request_hash):
            rekey.kept.answered_sn = max(rekey.kept.answered_sn, pdu.sn)
            self._machine.run(link, RekeyInput.SAME_REQUEST, now)
            return
        obstacle = self._obstacle(link, pdu)
        if obstacle:
            if rekey.state in _ASKING:
                self._machine.run(link, RekeyInput.PEER_REQUEST_MINE_STANDS, now)
            self._desk.drop(pdu, "rekeying request", obstacle)
            return
        try:
            prepared = prepare_response(self._desk, self._limits, link, pdu, half, now)
        except RekeyFault as fault:
            self._desk.drop(pdu, "rekeying request", str(fault), fault.detail)
        except (SecurityError, ProseLinkError) as error:
            self._desk.drop(pdu, "rekeying request", "response can't be made", str(error))
        else:
            if isinstance(prepared, PreparedResponse):
                if rekey.state in _ASKING:
                    self._machine.run(link, RekeyInput.PEER_REQUEST_THEIRS_STANDS, now)
                self._hand_over.keep(link, pdu, prepared)
                self._machine.run(link, RekeyInput.GOOD_REQUEST, now)

    def on_response(self, link: Link, pdu: ReceivedPdu, message: RekeyingResponse, now: Instant) -> None:
        """Process the Response to the open Request."""
        if link.rekey.state not in _ASKING:
            self._desk.drop(pdu, "rekeying response", "no open rekeying request")
            return
        try:
            agreed = check_response(self._desk, self._limits, link, pdu, message, now)
        except (SecurityError, ProseLinkError) as error:
            self._machine.run(link, RekeyInput.BAD_RESPONSE, now)
            detail = error.detail if isinstance(error, RekeyFault) else ""
            self._desk.drop(pdu, "rekeying response", str(error), detail)
            return
        if not isinstance(agreed, Waits):
            self._hand_over.install_own(link, message, agreed)
            self._machine.run(link, RekeyInput.GOOD_RESPONSE, now)

    def on_confirm(self, link: Link, pdu: ReceivedPdu, message: Keepalive, now: Instant) -> None:
        """Process the Confirm on a context that waits for it, or a copy of the one of the context in use."""
        awaited = self.awaits_confirm_on(link, pdu.kd_sess_id)
        expected = link.rekey.kept.made.expected_conf_i if awaited else link.keys.expected_conf_i
        if not expected or not hmac.compare_digest(expected, message.confirmation or b""):
            self._desk.drop(pdu, "confirm", "key confirmation differs")
        else:
            self._machine.run(link, RekeyInput.GOOD_CONFIRM if awaited else RekeyInput.CONFIRM_AGAIN, now)

    def note_verified(self, link: Link, kd_sess_id: int, now: Instant) -> None:
        """Take note of a PDU of the peer: under the context asked for, it shows that the peer has changed over."""
        if link.rekey.state is RekeyState.CONFIRMING and kd_sess_id == link.rekey.own.made.kd_sess_id:
            self._machine.run(link, RekeyInput.ACK, now)

    def settle(self, link: Link, now: Instant) -> None:
        """End a rekey in progress: the link is about to end."""
        if link.rekey.state is not RekeyState.NONE:
            self._machine.run(link, RekeyInput.ENDED, now)

    def handle_timer(self, link: Link, timer: RekeyTimer, now: Instant) -> None:
        """The timers of a rekey."""
        match timer:
            case Timer.REKEY_T4100:
                self._machine.run(link, self._request_run_out(link, now), now)
            case Timer.REKEY_T4101:
                self._machine.run(link, RekeyInput.T4101, now)
            case Timer.REKEY_T4108:
                self._machine.run(link, RekeyInput.T4108, now)
            case Timer.REKEY_AGAIN:
                self.start(link, now, new_kd=True)
            case Timer.REKEY_DUE if self.can_start(link):
                self.start(link, now, new_kd=True)
            case Timer.REKEY_DUE:
                self._hand_over.ask_again_later(link, Timer.REKEY_DUE, now)
            case Timer.T_OLD:
                link.keys.drop_context(link.keys.old_id)
                link.keys.old_id = 0
            case _:
                assert_never(timer)

    def _obstacle(self, link: Link, pdu: ReceivedPdu) -> str:
        """The reason why this end can't answer any Request now; empty if there is none."""
        rekey = link.rekey
        if pdu.kd_sess_id != link.keys.current_id:
            return "not under the context in use"
        if rekey.state in _ASKING and link.initiator:
            return "own request stands"
        if rekey.state is RekeyState.CONFIRMING:
            return "own Confirm has no Ack yet"
        if rekey.state in _KEEPING and pdu.sn <= rekey.kept.answered_sn:
            return "older than the request answered"
        return ""

    def _request_run_out(self, link: Link, now: Instant) -> RekeyInput:
        """The input for the table when T4100 has expired. Nonces without answer are followed by an I_MESSAGE."""
        run_out = REKEY_REQUEST.run_out(self._desk, link)
        if run_out is RekeyInput.T4100_NONE_LEFT and not link.rekey.own.new_kd:
            unmade = self._hand_over.prepare_request(link, now, new_kd=True)
            return run_out if unmade else RekeyInput.T4100_NONCES_UNANSWERED
        return run_out

    # Actions of the table.

    def _send_request(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._report_start(link, requester=True, new_kd=link.rekey.own.new_kd)
        REKEY_REQUEST.ask(self._desk, link, lambda: self._put_request(link), turn.now)

    def _resend_request(self, turn: Turn[Link]) -> None:
        link = turn.owner
        REKEY_REQUEST.ask_again(self._desk, link, lambda: self._put_request(link), turn.now)

    def _put_request(self, link: Link) -> None:
        self._desk.send_protected(link, link.rekey.own.request_octets)

    def _give_up(self, turn: Turn[Link]) -> None:
        self._hand_over.forget_own(turn.owner)
        self._report_failure(turn.owner, turn.why, turn.now)

    def _send_response(self, turn: Turn[Link]) -> None:
        self._report_start(turn.owner, requester=False, new_kd=turn.owner.rekey.kept.made.new_kd)
        self._resend_response(turn)

    def _resend_response(self, turn: Turn[Link]) -> None:
        self._desk.send_protected(turn.owner, turn.owner.rekey.kept.response_octets)

    def _send_confirm(self, turn: Turn[Link]) -> None:
        link, desk = turn.owner, self._desk
        desk.stop(link, Timer.REKEY_T4100)
        desk.start(link, Timer.REKEY_T4108, link.terms.inactivity_period_s, turn.now)
        link.sent[Timer.REKEY_T4101] = 0
        self._resend_confirm(turn)

    def _resend_confirm(self, turn: Turn[Link]) -> None:
        link, desk = turn.owner, self._desk
        own, t4101_s = link.rekey.own, desk.config.timers.t4101_s
        desk.send_protected(link, own.confirm_octets, kd_sess_id=own.made.kd_sess_id)
        doubled_s = t4101_s * 2 ** min(link.sent[Timer.REKEY_T4101], 16)
        link.sent[Timer.REKEY_T4101] += 1
        desk.start(link, Timer.REKEY_T4101, min(doubled_s, max(CONFIRM_AGAIN_AT_MOST_S, t4101_s)), turn.now)

    def _drop_kept(self, turn: Turn[Link]) -> None:
        self._hand_over.forget_kept(turn.owner)

    def _yield(self, turn: Turn[Link]) -> None:
        self._hand_over.forget_own(turn.owner)
        self._hand_over.stay_due(turn.owner, turn.now)

    def _send_ack(self, turn: Turn[Link]) -> None:
        ack = KeepaliveAck(sequence_number=self._desk.outbox.next_sequence_number(), counter=0)
        self._desk.send_message(turn.owner, ack)

    def _take_own(self, turn: Turn[Link]) -> None:
        self._hand_over.go_over(turn.owner, turn.owner.rekey.own.made, turn.now)

    def _take_kept(self, turn: Turn[Link]) -> None:
        self._hand_over.forget_own(turn.owner)
        self._hand_over.go_over(turn.owner, turn.owner.rekey.kept.made, turn.now)

    def _forget(self, turn: Turn[Link]) -> None:
        self._hand_over.forget_own(turn.owner)
        self._hand_over.forget_kept(turn.owner)

    def _keep_for_release(self, turn: Turn[Link]) -> None:
        """Keep both contexts for a Release: this end does not know which one the peer uses."""
        link = turn.owner
        self._desk.stop(link, *OF_ONE_REKEY)
        link.ending.also_under = link.rekey.own.made.kd_sess_id
        link.rekey.wipe()

    def _end_link(self, turn: Turn[Link]) -> None:
        self._upkeep.give_up(turn.owner, turn.now, "the peer does not acknowledge the rekey")

    # Events.

    def _report_start(self, link: Link, *, requester: bool, new_kd: bool) -> None:
        self._desk.outbox.emit(
            RekeyStarted(
                peer=link.peer,
                peer_l2=link.peer_l2,
                kd_sess_id=link.keys.current_id,
                requester=requester,
                new_kd=new_kd,
            )
        )

    def _report_failure(self, link: Link, why: str, now: Instant) -> None:
        """Report a failed rekey: another one follows, or the link can't go on and is released and set up anew."""
        self._desk.outbox.emit(RekeyFailed(peer=link.peer, peer_l2=link.peer_l2, why=why))
        aged = now.ntp_s >= link.keys.born_ntp_s + self._desk.config.kd_age_s
        if aged or link.context.exhausted:
            self._upkeep.release(link, ReleaseReason.NO_LONGER_AVAILABLE, now)
            return
        link.rekey.failures += 1
        self._hand_over.ask_again_later(link, Timer.REKEY_AGAIN, now)
