"""The `ts24334` profile as a `LinkProfile`: the messages that it claims, and the role for each (TS 24.334 10.4).

Set-up is the security mode procedure: a signed Request and a Reject without protection on LCID 28, Command and Complete
on LCID 29 under the context that the Command brings, and the Accept on LCID 30. Some types have the numbers of the
`identity` profile's messages and another form, so on LCID 28 this profile claims only what reads as one of its own
messages in full. All of a link's messages are read by this profile's codec, keepalives and releases too, which carry no
key confirmation here. Their procedure is that of all profiles (`core.upkeep`).

There is no rekey. New keys come with a new link, which replaces the old one when it is established: `renew` starts one,
and so does `ask_for_renewal`, since there is no message that asks the peer to do so.
"""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import Input, State
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.profile import Claim
from prose_link.pc5s.core.profile_parts import ProfileParts
from prose_link.pc5s.core.shared import link_machine
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.ts24334.codec import decode, message_kind
from prose_link.pc5s.ts24334.initiator import ModeInitiator
from prose_link.pc5s.ts24334.messages import (
    ModeMessage,
    PlainReject,
    ProtectedAccept,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.ts24334.responder import ModeResponder
from prose_link.pc5s.ts24334.tables import LINK_TABLES
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, Release, ReleaseAccept
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, LCID_SECURITY_MODE, LCID_UNPROTECTED, ReceivedPdu
from security.link.context import SecurityContext


class Ts24334Profile:
    """Links by the security mode procedure; a `LinkProfile`."""

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._requests = parts.requests
        self._upkeep = parts.upkeep
        self._initiator = ModeInitiator(parts)
        self._responder = ModeResponder(parts)
        self._machine = link_machine(
            parts.desk,
            LINK_TABLES,
            {
                **parts.requests.actions,
                **parts.upkeep.actions,
                **self._initiator.actions,
                **self._responder.actions,
            },
        )

    @property
    def name(self) -> Profile:
        """Its name in the policy."""
        return Profile.TS24334

    @property
    def protected_lcids(self) -> frozenset[int]:
        """Command and Complete go on LCID 29, all else on LCID 30."""
        return frozenset({LCID_SECURITY_MODE, LCID_PROTECTED})

    def message_name(self, octets: bytes) -> str:
        """The type of a message in words."""
        kind = message_kind(octets)
        return kind.TYPE.name.lower().replace("_", " ") if kind else ""

    def claims(self, pdu: ReceivedPdu) -> Claim:
        """Claim on LCID 28 the PDUs that decode as one of its messages, and on LCID 29 all PDUs."""
        if pdu.lcid == LCID_SECURITY_MODE and pdu.kd_sess_id:
            return Claim.BY_TYPE
        if pdu.lcid != LCID_UNPROTECTED or pdu.kd_sess_id:
            return Claim.NONE
        reads = isinstance(_decoded(pdu), SignedRequest | PlainReject | SecurityModeReject)
        return Claim.BY_FORM if reads else Claim.NONE

    def run(self, link: Link, event: Enum, now: Instant, why: str = "") -> bool:
        """Run a link through its table."""
        return self._machine.run(link, event, now, why)

    def connect(self, party: Party, now: Instant) -> None:
        """Start a set-up with a peer."""
        self._initiator.connect(party, now)

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Process a PDU of LCID 28."""
        match _decoded(pdu):
            case SignedRequest() as request:
                self._responder.on_request(pdu, request, now)
            case PlainReject() as reject:
                self._initiator.on_reject(pdu, reject, now)
            case SecurityModeReject() as reject:
                self._responder.on_mode_reject(pdu, reject, now)
            case _:
                self._drop(pdu, "not allowed without protection")

    def receive_on_link(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Process a PDU that PDCP has verified under a context of a link."""
        try:
            message = decode(pdu.data)
        except MalformedMessage as error:
            self._desk.drop(pdu, self.message_name(pdu.data) or "unknown", "malformed", str(error))
            return
        if pdu.lcid == LCID_SECURITY_MODE:
            self._receive_security_mode(link, pdu, message, now)
        elif isinstance(message, ProtectedAccept) and link.initiator:
            self._initiator.on_accept(link, pdu, message, now)
        elif self.admits(link, pdu.kd_sess_id):
            self.note_verified(link, pdu.kd_sess_id, now)
            self._take(link, pdu, message, now)
        else:
            self._drop(pdu, "the context waits for its Complete")

    def make_context_from(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """Make the context that an unverified Command brings; None if it isn't acceptable."""
        return self._initiator.make_context_from(pdu, now)

    def admits(self, link: Link, kd_sess_id: int) -> bool:  # noqa: ARG002
        """Whether a context may carry more than the Complete."""
        return link.state is not State.PROVISIONAL

    def note_verified(self, link: Link, kd_sess_id: int, now: Instant) -> None:
        """Take note that a PDU has verified: the peer is alive, if the MAC-I proves it."""
        if not link.keys.contexts[kd_sess_id].null_integrity:
            self._machine.run(link, Input.VERIFIED_PDU, now)

    def can_renew(self, link: Link) -> bool:
        """Whether the link is up, and no other link is being set up to replace it."""
        return link.state is State.ESTABLISHED and not self._requests.is_coming_up(link.peer)

    def renew(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:  # noqa: ARG002
        """Start a new link that replaces this one; its KD is always new."""
        self._initiator.connect(link.party, now)

    def ask_for_renewal(self, link: Link, now: Instant) -> None:
        """Renew from this end, since there is no message that asks the peer."""
        self.renew(link, now)

    def settle(self, link: Link, now: Instant) -> None:
        """Do nothing: no procedure runs beside a link of this profile."""

    def handle_timer(self, link: Link, timer: Timer, now: Instant) -> None:
        """Do the work of an expired timer of a link; the timers of a rekey never run here."""
        match timer:
            case Timer.T4100:
                self._requests.handle_timer(link, now)
            case Timer.REKEY_DUE:
                self.renew(link, now)
            case Timer.T4101 | Timer.T4102 | Timer.T4103 | Timer.T4108 | Timer.T4111 | Timer.KEYS_LOW | Timer.KEYS_END:
                self._upkeep.handle_timer(link, timer, now)
            case Timer.REKEY_T4100 | Timer.REKEY_T4101 | Timer.REKEY_T4108 | Timer.REKEY_AGAIN | Timer.T_OLD:
                pass
            case _:
                assert_never(timer)

    def _receive_security_mode(self, link: Link, pdu: ReceivedPdu, message: ModeMessage, now: Instant) -> None:
        if isinstance(message, SecurityModeCommand) and link.initiator:
            self._initiator.on_command(link, pdu, now)
        elif isinstance(message, SecurityModeComplete) and not link.initiator:
            self._responder.on_complete(link, pdu, now)
        else:
            self._drop(pdu, "not a message for this end")

    def _take(self, link: Link, pdu: ReceivedPdu, message: ModeMessage, now: Instant) -> None:
        match message:
            case Keepalive() | KeepaliveAck() | Release() | ReleaseAccept():
                self._upkeep.receive(link, pdu, message, now)
            case (
                SignedRequest()
                | ProtectedAccept()
                | PlainReject()
                | SecurityModeCommand()
                | SecurityModeComplete()
                | SecurityModeReject()
            ):
                self._drop(pdu, f"not expected when {link.state.value}")
            case _:
                assert_never(message)

    def _drop(self, pdu: ReceivedPdu, why: str) -> None:
        self._desk.drop(pdu, self.message_name(pdu.data) or "unknown", why)


def _decoded(pdu: ReceivedPdu) -> ModeMessage | None:
    try:
        return decode(pdu.data)
    except MalformedMessage:
        return None
