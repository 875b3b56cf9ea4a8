"""A keyer's checks of a member's ask: steps 1 to 11 of a DCR; no SSV is opened (PROFILE 11).

The SSV in an ask is not used, so an ask costs the keyer one verification. Each ask is recorded, so that the keyer works
on it once. Buckets bound its effect: the answers for a member, the answers in all, and new keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.groups.checks import remember
from prose_link.pc5s.groups.keyer import Keyer
from prose_link.pc5s.identity.examination import Examination, Known, Refusal
from prose_link.pc5s.identity.key_exchange import asked
from prose_link.pc5s.identity.responder_checks import (
    GROUP_AS_PERSON,
    Step,
    Verdict,
    step_1_form,
    step_4_binding,
    step_5_kms,
    step_6_time,
    step_7_replay,
    step_9_verify_budget,
    step_10_signature,
)
from prose_link.pc5s.wire.messages import Cause, GroupInfo
from security.groups.keying import epoch_at, mark_of
from security.mikey import ProfileFormError, parse_profile_i_message

NOT_A_MEMBER: Final = "not a member of the group"
HELD_BACK: Final = b""
"""Extra text for a known ask that is in progress: none."""


@dataclass(slots=True, kw_only=True)
class AskExamination(Examination):
    """An examination of an ask; `keyers` are this UE's keyer roles, by group."""

    keyers: Mapping[str, Keyer]
    keyer: Keyer = field(init=False)
    info: GroupInfo = field(init=False)
    group_l2s: Mapping[str, int]

    @property
    def mark(self) -> int:
        """The mark that the member holds, 0 if none."""
        return mark_of(self.info.epoch, self.info.tag)


def _step_2_addresses(exam: Examination) -> Verdict:
    """The ask is for this UE as a keyer of its group, comes from another UE, and from the radio that it names."""
    assert isinstance(exam, AskExamination)
    request, own = exam.request, exam.desk.credentials.uri
    info = request.group_info
    keyer = exam.keyers.get(info.group_identity) if info else None
    if request.target_user_info != own:
        return Refusal(step=2, why="not for this identity")
    if info is None or keyer is None:
        return Refusal(step=2, why="this UE is no keyer of the group")
    if exam.peer == own:
        return Refusal(step=2, why="sender is this identity")
    if exam.desk.is_group(exam.peer):
        return Refusal(step=2, why=GROUP_AS_PERSON)
    if exam.pdu.addresses_count and not exam.pdu.kd_sess_id and exam.pdu.src_l2 != request.link_l2_id:
        return Refusal(step=2, why="layer-2 id is not the source address")
    exam.keyer, exam.info = keyer, info
    return None


def _step_3_known(exam: Examination) -> Verdict:
    """The ask's HR is new: it has neither been answered nor refused."""
    assert isinstance(exam, AskExamination)
    try:
        exam.i_message = parse_profile_i_message(exam.request.i_message)
    except ProfileFormError as error:
        return Refusal(step=4, why=f"I_MESSAGE form: {error.check}", detail=str(error))
    exam.asked = asked(exam.request, exam.i_message.signed_part)
    exam.request_hash = exam.asked.request_hash
    if exam.keyer.answers.answer_again(exam.request_hash, exam.now):
        return Known(reject=HELD_BACK)
    reject = exam.limits.refused.reject_for(exam.request_hash)
    return None if reject is None else Known(reject=reject)


def _step_8_member(exam: Examination) -> Verdict:
    """The signer is a member that gets the group's keys, and names a possible mark."""
    assert isinstance(exam, AskExamination)
    if not exam.keyer.serves(exam.peer):
        return Refusal(step=8, why=NOT_A_MEMBER, cause=Cause.NOT_ALLOWED)
    if exam.info.group_l2_id != exam.group_l2s[exam.info.group_identity]:
        return Refusal(step=8, why="not the group's layer-2 id", cause=Cause.NOT_ALLOWED)
    if exam.info.epoch > epoch_at(exam.now.ntp_s) + WINDOW_S:
        return Refusal(step=8, why="epoch ahead of the clock", cause=Cause.TIME_OR_KEY_PERIOD)
    return None


def _step_11_remember(exam: Examination) -> Verdict:
    """There is no deferred verdict, there is a token for one more answer, and the ask is recorded."""
    assert isinstance(exam, AskExamination)
    if exam.deferred:
        return exam.deferred
    if not exam.keyer.answers.take_right(exam.peer, exam.now):
        return Refusal(step=11, why="too many asks to answer")
    return remember(exam)


ASK_STEPS: Final[tuple[Step, ...]] = (
    step_1_form,
    _step_2_addresses,
    _step_3_known,
    step_4_binding,
    step_5_kms,
    step_6_time,
    step_7_replay,
    _step_8_member,
    step_9_verify_budget,
    step_10_signature,
    _step_11_remember,
)
"""Steps 1 to 11 for an ask; the answer follows."""
