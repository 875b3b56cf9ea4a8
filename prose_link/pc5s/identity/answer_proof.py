"""The I_MESSAGE of an answer, at set-up and at a rekey: its proof, and its SSV (PROFILE 6, step 5; PROFILE 9).

Is it the peer's, and made for this very answer? What costs hashes only is checked first, and never counted. A signature
is verified where the *verify* budget has a token for it. A good outcome is kept while the request is open, so that a
copy of the same signed part costs a compare; a bad one is not, since an altered copy that comes first must not shut the
genuine one out. Only what the peer has signed counts against the answers of a request: nobody else can use them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.secret import Answers
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission, Waits
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from security.link.key_ladder import binding_hash
from security.mikey import Kind, ProfileFormError, ProfileIMessage

NOT_THE_PEERS = "I_MESSAGE does not verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFault:
    """Why an answer's I_MESSAGE is not taken."""

    why: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerProof:
    """An answer's I_MESSAGE under examination: who must have signed it, for what, and which T2 it must be bound to.

    `answers`: what the request has had of answers so far.
    """

    desk: Desk
    limits: Limits
    pdu: ReceivedPdu
    now: Instant
    peer: str
    kind: Kind
    t2: bytes
    answers: Answers
    is_proven: bool = False
    """Its Key proof has shown that the sender could open the request: others can't use up what it is verified by."""

    def open(self, octets: bytes) -> tuple[bytes, bytes] | ProofFault | Waits:
        """SSV (16 octets) and S(I) of an I_MESSAGE; why not, or that it has to wait for its verification."""
        credentials = self.desk.credentials
        try:
            i_message = credentials.check(octets, self.kind, binding_hash(self.t2), sender=self.peer)
            if not credentials.accepts_period(i_message, self.now.ntp_s):
                return ProofFault(why="key period not acceptable now")
            ssv = self._opened_before(i_message) or self._verify_and_open(i_message)
        except ProfileFormError as error:
            return ProofFault(why=f"I_MESSAGE form: {error.check}", detail=str(error))
        except SecurityError as error:
            return ProofFault(why=NOT_THE_PEERS, detail=str(error))
        return (ssv, i_message.signed_part) if isinstance(ssv, bytes) else ssv

    def _pair(self, i_message: ProfileIMessage) -> tuple[bytes, bytes]:
        return binding_hash(self.t2), binding_hash(i_message.signed_part)

    def _opened_before(self, i_message: ProfileIMessage) -> bytes:
        return self.answers.opened(self._pair(i_message))

    def _verify_and_open(self, i_message: ProfileIMessage) -> bytes | ProofFault | Waits:
        """The costly half: signature, then SSV. Raises SecurityError."""
        match self.limits.verify.ask(self.pdu, self.peer, self.now.mono_s, is_proven=self.is_proven):
            case Admission.WAITS:
                return Waits.WAITS
            case Admission.FAILED_BEFORE:
                return ProofFault(why=NOT_THE_PEERS, detail=SAME_OCTETS)
            case Admission.REFUSED:
                return ProofFault(why=TOO_MANY)
            case Admission.GRANTED:
                self.desk.credentials.verify(i_message)
            case _ as never:
                assert_never(never)
        self.limits.verify.verified(self.pdu, self.peer)
        if not self.answers.take(self.now.mono_s):
            return ProofFault(why="too many answers of the peer to this request")
        ssv = self.desk.credentials.open(i_message)
        self.answers.keep(self._pair(i_message), ssv)
        return ssv
