"""A group's member: takes the keys of its keyers and gives receipts for them (PROFILE 11)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from prose_link.instant import Instant
from prose_link.pc5s.core.group_config import GroupConfig
from prose_link.pc5s.core.group_events import GroupKeyReceived
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import ANSWER_AGAIN_AFTER_S
from prose_link.pc5s.groups.checks import GROUP_STEPS, GroupExamination
from prose_link.pc5s.identity.key_exchange import NO_CONFIRMATION, build_accept
from prose_link.pc5s.identity.refusals import refuse
from prose_link.pc5s.identity.responder_checks import Known, Refusal, examine
from prose_link.pc5s.wire.messages import ChosenAlgorithms, DirectAccept
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from security.groups import GroupMembership, KeyingMode

TAKE_STEP: Final = 14
RECEIPTS_KEPT: Final = 16
"""Keying messages whose receipt is sent again when the same octets come again."""
NO_CONTEXT_LSB: Final = 0
"""KD-sess ID LSB of a receipt: it makes no link, so there is no context to name (PROFILE 11)."""


class GroupMember:
    """Takes keying messages for the groups of this UE."""

    def __init__(
        self, desk: Desk, limits: Limits, groups: Mapping[str, GroupConfig], membership: GroupMembership
    ) -> None:
        self._desk = desk
        self._limits = limits
        self._groups = groups
        self._membership = membership
        self._receipts: OrderedDict[bytes, bytes] = OrderedDict()
        self._answered_at_s: dict[bytes, float] = {}

    def on_request(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a keying message through steps 1 to 14."""
        exam = GroupExamination(
            desk=self._desk,
            limits=self._limits,
            pdu=pdu,
            now=now,
            groups=self._groups,
            membership=self._membership,
            receipts=self._receipts,
        )
        match examine(exam, GROUP_STEPS):
            case None:
                self._take(exam)
            case Refusal() as refusal:
                refuse(exam, refusal)
            case Known(reject=bytes() as answer):
                self._answer_again(pdu, exam.request_hash, answer, now)

    def _take(self, exam: GroupExamination) -> None:
        keying = exam.keying
        try:
            self._membership.install(
                keying,
                exam.ssv,
                signed_part_hash=exam.replay_digest,
                t_ntp_s=exam.i_message.ntp_s,
                now_ntp_s=exam.now.ntp_s,
            )
        except SecurityError as error:
            refuse(exam, Refusal(step=TAKE_STEP, why="group key can't be taken", detail=str(error)))
            return
        self._desk.outbox.emit(
            GroupKeyReceived(
                group=keying.group_identity,
                group_l2=keying.group_l2,
                epoch=keying.epoch,
                pgk_id=keying.pgk_id,
                mode=keying.mode,
                eea=keying.eea,
                keyer=exam.peer,
                peer_l2=exam.pdu.src_l2,
                octets=len(exam.pdu.data),
            )
        )
        wants_receipt = exam.group.receipts and keying.mode == KeyingMode.PER_MEMBER
        receipt = self._receipt(exam) if wants_receipt else b""
        self._remember(exam.request_hash, receipt, exam.now)
        if receipt:
            self._desk.send_plain(receipt, exam.pdu.sender)

    def _remember(self, request_hash: bytes, receipt: bytes, now: Instant) -> None:
        self._receipts[request_hash] = receipt
        self._answered_at_s[request_hash] = now.mono_s
        if len(self._receipts) > RECEIPTS_KEPT:
            oldest, _ = self._receipts.popitem(last=False)
            del self._answered_at_s[oldest]

    def _receipt(self, exam: GroupExamination) -> bytes:
        """A DCA in its one-way form: conf_R shows that this member opened the SSV. Its keys are used for nothing."""
        desk = self._desk
        draft = DirectAccept(
            sequence_number=desk.outbox.next_sequence_number(),
            ip_address_config=desk.config.ip_address_config,
            user_info=desk.credentials.uri,
            link_l2_id=desk.config.l2_id,
            profile=exam.request.profile,
            request_hash=exam.request_hash,
            nonce_2=desk.random_bytes(16),
            algorithms=ChosenAlgorithms(eea=exam.keying.eea, eia=0),
            kd_sess_id_lsb=NO_CONTEXT_LSB,
            confirmation=NO_CONFIRMATION,
        )
        return build_accept(draft, exam.asked, ssv_a=exam.ssv, signer=None, ntp_s=exam.now.ntp_s).octets

    def _answer_again(self, pdu: ReceivedPdu, request_hash: bytes, answer: bytes, now: Instant) -> None:
        """The same octets get the same answer, but not at any rate: copies are anybody's."""
        answered_at_s = self._answered_at_s.get(request_hash)
        if answered_at_s is None:
            self._desk.drop(pdu, "request", "same request, refused before")
            again = self._limits.refused.take_repeat(request_hash, now.mono_s)
        else:
            again = bool(answer) and now.mono_s - answered_at_s >= ANSWER_AGAIN_AFTER_S
        if again:
            self._desk.send_plain(answer, pdu.sender)
        if again and answered_at_s is not None:
            self._answered_at_s[request_hash] = now.mono_s
        elif answered_at_s is not None:
            self._desk.drop(pdu, "request", "same keying message, nothing more to answer")
