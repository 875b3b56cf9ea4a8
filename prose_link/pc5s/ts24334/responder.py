"""The responder of the `ts24334` profile: Request checked, KD chosen and encapsulated, Command (TS 24.334 10.4.2, .5).

The Request has no time and no target: W and binding do not exist here. A replayed Request costs this end one signature
and one encapsulation, and a provisional link that only the holder of the initiator's RSK can confirm.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import LinkProvisional, RequestReceived, RequestRefused
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link, Secret
from prose_link.pc5s.core.policy import NULL_ALGORITHM, LinkPolicy, Profile, ip_versions_of
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.shared import Desk, LinkActions, LinkMachine, Turn
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.verify_budget import Admission
from prose_link.pc5s.identity.responder_checks import SAME_OCTETS, TOO_MANY, Waits
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import encode
from prose_link.pc5s.ts24334.context import ModeContext
from prose_link.pc5s.ts24334.initiator import signed_asked
from prose_link.pc5s.ts24334.messages import (
    ModeCause,
    PlainReject,
    ProtectedAccept,
    SecurityModeCommand,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.wire.messages import ChosenAlgorithms
from prose_link.pc5s.wire.pdus import LCID_SECURITY_MODE, OutgoingPdu, ReceivedPdu
from security.device.record import RecordError
from security.errors import SecurityError
from security.link.key_ladder import KDF_PROFILES

KD_ID_MSB_OCTETS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A Request is not worked on: at which step and why; `cause` is told to a sender whose signature verified."""

    step: int
    why: str
    cause: ModeCause | None = None
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Asking:
    """A Request being looked at."""

    pdu: ReceivedPdu
    request: SignedRequest
    now: Instant
    policy: LinkPolicy
    asked: Asked[SignedRequest]
    algorithms: ChosenAlgorithms | None = None
    yields: Link | None = None
    answer: SecurityModeCommand = field(init=False)

    @property
    def peer(self) -> str:
        """Whom the Request names as its sender."""
        return self.request.user_info


class ModeResponder:
    """Answers requests of the `ts24334` profile."""

    def __init__(self, desk: Desk, machine: LinkMachine, limits: Limits) -> None:
        self._desk = desk
        self._machine = machine
        self._limits = limits

    @property
    def actions(self) -> LinkActions:
        """The responder's own actions."""
        return {
            Action.SEND_COMMAND: self._send_command,
            Action.RESEND_COMMAND: self._resend_command,
            Action.SEND_PROTECTED_ACCEPT: self._send_accept,
        }

    def on_request(self, pdu: ReceivedPdu, request: SignedRequest, now: Instant) -> None:
        """Check a Request, cheapest first, and answer it."""
        policy = self._desk.config.policy.towards(request.user_info)
        asking = Asking(pdu=pdu, request=request, now=now, policy=policy, asked=signed_asked(request))
        known = self._desk.links.of_request(asking.asked.request_hash)
        reject = self._limits.refused.reject_for(asking.asked.request_hash)
        if known is not None and not known.initiator:
            known.heard_by = pdu.carrier
            if not self._machine.run(known, Input.SAME_REQUEST, now):
                self._desk.drop(pdu, "request", "same request, link is past it")
        elif reject is not None:
            if self._limits.refused.may_repeat(asking.asked.request_hash, now.mono_s):
                self._desk.send_plain(reject, pdu.src_l2, pdu.carrier)
            self._desk.drop(pdu, "request", "same request, refused before")
        else:
            self._work_on(asking)

    def on_complete(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """A Complete that PDCP has verified: the initiator holds the keys."""
        if not self._machine.run(link, Input.GOOD_COMPLETE, now):
            self._desk.drop(pdu, "security mode complete", f"not expected when {link.state.value}")

    def on_mode_reject(self, pdu: ReceivedPdu, reject: SecurityModeReject, now: Instant) -> None:
        """Remember the cause; T4111 ends the attempt, since anybody can send this."""
        for link in self._desk.links.in_state(State.PROVISIONAL):
            if link.profile is Profile.TS24334 and link.peer_l2 == pdu.src_l2:
                link.remembered_cause = reject.cause
                self._machine.run(link, Input.MODE_REJECT, now)
                return
        self._desk.drop(pdu, "security mode reject", "no open command")

    def _work_on(self, asking: Asking) -> None:
        try:
            refused: Refused | Waits | None = self._examine(asking)
        except RecordError as error:
            refused = Refused(step=5, why="record can't be used", detail=str(error))
        if isinstance(refused, Waits):
            return
        if asking.yields is not None:
            self._machine.run(asking.yields, Input.PEER_REQUEST_THEIRS_GREATER, asking.now)
        if refused is None:
            refused = self._answer(asking)
        if refused is not None:
            self._refuse(asking, refused)

    def _examine(self, asking: Asking) -> Refused | Waits | None:
        """Form and policy first, then the signature; what policy said is told only to a sender who verified."""
        desk, peer, now = self._desk, asking.peer, asking.now
        if asking.policy.profile is not Profile.TS24334:
            return Refused(step=1, why="profile not accepted")
        if peer == desk.credentials.uri:
            return Refused(step=2, why="sender is this identity")
        if asking.request.signature is None:
            return Refused(step=2, why="signature is missing")
        digest = asking.asked.request_hash
        if desk.record.contains(digest):
            return Refused(step=5, why="replay")
        if (fault := desk.clock_fault(now)) is not None:
            return Refused(step=5, why=fault)
        deferred = self._policy_verdict(asking)
        match self._limits.verify.ask(asking.pdu, peer, now.mono_s):
            case Admission.WAITS:
                return Waits.WAITS
            case Admission.FAILED_BEFORE:
                return Refused(step=8, why="signature does not verify", detail=SAME_OCTETS)
            case Admission.REFUSED:
                return Refused(step=7, why=TOO_MANY)
        try:
            keys.verify(asking.asked.t1, asking.request.signature, peer, desk.credentials, now.ntp_s)
        except SecurityError as error:
            return Refused(step=8, why="signature does not verify", detail=str(error))
        self._limits.verify.verified(asking.pdu, peer)
        if deferred is not None:
            return deferred
        stands = self._collision(asking)
        if stands is not None:
            return stands
        expires = int(now.ntp_s) + WINDOW_S + 1
        if not desk.record.remember(digest, signer=peer, expires_ntp_s=expires, now_ntp_s=int(now.ntp_s)):
            return Refused(step=9, why="replay")
        if not self._limits.pair.take(peer, now.mono_s):
            return Refused(step=10, why="too many requests to answer", cause=ModeCause.LACK_OF_RESOURCES)
        return None

    def _policy_verdict(self, asking: Asking) -> Refused | None:
        desk, request, peer, src_l2 = self._desk, asking.request, asking.peer, asking.pdu.src_l2
        chosen = asking.policy.choose(request.capabilities)
        if desk.credentials.denies(peer) or not desk.config.policy.authorises(peer):
            return Refused(step=6, why="not authorised", cause=ModeCause.NOT_ALLOWED)
        if not ip_versions_of(request.ip_address_config) & ip_versions_of(desk.config.ip_address_config):
            return Refused(step=6, why="no IP version in common", cause=ModeCause.IP_VERSION_MISMATCH)
        if chosen is None or chosen.eia == NULL_ALGORITHM:  # MAC-I of the Complete is the only proof of the keys
            return Refused(step=6, why="no algorithms in common", cause=ModeCause.OTHER)
        if src_l2 == desk.config.l2_id or desk.links.peer_with_l2(src_l2, other_than=peer):
            return Refused(step=6, why="layer-2 id is taken", cause=ModeCause.L2_ID_CONFLICT)
        roomy = desk.links.has_room(peer) and desk.links.has_provisional_room(peer, asking.pdu.carrier)
        if not roomy or not desk.record.has_room(peer, now_ntp_s=int(asking.now.ntp_s)):
            return Refused(step=6, why="no room for a link", cause=ModeCause.LACK_OF_RESOURCES)
        asking.algorithms = chosen
        return None

    def _collision(self, asking: Asking) -> Refused | None:
        """Both ends have asked: the Request with the greater hash stands."""
        own = self._desk.links.with_peer(asking.peer, State.WAIT_ACCEPT, State.CONFIRMING)
        if own is None or not own.initiator:
            return None
        if own.state is State.CONFIRMING:
            return Refused(step=9, why="a link with this peer is being confirmed")
        if own.asked.request_hash >= asking.asked.request_hash:
            return Refused(step=9, why="collision: own request stands")
        asking.yields = own
        return None

    def _answer(self, asking: Asking) -> Refused | None:
        desk, request, now = self._desk, asking.request, asking.now
        lsb = desk.links.free_lsb(request.kd_sess_id_msb, asking.pdu.src_l2, set(), desk.random_bytes)
        chosen = asking.algorithms
        if lsb is None or chosen is None:
            return Refused(step=11, why="no KD-sess ID is free", cause=ModeCause.LACK_OF_RESOURCES)
        ssv = keys.new_ssv(desk.credentials, asking.peer, asking.now.ntp_s)
        try:
            command = self._command(asking, chosen, lsb, ssv)
        except (SecurityError, ProseLinkError) as error:
            return Refused(step=11, why="command can't be made", cause=ModeCause.OTHER, detail=str(error))
        older = desk.links.with_peer(asking.peer, State.PROVISIONAL)
        if older is not None:
            self._machine.run(older, Input.REPLACED, now)
        agreed = keys.agree(
            ssv, KDF_PROFILES[asking.policy.kdfs[0]], request.nonce_1, command.nonce_2, command.algorithms
        )
        link = Link(
            number=desk.links.next_number(),
            initiator=False,
            peer=asking.peer,
            peer_l2=asking.pdu.src_l2,
            carrier=asking.pdu.carrier,
            heard_by=asking.pdu.carrier,
            policy=asking.policy,
            profile=Profile.TS24334,
            context_kind=ModeContext,
            asked=asking.asked,
            accept_octets=encode(command),
            mutual=True,
            peer_link_local=request.link_local,
            ip_versions=ip_versions_of(request.ip_address_config) & ip_versions_of(desk.config.ip_address_config),
            inactivity_period_s=float(request.maximum_inactivity_period_s),
            kd=Secret(agreed.kd),
            current_id=request.kd_sess_id_msb << 8 | lsb,
            kd_born_ntp_s=now.ntp_s,
        )
        desk.make_context(link, link.current_id, chosen, agreed)
        desk.links.add(link)
        desk.outbox.emit(
            RequestReceived(
                peer=link.peer,
                peer_l2=link.peer_l2,
                request_hash=asking.asked.request_hash,
                octets=len(asking.pdu.data),
                accept_octets=len(link.accept_octets),
            )
        )
        self._machine.run(link, Input.GOOD_REQUEST, now)
        return None

    def _command(self, asking: Asking, chosen: ChosenAlgorithms, lsb: int, ssv: bytes) -> SecurityModeCommand:
        desk, now = self._desk, asking.now
        draft = SecurityModeCommand(
            sequence_number=desk.outbox.next_sequence_number(),
            capabilities=asking.request.capabilities,
            nonce_2=desk.random_bytes(16),
            algorithms=chosen,
            kd_sess_id_lsb=lsb,
            kd_id_msb=int.from_bytes(desk.random_bytes(KD_ID_MSB_OCTETS)),
            user_info=desk.credentials.uri,
            encrypted_payload=keys.encapsulate(ssv, asking.peer, desk.credentials, now.ntp_s),
        )
        to_sign = keys.command_to_sign(encode(asking.request), draft)
        return replace(draft, signature=keys.sign(to_sign, desk.credentials, desk.random_bytes, now.ntp_s))

    def _refuse(self, asking: Asking, refused: Refused) -> None:
        desk, pdu = self._desk, asking.pdu
        desk.outbox.counters[refused.why] += 1
        desk.outbox.emit(
            RequestRefused(
                step=refused.step,
                cause=refused.cause,
                why=refused.why,
                detail=refused.detail,
                peer=asking.peer,
                peer_l2=pdu.src_l2,
            )
        )
        if refused.cause is not None:
            message = PlainReject(sequence_number=desk.outbox.next_sequence_number(), cause=refused.cause)
            reject = encode(message)
            desk.send_plain(reject, pdu.src_l2, pdu.carrier)
            self._limits.refused.add(asking.asked.request_hash, reject)

    def _send_command(self, turn: Turn) -> None:
        link, desk = turn.link, self._desk
        link.answered_at_s[link.carrier] = turn.now.mono_s
        self._put_command(link)
        desk.start(link, Timer.T4111, desk.config.timers.t4111(link.carrier), turn.now)
        desk.outbox.emit(LinkProvisional(peer=link.peer, peer_l2=link.peer_l2, kd_sess_id=link.current_id))

    def _resend_command(self, turn: Turn) -> None:
        if turn.link.may_answer_again(turn.now.mono_s):
            self._put_command(turn.link)
        else:
            self._desk.outbox.counters["same request, answered a moment ago"] += 1

    def _put_command(self, link: Link) -> None:
        self._desk.outbox.put(
            OutgoingPdu(
                data=link.accept_octets, dst_l2=link.peer_l2, lcid=LCID_SECURITY_MODE, kd_sess_id=link.current_id
            )
        )

    def _send_accept(self, turn: Turn) -> None:
        desk = self._desk
        message = ProtectedAccept(
            sequence_number=desk.outbox.next_sequence_number(),
            ip_address_config=desk.config.ip_address_config,
            link_local=desk.config.link_local,
        )
        desk.send_protected(turn.link, encode(message))
