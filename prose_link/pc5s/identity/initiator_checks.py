"""The initiator's checks of a DCA in the order of PROFILE 6, one function for each step.

A step returns None to continue, or an `AcceptFault`. A fault means: drop the DCA, count it, and keep waiting; no DCA
can end the request. The steps are in the order of their cost, so that forged answers cost little: form and addresses,
HR and the algorithms, then the peer's I_MESSAGE (one verification and one decapsulation, budgeted), then the key
confirmation. Each step may rely on the results of the steps before it, which `Candidate` holds.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.transcript import Agreed
from prose_link.pc5s.core.verify_budget import Waits
from prose_link.pc5s.identity.answer_proof import AnswerProof, ProofFault
from prose_link.pc5s.identity.key_exchange import accept_key_proof, accept_t2, agree, contributed_kd
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import DirectAccept, Mutual
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED, ReceivedPdu
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.mikey import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptFault:
    """A DCA is dropped: the step and the reason."""

    step: int
    why: str
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Candidate:
    """The results of the examination of a DCA so far; each step may use those of the steps before it."""

    desk: Desk
    limits: Limits
    pdu: ReceivedPdu
    now: Instant
    accept: DirectAccept = field(init=False)
    peer: str = ""
    link: Link = field(init=False)
    t2: bytes = field(init=False)
    agreed: Agreed = field(init=False, repr=False)
    ssv_b: bytes = field(default=b"", repr=False)
    signed_b: bytes = b""
    repeated: bool = False


Outcome = AcceptFault | Waits | None
Step = Callable[[Candidate], Outcome]


def step_1_form(candidate: Candidate) -> AcceptFault | None:
    """The DCA decodes, and came on the logical channel of a DCA."""
    if candidate.pdu.lcid != LCID_UNPROTECTED or candidate.pdu.kd_sess_id:
        return AcceptFault(step=1, why="not on LCID 28")
    try:
        message = decode(candidate.pdu.data)
    except MalformedMessage as error:
        return AcceptFault(step=1, why="malformed", detail=str(error))
    if not isinstance(message, DirectAccept):
        return AcceptFault(step=1, why="not an accept")
    candidate.accept = message
    candidate.peer = message.user_info
    return None


def step_2_request(candidate: Candidate) -> AcceptFault | None:
    """The DCA answers an open request, comes from its target, and repeats its flags and profile."""
    accept, pdu = candidate.accept, candidate.pdu
    link = candidate.desk.links.of_request(accept.request_hash)
    if link is None or not link.initiator or link.state not in (State.WAIT_ACCEPT, State.CONFIRMING):
        return AcceptFault(step=2, why="no open request")
    candidate.link = link
    if link.state is State.CONFIRMING:
        candidate.repeated = pdu.data == link.setup.accept_octets
        return AcceptFault(step=2, why="request is answered already")
    if accept.user_info != link.peer:
        return AcceptFault(step=2, why="not from the target")
    if pdu.via.carrier != link.via.carrier:
        return AcceptFault(step=2, why="not by the carrier that the request was sent by")
    if accept.link_l2_id == candidate.desk.config.l2_id or candidate.desk.links.peer_with_l2(
        accept.link_l2_id, other_than=link.peer
    ):
        return AcceptFault(step=2, why="layer-2 id is taken")
    if pdu.addresses_count and pdu.src_l2 != accept.link_l2_id:
        return AcceptFault(step=2, why="layer-2 id is not the source address")
    if candidate.desk.refuses_named_sender(pdu, accept.user_info):
        return AcceptFault(step=2, why="the carrier names another sender")
    if accept.profile != link.asked.message.profile:
        return AcceptFault(step=2, why="profile or flags differ")
    return None


def step_3_algorithms(candidate: Candidate) -> AcceptFault | None:
    """The algorithms were offered and are allowed."""
    chosen, link = candidate.accept.algorithms, candidate.link
    if chosen.eea not in link.capabilities.eea or chosen.eia not in link.capabilities.eia:
        return AcceptFault(step=3, why="algorithms were not offered")
    if not link.policy.allows(chosen):
        return AcceptFault(step=3, why="algorithms are not allowed")
    return None


def step_4_presence(candidate: Candidate) -> AcceptFault | None:
    """The peer's I_MESSAGE is present if it was required.

    A DCA without one costs hashes only from here on, and no token of a budget.
    """
    if candidate.link.asked.message.profile.mutual is Mutual.REQUIRED and candidate.accept.i_message is None:
        return AcceptFault(step=4, why="required I_MESSAGE is missing")
    return None


def step_5_i_message(candidate: Candidate) -> Outcome:
    """If there is an I_MESSAGE, it is the peer's, was made for this very answer, and opens."""
    link, octets = candidate.link, candidate.accept.i_message
    candidate.t2 = accept_t2(link.asked, candidate.accept)
    if octets is None:
        return None
    given, signed_part = candidate.accept.key_proof, octets[:-SIGNATURE_OCTETS]
    expected = accept_key_proof(link.asked, candidate.t2, signed_part, ssv_a=bytes(link.setup.ssv))
    if given is not None and not hmac.compare_digest(given, expected):
        return AcceptFault(step=5, why="key proof differs")
    proof = AnswerProof(
        desk=candidate.desk,
        limits=candidate.limits,
        pdu=candidate.pdu,
        now=candidate.now,
        peer=link.peer,
        kind=Kind.ACCEPT,
        t2=candidate.t2,
        answers=link.setup.answers,
        is_proven=given is not None,
    )
    opened = proof.open(octets)
    if isinstance(opened, Waits):
        return opened
    if isinstance(opened, ProofFault):
        return AcceptFault(step=5, why=opened.why, detail=opened.detail)
    candidate.ssv_b, candidate.signed_b = opened
    return None


def step_6_confirmation(candidate: Candidate) -> AcceptFault | None:
    """conf_R proves that the peer has the same KD over the same transcript."""
    link, accept = candidate.link, candidate.accept
    kd = contributed_kd(link.asked, candidate.t2, ssv_a=bytes(link.setup.ssv), ssv_b=candidate.ssv_b or None)
    candidate.agreed = agree(link.asked, candidate.t2, accept, kd=kd, kdf=link.kdf, signed_b=candidate.signed_b)
    if not hmac.compare_digest(candidate.agreed.keys.conf_r, accept.confirmation):
        return AcceptFault(step=6, why="key confirmation differs")
    return None


STEPS: Final[tuple[Step, ...]] = (
    step_1_form,
    step_2_request,
    step_3_algorithms,
    step_4_presence,
    step_5_i_message,
    step_6_confirmation,
)
"""Steps 1 to 6; step 7 is the Confirm."""


def examine_accept(candidate: Candidate) -> Outcome:
    """Take a DCA through the steps. Returns None if it passed them all."""
    for step in STEPS:
        fault = step(candidate)
        if fault is not None:
            return fault
    return None
