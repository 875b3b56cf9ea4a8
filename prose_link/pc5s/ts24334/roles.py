"""Both roles of the `ts24334` profile behind one door: what the entity hands on, by message and logical channel."""

from __future__ import annotations

from prose_link.instant import Instant
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.shared import Desk, LinkActions, LinkMachine
from prose_link.pc5s.ts24334.codec import decode
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
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.link.context import SecurityContext


class ModeRoles:
    """The `ts24334` profile of one entity."""

    def __init__(self, desk: Desk, machine: LinkMachine, limits: Limits) -> None:
        self._desk = desk
        self._initiator = ModeInitiator(desk, machine, limits)
        self._responder = ModeResponder(desk, machine, limits)

    @property
    def actions(self) -> LinkActions:
        """The actions of both roles."""
        return {**self._initiator.actions, **self._responder.actions}

    def connect(self, peer: str, peer_l2: int, carrier: str, now: Instant) -> None:
        """Ask a peer for a link."""
        self._initiator.connect(peer, peer_l2, carrier, now)

    def receive_unprotected(self, pdu: ReceivedPdu, now: Instant) -> bool:
        """Take a PDU of LCID 28 if it is one of this profile's; False if it isn't."""
        match self._decoded(pdu):
            case SignedRequest() as request:
                self._responder.on_request(pdu, request, now)
            case PlainReject() as reject:
                self._initiator.on_reject(pdu, reject, now)
            case SecurityModeReject() as reject:
                self._responder.on_mode_reject(pdu, reject, now)
            case _:
                return False
        return True

    def receive_security_mode(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a PDU of LCID 29 that PDCP has verified."""
        link = self._desk.links.of_context(pdu.src_l2, pdu.kd_sess_id)
        message = self._decoded(pdu)
        if link is None or link.profile is not Profile.TS24334:
            self._desk.drop(pdu, "security mode", "no context")
        elif isinstance(message, SecurityModeCommand) and link.initiator:
            self._initiator.on_command(link, pdu, now)
        elif isinstance(message, SecurityModeComplete) and not link.initiator:
            self._responder.on_complete(link, pdu, now)
        else:
            self._desk.drop(pdu, "security mode", "not a message for this end")

    def receive_accept(self, link: Link, pdu: ReceivedPdu, now: Instant) -> bool:
        """Take the Accept of LCID 30; False if the PDU is none."""
        message = self._decoded(pdu)
        if not isinstance(message, ProtectedAccept) or link.profile is not Profile.TS24334 or not link.initiator:
            return False
        self._initiator.on_accept(link, pdu, message, now)
        return True

    def context_of_command(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """The context that a Command not yet verified brings along, None if it isn't acceptable."""
        return self._initiator.context_of_command(pdu, now)

    def _decoded(self, pdu: ReceivedPdu) -> ModeMessage | None:
        try:
            return decode(pdu.data)
        except MalformedMessage:
            return None
