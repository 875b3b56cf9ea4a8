"""A group's member: it accepts the keys of its keyers and answers them with receipts (PROFILE 11).

A keying message passes the steps of `checks`, cheapest first. Step 14 installs its key: the mark is on disk before the
key is used. The result is one of four: a new key, the same key again after a restart, a key that was held to read and
may now be used to send, or nothing new. Events report the first three.

In mode 1 the member answers with a receipt, which proves that it holds the key: under a link with the keyer if there is
one, else signed. The receipt is remembered by the hash of the message, so that a copy gets the same octets again, at a
bounded rate. A message that is refused only because the member's record is incomplete makes the member ask for the key
instead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.group_config import GroupConfig
from prose_link.pc5s.core.group_events import GroupKeyConfirmed, GroupKeyReceived, GroupRestarted
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import ANSWER_AGAIN_AFTER_S
from prose_link.pc5s.groups.checks import GROUP_STEPS, UNPROVEN, GroupExamination, OpenAsk, RemovalTaker
from prose_link.pc5s.groups.receipts import make_receipt
from prose_link.pc5s.identity.examination import Known, Refusal
from prose_link.pc5s.identity.refusals import refuse
from prose_link.pc5s.identity.responder_checks import examine
from prose_link.pc5s.wire.messages import Cause
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from security.groups import GroupMembership, KeyingMode, TagMismatch, Taken

TAKE_STEP: Final = 14
RECEIPTS_KEPT: Final = 16
"""Most keying messages whose receipt is sent again when the same octets come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberParts:
    """The parts from which a member role is made."""

    groups: Mapping[str, GroupConfig]
    membership: GroupMembership
    open_asks: Mapping[bytes, OpenAsk]
    removal_taker: RemovalTaker
    keyed_groups: frozenset[str]


class GroupMember:
    """Accepts keying messages for the groups of this UE.

    `on_taken` is called with each accepted message and its result.
    """

    def __init__(
        self,
        desk: Desk,
        limits: Limits,
        parts: MemberParts,
        on_taken: Callable[[GroupExamination, Taken], None],
        on_unproven: Callable[[str, Instant], None],
    ) -> None:
        """`on_unproven` is called with groups whose keyer's message was refused because the record is incomplete."""
        self._desk = desk
        self._limits = limits
        self._parts = parts
        self._on_taken = on_taken
        self._on_unproven = on_unproven
        self._receipts: OrderedDict[bytes, bytes] = OrderedDict()
        self._answered_at_s: dict[bytes, float] = {}

    def on_request(self, pdu: ReceivedPdu, link_peer: str, now: Instant) -> None:
        """Check a keying message in steps 1 to 14.

        `link_peer`: the peer of the link under which it came, else empty.
        """
        exam = GroupExamination(
            desk=self._desk,
            limits=self._limits,
            pdu=pdu,
            now=now,
            groups=self._parts.groups,
            membership=self._parts.membership,
            receipts=self._receipts,
            open_asks=self._parts.open_asks,
            removal_taker=self._parts.removal_taker,
            keyed_groups=self._parts.keyed_groups,
            link_peer=link_peer,
        )
        match examine(exam, GROUP_STEPS):
            case None:
                self._take(exam)
            case Refusal() as refusal:
                refuse(exam, refusal)
                if refusal is exam.deferred and refusal.why == UNPROVEN:
                    self._on_unproven(exam.group.identity, now)
            case Known(reject=bytes() as answer):
                self._answer_again(pdu, exam.request_hash, answer, now)

    def _take(self, exam: GroupExamination) -> None:
        try:
            taken = self._parts.membership.install(
                exam.keying,
                exam.ssv,
                keyer=exam.peer,
                place=exam.place,
                removals=exam.removals,
                t_ntp_s=exam.i_message.ntp_s,
                now_ntp_s=exam.now.ntp_s,
                fresh=exam.answered is not None,
            )
        except TagMismatch as error:
            why = "tag of the group key belongs to another"
            refuse(exam, Refusal(step=TAKE_STEP, why=why, cause=Cause.AUTHENTICATION_FAILURE, detail=str(error)))
            return
        except SecurityError as error:
            refuse(exam, Refusal(step=TAKE_STEP, why="group key can't be taken", detail=str(error)))
            return
        self._tell(exam, taken)
        wants_receipt = exam.group.receipts and exam.keying.mode == KeyingMode.PER_MEMBER
        receipt = self._receipt(exam) if wants_receipt else b""
        self._remember(exam.request_hash, receipt, exam.now)
        if receipt:
            self._send(receipt, exam.pdu, exam.peer)
        self._on_taken(exam, taken)

    def _tell(self, exam: GroupExamination, taken: Taken) -> None:
        keying, emit = exam.keying, self._desk.outbox.emit
        match taken:
            case Taken.NEW | Taken.AGAIN:
                held = self._parts.membership.newest(keying.group_l2)
                emit(
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
                        how=taken.value,
                        reads_only=held is not None and held.reads_only,
                    )
                )
                if taken is Taken.AGAIN:
                    emit(GroupRestarted(group=keying.group_identity, epoch=keying.epoch))
            case Taken.CONFIRMED:
                emit(GroupKeyConfirmed(group=keying.group_identity, epoch=keying.epoch, keyer=exam.peer))
            case Taken.HELD:
                pass
            case _ as never:
                assert_never(never)

    def _remember(self, request_hash: bytes, receipt: bytes, now: Instant) -> None:
        self._receipts[request_hash] = receipt
        self._answered_at_s[request_hash] = now.mono_s
        if len(self._receipts) > RECEIPTS_KEPT:
            oldest, _ = self._receipts.popitem(last=False)
            del self._answered_at_s[oldest]

    def _receipt(self, exam: GroupExamination) -> bytes:
        """The receipt, signed unless it is sent under a link with the keyer; b"" if none can be made."""
        signed = not self._has_link_with(exam.peer)
        try:
            return make_receipt(self._desk, exam.asked, exam.ssv, exam.keying.eea, signed=signed, now=exam.now)
        except SecurityError:
            self._desk.outbox.counters["receipt of a group key can't be made"] += 1
            return b""

    def _has_link_with(self, peer: str) -> bool:
        link = self._desk.links.with_peer(peer, State.ESTABLISHED)
        return link is not None and link.profile is Profile.IDENTITY

    def _send(self, receipt: bytes, pdu: ReceivedPdu, keyer: str) -> None:
        link = self._desk.links.with_peer(keyer, State.ESTABLISHED) if self._has_link_with(keyer) else None
        if link is not None:
            self._desk.send_protected(link, receipt)
        else:
            self._desk.send_plain(receipt, pdu.sender)

    def _answer_again(self, pdu: ReceivedPdu, request_hash: bytes, answer: bytes, now: Instant) -> None:
        """Answer the same octets with the same receipt, at a bounded rate: any sender can send copies."""
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
