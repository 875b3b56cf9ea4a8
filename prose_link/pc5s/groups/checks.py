"""A member's checks of a group keying message: those of a DCR, with the group's own rules (PROFILE 6, 11).

The steps have the numbers and the order of the checks of a DCR, and most of them are the same functions. The group
adds: the message is addressed to the group or to this member (step 2), it may be old if it answers an own ask or comes
under a link (step 6), its signer is a keyer of the group (step 8), and its mark is neither too far ahead nor
superseded. A key that is refused may still bring news of removals: the list of removed members counts even if the key
does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from prose_link.pc5s.core.group_config import AfterRestart, GroupConfig, keying_of, removals_of
from prose_link.pc5s.core.replay import WINDOW_S
from prose_link.pc5s.identity.examination import Examination, Known, Refusal
from prose_link.pc5s.identity.key_exchange import asked
from prose_link.pc5s.identity.responder_checks import (
    GROUP_AS_PERSON,
    Step,
    Verdict,
    step_1_form,
    step_4_binding,
    step_5_kms,
    step_7_replay,
    step_9_verify_budget,
    step_10_signature,
    step_12_pair_buckets,
    step_13_decapsulation,
)
from prose_link.pc5s.wire.messages import Cause, SecurityCapabilities
from security.device.record import RecordFullError
from security.errors import SecurityError
from security.groups import (
    EpochAheadError,
    GroupKeying,
    GroupMembership,
    KeyingMode,
    LowerMarkError,
    RemovalAheadError,
    RemovalList,
    WrongIndexError,
)
from security.identifiers import IdentityError
from security.mikey import ProfileFormError, parse_profile_i_message

NO_INTEGRITY: Final = frozenset({0})
"""EIA0 stands in the capabilities of a group: its traffic has no integrity (TS 36.323 5.7)."""
UNPROVEN: Final = "time not after the record's start"
"""The reason to refuse a message that may be genuine: the record was lost, so that old and new messages look alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAsk:
    """An ask of this UE without a good answer so far: the keyer, the group, and the least mark of a good answer."""

    keyer: str
    group: str
    least_mark: int


class RemovalTaker(Protocol):
    """The port for a keyer's list of removed members."""

    def learn(self, group: str, removals: RemovalList, keyer: str) -> None:
        """Merge a list into the record. Raises SecurityError if that fails."""


@dataclass(slots=True, kw_only=True)
class GroupExamination(Examination):
    """An examination that also knows this UE's groups, their keys, and the open asks.

    `link_peer`: the peer of the established link under which the message came, else empty.
    """

    groups: Mapping[str, GroupConfig]
    membership: GroupMembership
    receipts: Mapping[bytes, bytes]
    """HR of the last accepted keying messages -> the receipt sent, b"" if there was none."""
    open_asks: Mapping[bytes, OpenAsk]
    """Open asks by HR. A message that answers none of them is checked like any other keying message."""
    removal_taker: RemovalTaker
    keyed_groups: frozenset[str]
    """Groups that this UE is a keyer of."""
    link_peer: str = ""
    group: GroupConfig = field(init=False)
    keying: GroupKeying = field(init=False)
    removals: RemovalList = ()
    answered: OpenAsk | None = None
    brings_removals_only: bool = False
    """Whether the key is refused while the message's list of removed members still counts."""

    @property
    def over_link(self) -> bool:
        """Whether the message came under an established link with its signer."""
        return bool(self.link_peer) and self.link_peer == self.peer

    @property
    def place(self) -> int:
        """The signer's place in the list of keyers."""
        return self.group.keyers.index(self.peer)


def _step_2_addresses(exam: Examination) -> Verdict:
    """The message is for a group of this UE and, by its mode, for the group identity or this UE.

    It comes from the radio that it names.
    """
    assert isinstance(exam, GroupExamination)
    request, credentials = exam.request, exam.desk.credentials
    info = request.group_info
    group = exam.groups.get(info.group_identity) if info else None
    if info is None or group is None:
        return Refusal(step=2, why="not for a group of this UE")
    target = group.identity if info.mode == KeyingMode.GROUP_IDENTITY else credentials.uri
    if request.target_user_info != target:
        return Refusal(step=2, why="not for this identity")
    if exam.peer == credentials.uri:
        return Refusal(step=2, why="sender is this identity")
    if exam.desk.is_group(exam.peer):
        return Refusal(step=2, why=GROUP_AS_PERSON)
    if exam.pdu.addresses_count and exam.pdu.src_l2 != request.link_l2_id:
        return Refusal(step=2, why="layer-2 id is not the source address")
    if request.request_hash is not None:
        one = exam.open_asks.get(request.request_hash)
        if one is not None and (one.keyer, one.group) == (exam.peer, group.identity):
            exam.answered = one
    try:
        credentials.domain_of(target)
        exam.keying = keying_of(info)
    except IdentityError as error:
        return Refusal(step=2, why="no trusted KMS", detail=str(error))
    except SecurityError as error:
        return Refusal(step=2, why="Group info describes no key", detail=str(error))
    exam.group = group
    exam.removals = removals_of(request.members_out)
    return None


def _step_3_known(exam: Examination) -> Verdict:
    """The message's HR is new: its key isn't among those accepted, nor among the last refused."""
    assert isinstance(exam, GroupExamination)
    try:
        exam.i_message = parse_profile_i_message(exam.request.i_message)
    except ProfileFormError as error:
        return Refusal(step=4, why=f"I_MESSAGE form: {error.check}", detail=str(error))
    exam.asked = asked(exam.request, exam.i_message.signed_part)
    exam.request_hash = exam.asked.request_hash
    answer = exam.receipts.get(exam.request_hash, exam.limits.refused.reject_for(exam.request_hash))
    return None if answer is None else Known(reject=answer)


def _step_6_time(exam: Examination) -> Verdict:
    """The clock is right; T is in an acceptable key period, and in the window unless the message answers an own ask.

    With deferred delivery T may be older. After the loss of the record T must be later than its start by a window,
    since group messages have no Confirm. An answer or an established link also shows that the message is new.
    """
    assert isinstance(exam, GroupExamination)
    t_ntp_s, now_ntp_s = exam.i_message.ntp_s, exam.now.ntp_s
    fault = exam.desk.clock_fault(exam.now)
    if fault is not None:
        return Refusal(step=6, why=fault, cause=Cause.TIME_OR_KEY_PERIOD)
    if not exam.desk.credentials.accepts_period(exam.i_message, now_ntp_s):
        return Refusal(step=6, why="key period not acceptable now", cause=Cause.TIME_OR_KEY_PERIOD)
    if exam.answered is not None:
        return None
    is_old = t_ntp_s < now_ntp_s - WINDOW_S and not exam.group.deferred_delivery
    if is_old or t_ntp_s > now_ntp_s + WINDOW_S:
        return Refusal(step=6, why="time outside the window", cause=Cause.TIME_OR_KEY_PERIOD)
    accept_after_ntp_s = exam.desk.record.accept_after_ntp_s
    if accept_after_ntp_s and not exam.over_link and t_ntp_s <= accept_after_ntp_s + WINDOW_S:
        return Refusal(step=6, why=UNPROVEN, cause=Cause.TIME_OR_KEY_PERIOD)
    return None


def _step_8_group(exam: Examination) -> Verdict:
    """The signer is a keyer of the group; the key has this group's addresses and ciphers, and isn't superseded."""
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
    return _judge_mark(exam)


def _judge_mark(exam: GroupExamination) -> Verdict:
    """The key isn't too far ahead, has an index of its keyer's, and isn't superseded."""
    keying, membership = exam.keying, exam.membership
    try:
        membership.check(keying, place=exam.place, removals=exam.removals, now_ntp_s=exam.now.ntp_s)
    except EpochAheadError as error:
        return Refusal(step=8, why="epoch ahead of the clock", cause=Cause.TIME_OR_KEY_PERIOD, detail=str(error))
    except RemovalAheadError as error:
        return Refusal(step=8, why="removal ahead of the clock", cause=Cause.TIME_OR_KEY_PERIOD, detail=str(error))
    except WrongIndexError as error:
        return Refusal(step=8, why="PGK ID is not the keyer's", cause=Cause.NOT_ALLOWED, detail=str(error))
    except LowerMarkError as error:
        return _refuse_key(exam, "the group has a newer key", str(error))
    except SecurityError as error:
        return Refusal(
            step=8, why="group key has expired or is of another group", cause=Cause.NOT_ALLOWED, detail=str(error)
        )
    if exam.answered is not None and keying.mark < exam.answered.least_mark:
        return _refuse_key(exam, "not the key this UE asked for")
    held = membership.newest(keying.group_l2)
    holds_it = held is not None and held.keying.mark == keying.mark
    is_again = keying.mark == membership.known_mark(keying.group_identity) and not holds_it
    if is_again and exam.group.restart is AfterRestart.ASK_NEW and keying.group_identity not in exam.keyed_groups:
        return _refuse_key(exam, "key from before the restart, and a new one is asked for")
    return None


def _refuse_key(exam: GroupExamination, why: str, detail: str = "") -> Refusal:
    """Refuse a key, but not the list that came with it, unless there is another fault in the message."""
    exam.brings_removals_only = exam.deferred is None
    return Refusal(step=8, why=why, cause=Cause.NOT_ALLOWED, detail=detail)


def remember(exam: Examination) -> Verdict:
    """Record the message, so that it is never worked on again."""
    expires_ntp_s = int(exam.i_message.ntp_s) + WINDOW_S + 1
    try:
        new = exam.desk.record.remember(
            exam.replay_digest, signer=exam.peer, expires_ntp_s=expires_ntp_s, now_ntp_s=exam.now_ntp_s
        )
    except RecordFullError as error:
        return Refusal(step=11, why="replay cache is full", cause=Cause.LACK_OF_RESOURCES, detail=str(error))
    return None if new else Refusal(step=11, why="replay")


def _step_11_remember(exam: Examination) -> Verdict:
    """There is no deferred verdict, except for a key that is refused while its list of removed members counts."""
    assert isinstance(exam, GroupExamination)
    if exam.deferred and not exam.brings_removals_only:
        return exam.deferred
    return remember(exam)


def _step_12_removals(exam: Examination) -> Verdict:
    """There is a token for one more decapsulation; the list of removed members is merged."""
    assert isinstance(exam, GroupExamination)
    verdict = step_12_pair_buckets(exam)
    if verdict is None and exam.removals:
        try:
            exam.removal_taker.learn(exam.keying.group_identity, exam.removals, exam.peer)
        except SecurityError as error:
            return Refusal(step=12, why="list of members out can't be kept", detail=str(error))
    return verdict or exam.deferred


GROUP_STEPS: Final[tuple[Step, ...]] = (
    step_1_form,
    _step_2_addresses,
    _step_3_known,
    step_4_binding,
    step_5_kms,
    _step_6_time,
    step_7_replay,
    _step_8_group,
    step_9_verify_budget,
    step_10_signature,
    _step_11_remember,
    _step_12_removals,
    step_13_decapsulation,
)
"""Steps 1 to 13 for a keying message; step 14 takes the key."""
