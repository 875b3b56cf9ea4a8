"""The initiator of the `ts24334` profile: signed Request, Command checked and opened, Complete (TS 24.334 10.4).

The Request names its sender and is signed; it names no target but a layer-2 id, and carries no keys. The peer's answer
is the Security Mode Command: it brings KD, encapsulated to this identity, and goes out with a MAC-I under the keys that
come of it. So PDCP can't verify it before it is opened. PDCP therefore asks for the context that the Command brings
(`make_context_from`): the Command is checked and opened, the context made, and then PDCP verifies the very PDU by it.

A Command that has verified is confirmed by the Security Mode Complete under the new context, repeated by T4101. The
Accept, under the context too, ends the set-up. A Security Mode Reject goes back where a Command of the peer's own is
not acceptable; unsigned ones meet silence.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.asking import CONFIRM_OR_KEEPALIVE
from prose_link.pc5s.core.events import AcceptRefused, RequestYielded
from prose_link.pc5s.core.fsm import Action, Input, State
from prose_link.pc5s.core.link import Link, LinkKeys, Setup, Terms
from prose_link.pc5s.core.machine import Actions, Turn
from prose_link.pc5s.core.policy import NULL_ALGORITHM, Profile, ip_versions_of
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import encode
from prose_link.pc5s.ts24334.command_checks import CommandChecks, CommandFault
from prose_link.pc5s.ts24334.context import ModeContext
from prose_link.pc5s.ts24334.messages import (
    PlainReject,
    ProtectedAccept,
    SecurityModeComplete,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.ts24334.tables import ModeAction, ModeInput
from prose_link.pc5s.wire.messages import Mutual
from prose_link.pc5s.wire.party import CarrierError, Party
from prose_link.pc5s.wire.pdus import LCID_SECURITY_MODE, ReceivedPdu
from security.link.context import SecurityContext
from security.link.key_ladder import KDF_PROFILES

KD_ID_LSB_OCTETS: Final = 2
NO_ADDRESSES: Final = "the Request names none, so an envelope that any sender can forge would choose the link's"
"""The reason why a Request is accepted only from carriers whose addresses count (PROFILE 12)."""
BOTH_SIGN: Final = Mutual.REQUIRED.name.lower()
"""Mutual authentication of a Request of this profile: both ends always sign."""


class ModeInitiator:
    """Makes this UE's own requests of the `ts24334` profile."""

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._requests = parts.requests
        self._checks = CommandChecks(parts.desk, parts.limits)

    @property
    def actions(self) -> Actions[Link]:
        """The initiator's own actions; the Request goes out like the other profile's."""
        return {
            ModeAction.SEND_COMPLETE: self._send_complete,
            ModeAction.RESEND_COMPLETE: self._resend_complete,
            Action.YIELD: self._yield,
        }

    def connect(self, party: Party, now: Instant) -> None:
        """Send a request. Does nothing while a link with this peer is coming up."""

        def make_link() -> Link:
            """Raises SecurityError, ProseLinkError."""
            if not party.via.traits.addresses_count or party.l2_id is None:
                raise CarrierError(f"profile ts24334 needs the layer-2 ids of {party.via.carrier}: {NO_ADDRESSES}")
            return self._link(party, party.l2_id, self._request(party.identity, now), now)

        self._requests.ask(party, now, make_link)

    def make_context_from(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """The context that a Command brings, so that PDCP can verify its MAC-I; None if it isn't acceptable.

        `pdu` is not verified yet. A Command passes the checks of form, sender, algorithms and signature before it is
        opened. A Command that has to wait for its verification brings its context once that is done; the sender's
        repetition then finds it.
        """
        link = self._asking(pdu)
        if link is None:
            self._desk.drop(pdu, "security mode command", "no open request")
            return None
        try:
            command = self._checks.checked(link, pdu)
            ssv = self._checks.verified_and_opened(link, command, pdu, now)
        except CommandFault as fault:
            self._refuse(link, pdu, fault)
            return None
        if not ssv:
            return None
        table = KDF_PROFILES[link.policy.kdfs[0]]
        agreed = keys.agree(ssv, table, link.asked.message.nonce_1, command.nonce_2, command.algorithms)
        kd_sess_id = pdu.kd_sess_id
        for other in list(link.keys.contexts):
            link.keys.drop_context(other)
        self._desk.make_context(link, kd_sess_id, command.algorithms, agreed)
        link.setup.accept_octets = pdu.data
        return link.keys.contexts[kd_sess_id]

    def on_command(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Process a Command that PDCP has verified under the context that it brought."""
        if link.state is State.WAIT_ACCEPT and pdu.data == link.setup.accept_octets:
            link.keys.current_id = pdu.kd_sess_id
            link.terms.mutual = True
            link.setup.answers.wipe()
        elif link.state is State.WAIT_ACCEPT:
            self._desk.drop(pdu, "security mode command", "another command than the one opened")
            return
        if not self._desk.run(link, ModeInput.GOOD_COMMAND, now):
            self._desk.drop(pdu, "security mode command", f"not expected when {link.state.value}")

    def on_accept(self, link: Link, pdu: ReceivedPdu, accept: ProtectedAccept, now: Instant) -> None:
        """Process the Accept under the context; it ends the set-up."""
        offered: SignedRequest = link.asked.message
        if link.state is State.CONFIRMING:
            link.terms.peer_link_local = accept.link_local
            link.terms.ip_versions = ip_versions_of(offered.ip_address_config) & ip_versions_of(
                accept.ip_address_config
            )
        if not self._desk.run(link, ModeInput.PROTECTED_ACCEPT, now):
            self._desk.drop(pdu, "accept", f"not expected when {link.state.value}")

    def on_reject(self, pdu: ReceivedPdu, reject: PlainReject, now: Instant) -> None:
        """Remember the cause; a Reject proves nothing and ends nothing."""
        for link in self._desk.links.in_state(State.WAIT_ACCEPT):
            if link.profile is Profile.TS24334 and pdu.addresses_count and link.peer_l2 == pdu.src_l2:
                link.setup.remembered_cause = reject.cause
                self._desk.run(link, Input.REJECT, now)
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
            kd_sess_id_msb=desk.links.draw_msb(desk.random_bytes) or 0,
            link_local=config.link_local,
        )
        signature = keys.sign(keys.request_to_sign(draft), desk.credentials, desk.random_bytes, now.ntp_s)
        return replace(draft, signature=signature)

    def _link(self, party: Party, peer_l2: int, request: SignedRequest, now: Instant) -> Link:
        return Link(
            number=self._desk.links.next_number(),
            initiator=True,
            peer=party.identity,
            peer_l2=peer_l2,
            via=party.via,
            policy=self._desk.config.policy.towards(party.identity),
            profile=Profile.TS24334,
            asked=signed_asked(request),
            setup=Setup(request_octets=encode(request), mutual_asked=BOTH_SIGN),
            terms=Terms(inactivity_period_s=float(request.maximum_inactivity_period_s)),
            keys=LinkKeys(context_kind=ModeContext, born_ntp_s=now.ntp_s),
        )

    def _asking(self, pdu: ReceivedPdu) -> Link | None:
        for link in self._desk.links.in_state(State.WAIT_ACCEPT):
            if self._desk.bearer(link).carrier != pdu.via.carrier:
                continue
            msb = link.asked.message.kd_sess_id_msb
            if link.profile is Profile.TS24334 and (link.peer_l2, msb) == (pdu.src_l2, pdu.kd_sess_id >> 8):
                return link
        return None

    def _refuse(self, link: Link, pdu: ReceivedPdu, fault: CommandFault) -> None:
        desk = self._desk
        desk.outbox.counters[fault.why] += 1
        desk.outbox.emit(
            AcceptRefused(step=fault.step, why=fault.why, detail=fault.detail, peer=link.peer, peer_l2=pdu.src_l2)
        )
        if fault.cause is not None:
            reject = SecurityModeReject(sequence_number=desk.outbox.next_sequence_number(), cause=fault.cause)
            desk.send_plain(encode(reject), pdu.sender)

    def _yield(self, turn: Turn[Link]) -> None:
        link = turn.owner
        self._desk.outbox.emit(RequestYielded(peer=link.peer, peer_l2=link.peer_l2))

    def _send_complete(self, turn: Turn[Link]) -> None:
        link, desk = turn.owner, self._desk
        desk.stop(link, Timer.T4100)
        message = SecurityModeComplete(
            sequence_number=desk.outbox.next_sequence_number(),
            kd_id_lsb=int.from_bytes(desk.random_bytes(KD_ID_LSB_OCTETS)),
        )
        link.setup.confirm_octets = encode(message)
        CONFIRM_OR_KEEPALIVE.ask(desk, link, lambda: self._put_complete(link), turn.now)

    def _resend_complete(self, turn: Turn[Link]) -> None:
        link = turn.owner
        CONFIRM_OR_KEEPALIVE.ask_again(self._desk, link, lambda: self._put_complete(link), turn.now)

    def _put_complete(self, link: Link) -> None:
        self._desk.send_protected(link, link.setup.confirm_octets, lcid=LCID_SECURITY_MODE)


def signed_asked(request: SignedRequest) -> Asked[SignedRequest]:
    """The request half of the transcript. Its hash leaves out the signature, since ECCSI signatures are malleable."""
    unsigned = keys.request_to_sign(request)
    return Asked(message=request, t1=unsigned, signed_part=b"", request_hash=hashlib.sha256(unsigned).digest())
