"""The responder's checks of a DCR in the order of PROFILE 6, cheapest first, one function for each step.

A step returns None to continue, or a `Refusal`. A refusal of steps 5 to 8 with a cause is deferred: the sender gets the
cause, but only after the signature has verified (step 11). So an unknown sender learns nothing. A refusal without a
cause gets no answer.

The order bounds the cost of forged requests. Form, addresses and hashes come first (microseconds), then a signature (1
ms, budgeted), then the record on disk, then the decapsulation (4 to 20 ms, budgeted for each verified signer). Nothing
is kept of a request before its signature has verified. The record is written before the decapsulation, so that one
signed request costs one pairing, whatever happens later. The same steps serve I_MESSAGEs under a link (`PROOF_STEPS`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.passed_over import stands_in_the_way
from prose_link.pc5s.core.policy import Profile, ip_versions_of
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.core.verify_budget import SAME_OCTETS, TOO_MANY, Admission, Waits
from prose_link.pc5s.identity.examination import Examination, Known, ProofExamination, Refusal
from prose_link.pc5s.identity.key_exchange import asked
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import PROFILE_VERSION, Cause, DirectRequest, Purpose
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from security.device.record import RecordError, RecordFullError
from security.eccsi.eccsi import SignatureError
from security.errors import SecurityError
from security.identifiers import IdentityError, NoKeysError
from security.mikey import ProfileFormError, parse_profile_i_message

GROUP_AS_PERSON: Final = "a group identity in the place of a person"
"""The reason why a message is malformed: no UE may sign as a group (PROFILE 11)."""

Verdict = Refusal | Known | Waits | None
Step = Callable[[Examination], Verdict]
ProofStep = Callable[[ProofExamination], Verdict]


def step_1_form(exam: Examination) -> Verdict:
    """The DCR decodes, and came on the logical channel of a DCR."""
    if exam.pdu.lcid != LCID_UNPROTECTED or exam.pdu.kd_sess_id:
        return Refusal(step=1, why="not on LCID 28")
    try:
        message = decode(exam.pdu.data)
    except MalformedMessage as error:
        return Refusal(step=1, why="malformed", detail=str(error))
    if not isinstance(message, DirectRequest):
        return Refusal(step=1, why="not a request")
    exam.request = message
    exam.peer = message.user_info
    return None


def step_2_addresses(exam: Examination) -> Verdict:
    """The DCR is for this UE, comes from another UE, and from the radio that it names."""
    if exam.request.target_user_info != exam.desk.credentials.uri:
        return Refusal(step=2, why="not for this identity")
    if exam.peer == exam.desk.credentials.uri:
        return Refusal(step=2, why="sender is this identity")
    if exam.desk.is_group(exam.peer):
        return Refusal(step=2, why=GROUP_AS_PERSON)
    if exam.pdu.addresses_count and exam.pdu.src_l2 != exam.request.link_l2_id:
        return Refusal(step=2, why="layer-2 id is not the source address")
    if exam.request.link_l2_id == exam.desk.config.l2_id:
        return Refusal(step=2, why="layer-2 id is this UE's own")
    if exam.desk.refuses_named_sender(exam.pdu, exam.peer):
        return Refusal(step=2, why="the carrier names another sender")
    return None


def step_3_known(exam: Examination) -> Verdict:
    """The HR is new: it belongs to no link and to none of the last refused requests."""
    try:
        exam.i_message = parse_profile_i_message(exam.request.i_message)
    except ProfileFormError as error:
        return Refusal(step=4, why=f"I_MESSAGE form: {error.check}", detail=str(error))
    exam.asked = asked(exam.request, exam.i_message.signed_part)
    exam.request_hash = exam.asked.request_hash
    link = exam.desk.links.of_request(exam.request_hash)
    reject = exam.limits.refused.reject_for(exam.request_hash)
    passed_over = exam.limits.passed_over.is_passed_over(exam.request_hash, exam.desk.links)
    return Known(link=link, reject=reject, passed_over=passed_over) if link or reject or passed_over else None


def step_4_binding(exam: ProofExamination) -> Verdict:
    """Kind, tag, H(T1), identities, scheme and lengths are those of a request between these two."""
    if exam.i_message.kind is not exam.kind:
        return Refusal(step=4, why="I_MESSAGE of another kind")
    if exam.i_message.binding_hash != exam.bound_to:
        return Refusal(step=4, why="I_MESSAGE is not bound to this request")
    identities = (exam.i_message.initiator_uri, exam.i_message.responder_uri)
    if identities != (exam.peer, exam.target):
        return Refusal(step=4, why="identities differ from User Info")
    target_domain = exam.desk.credentials.domain_of(exam.target)
    if exam.i_message.i_message.sakke.scheme != target_domain.uid_scheme:
        return Refusal(step=4, why="identifier scheme of another KMS")
    return None


def step_5_kms(exam: ProofExamination) -> Verdict:
    """Each end's KMS speaks for it and is trusted; keys are held; the signer isn't on the deny list."""
    credentials, target = exam.desk.credentials, exam.target
    try:
        domains = (credentials.domain_of(exam.peer), credentials.domain_of(target))
        if (exam.i_message.initiator_kms_uri, exam.i_message.responder_kms_uri) != tuple(one.uri for one in domains):
            return Refusal(step=5, why="KMS does not speak for this identity")
        credentials.check_keys_at(target, exam.i_message.ntp_s)
    except NoKeysError as error:
        return Refusal(step=5, why="no keys held for this period", detail=str(error))
    except IdentityError as error:
        return Refusal(step=5, why="no trusted KMS", detail=str(error))
    if exam.desk.is_group(exam.peer):
        return Refusal(step=5, why=GROUP_AS_PERSON)
    if credentials.denies(exam.peer):
        return Refusal(step=5, why="on the deny list", cause=Cause.NOT_ALLOWED)
    return None


def step_6_time(exam: ProofExamination) -> Verdict:
    """The clock is right; T lies in the window, in an acceptable key period, and after the record's start."""
    t_ntp_s = exam.i_message.ntp_s
    fault = exam.desk.clock_fault(exam.now)
    if fault is not None:
        return Refusal(step=6, why=fault, cause=Cause.TIME_OR_KEY_PERIOD)
    if not exam.desk.credentials.accepts_period(exam.i_message, exam.now.ntp_s):
        return Refusal(step=6, why="key period not acceptable now", cause=Cause.TIME_OR_KEY_PERIOD)
    if abs(exam.now.ntp_s - t_ntp_s) > WINDOW_S:
        return Refusal(step=6, why="time outside the window", cause=Cause.TIME_OR_KEY_PERIOD)
    if t_ntp_s <= exam.desk.record.accept_after_ntp_s:
        return Refusal(step=6, why="time not after the record's start", cause=Cause.TIME_OR_KEY_PERIOD)
    return None


def step_7_replay(exam: ProofExamination) -> Verdict:
    """The signed part has never been worked on, and there is room to remember it."""
    if exam.desk.record.contains(exam.replay_digest):
        return Refusal(step=7, why="replay")
    if not exam.desk.record.has_room(exam.peer, now_ntp_s=exam.now_ntp_s):
        return Refusal(step=7, why="replay cache is full", cause=Cause.LACK_OF_RESOURCES)
    return None


def step_8_policy(exam: Examination) -> Verdict:
    """Policy allows this link on these terms, and there is room for it."""
    peer, request = exam.peer, exam.request
    exam.policy = exam.desk.config.policy.towards(peer)
    algorithms = exam.policy.choose(request.capabilities)
    if request.profile.purpose is not Purpose.ONE_TO_ONE:
        return Refusal(step=8, why="not a keyer of the group", cause=Cause.NOT_ALLOWED)
    if not exam.desk.authorises(peer):
        return Refusal(step=8, why="not authorised", cause=Cause.NOT_ALLOWED)
    if request.profile.version != PROFILE_VERSION:
        why = "first edition of the profile"
        return Refusal(step=8, why=why, cause=Cause.PROFILE_VERSION)
    if request.profile.kdf not in exam.policy.kdfs or exam.policy.profile is not Profile.IDENTITY:
        return Refusal(step=8, why="profile not accepted", cause=Cause.NOT_ALLOWED)
    if not ip_versions_of(request.ip_address_config) & ip_versions_of(exam.desk.config.ip_address_config):
        return Refusal(step=8, why="no IP version in common", cause=Cause.IP_VERSION_MISMATCH)
    if algorithms is None:
        return Refusal(step=8, why="no algorithms in common", cause=Cause.ALGORITHMS_MISMATCH)
    if not exam.policy.meets(request.profile.mutual):
        return Refusal(step=8, why="mutual authentication is never given", cause=Cause.MUTUAL_AUTHENTICATION_POLICY)
    if exam.desk.links.peer_with_l2(request.link_l2_id, other_than=peer):
        return Refusal(step=8, why="layer-2 id is taken", cause=Cause.L2_ID_CONFLICT)
    if not (exam.desk.links.has_room(peer) and exam.desk.links.has_provisional_room(peer, exam.pdu.via)):
        return Refusal(step=8, why="no room for a link", cause=Cause.LACK_OF_RESOURCES)
    exam.algorithms = algorithms
    return None


def step_9_verify_budget(exam: ProofExamination) -> Verdict:
    """There is a token to verify one more signature."""
    match exam.limits.verify.ask(exam.pdu, exam.peer, exam.now.mono_s):
        case Admission.GRANTED:
            return None
        case Admission.WAITS:
            return Waits.WAITS
        case Admission.FAILED_BEFORE:
            return Refusal(step=10, why="signature does not verify", detail=SAME_OCTETS)
        case Admission.REFUSED:
            return Refusal(step=9, why=TOO_MANY)
        case _ as never:
            assert_never(never)


def step_10_signature(exam: ProofExamination) -> Verdict:
    """The I_MESSAGE is signed by the user the request names."""
    try:
        exam.desk.credentials.verify(exam.i_message)
    except (SignatureError, IdentityError) as error:
        return Refusal(step=10, why="signature does not verify", detail=str(error))
    exam.limits.verify.verified(exam.pdu, exam.peer)
    return None


def step_11_remember(exam: Examination) -> Verdict:
    """There is no deferred verdict, a collision is decided for the sender, and the request is recorded."""
    if exam.deferred:
        return exam.deferred
    links = exam.desk.links
    own = links.with_peer(exam.peer, State.WAIT_ACCEPT, State.CONFIRMING)
    pending = links.with_peer(exam.peer, State.PROVISIONAL)
    if own is not None and own.initiator and stands_in_the_way(own):
        if own.state is State.CONFIRMING:
            return _passed_over(exam, own, "a link with this peer is being confirmed")
        if own.asked.t1_hash >= exam.asked.t1_hash:
            return _passed_over(exam, own, "collision: own request stands")
    if pending is not None and exam.i_message.ntp_s <= pending.keys.born_ntp_s:
        return _passed_over(exam, pending, "a later request of this peer is pending")
    exam.own = own if own is not None and own.initiator else None
    return remember(exam)


def _passed_over(exam: Examination, link: Link, why: str) -> Refusal:
    """The request is good, but has to wait until the link or request with precedence has ended."""
    exam.limits.passed_over.add(exam.request_hash, link)
    return Refusal(step=11, why=why)


def remember(exam: ProofExamination) -> Verdict:
    """Record the request on disk before any work is done for it."""
    try:
        new = exam.desk.record.remember(
            exam.replay_digest,
            signer=exam.peer,
            expires_ntp_s=int(exam.i_message.ntp_s) + WINDOW_S + 1,
            now_ntp_s=exam.now_ntp_s,
        )
    except RecordFullError as error:
        return Refusal(step=11, why="replay cache is full", cause=Cause.LACK_OF_RESOURCES, detail=str(error))
    return None if new else Refusal(step=11, why="replay")


def step_12_pair_buckets(exam: ProofExamination) -> Verdict:
    """There is a token for one more decapsulation of this signer."""
    if exam.limits.pair.take(exam.peer, exam.now.mono_s):
        return None
    return Refusal(step=12, why="too many requests to open", cause=Cause.LACK_OF_RESOURCES)


def step_13_decapsulation(exam: ProofExamination) -> Verdict:
    """The SSV opens, with the point and re-encryption checks of RFC 6508."""
    try:
        exam.ssv = exam.desk.credentials.open(exam.i_message)
    except SecurityError as error:
        return Refusal(step=13, why="SSV can't be opened", cause=Cause.AUTHENTICATION_FAILURE, detail=str(error))
    return None


STEPS: Final[tuple[Step, ...]] = (
    step_1_form,
    step_2_addresses,
    step_3_known,
    step_4_binding,
    step_5_kms,
    step_6_time,
    step_7_replay,
    step_8_policy,
    step_9_verify_budget,
    step_10_signature,
    step_11_remember,
    step_12_pair_buckets,
    step_13_decapsulation,
)
"""Steps 1 to 13; step 14 makes the answer."""


PROOF_STEPS: Final[tuple[ProofStep, ...]] = (
    step_4_binding,
    step_5_kms,
    step_6_time,
    step_7_replay,
    step_9_verify_budget,
    step_10_signature,
    remember,
    step_12_pair_buckets,
    step_13_decapsulation,
)
"""The steps for the I_MESSAGE of any decoded request, on a link too (PROFILE 9)."""


def examine_proof(exam: ProofExamination) -> Refusal | Waits | None:
    """Take the I_MESSAGE of a request under a link through its steps. Returns None if it passed them all."""
    try:
        for step in PROOF_STEPS:
            verdict = step(exam)
            if isinstance(verdict, Refusal | Waits):
                return verdict
    except RecordError as error:
        return _without_record(error)
    return None


def examine(exam: Examination, steps: Sequence[Step] = STEPS) -> Verdict:
    """Take a DCR through the steps. Returns None if it passed them all.

    Without a usable record no DCR passes.
    """
    try:
        return _through_steps(exam, steps)
    except RecordError as error:
        return _without_record(error)


def _without_record(error: RecordError) -> Refusal:
    return Refusal(step=7, why="record can't be used", detail=str(error))


def _through_steps(exam: Examination, steps: Sequence[Step]) -> Verdict:
    for step in steps:
        verdict = step(exam)
        if isinstance(verdict, Refusal) and verdict is not exam.deferred and verdict.waits_for_signature:
            exam.deferred = exam.deferred or verdict
        elif verdict is not None:
            return verdict
    return None
