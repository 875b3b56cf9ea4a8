"""The responder of the `ts24334` profile: Request checked, KD chosen and encapsulated, Command (TS 24.334 10.4.2, .5).

This end draws an SSV, encapsulates it to the initiator and sends it in the Security Mode Command, which it signs
together with the Request it answers. The keys exist then, but the link is provisional until the Security Mode Complete
has verified under them: only the holder of the initiator's RSK can have opened the SSV. The Accept follows under the
context. T4111 ends a provisional link whose Complete doesn't come. A copy of a Request gets the same Command again, at
a bounded rate; what was refused with a cause gets the same Reject.

The Request has no time and no target: W and binding do not exist here. A replayed Request costs this end one signature
and one encapsulation, and a provisional link that is never confirmed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import LinkProvisional, RequestReceived, RequestRefused
from prose_link.pc5s.core.fsm import Input, State
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.machine import Actions, Turn
from prose_link.pc5s.core.policy import Profile, ip_versions_of
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.used_ids import UsedIds
from prose_link.pc5s.core.verify_budget import Waits
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import encode
from prose_link.pc5s.ts24334.context import ModeContext
from prose_link.pc5s.ts24334.initiator import signed_asked
from prose_link.pc5s.ts24334.messages import (
    PlainReject,
    ProtectedAccept,
    SecurityModeCommand,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.ts24334.request_checks import Asking, Refused, RequestChecks
from prose_link.pc5s.ts24334.tables import ModeAction, ModeInput
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms
from prose_link.pc5s.wire.pdus import LCID_SECURITY_MODE, ReceivedPdu
from security.errors import SecurityError
from security.link.key_ladder import KDF_PROFILES

KD_ID_MSB_OCTETS: Final = 2


class ModeResponder:
    """Answers requests of the `ts24334` profile."""

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._limits = parts.limits
        self._checks = RequestChecks(parts.desk, parts.limits)

    @property
    def actions(self) -> Actions[Link]:
        """The responder's own actions."""
        return {
            ModeAction.SEND_COMMAND: self._send_command,
            ModeAction.RESEND_COMMAND: self._resend_command,
            ModeAction.SEND_PROTECTED_ACCEPT: self._send_accept,
        }

    def on_request(self, pdu: ReceivedPdu, request: SignedRequest, now: Instant) -> None:
        """Check a Request, cheapest checks first, and answer it."""
        policy = self._desk.config.policy.towards(request.user_info)
        asking = Asking(pdu=pdu, request=request, now=now, policy=policy, asked=signed_asked(request))
        known = self._desk.links.of_request(asking.asked.request_hash)
        reject = self._limits.refused.reject_for(asking.asked.request_hash)
        if known is not None and not known.initiator:
            known.setup.heard_by = pdu.via
            if not self._desk.run(known, Input.SAME_REQUEST, now):
                self._desk.drop(pdu, "request", "same request, link is past it")
        elif reject is not None:
            if self._limits.refused.take_repeat(asking.asked.request_hash, now.mono_s):
                self._desk.send_plain(reject, pdu.sender)
            self._desk.drop(pdu, "request", "same request, refused before")
        else:
            self._work_on(asking)

    def on_complete(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Process a Complete that PDCP has verified: the initiator holds the keys."""
        if not self._desk.run(link, ModeInput.GOOD_COMPLETE, now):
            self._desk.drop(pdu, "security mode complete", f"not expected when {link.state.value}")

    def on_mode_reject(self, pdu: ReceivedPdu, reject: SecurityModeReject, now: Instant) -> None:
        """Remember the cause. T4111 ends the attempt, since any party can send this message."""
        for link in self._desk.links.in_state(State.PROVISIONAL):
            if link.profile is Profile.TS24334 and pdu.addresses_count and link.peer_l2 == pdu.src_l2:
                link.setup.remembered_cause = reject.cause
                self._desk.run(link, ModeInput.MODE_REJECT, now)
                return
        self._desk.drop(pdu, "security mode reject", "no open command")

    def _work_on(self, asking: Asking) -> None:
        refused = self._checks.examine(asking)
        if isinstance(refused, Waits):
            return
        if asking.yields is not None:
            self._desk.run(asking.yields, Input.PEER_REQUEST_THEIRS_GREATER, asking.now)
        if refused is None:
            refused = self._answer(asking)
        if refused is not None:
            self._refuse(asking, refused)

    def _answer(self, asking: Asking) -> Refused | None:
        desk, request, now = self._desk, asking.request, asking.now
        lsb = desk.links.draw_lsb(request.kd_sess_id_msb, asking.pdu.src_l2, UsedIds(), desk.random_bytes)
        chosen = asking.algorithms
        if lsb is None or chosen is None:
            return Refused(step=11, why="no KD-sess ID is free", cause=Cause.LACK_OF_RESOURCES)
        ssv = keys.new_ssv(desk.credentials, asking.peer, asking.now.ntp_s)
        try:
            command = self._command(asking, chosen, lsb, ssv)
        except (SecurityError, ProseLinkError) as error:
            return Refused(step=11, why="command can't be made", cause=Cause.OTHER, detail=str(error))
        older = desk.links.with_peer(asking.peer, State.PROVISIONAL)
        if older is not None:
            self._desk.run(older, Input.REPLACED, now)
        agreed = keys.agree(
            ssv, KDF_PROFILES[asking.policy.kdfs[0]], request.nonce_1, command.nonce_2, command.algorithms
        )
        link = Link(
            number=desk.links.next_number(),
            initiator=False,
            peer=asking.peer,
            peer_l2=asking.pdu.src_l2,
            via=asking.pdu.via,
            policy=asking.policy,
            profile=Profile.TS24334,
            asked=asking.asked,
            setup=Setup(accept_octets=encode(command), heard_by=asking.pdu.via, provisional_since_s=now.mono_s),
            terms=Terms(
                mutual=True,
                peer_link_local=request.link_local,
                ip_versions=ip_versions_of(request.ip_address_config) & ip_versions_of(desk.config.ip_address_config),
                inactivity_period_s=float(request.maximum_inactivity_period_s),
            ),
            keys=LinkKeys(
                born_ntp_s=now.ntp_s,
                context_kind=ModeContext,
                current_id=request.kd_sess_id_msb << 8 | lsb,
            ),
        )
        desk.make_context(link, link.keys.current_id, chosen, agreed)
        desk.links.add(link)
        desk.outbox.emit(
            RequestReceived(
                peer=link.peer,
                peer_l2=link.peer_l2,
                request_hash=asking.asked.request_hash,
                octets=len(asking.pdu.data),
                accept_octets=len(link.setup.accept_octets),
            )
        )
        self._desk.run(link, Input.GOOD_REQUEST, now)
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
            desk.send_plain(reject, pdu.sender)
            self._limits.refused.add(asking.asked.request_hash, reject)

    def _send_command(self, turn: Turn[Link]) -> None:
        link, desk = turn.owner, self._desk
        link.setup.count_answer(link.via, turn.now.mono_s)
        self._put_command(link)
        desk.start(link, Timer.T4111, link.setup.longest_t4111_s, turn.now)
        desk.outbox.emit(LinkProvisional(peer=link.peer, peer_l2=link.peer_l2, kd_sess_id=link.keys.current_id))

    def _resend_command(self, turn: Turn[Link]) -> None:
        if turn.owner.setup.take_answer_again(turn.now.mono_s):
            self._put_command(turn.owner)
        else:
            self._desk.outbox.counters["same request, answered a moment ago"] += 1

    def _put_command(self, link: Link) -> None:
        self._desk.send_protected(link, link.setup.accept_octets, lcid=LCID_SECURITY_MODE)

    def _send_accept(self, turn: Turn[Link]) -> None:
        desk = self._desk
        message = ProtectedAccept(
            sequence_number=desk.outbox.next_sequence_number(),
            ip_address_config=desk.config.ip_address_config,
            link_local=desk.config.link_local,
        )
        desk.send_protected(turn.owner, encode(message))
