"""The initiator of the `ts24334` profile: signed Request, Command checked and opened, Complete (TS 24.334 10.4)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.events import AcceptRefused, LinkFailed
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import NULL_ALGORITHM, Profile, ip_versions_of
from prose_link.pc5s.core.shared import Desk, LinkActions, LinkMachine, Turn
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.upkeep import obstacle_to_asking
from prose_link.pc5s.core.verify_budget import Admission
from prose_link.pc5s.identity.responder_checks import SAME_OCTETS, TOO_MANY
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import decode, encode
from prose_link.pc5s.ts24334.context import ModeContext
from prose_link.pc5s.ts24334.messages import (
    ModeCause,
    PlainReject,
    ProtectedAccept,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.pdus import LCID_SECURITY_MODE, LCID_UNPROTECTED, OutgoingPdu, ReceivedPdu
from security.errors import SecurityError
from security.link.context import SecurityContext
from security.link.key_ladder import KDF_PROFILES

KD_ID_LSB_OCTETS: Final = 2


class CommandFault(ProseLinkError):
    """A Security Mode Command is not acceptable; `cause` is for its sender, None for silence."""

    def __init__(self, step: int, why: str, cause: ModeCause | None = None, detail: str = "") -> None:
        super().__init__(why)
        self.step = step
        self.why = why
        self.cause = cause
        self.detail = detail


class ModeInitiator:
    """Makes this UE's own requests of the `ts24334` profile."""

    def __init__(self, desk: Desk, machine: LinkMachine, limits: Limits) -> None:
        self._desk = desk
        self._machine = machine
        self._limits = limits

    @property
    def actions(self) -> LinkActions:
        """The initiator's own actions; the Request goes out like the other profile's."""
        return {Action.SEND_COMPLETE: self._send_complete, Action.RESEND_COMPLETE: self._resend_complete}

    def connect(self, peer: str, peer_l2: int, carrier: str, now: Instant) -> None:
        """Send a request; a link that is coming up with this peer already is left to come."""
        desk = self._desk
        if desk.links.with_peer(peer, State.WAIT_ACCEPT, State.CONFIRMING, State.PROVISIONAL):
            return
        fault = obstacle_to_asking(desk, peer, now)
        if fault is None:
            try:
                request = self._request(peer, now)
            except (SecurityError, ProseLinkError) as error:
                fault = f"request can't be made: {error}"
            else:
                link = self._link(peer, peer_l2, carrier, request, now)
                desk.links.add(link)
                self._machine.run(link, Input.CONNECT, now)
                return
        desk.outbox.emit(LinkFailed(peer=peer, peer_l2=peer_l2, cause=None, why=fault))

    def context_of_command(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """The context that a Command brings along, for PDCP to verify its MAC-I by; None if it isn't acceptable.

        `pdu` is not verified yet. A Command goes through form, sender, algorithms and signature before it is opened.
        One that has to wait for its verification brings its context once that is done; the sender's repetition then
        finds it.
        """
        link = self._asking(pdu)
        if link is None:
            self._desk.drop(pdu, "security mode command", "no open request")
            return None
        try:
            command = self._checked(link, pdu)
            ssv = self._verified_and_opened(link, command, pdu, now)
        except CommandFault as fault:
            self._refuse(link, pdu, fault)
            return None
        if not ssv:
            return None
        table = KDF_PROFILES[link.policy.kdfs[0]]
        agreed = keys.agree(ssv, table, link.asked.message.nonce_1, command.nonce_2, command.algorithms)
        kd_sess_id = pdu.kd_sess_id
        for other in list(link.contexts):
            link.drop_context(other)
        self._desk.make_context(link, kd_sess_id, command.algorithms, agreed)
        link.accept_octets = pdu.data
        return link.contexts[kd_sess_id]

    def on_command(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a Command that PDCP has verified under the context it brought."""
        if link.state is State.WAIT_ACCEPT and pdu.data == link.accept_octets:
            link.current_id = pdu.kd_sess_id
            link.mutual = True
            link.answers.wipe()
        elif link.state is State.WAIT_ACCEPT:
            self._desk.drop(pdu, "security mode command", "another command than the one opened")
            return
        if not self._machine.run(link, Input.GOOD_COMMAND, now):
            self._desk.drop(pdu, "security mode command", f"not expected when {link.state.value}")

    def on_accept(self, link: Link, pdu: ReceivedPdu, accept: ProtectedAccept, now: Instant) -> None:
        """The Accept under the context ends the set-up."""
        offered: SignedRequest = link.asked.message
        if link.state is State.CONFIRMING:
            link.peer_link_local = accept.link_local
            link.ip_versions = ip_versions_of(offered.ip_address_config) & ip_versions_of(accept.ip_address_config)
        if not self._machine.run(link, Input.PROTECTED_ACCEPT, now):
            self._desk.drop(pdu, "accept", f"not expected when {link.state.value}")

    def on_reject(self, pdu: ReceivedPdu, reject: PlainReject, now: Instant) -> None:
        """Remember the cause; a Reject proves nothing and ends nothing."""
        for link in self._desk.links.in_state(State.WAIT_ACCEPT):
            if link.profile is Profile.TS24334 and link.peer_l2 == pdu.src_l2:
                link.remembered_cause = reject.cause
                self._machine.run(link, Input.REJECT, now)
                return
        self._desk.drop(pdu, "reject", "no open request")

    def _request(self, peer: str, now: Instant) -> SignedRequest:
        desk, config = self._desk, self._desk.config
        policy = config.policy.towards(peer)
        offer = policy.offer()
        draft = SignedRequest(
            sequence_number=desk.outbox.next_sequence_number(),
            user_info=desk.credentials.uri,
            ip_address_config=config.ip_address_config,
            maximum_inactivity_period_s=config.maximum_inactivity_period_s,
            nonce_1=desk.random_bytes(16),
            capabilities=type(offer)(eea=offer.eea, eia=offer.eia - {NULL_ALGORITHM}),
            kd_sess_id_msb=desk.links.free_msb(desk.random_bytes) or 0,
            link_local=config.link_local,
        )
        signature = keys.sign(keys.request_to_sign(draft), desk.credentials, desk.random_bytes, now.ntp_s)
        return replace(draft, signature=signature)

    def _link(self, peer: str, peer_l2: int, carrier: str, request: SignedRequest, now: Instant) -> Link:
        return Link(
            number=self._desk.links.next_number(),
            initiator=True,
            peer=peer,
            peer_l2=peer_l2,
            carrier=carrier,
            policy=self._desk.config.policy.towards(peer),
            profile=Profile.TS24334,
            context_kind=ModeContext,
            asked=signed_asked(request),
            request_octets=encode(request),
            inactivity_period_s=float(request.maximum_inactivity_period_s),
            kd_born_ntp_s=now.ntp_s,
        )

    def _asking(self, pdu: ReceivedPdu) -> Link | None:
        for link in self._desk.links.in_state(State.WAIT_ACCEPT):
            msb = link.asked.message.kd_sess_id_msb
            if link.profile is Profile.TS24334 and (link.peer_l2, msb) == (pdu.src_l2, pdu.kd_sess_id >> 8):
                return link
        return None

    def _checked(self, link: Link, pdu: ReceivedPdu) -> SecurityModeCommand:
        """All that costs less than a verification."""
        try:
            command = decode(pdu.data)
        except MalformedMessage as error:
            raise CommandFault(1, "malformed", detail=str(error)) from error
        if not isinstance(command, SecurityModeCommand) or command.kd_sess_id_lsb != pdu.kd_sess_id & 0xFF:
            raise CommandFault(1, "not a command for this context")
        if command.user_info != link.peer:
            raise CommandFault(2, "not from the target")
        chosen, offered = command.algorithms, link.capabilities
        if chosen.eea not in offered.eea or chosen.eia not in offered.eia or not link.policy.allows(chosen):
            raise CommandFault(3, "algorithms were not offered")
        if command.signature is None or command.encrypted_payload is None:
            raise CommandFault(4, "signature or encrypted payload is missing")
        return command

    def _verified_and_opened(self, link: Link, command: SecurityModeCommand, pdu: ReceivedPdu, now: Instant) -> bytes:
        """The SSV of a Command that its peer has signed, b"" while it waits for its verification.

        A good outcome is kept, a bad one is not, and only what the peer has signed counts against the answers of a
        request: as for DCAs.
        """
        to_sign = keys.command_to_sign(link.request_octets, command)
        pair = hashlib.sha256(to_sign).digest(), b""
        known = link.answers.opened(pair)
        if known:
            return known
        match self._limits.verify.ask(pdu, link.peer, now.mono_s):
            case Admission.WAITS:
                return b""
            case Admission.FAILED_BEFORE:
                raise CommandFault(5, "signature does not verify", detail=SAME_OCTETS)
            case Admission.REFUSED:
                raise CommandFault(4, TOO_MANY)
        try:
            keys.verify(to_sign, command.signature or b"", link.peer, self._desk.credentials, now.ntp_s)
        except SecurityError as error:
            raise CommandFault(5, "signature does not verify", detail=str(error)) from error
        self._limits.verify.verified(pdu, link.peer)
        self._check_signed(link, command, pdu)
        if not link.answers.take(now.mono_s):
            raise CommandFault(6, "too many commands of the peer for this request")
        ssv = self._opened(command, now)
        link.answers.keep(pair, ssv)
        return ssv

    def _check_signed(self, link: Link, command: SecurityModeCommand, pdu: ReceivedPdu) -> None:
        """What the sender is told about, once it has shown to be the peer."""
        if command.capabilities != link.capabilities:
            raise CommandFault(6, "capabilities are not those sent", ModeCause.CAPABILITIES_MISMATCH)
        if self._desk.links.of_context(link.peer_l2, pdu.kd_sess_id) not in (None, link):
            raise CommandFault(6, "KD-sess ID is in use", ModeCause.KD_SESS_ID_CONFLICT)

    def _opened(self, command: SecurityModeCommand, now: Instant) -> bytes:
        try:
            return keys.decapsulate(command.encrypted_payload or b"", self._desk.credentials, now.ntp_s)
        except SecurityError as error:
            raise CommandFault(7, "KD can't be opened", ModeCause.UNSPECIFIED, str(error)) from error

    def _refuse(self, link: Link, pdu: ReceivedPdu, fault: CommandFault) -> None:
        desk = self._desk
        desk.outbox.counters[fault.why] += 1
        desk.outbox.emit(
            AcceptRefused(step=fault.step, why=fault.why, detail=fault.detail, peer=link.peer, peer_l2=pdu.src_l2)
        )
        if fault.cause is not None:
            reject = SecurityModeReject(sequence_number=desk.outbox.next_sequence_number(), cause=fault.cause)
            desk.outbox.put(OutgoingPdu(data=encode(reject), dst_l2=pdu.src_l2, lcid=LCID_UNPROTECTED))

    def _send_complete(self, turn: Turn) -> None:
        link, desk = turn.link, self._desk
        desk.stop(link, Timer.T4100)
        message = SecurityModeComplete(
            sequence_number=desk.outbox.next_sequence_number(),
            kd_id_lsb=int.from_bytes(desk.random_bytes(KD_ID_LSB_OCTETS)),
        )
        link.confirm_octets = encode(message)
        self._resend_complete(turn)

    def _resend_complete(self, turn: Turn) -> None:
        link, desk = turn.link, self._desk
        link.sent[Timer.T4101] = link.sent.get(Timer.T4101, 0) + 1
        desk.outbox.put(
            OutgoingPdu(
                data=link.confirm_octets, dst_l2=link.peer_l2, lcid=LCID_SECURITY_MODE, kd_sess_id=link.current_id
            )
        )
        desk.start(link, Timer.T4101, desk.config.timers.t4101_s, turn.now)


def signed_asked(request: SignedRequest) -> Asked[SignedRequest]:
    """What a link keeps of its Request; the hash leaves out the signature, since ECCSI signatures are malleable."""
    unsigned = keys.request_to_sign(request)
    return Asked(message=request, t1=unsigned, signed_part=b"", request_hash=hashlib.sha256(unsigned).digest())
