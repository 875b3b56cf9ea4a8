"""Rekeying an established link, under its context in use and tied to its transcript (PROFILE 9).

Either end may ask: because KD is old, a key period ends, a bearer's numbers run out, or its owner wants it. Request and
Response go under the context in use and carry fresh nonces; with I_MESSAGEs in them a new KD comes of it, without them
only new keys from the KD there is. The transcript of the rekey starts from that of the exchange before.

The order in which the ends change over keeps every PDU readable:

1. the answering end holds the new context for receiving only, and sends its Response under the old one;
2. the asking end sends on the new context from the Response on, first of all the Confirm, and receives on both;
3. the Confirm makes the answering end send on the new one too; its Ack, or any other PDU that verifies, tells the
   asking end that all is well;
4. the old context is received for T_old more, then it is wiped.

A rekey that comes to nothing leaves the context in use as it is, except where the asking end has changed over already
and hears nothing: then the link ends. If both ends ask at once, the Request of the link's initiator stands.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, TypeAlias, assert_never

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.asking import Question
from prose_link.pc5s.core.events import Rekeyed, RekeyFailed, RekeyStarted
from prose_link.pc5s.core.fsm import RekeyState, State
from prose_link.pc5s.core.link import Link, Secret
from prose_link.pc5s.core.machine import Actions, Place, StateMachine, Turn, nothing
from prose_link.pc5s.core.policy import RekeyContribution
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.transcript import Agreed
from prose_link.pc5s.identity.key_exchange import build_rekey_request
from prose_link.pc5s.identity.rekey_checks import PreparedResponse, check_response, needs_new_kd, prepare_response
from prose_link.pc5s.identity.tables import REKEYING, RekeyAction, RekeyInput
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import (
    Keepalive,
    KeepaliveAck,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    ReleaseReason,
)
from prose_link.pc5s.wire.pdus import DIRECT, ReceivedPdu
from security.errors import SecurityError

REKEY: Final = "rekeying"
"""The name of the one table that rekeys go by."""
RekeyTimer: TypeAlias = Literal[Timer.REKEY_T4100, Timer.REKEY_T4101, Timer.REKEY_T4111, Timer.T_OLD]
"""The timers of a rekey, and of the context it has replaced."""

REKEY_REQUEST: Final = Question(
    timer=Timer.REKEY_T4100,
    wait_s=lambda timers: timers.t4100_s,
    transmissions=lambda timers: timers.n4100,
    tries_left=RekeyInput.TIMER_TRIES_LEFT,
    none_left=RekeyInput.TIMER_NONE_LEFT,
    is_spread=True,
)
REKEY_CONFIRM: Final = Question(
    timer=Timer.REKEY_T4101,
    wait_s=lambda timers: timers.t4101_s,
    transmissions=lambda timers: timers.n4101,
    tries_left=RekeyInput.T4101_TRIES_LEFT,
    none_left=RekeyInput.T4101_NONE_LEFT,
)


class Rekeying:
    """Both roles of a rekey.

    Longer than most classes: it has a method for each of the 15 actions of one table, and they share one state.
    """

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._upkeep = parts.upkeep
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
            RekeyAction.SEND_REKEY_RESPONSE: self._send_response,
            RekeyAction.RESEND_REKEY_RESPONSE: self._resend_response,
            RekeyAction.SEND_REKEY_CONFIRM: self._send_confirm,
            RekeyAction.RESEND_REKEY_CONFIRM: self._resend_confirm,
            RekeyAction.SEND_REKEY_ACK: self._send_ack,
            RekeyAction.SWITCH: self._switch,
            RekeyAction.RETIRE_OLD: self._retire_old,
            RekeyAction.YIELD_REKEY: self._forget,
            RekeyAction.ABANDON_REKEY: self._abandon,
            RekeyAction.RELEASE_IF_STUCK: self._release_if_stuck,
            RekeyAction.END_LINK: self._end_link,
        }

    def start(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:
        """Ask for a new context, if the link is up and no rekey is under way.

        The Request brings an I_MESSAGE if `new_kd`, policy or the age of KD asks for it.
        """
        if not self.can_start(link):
            return
        by_policy = link.policy.rekey_contribution is not RekeyContribution.NONCE_ONLY
        contribute = new_kd or by_policy or needs_new_kd(self._desk, link, now)
        msb = self._desk.links.draw_msb(self._desk.random_bytes)
        draft = RekeyingRequest(
            sequence_number=self._desk.outbox.next_sequence_number(),
            capabilities=link.capabilities if link.initiator else link.policy.offer(),
            nonce_1=self._desk.random_bytes(16),
            kd_sess_id_msb=msb or 0,
        )
        signer = self._desk.credentials if contribute else None
        try:
            built = build_rekey_request(draft, link.keys.tx, signer, to=link.peer, ntp_s=now.ntp_s)
        except (SecurityError, ProseLinkError) as error:
            self._report_failure(link, f"request can't be made: {error}")
            return
        link.rekey.asked = built.asked
        link.rekey.request_octets = built.octets
        link.rekey.ssv = Secret(built.ssv)
        link.rekey.new_kd = contribute
        link.rekey.kd_born_ntp_s = now.ntp_s if contribute else link.keys.born_ntp_s
        self._machine.run(link, RekeyInput.WANTED, now)

    def can_start(self, link: Link) -> bool:
        """Whether the link is up and no rekey is under way."""
        return link.state is State.ESTABLISHED and link.rekey.state is RekeyState.NONE

    def trigger(self, link: Link) -> None:
        """Ask the peer to ask for a new context."""
        message = RekeyingTrigger(sequence_number=self._desk.outbox.next_sequence_number())
        self._desk.send_message(link, message)

    def on_request(self, link: Link, pdu: ReceivedPdu, message: RekeyingRequest, now: Instant) -> None:
        """Answer a Request that came under the context in use; anything wrong with it gets no answer."""
        rekey = link.rekey
        if rekey.state is RekeyState.AWAIT_CONFIRM and rekey.request_octets == pdu.data:
            self._machine.run(link, RekeyInput.SAME_REQUEST, now)
            return
        if pdu.kd_sess_id != link.keys.current_id:
            self._desk.drop(pdu, "rekeying request", "not under the context in use")
            return
        if rekey.state is RekeyState.WAIT_RESPONSE and link.initiator:
            self._machine.run(link, RekeyInput.PEER_REQUEST_MINE_STANDS, now)
            self._desk.drop(pdu, "rekeying request", "own request stands")
            return
        if rekey.state not in (RekeyState.NONE, RekeyState.WAIT_RESPONSE):
            self._desk.drop(pdu, "rekeying request", "another rekey is under way")
            return
        try:
            prepared = prepare_response(self._desk, link, pdu.data, message, now)
        except (SecurityError, ProseLinkError) as error:
            self._desk.drop(pdu, "rekeying request", "request is not acceptable", str(error))
            return
        if rekey.state is RekeyState.WAIT_RESPONSE:
            self._machine.run(link, RekeyInput.PEER_REQUEST_THEIRS_STANDS, now)
        self._install_pending(link, prepared)
        self._machine.run(link, RekeyInput.GOOD_REQUEST, now)

    def on_response(self, link: Link, pdu: ReceivedPdu, message: RekeyingResponse, now: Instant) -> None:
        """Take the Response to the open Request."""
        try:
            agreed = check_response(self._desk, link, message, now)
        except (SecurityError, ProseLinkError) as error:
            self._machine.run(link, RekeyInput.BAD_RESPONSE, now)
            self._desk.drop(pdu, "rekeying response", "response is not acceptable", str(error))
            return
        self._install_new(link, message, agreed)
        self._machine.run(link, RekeyInput.GOOD_RESPONSE, now)

    def on_confirm(self, link: Link, pdu: ReceivedPdu, message: Keepalive, now: Instant) -> None:
        """Take the Confirm on a context that waits for it, or the one before it again."""
        expected = link.rekey.expected_conf_i if pdu.kd_sess_id == link.rekey.pending_id else link.keys.expected_conf_i
        if not expected or not hmac.compare_digest(expected, message.confirmation or b""):
            self._desk.drop(pdu, "confirm", "key confirmation differs")
            return
        again = pdu.kd_sess_id != link.rekey.pending_id
        event = RekeyInput.CONFIRM_AGAIN if again else RekeyInput.GOOD_CONFIRM
        if not self._machine.run(link, event, now):
            self._desk.drop(pdu, "confirm", f"not expected when {link.rekey.state.value}")

    def run(self, link: Link, event: RekeyInput, now: Instant) -> bool:
        """Run the rekey of a link through its table; False if the event has no effect in its state."""
        return self._machine.run(link, event, now)

    def awaits_confirm_on(self, link: Link, kd_sess_id: int) -> bool:
        """Whether a context is the one that a rekey has made here and whose Confirm has not come yet."""
        return link.rekey.state is RekeyState.AWAIT_CONFIRM and kd_sess_id == link.rekey.pending_id

    def takes_confirm(self, link: Link, kd_sess_id: int) -> bool:
        """Whether a Confirm on a context is one of a rekey, not of the set-up."""
        return link.keys.rekeyed or self.awaits_confirm_on(link, kd_sess_id)

    def note_verified(self, link: Link, kd_sess_id: int, now: Instant) -> None:
        """A PDU of the peer's has proved that it sends on the context in use: a Confirm may have waited for that."""
        if link.rekey.state is RekeyState.CONFIRMING and kd_sess_id == link.keys.current_id:
            self._machine.run(link, RekeyInput.ACK, now)

    def settle(self, link: Link, now: Instant) -> None:
        """The link is about to end: a rekey under way comes to nothing."""
        if link.rekey.state is not RekeyState.NONE:
            self._machine.run(link, RekeyInput.ENDED, now)

    def handle_timer(self, link: Link, timer: RekeyTimer, now: Instant) -> None:
        """The timers of a rekey."""
        match timer:
            case Timer.REKEY_T4100:
                self._machine.run(link, REKEY_REQUEST.run_out(self._desk, link), now)
            case Timer.REKEY_T4101:
                self._machine.run(link, REKEY_CONFIRM.run_out(self._desk, link), now)
            case Timer.REKEY_T4111:
                self._machine.run(link, RekeyInput.T4111, now)
            case Timer.T_OLD:
                link.keys.drop_context(link.keys.old_id)
                link.keys.old_id = 0
            case _:
                assert_never(timer)

    def _install_pending(self, link: Link, prepared: PreparedResponse) -> None:
        """The answering end holds the new context, receive-only."""
        rekey, agreed = link.rekey, prepared.answer.agreed
        rekey.asked = prepared.half
        rekey.request_octets = prepared.request_octets
        rekey.response_octets = prepared.answer.octets
        rekey.expected_conf_i = agreed.keys.conf_i
        rekey.kd_next, rekey.tx = Secret(agreed.kd_next), agreed.tx
        rekey.pending_id = prepared.kd_sess_id
        rekey.new_kd = prepared.half.message.i_message is not None
        rekey.kd_born_ntp_s = prepared.kd_born_ntp_s
        self._desk.make_context(link, prepared.kd_sess_id, prepared.algorithms, agreed)

    def _install_new(self, link: Link, message: RekeyingResponse, agreed: Agreed) -> None:
        """The asking end holds the new context; the Confirm goes out on it."""
        rekey = link.rekey
        msb = rekey.asked.message.kd_sess_id_msb if rekey.asked else 0
        rekey.kd_next, rekey.tx = Secret(agreed.kd_next), agreed.tx
        rekey.pending_id = msb << 8 | message.kd_sess_id_lsb
        rekey.ssv.wipe()
        self._desk.make_context(link, rekey.pending_id, message.algorithms, agreed)
        sequence_number = self._desk.outbox.next_sequence_number()
        confirm = Keepalive(sequence_number=sequence_number, counter=0, confirmation=agreed.keys.conf_i)
        rekey.confirm_octets = encode(confirm)

    def _send_request(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._report_start(link, requester=True)
        REKEY_REQUEST.ask(self._desk, link, lambda: self._put_request(link), turn.now)

    def _resend_request(self, turn: Turn[Link]) -> None:
        link = turn.owner
        REKEY_REQUEST.ask_again(self._desk, link, lambda: self._put_request(link), turn.now)

    def _put_request(self, link: Link) -> None:
        self._desk.send_protected(link, link.rekey.request_octets)

    def _send_response(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._report_start(link, requester=False)
        self._desk.send_protected(link, link.rekey.response_octets)
        self._desk.start(link, Timer.REKEY_T4111, self._desk.config.timers.t4111(DIRECT), turn.now)

    def _resend_response(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._desk.send_protected(link, link.rekey.response_octets)

    def _send_confirm(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._desk.stop(link, Timer.REKEY_T4100)
        self._take_new(link)
        REKEY_CONFIRM.ask(self._desk, link, lambda: self._put_confirm(link), turn.now)

    def _resend_confirm(self, turn: Turn[Link]) -> None:
        link = turn.owner
        REKEY_CONFIRM.ask_again(self._desk, link, lambda: self._put_confirm(link), turn.now)

    def _put_confirm(self, link: Link) -> None:
        self._desk.send_protected(link, link.rekey.confirm_octets)

    def _switch(self, turn: Turn[Link]) -> None:
        self._take_new(turn.owner)

    def _take_new(self, link: Link) -> None:
        """Send on the new context from now on; the old one is still received."""
        if link.keys.old_id:
            link.keys.drop_context(link.keys.old_id)
        link.keys.old_id, link.keys.current_id = link.keys.current_id, link.rekey.pending_id

    def _send_ack(self, turn: Turn[Link]) -> None:
        ack = KeepaliveAck(sequence_number=self._desk.outbox.next_sequence_number(), counter=0)
        self._desk.send_message(turn.owner, ack)

    def _retire_old(self, turn: Turn[Link]) -> None:
        """The first good PDU has come on the new context: it is now the link's, and the old one has T_old to live."""
        link, rekey, desk = turn.owner, turn.owner.rekey, self._desk
        desk.stop(link, Timer.REKEY_T4100, Timer.REKEY_T4101, Timer.REKEY_T4111)
        desk.start(link, Timer.T_OLD, desk.config.timers.t_old_s, turn.now)
        link.keys.kd_next.wipe()
        link.keys.kd_next, rekey.kd_next = rekey.kd_next, Secret()
        link.keys.tx, link.keys.expected_conf_i = rekey.tx, rekey.expected_conf_i
        link.keys.nonce_only_rekeys = 0 if rekey.new_kd else link.keys.nonce_only_rekeys + 1
        link.keys.born_ntp_s = rekey.kd_born_ntp_s
        link.keys.rekeyed = True
        desk.outbox.emit(
            Rekeyed(
                peer=link.peer,
                peer_l2=link.peer_l2,
                old_kd_sess_id=link.keys.old_id,
                kd_sess_id=link.keys.current_id,
                new_kd=rekey.new_kd,
            )
        )
        if rekey.new_kd:
            self._upkeep.schedule_rekey(link, turn.now)
        rekey.wipe()

    def _forget(self, turn: Turn[Link]) -> None:
        """Back to the context in use before; whatever the rekey has made is wiped."""
        link, rekey = turn.owner, turn.owner.rekey
        self._desk.stop(link, Timer.REKEY_T4100, Timer.REKEY_T4101, Timer.REKEY_T4111)
        if rekey.pending_id and link.keys.current_id == rekey.pending_id:
            link.keys.current_id, link.keys.old_id = link.keys.old_id, 0
        link.keys.drop_context(rekey.pending_id)
        rekey.wipe()

    def _abandon(self, turn: Turn[Link]) -> None:
        self._forget(turn)
        self._report_failure(turn.owner, turn.why)

    def _release_if_stuck(self, turn: Turn[Link]) -> None:
        """A link can't go on without a rekey when its KD may not be used any longer or a bearer has no SN left."""
        link = turn.owner
        if needs_new_kd(self._desk, link, turn.now) or link.context.exhausted:
            self._upkeep.release(link, ReleaseReason.NO_LONGER_AVAILABLE, turn.now)

    def _end_link(self, turn: Turn[Link]) -> None:
        self._upkeep.end(turn.owner, turn.now, "the peer does not acknowledge the rekey")

    def _report_start(self, link: Link, *, requester: bool) -> None:
        self._desk.outbox.emit(
            RekeyStarted(
                peer=link.peer,
                peer_l2=link.peer_l2,
                kd_sess_id=link.keys.current_id,
                requester=requester,
                new_kd=link.rekey.new_kd,
            )
        )

    def _report_failure(self, link: Link, why: str) -> None:
        self._desk.outbox.emit(RekeyFailed(peer=link.peer, peer_l2=link.peer_l2, why=why))
