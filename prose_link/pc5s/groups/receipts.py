"""The receipt of a group key: a DCA by which a member proves that it holds the key (PROFILE 11).

conf_R alone does not show the sender: it depends on the group's SSV, which every member has. So a receipt carries the
member's own I_MESSAGE, signed and bound to this very answer, or comes under an established link with the member. It
makes no link. The cost of receipts is bounded as for any answer to a Request: the keyer checks hashes first, then takes
a token of the verify budget, and opens a bounded number of answers that the member has signed. Bad receipts use nothing
up and end nothing.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.secret import Answers
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.core.verify_budget import Admission
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, accept_t2, agree, build_accept, contributed_kd
from prose_link.pc5s.wire.messages import ChosenAlgorithms, DirectAccept, DirectRequest
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from security.link.key_ladder import binding_hash
from security.mikey import Kind

NO_CONTEXT_LSB = 0
"""KD-sess ID LSB of a receipt: it makes no link, so there is no context to name (PROFILE 11)."""


class Receipt(Enum):
    """The contents of a DCA that answers a keying message."""

    GOOD = "good"
    BAD = "bad"
    WAITS = "waits for its verification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The receipt that a delivery waits for: its member, its message, and its secret (16 octets)."""

    member: str
    asked: Asked[DirectRequest]
    ssv: bytes
    eea: int
    answers: Answers


def make_receipt(desk: Desk, half: Asked[DirectRequest], ssv: bytes, eea: int, *, signed: bool, now: Instant) -> bytes:
    """The receipt for a keying message that was opened.

    Its keys are not used for anything else. Raises SecurityError.
    """
    draft = DirectAccept(
        sequence_number=desk.outbox.next_sequence_number(),
        ip_address_config=desk.config.ip_address_config,
        user_info=desk.credentials.uri,
        link_l2_id=desk.config.l2_id,
        profile=half.message.profile,
        request_hash=half.request_hash,
        nonce_2=desk.random_bytes(16),
        algorithms=ChosenAlgorithms(eea=eea, eia=0),
        kd_sess_id_lsb=NO_CONTEXT_LSB,
        confirmation=NO_CONFIRMATION,
    )
    signer = desk.credentials if signed else None
    return build_accept(draft, half, ssv_a=ssv, signer=signer, ntp_s=now.ntp_s).octets


class ReceiptJudge:
    """Checks receipts."""

    def __init__(self, desk: Desk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits

    def judge(
        self, expected: Expected, accept: DirectAccept, pdu: ReceivedPdu, link_peer: str, now: Instant
    ) -> Receipt:
        """Check a DCA that names the message. `link_peer`: the peer of the link under which it came, else empty."""
        if not self._fits(expected, accept, pdu):
            return Receipt.BAD
        if accept.i_message is None:
            if link_peer != expected.member:
                return Receipt.BAD
            return self._confirmed(expected, accept, None, b"")
        try:
            return self._judge_signed(expected, accept, accept.i_message, pdu, now)
        except SecurityError:
            return Receipt.BAD

    @staticmethod
    def _fits(expected: Expected, accept: DirectAccept, pdu: ReceivedPdu) -> bool:
        """The checks that cost a comparison only."""
        if accept.user_info != expected.member or accept.algorithms != ChosenAlgorithms(eea=expected.eea, eia=0):
            return False
        if accept.profile != expected.asked.message.profile or not expected.ssv:
            return False
        return bool(pdu.kd_sess_id) or not pdu.addresses_count or pdu.src_l2 == accept.link_l2_id

    def _judge_signed(
        self, expected: Expected, accept: DirectAccept, octets: bytes, pdu: ReceivedPdu, now: Instant
    ) -> Receipt:
        """Check that the member's I_MESSAGE is made for this very answer, and open it. Raises SecurityError if not."""
        credentials = self._desk.credentials
        t2 = accept_t2(expected.asked, accept)
        i_message = credentials.check(octets, Kind.ACCEPT, binding_hash(t2), sender=expected.member)
        if not credentials.accepts_period(i_message, now.ntp_s):
            return Receipt.BAD
        pair = binding_hash(t2), binding_hash(i_message.signed_part)
        ssv_b = expected.answers.opened(pair)
        if not ssv_b:
            match self._limits.verify.ask(pdu, expected.member, now.mono_s):
                case Admission.WAITS:
                    return Receipt.WAITS
                case Admission.REFUSED | Admission.FAILED_BEFORE:
                    return Receipt.BAD
                case Admission.GRANTED:
                    credentials.verify(i_message)
                case _ as never:
                    assert_never(never)
            self._limits.verify.verified(pdu, expected.member)
            if not expected.answers.take(now.mono_s):
                return Receipt.BAD
            ssv_b = credentials.open(i_message)
            expected.answers.keep(pair, ssv_b)
        return self._confirmed(expected, accept, ssv_b, i_message.signed_part)

    @staticmethod
    def _confirmed(expected: Expected, accept: DirectAccept, ssv_b: bytes | None, signed_b: bytes) -> Receipt:
        """Whether conf_R shows that the member has the SSV."""
        half = expected.asked
        t2 = accept_t2(half, accept)
        kd = contributed_kd(half, t2, ssv_a=expected.ssv, ssv_b=ssv_b)
        agreed = agree(half, t2, accept, kd=kd, kdf=half.message.profile.kdf, signed_b=signed_b)
        return Receipt.GOOD if hmac.compare_digest(agreed.keys.conf_r, accept.confirmation) else Receipt.BAD
