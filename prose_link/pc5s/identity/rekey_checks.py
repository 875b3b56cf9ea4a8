"""The checks of a rekey: whether a Request is acceptable, its answer, and whether a Response is good (PROFILE 9).

Both come under the context in use, so they are from the peer, or from an attacker that has its keys. The checks are
against the latter: with a KD alone no attacker can continue a mutual link without the peer's I_MESSAGE, and no attacker
can continue a link by nonces once an I_MESSAGE is due. An I_MESSAGE passes the same steps as at set-up, and the same
budgets.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import ClassVar, Final

from prose_link.errors import SECURITY, ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import RekeyContribution
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.transcript import Agreed, Asked
from prose_link.pc5s.core.verify_budget import Waits
from prose_link.pc5s.identity.answer_proof import AnswerProof, ProofFault
from prose_link.pc5s.identity.examination import ProofExamination
from prose_link.pc5s.identity.key_exchange import (
    NO_CONFIRMATION,
    BuiltAnswer,
    agree,
    build_rekey_response,
    rekey_asked,
    rekeyed_kd,
    response_t2,
)
from prose_link.pc5s.identity.responder_checks import examine_proof
from prose_link.pc5s.wire.messages import ChosenAlgorithms, RekeyingRequest, RekeyingResponse, SecurityCapabilities
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.mikey import Kind, ProfileFormError, parse_profile_i_message

MAX_NONCE_ONLY_REKEYS: Final = 16
"""Most rekeys by nonces alone under one KD (PROFILE 2)."""


class RekeyFault(ProseLinkError):
    """A Rekeying Request or Response is not acceptable: `why` is one of a few texts, `detail` is free."""

    exit_code: ClassVar[int] = SECURITY

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.detail = detail


@dataclass(slots=True, kw_only=True)
class RekeyExamination(ProofExamination):
    """The results of the examination of a Rekeying Request so far."""

    half: Asked[RekeyingRequest]

    @property
    def kind(self) -> Kind:
        """The kind of a Rekeying Request's I_MESSAGE."""
        return Kind.REKEY_REQUEST

    @property
    def target(self) -> str:
        """This end of the link."""
        return self.desk.credentials.uri

    @property
    def bound_to(self) -> bytes:
        """H(T1) of the Request."""
        return self.half.t1_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedResponse:
    """An acceptable Request of the peer, and everything that the Response needs."""

    half: Asked[RekeyingRequest]
    kd_sess_id: int
    algorithms: ChosenAlgorithms
    kd_born_ntp_s: float
    answer: BuiltAnswer = field(repr=False)


def needs_new_kd(desk: Desk, link: Link, now: Instant) -> bool:
    """Whether nonces alone no longer suffice, by this end's own count, age of KD and key period."""
    period_end, _ = desk.credentials.key_times(link.peer, link.keys.born_ntp_s)
    due_ntp_s = min(period_end, link.keys.born_ntp_s + desk.config.kd_age_s)
    return now.ntp_s >= due_ntp_s or link.keys.nonce_only_rekeys >= MAX_NONCE_ONLY_REKEYS


def contributes(desk: Desk, link: Link, now: Instant) -> bool:
    """Whether a Request on this link has to bring an I_MESSAGE, from either end, by policy or `needs_new_kd`."""
    by_policy = link.policy.rekey_contribution is not RekeyContribution.NONCE_ONLY
    return by_policy or needs_new_kd(desk, link, now)


def own_capabilities(link: Link) -> SecurityCapabilities:
    """The offer of a Request of this end: as in its DCR, or the part of the peer's DCR that it allows."""
    return link.capabilities if link.initiator else link.policy.offer() & link.capabilities


def request_half(link: Link, message: RekeyingRequest) -> Asked[RekeyingRequest]:
    """The Request's half of the transcript; S(I) is empty without an I_MESSAGE."""
    signed_part = message.i_message[:-SIGNATURE_OCTETS] if message.i_message else b""
    return rekey_asked(message, link.keys.tx, signed_part)


def prepare_response(
    desk: Desk, limits: Limits, link: Link, pdu: ReceivedPdu, half: Asked[RekeyingRequest], now: Instant
) -> PreparedResponse | Waits:
    """Check a Request and prepare the Response, or report that it waits for its verification.

    Raises SecurityError, ProseLinkError.
    """
    message = half.message
    algorithms = _algorithms(link, message)
    if message.kd_sess_id_msb in link.keys.used_ids.msbs:
        raise RekeyFault("KD-sess ID MSB was used on this link before")
    if message.i_message is None and contributes(desk, link, now):
        raise RekeyFault("an I_MESSAGE is due")
    ssv_a, born_ntp_s = b"", link.keys.born_ntp_s
    if message.i_message is not None:
        exam = RekeyExamination(desk=desk, limits=limits, pdu=pdu, now=now, peer=link.peer, half=half)
        if not _open_request(exam, message.i_message):
            return Waits.WAITS
        ssv_a, born_ntp_s = exam.ssv, exam.i_message.ntp_s
    lsb = desk.links.draw_lsb(message.kd_sess_id_msb, link.peer_l2, link.keys.used_ids, desk.random_bytes)
    if lsb is None:
        raise RekeyFault("no KD-sess ID is free")
    draft = RekeyingResponse(
        sequence_number=desk.outbox.next_sequence_number(),
        request_hash=half.request_hash,
        nonce_2=desk.random_bytes(16),
        algorithms=algorithms,
        kd_sess_id_lsb=lsb,
        confirmation=NO_CONFIRMATION,
    )
    gives = bool(ssv_a) and (link.terms.mutual or link.policy.rekey_contribution is RekeyContribution.ALWAYS)
    answer = build_rekey_response(
        draft,
        half,
        ssv_a=ssv_a,
        kd_previous=bytes(link.keys.kd_next),
        kdf=link.kdf,
        signer=desk.credentials if gives else None,
        to=link.peer,
        ntp_s=now.ntp_s,
    )
    return PreparedResponse(
        half=half,
        kd_sess_id=message.kd_sess_id_msb << 8 | lsb,
        algorithms=algorithms,
        kd_born_ntp_s=born_ntp_s,
        answer=answer,
    )


def _algorithms(link: Link, message: RekeyingRequest) -> ChosenAlgorithms:
    """The algorithms that this end chooses from a Request's capabilities; raises RekeyFault.

    The capabilities are those of the DCR if its sender asks, and a subset of them if its receiver does.
    """
    offered, of_set_up = message.capabilities, link.capabilities
    if offered & of_set_up != offered or (not link.initiator and offered != of_set_up):
        raise RekeyFault("capabilities are not those of the set-up")
    algorithms = link.policy.choose(offered)
    if algorithms is None:
        raise RekeyFault("no algorithms in common")
    return algorithms


def _open_request(exam: RekeyExamination, octets: bytes) -> bool:
    """Take the Request's I_MESSAGE through its steps.

    Returns False if it waits for its verification. Raises RekeyFault.
    """
    try:
        exam.i_message = parse_profile_i_message(octets)
    except ProfileFormError as error:
        raise RekeyFault(f"I_MESSAGE form: {error.check}", str(error)) from error
    fault = examine_proof(exam)
    if fault is None or isinstance(fault, Waits):
        return fault is None
    raise RekeyFault(fault.why, fault.detail)


def check_response(
    desk: Desk, limits: Limits, link: Link, pdu: ReceivedPdu, message: RekeyingResponse, now: Instant
) -> Agreed | Waits:
    """The keys that follow from a Response, or the fact that it waits for its verification.

    Raises SecurityError, RekeyFault.
    """
    own = link.rekey.own
    half = own.asked
    if half is None or message.request_hash != half.request_hash:
        raise RekeyFault("no open rekeying request")
    chosen, offered = message.algorithms, half.message.capabilities & link.capabilities
    if chosen.eea not in offered.eea or chosen.eia not in offered.eia or not link.policy.allows(chosen):
        raise RekeyFault("algorithms were not offered")
    if half.message.kd_sess_id_msb << 8 | message.kd_sess_id_lsb in link.keys.used_ids:
        raise RekeyFault("KD-sess ID was used before")
    if own.new_kd and link.terms.mutual and message.i_message is None:
        raise RekeyFault("an I_MESSAGE is due")
    if message.i_message is not None and not own.new_kd:
        raise RekeyFault("an I_MESSAGE was not asked for")
    t2, ssv_b, signed_b = response_t2(half, message), b"", b""
    if message.i_message is not None:
        proof = AnswerProof(
            desk=desk,
            limits=limits,
            pdu=pdu,
            now=now,
            peer=link.peer,
            kind=Kind.REKEY_RESPONSE,
            t2=t2,
            answers=own.answers,
        )
        opened = proof.open(message.i_message)
        if isinstance(opened, Waits):
            return opened
        if isinstance(opened, ProofFault):
            raise RekeyFault(opened.why, opened.detail)
        ssv_b, signed_b = opened
    kd = rekeyed_kd(half, t2, ssv_a=bytes(own.ssv), ssv_b=ssv_b or None, kd_previous=bytes(link.keys.kd_next))
    agreed = agree(half, t2, message, kd=kd, kdf=link.kdf, signed_b=signed_b)
    if not hmac.compare_digest(agreed.keys.conf_r, message.confirmation):
        raise RekeyFault("key confirmation differs")
    return agreed
