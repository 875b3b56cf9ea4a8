"""The `identity` profile as a `LinkProfile`: the messages that it claims, and the role that handles each (PROFILE).

A link of this profile starts with a DCR with an I_MESSAGE, is answered by a DCA, and is confirmed under the context
that results from both (`initiator`, `responder`). An established link renews its keys by rekeying (`rekeying`), which
runs beside the link with a table of its own. Keepalives and releases are those of all profiles (`core.upkeep`).

On LCID 28 the profile claims Requests, Accepts and Rejects by their type alone; the step that finds a fault in their
form reports it. Under a context it accepts LCID 30. A Confirm is encoded as a Keepalive with counter 0 and a key
confirmation; it goes to the rekey if the link has had one, else to the responder. A context that waits for its Confirm
accepts nothing else, and the context before a rekey accepts user data only.
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
from prose_link.pc5s.identity.initiator import Initiator
from prose_link.pc5s.identity.rekeying import Rekeying
from prose_link.pc5s.identity.responder import Responder
from prose_link.pc5s.identity.tables import LINK_TABLES
from prose_link.pc5s.wire.codec import decode, message_type
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import (
    DirectAccept,
    DirectReject,
    DirectRequest,
    Keepalive,
    KeepaliveAck,
    Message,
    MessageType,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    Release,
    ReleaseAccept,
)
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, LCID_UNPROTECTED, ReceivedPdu
from security.link.context import SecurityContext

_UNPROTECTED = frozenset({MessageType.REQUEST, MessageType.ACCEPT, MessageType.REJECT})


class IdentityProfile:
    """Links by I_MESSAGEs; a `LinkProfile`."""

    def __init__(self, parts: ProfileParts) -> None:
        self._desk = parts.desk
        self._upkeep = parts.upkeep
        self._initiator = Initiator(parts)
        self._responder = Responder(parts)
        self._rekeying = Rekeying(parts)
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
        self._requests = parts.requests

    @property
    def name(self) -> Profile:
        """Its name in the policy."""
        return Profile.IDENTITY

    @property
    def protected_lcids(self) -> frozenset[int]:
        """LCID 30: all messages under a context use it."""
        return frozenset({LCID_PROTECTED})

    def message_name(self, octets: bytes) -> str:
        """The type of a message in words."""
        kind = message_type(octets)
        return kind.name.lower().replace("_", " ") if kind else ""

    def claims(self, pdu: ReceivedPdu) -> Claim:
        """Claim Requests, Accepts and Rejects of LCID 28, by their type."""
        if pdu.lcid == LCID_UNPROTECTED and pdu.kd_sess_id == 0 and message_type(pdu.data) in _UNPROTECTED:
            return Claim.BY_TYPE
        return Claim.NONE

    def run(self, link: Link, event: Enum, now: Instant, why: str = "") -> bool:
        """Run a link through its table."""
        return self._machine.run(link, event, now, why)

    def connect(self, party: Party, now: Instant) -> None:
        """Start a set-up with a peer."""
        self._initiator.connect(party, now)

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Process a PDU of LCID 28."""
        match message_type(pdu.data):
            case MessageType.REQUEST:
                self._responder.on_request(pdu, now)
            case MessageType.ACCEPT:
                self._initiator.on_accept(pdu, now)
            case _:
                message = self._decoded(pdu)
                if isinstance(message, DirectReject):
                    self._initiator.on_reject(pdu, message, now)

    def receive_on_link(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Process a PDU that PDCP has verified under a context of a link."""
        message = self._decoded(pdu)
        if message is None:
            return
        if pdu.kd_sess_id == link.keys.old_id:
            self._desk.drop(pdu, self.message_name(pdu.data), "the context before takes user data only")
        elif isinstance(message, Keepalive) and message.confirmation is not None:
            if self._rekeying.takes_confirm(link, pdu.kd_sess_id):
                self._rekeying.on_confirm(link, pdu, message, now)
            else:
                self._responder.on_confirm(link, pdu, message, now)
        elif self.admits(link, pdu.kd_sess_id):
            self._note_verified(link, pdu.kd_sess_id, now, acknowledged=_acknowledges(message))
            self._take(link, pdu, message, now)
        else:
            self._desk.drop(pdu, self.message_name(pdu.data), "the context waits for its Confirm")

    def make_context_from(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:  # noqa: ARG002
        """Return None: no PDU of this profile brings its own keys."""
        return None

    def admits(self, link: Link, kd_sess_id: int) -> bool:
        """Whether a context may carry more than a Confirm: not before the Confirm of its set-up or rekey."""
        return link.state is not State.PROVISIONAL and not self._rekeying.awaits_confirm_on(link, kd_sess_id)

    def note_verified(self, link: Link, kd_sess_id: int, now: Instant) -> None:
        """Take note that a PDU has verified: the peer is alive, and holds the keys if the MAC-I proves it."""
        self._note_verified(link, kd_sess_id, now, acknowledged=False)

    def can_renew(self, link: Link) -> bool:
        """Whether the link is up, no Request of this end is open, and no failed one waits for its next attempt."""
        return self._rekeying.renews_by_itself(link)

    def renew(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:
        """Start a rekey."""
        self._rekeying.start(link, now, new_kd=new_kd)

    def ask_for_renewal(self, link: Link, now: Instant) -> None:  # noqa: ARG002
        """Send a Rekeying Trigger."""
        self._rekeying.trigger(link)

    def settle(self, link: Link, now: Instant) -> None:
        """End a rekey in progress."""
        self._rekeying.settle(link, now)

    def handle_timer(self, link: Link, timer: Timer, now: Instant) -> None:
        """Do the work of an expired timer of a link."""
        match timer:
            case Timer.T4100:
                self._requests.handle_timer(link, now)
            case (
                Timer.REKEY_T4100
                | Timer.REKEY_T4101
                | Timer.REKEY_T4108
                | Timer.REKEY_AGAIN
                | Timer.REKEY_DUE
                | Timer.T_OLD
            ):
                self._rekeying.handle_timer(link, timer, now)
            case Timer.T4101 | Timer.T4102 | Timer.T4103 | Timer.T4108 | Timer.T4111 | Timer.KEYS_LOW | Timer.KEYS_END:
                self._upkeep.handle_timer(link, timer, now)
            case _:
                assert_never(timer)

    def _take(self, link: Link, pdu: ReceivedPdu, message: Message, now: Instant) -> None:
        match message:
            case KeepaliveAck() if _acknowledges(message):
                """The Confirm's Ack has done its work in `_note_verified`."""
            case Keepalive() | KeepaliveAck() | Release() | ReleaseAccept():
                self._upkeep.receive(link, pdu, message, now)
            case RekeyingRequest() if link.state is State.ESTABLISHED:
                self._rekeying.on_request(link, pdu, message, now)
            case RekeyingResponse() if link.state is State.ESTABLISHED:
                self._rekeying.on_response(link, pdu, message, now)
            case RekeyingTrigger() if link.state is State.ESTABLISHED:
                self._rekeying.start(link, now)
            case (
                RekeyingRequest()
                | RekeyingResponse()
                | RekeyingTrigger()
                | DirectRequest()
                | DirectAccept()
                | DirectReject()
            ):
                self._desk.drop(pdu, self.message_name(pdu.data), f"not expected when {link.state.value}")
            case _:
                assert_never(message)

    def _note_verified(self, link: Link, kd_sess_id: int, now: Instant, *, acknowledged: bool) -> None:
        if not (acknowledged or not link.keys.contexts[kd_sess_id].null_integrity):
            return
        self._rekeying.note_verified(link, kd_sess_id, now)
        confirmed = acknowledged and link.state is State.CONFIRMING
        self._machine.run(link, Input.ACK if confirmed else Input.VERIFIED_PDU, now)

    def _decoded(self, pdu: ReceivedPdu) -> Message | None:
        try:
            return decode(pdu.data)
        except MalformedMessage as error:
            self._desk.drop(pdu, self.message_name(pdu.data) or "unknown", "malformed", str(error))
            return None


def _acknowledges(message: Message) -> bool:
    """Whether a message is the Ack of a Confirm."""
    return isinstance(message, KeepaliveAck) and message.counter == 0
