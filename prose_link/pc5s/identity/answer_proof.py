"""The check of an answer's I_MESSAGE, at set-up and at a rekey (PROFILE 6, step 5; PROFILE 9).

The question is whether the I_MESSAGE is the peer's, and was made for this very answer. The checks that cost hashes only
come first, and are never counted. A signature is verified when the *verify* budget has a token for it. A good result is
kept while the request is open, so that a copy of the same signed part costs a comparison. A bad result is not kept,
because an altered copy that comes first must not exclude the genuine one. Only answers that the peer has signed count
against the answers of a request: no other party can use them up.
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
    """The reason why an answer's I_MESSAGE is refused."""

    why: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerProof:
    """The examination of an answer's I_MESSAGE: its expected signer, its purpose, and the T2 to which it must be bound.

    `answers`: the answers to the request so far.
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
    """Whether its Key proof has shown that the sender could open the request. Other senders can't use up the tokens for
    it.
    """

    def open(self, octets: bytes) -> tuple[bytes, bytes] | ProofFault | Waits:
        """SSV (16 octets) and S(I) of an I_MESSAGE, or the fault, or the fact that it waits for its verification."""
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
        """Do the costly half: verify the signature, then open the SSV. Raises SecurityError."""
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
