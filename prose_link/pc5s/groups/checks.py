"""A member's checks of a group keying message: those of a DCR, with kind 3 and the group's own rules (PROFILE 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from prose_link.pc5s.core.group_config import GroupConfig, keying_of
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.identity.key_exchange import asked
from prose_link.pc5s.identity.responder_checks import (
    Examination,
    Known,
    Refusal,
    Step,
    Verdict,
    step_1_form,
    step_4_binding,
    step_5_kms,
    step_6_time,
    step_7_replay,
    step_9_verify_budget,
    step_10_signature,
    step_12_pair_buckets,
    step_13_decapsulation,
)
from prose_link.pc5s.wire.messages import Cause, SecurityCapabilities
from security.device.record import RecordFullError
from security.errors import SecurityError
from security.groups import EpochAheadError, GroupKeying, GroupMembership, KeyingMode
from security.identifiers import IdentityError
from security.mikey import ProfileFormError, parse_profile_i_message

NO_INTEGRITY: Final = frozenset({0})
"""EIA0 stands in the capabilities of a group: its traffic has no integrity (TS 36.323 5.7)."""


@dataclass(slots=True, kw_only=True)
class GroupExamination(Examination):
    """An examination that also knows the groups of this UE and what it holds of them."""

    groups: Mapping[str, GroupConfig]
    membership: GroupMembership
    receipts: Mapping[bytes, bytes]
    """HR of the last keys taken -> the receipt given, b"" where none was."""
    group: GroupConfig = field(init=False)
    keying: GroupKeying = field(init=False)


def _step_2_addresses(exam: Examination) -> Verdict:
    """It is for a group of this UE and, by its mode, for the group identity or for this UE; from a radio it names."""
    assert isinstance(exam, GroupExamination)
    request, credentials = exam.request, exam.desk.credentials
    info = request.group_info
    group = exam.groups.get(info.group_identity) if info else None
    if info is None or group is None:
        return Refusal(step=2, why="not for a group of this UE")
    target = group.identity if info.mode == KeyingMode.GROUP_IDENTITY else credentials.uri
    if request.target_user_info != target:
        return Refusal(step=2, why="not for this identity")
    if exam.peer in (credentials.uri, group.identity):
        return Refusal(step=2, why="sender is this identity or the group's")
    if exam.pdu.addresses_count and exam.pdu.src_l2 != request.link_l2_id:
        return Refusal(step=2, why="layer-2 id is not the source address")
    try:
        credentials.domain_of(target)
        exam.keying = keying_of(info)
    except IdentityError as error:
        return Refusal(step=2, why="no trusted KMS", detail=str(error))
    except SecurityError as error:
        return Refusal(step=2, why="Group info describes no key", detail=str(error))
    exam.group = group
    return None


def _step_3_known(exam: Examination) -> Verdict:
    """HR hasn't come before: its key isn't one of those taken, nor is it among the last refused."""
    assert isinstance(exam, GroupExamination)
    try:
        exam.i_message = parse_profile_i_message(exam.request.i_message)
    except ProfileFormError as error:
        return Refusal(step=4, why=f"I_MESSAGE form: {error.check}", detail=str(error))
    exam.asked = asked(exam.request, exam.i_message.signed_part)
    exam.request_hash = exam.asked.request_hash
    answer = exam.receipts.get(exam.request_hash, exam.limits.refused.reject_for(exam.request_hash))
    return None if answer is None else Known(reject=answer)


def _step_8_group(exam: Examination) -> Verdict:
    """The signer is a keyer of the group; the key is for this group's addresses, newer than the last, and ciphers."""
    assert isinstance(exam, GroupExamination)
    request, keying = exam.request, exam.keying
    if exam.peer not in exam.group.keyers:
        return Refusal(step=8, why="not a keyer of the group", cause=Cause.NOT_ALLOWED)
    if keying.group_l2 != exam.group.l2_id:
        return Refusal(step=8, why="not the group's layer-2 id", cause=Cause.NOT_ALLOWED)
    policy = exam.desk.config.policy.towards(exam.peer)
    if request.profile.kdf not in policy.kdfs:
        return Refusal(step=8, why="profile not accepted", cause=Cause.NOT_ALLOWED)
    one_algorithm = SecurityCapabilities.of((keying.eea,), NO_INTEGRITY)
    if request.capabilities != one_algorithm or keying.eea not in policy.ciphering:
        return Refusal(step=8, why="not the group's algorithm", cause=Cause.ALGORITHMS_MISMATCH)
    try:
        exam.membership.check(
            keying,
            signed_part_hash=exam.replay_digest,
            t_ntp_s=exam.i_message.ntp_s,
            now_ntp_s=exam.now.ntp_s,
        )
    except EpochAheadError as error:
        return Refusal(step=8, why="epoch ahead of the clock", cause=Cause.TIME_OR_KEY_PERIOD, detail=str(error))
    except SecurityError as error:
        return Refusal(step=8, why="epoch or time of the group key", cause=Cause.NOT_ALLOWED, detail=str(error))
    return None


def _step_11_remember(exam: Examination) -> Verdict:
    """No verdict was deferred, and the message is on record."""
    if exam.deferred:
        return exam.deferred
    expires_ntp_s = int(exam.i_message.ntp_s) + WINDOW_S + 1
    try:
        new = exam.desk.record.remember(
            exam.replay_digest, signer=exam.peer, expires_ntp_s=expires_ntp_s, now_ntp_s=exam.now_ntp_s
        )
    except RecordFullError as error:
        return Refusal(step=11, why="replay cache is full", cause=Cause.LACK_OF_RESOURCES, detail=str(error))
    return None if new else Refusal(step=11, why="replay")


GROUP_STEPS: Final[tuple[Step, ...]] = (
    step_1_form,
    _step_2_addresses,
    _step_3_known,
    step_4_binding,
    step_5_kms,
    step_6_time,
    step_7_replay,
    _step_8_group,
    step_9_verify_budget,
    step_10_signature,
    _step_11_remember,
    step_12_pair_buckets,
    step_13_decapsulation,
)
"""Steps 1 to 13 for a keying message; step 14 takes the key."""
