"""The initiator's checks of a Security Mode Command, cheapest first: form and sender, then signature, then the SSV.

A Command brings its own keys, so it is checked before PDCP can verify it. Any party can send one. Cheap checks come
first: form, the name of the target, and that the algorithms were offered. Then the signature is verified, within the
budget that all messages share. Only a Command that the target has signed is opened, and only so many of them for one
Request. A good outcome is kept, so that a copy costs a compare; a bad one is not, so that an altered copy which comes
first can't shut the genuine one out.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, assert_never

from prose_link.errors import SECURITY, ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission
from prose_link.pc5s.ts24334 import keys
from prose_link.pc5s.ts24334.codec import decode
from prose_link.pc5s.ts24334.messages import SecurityModeCommand
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import Cause
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError


class CommandFault(ProseLinkError):
    """A Security Mode Command is not acceptable; `cause` is sent to its sender, None for no answer."""

    exit_code: ClassVar[int] = SECURITY

    def __init__(self, step: int, why: str, cause: Cause | None = None, detail: str = "") -> None:
        super().__init__(why)
        self.step = step
        self.why = why
        self.cause = cause
        self.detail = detail


class CommandChecks:
    """Checks Commands that answer an open Request; raises CommandFault."""

    def __init__(self, desk: Desk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits

    def checked(self, link: Link, pdu: ReceivedPdu) -> SecurityModeCommand:
        """Make all checks that cost less than a verification."""
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

    def verified_and_opened(self, link: Link, command: SecurityModeCommand, pdu: ReceivedPdu, now: Instant) -> bytes:
        """The SSV, 16 octets, of a Command that its peer has signed; b"" while it waits for its verification.

        A good result is kept, a bad one is not. Only Commands that the peer has signed count against the answers of a
        request, as for DCAs.
        """
        to_sign = keys.command_to_sign(link.setup.request_octets, command)
        pair = hashlib.sha256(to_sign).digest(), b""
        known = link.setup.answers.opened(pair)
        if known:
            return known
        match self._limits.verify.ask(pdu, link.peer, now.mono_s):
            case Admission.GRANTED:
                pass
            case Admission.WAITS:
                return b""
            case Admission.FAILED_BEFORE:
                raise CommandFault(5, "signature does not verify", detail=SAME_OCTETS)
            case Admission.REFUSED:
                raise CommandFault(4, TOO_MANY)
            case _ as never:
                assert_never(never)
        try:
            keys.verify(to_sign, command.signature or b"", link.peer, self._desk.credentials, now.ntp_s)
        except SecurityError as error:
            raise CommandFault(5, "signature does not verify", detail=str(error)) from error
        self._limits.verify.verified(pdu, link.peer)
        self._check_signed(link, command, pdu)
        if not link.setup.answers.take(now.mono_s):
            raise CommandFault(6, "too many commands of the peer for this request")
        ssv = self._opened(command, now)
        link.setup.answers.keep(pair, ssv)
        return ssv

    def _check_signed(self, link: Link, command: SecurityModeCommand, pdu: ReceivedPdu) -> None:
        """Make the checks whose result is sent to the peer, after its signature has verified."""
        if command.capabilities != link.capabilities:
            raise CommandFault(6, "capabilities are not those sent", Cause.ALGORITHMS_MISMATCH)
        if self._desk.links.of_context(link.peer_l2, pdu.kd_sess_id) not in (None, link):
            raise CommandFault(6, "KD-sess ID is in use", Cause.KD_SESS_ID_CONFLICT)

    def _opened(self, command: SecurityModeCommand, now: Instant) -> bytes:
        try:
            return keys.decapsulate(command.encrypted_payload or b"", self._desk.credentials, now.ntp_s)
        except SecurityError as error:
            raise CommandFault(7, "KD can't be opened", Cause.UNSPECIFIED, str(error)) from error
