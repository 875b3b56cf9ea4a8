"""The responder of the `identity` profile: from a DCR to a provisional link, to an established one by the Confirm.

Any party can put a DCR on the air, so nothing is kept of one until it has passed its checks (PROFILE 6; they stand in
`responder_checks`, cheapest first), and the two costly ones, a signature and a decapsulation, are budgeted. A DCR that
passes is answered at once by a DCA, with an I_MESSAGE of this end where policy gives one. The keys exist then, but the
link is provisional: no user data goes either way, until the initiator's Confirm has shown by conf_I that it has the
same keys. T4111 ends a provisional link whose Confirm doesn't come. Verified PDUs prove nothing before that, since the
MAC of a null algorithm proves nothing.

A copy of a DCR gets the same DCA again, by the carrier that brought the copy, at a bounded rate. What was refused with
a cause gets the same Reject. A later DCR of the same signer takes the place of its provisional link; one that is not
later by its T is passed over while that link is provisional, whatever recorded or delayed it (PROFILE 7).
"""

from __future__ import annotations

import hmac
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import LinkProvisional, RequestReceived
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.machine import Actions, Turn
from prose_link.pc5s.core.policy import Profile, ip_versions_of
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.secret import Secret
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.used_ids import UsedIds
from prose_link.pc5s.identity.examination import Examination, Known, Refusal
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, BuiltAnswer, build_accept
from prose_link.pc5s.identity.refusals import refuse
from prose_link.pc5s.identity.responder_checks import examine
from prose_link.pc5s.wire.messages import Cause, DirectAccept, Keepalive, KeepaliveAck
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError

ANSWER_STEP: Final = 14


class Responder:
    """Answers the requests of other UEs."""

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._limits = parts.limits

    @property
    def actions(self) -> Actions[Link]:
        """The responder's own actions."""
        return {
            Action.SEND_ACCEPT: self._send_accept,
            Action.RESEND_ACCEPT: self._resend_accept,
            Action.SEND_ACK: self._send_ack,
        }

    def on_request(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Check a DCR in steps 1 to 14."""
        exam = Examination(desk=self._desk, limits=self._limits, pdu=pdu, now=now)
        verdict = examine(exam)
        match verdict:
            case None:
                self._answer(exam)
            case Refusal():
                refuse(exam, verdict)
            case Known(link=Link() as link):
                link.setup.heard_by = pdu.via
                if not self._desk.run(link, Input.SAME_REQUEST, now):
                    self._desk.drop(pdu, "request", "same request, link is past it")
            case Known(reject=bytes() as reject):
                if self._limits.refused.take_repeat(exam.request_hash, now.mono_s):
                    self._desk.send_plain(reject, pdu.sender)
                self._desk.drop(pdu, "request", "same request, refused before")
            case Known():
                self._desk.drop(pdu, "request", "same request, passed over for now")

    def on_confirm(self, link: Link, pdu: ReceivedPdu, message: Keepalive, now: Instant) -> None:
        """Process the Confirm of a set-up: only conf_I ends the provisional state, even if the MAC-I has verified."""
        expected = link.keys.expected_conf_i
        if not expected or not hmac.compare_digest(expected, message.confirmation or b""):
            self._desk.drop(pdu, "confirm", "key confirmation differs")
            return
        own = self._desk.links.with_peer(link.peer, State.WAIT_ACCEPT, State.CONFIRMING)
        if link.state is State.PROVISIONAL and own is not None:
            self._desk.run(own, Input.PEER_REQUEST_CONFIRMED, now)
        if not self._desk.run(link, Input.GOOD_CONFIRM, now):
            self._desk.drop(pdu, "confirm", f"not expected when {link.state.value}")

    def _answer(self, exam: Examination) -> None:
        """Step 14: own I_MESSAGE if it is wanted, keys, LSB, DCA; then the link is provisional."""
        request, desk = exam.request, self._desk
        lsb = desk.links.draw_lsb(request.kd_sess_id_msb, request.link_l2_id, UsedIds(), desk.random_bytes)
        if lsb is None:
            refuse(exam, _no_answer("no KD-sess ID is free", Cause.LACK_OF_RESOURCES))
            return
        try:
            answer = self._accept(exam, lsb)
        except (SecurityError, ProseLinkError) as error:
            refuse(exam, _no_answer("own I_MESSAGE can't be made", Cause.OTHER, detail=str(error)))
            return
        older = desk.links.with_peer(request.user_info, State.PROVISIONAL)
        if older is not None:
            self._desk.run(older, Input.REPLACED, exam.now)
        link = self._link(exam, lsb, answer)
        desk.links.add(link)
        if exam.own is not None:
            desk.run(exam.own, Input.PEER_REQUEST_THEIRS_GREATER, exam.now)
        desk.outbox.emit(
            RequestReceived(
                peer=link.peer,
                peer_l2=link.peer_l2,
                request_hash=exam.asked.request_hash,
                octets=len(exam.pdu.data),
                accept_octets=len(answer.octets),
            )
        )
        self._desk.run(link, Input.GOOD_REQUEST, exam.now)

    def _accept(self, exam: Examination, lsb: int) -> BuiltAnswer:
        desk, request = self._desk, exam.request
        draft = DirectAccept(
            sequence_number=desk.outbox.next_sequence_number(),
            ip_address_config=desk.config.ip_address_config,
            link_local=desk.config.link_local,
            user_info=desk.credentials.uri,
            link_l2_id=desk.config.l2_id,
            profile=request.profile,
            request_hash=exam.asked.request_hash,
            nonce_2=desk.random_bytes(16),
            algorithms=exam.algorithms,
            kd_sess_id_lsb=lsb,
            confirmation=NO_CONFIRMATION,
        )
        signer = desk.credentials if exam.policy.gives(request.profile.mutual) else None
        return build_accept(draft, exam.asked, ssv_a=exam.ssv, signer=signer, ntp_s=exam.now.ntp_s)

    def _link(self, exam: Examination, lsb: int, answer: BuiltAnswer) -> Link:
        request, agreed = exam.request, answer.agreed
        kd_sess_id = request.kd_sess_id_msb << 8 | lsb
        link = Link(
            number=self._desk.links.next_number(),
            initiator=False,
            peer=request.user_info,
            peer_l2=request.link_l2_id,
            via=exam.pdu.via,
            policy=exam.policy,
            profile=Profile.IDENTITY,
            asked=exam.asked,
            setup=Setup(
                accept_octets=answer.octets,
                heard_by=exam.pdu.via,
                provisional_since_s=exam.now.mono_s,
            ),
            terms=Terms(
                mutual=answer.mutual,
                peer_link_local=request.link_local,
                ip_versions=ip_versions_of(request.ip_address_config)
                & ip_versions_of(self._desk.config.ip_address_config),
                inactivity_period_s=float(request.maximum_inactivity_period_s),
            ),
            keys=LinkKeys(
                kd_next=Secret(agreed.kd_next),
                born_ntp_s=exam.i_message.ntp_s,
                tx=agreed.tx,
                expected_conf_i=agreed.keys.conf_i,
                current_id=kd_sess_id,
            ),
        )
        self._desk.make_context(link, kd_sess_id, exam.algorithms, agreed)
        return link

    def _send_accept(self, turn: Turn[Link]) -> None:
        link = turn.owner
        desk = self._desk
        link.setup.count_answer(link.via, turn.now.mono_s)
        desk.send_plain(link.setup.accept_octets, link.party)
        desk.start(link, Timer.T4111, link.setup.longest_t4111_s, turn.now)
        desk.outbox.emit(LinkProvisional(peer=link.peer, peer_l2=link.peer_l2, kd_sess_id=link.keys.current_id))

    def _resend_accept(self, turn: Turn[Link]) -> None:
        """Send the DCA again, by the way that brought the copy."""
        link, desk, heard_by = turn.owner, self._desk, turn.owner.setup.heard_by
        if heard_by is None or not link.setup.take_answer_again(turn.now.mono_s):
            desk.outbox.counters["same request, answered a moment ago"] += 1
            return
        desk.send_plain(link.setup.accept_octets, link.party_by(heard_by))
        ends_s = link.setup.provisional_since_s + link.setup.longest_t4111_s
        desk.timers.start(link.number, Timer.T4111, ends_s)

    def _send_ack(self, turn: Turn[Link]) -> None:
        ack = KeepaliveAck(sequence_number=self._desk.outbox.next_sequence_number(), counter=0)
        self._desk.send_message(turn.owner, ack)


def _no_answer(why: str, cause: Cause, detail: str = "") -> Refusal:
    return Refusal(step=ANSWER_STEP, why=why, cause=cause, detail=detail)
