"""The deliveries of a group's current key: one for each recipient, each by a table of its own (PROFILE 11).

A delivery waits in a queue, is sent when its place comes, is repeated by T4100, and ends when the receipt has come or
the copies are used up. Only a few deliveries wait for their receipts at one time, so that the answers don't collide on
the air. A message is made when it is sent, not before: its time T is then right, and its copies are the same octets.

`receipts` checks the receipts. The SSV of a delivery is kept until its receipt comes. A message to a group identity
gets no answer: it is sent as often as a Request on a carrier that repeats nothing.

A recipient that gave no receipt may have been out of reach. When discovery hears it again, its key is sent once more in
a new message. An announcement isn't authenticated, so each such try makes the wait before the next one twice as long.

A delivery may answer a member's ask: it then carries the HR of that ask and is sent at once. If there is an established
link with the member, its messages are sent under the link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.group_config import entries_of
from prose_link.pc5s.core.group_events import GroupKeyDelivered, GroupKeySent, GroupKeyUndelivered
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.machine import Actions, Place, StateMachine, Turn
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.secret import Answers, Secret
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer, TimerSet
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.groups.checks import NO_INTEGRITY
from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER, DeliveryAction, DeliveryInput, DeliveryState
from prose_link.pc5s.groups.receipts import Expected, Receipt, ReceiptJudge
from prose_link.pc5s.identity.key_exchange import BuiltRequest, build_request
from prose_link.pc5s.wire.messages import (
    DirectAccept,
    DirectReject,
    DirectRequest,
    GroupInfo,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from prose_link.pc5s.wire.party import N4100, UNKNOWN_L2, Party
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from security.groups import KeyingMode, RemovalList
from security.mikey import Kind

DELIVERIES_AT_ONCE: Final = 4
"""Most members that may owe a receipt at one time, so that their answers do not collide on the air."""
HEARD_AGAIN_AFTER_S: Final = 10.0
HEARD_AGAIN_AT_MOST_S: Final = 160.0
"""Between two deliveries to a recipient because it is heard: at first, doubled each time up to the second (P)."""
REPEAT_TO_GROUP_S: Final = 0.5
"""Time between copies of a message to a group identity; there is no answer to wait for."""
EARLIER_KEPT: Final = 4
NOT_THE_MEMBERS: Final = "shows nothing of the member it names"
NO_CONTEXT_MSB: Final = 1
"""KD-sess ID MSB of a keying message: not 0, without meaning, since there is no context."""


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One recipient of the current key. `request` is b"" until it is sent; `to` is None until the way is known."""

    recipient: str
    to: Party | None
    info: GroupInfo
    removals: RemovalList
    ssv: Secret = field(repr=False)
    ask_hash: bytes | None = None
    """HR of the ask that this delivery answers."""
    earlier: tuple[Asked[DirectRequest], ...] = ()
    """Earlier messages with the same key to the same recipient: a receipt may be for one of them."""
    answers: Answers = field(default_factory=Answers)
    state: DeliveryState = DeliveryState.QUEUED
    octets: bytes = b""
    asked: Asked[DirectRequest] | None = None
    sent: int = 0
    heard_again: int = 0
    """How often it was sent because its recipient was heard."""
    not_again_before_s: float = 0.0
    cause: int | None = None
    why: str = ""
    """The reason why its message can't be made, if there is one."""

    @property
    def messages(self) -> tuple[Asked[DirectRequest], ...]:
        """Its message and the earlier ones, the newest first."""
        return ((self.asked,) if self.asked is not None else ()) + self.earlier


def delivery_machine(desk: Desk, actions: Actions[Delivery]) -> StateMachine[Delivery]:
    """The machine of deliveries. A delivery to a member uses one table, a delivery to the group another one.

    Raises StateMachineError if tables and actions don't fit.
    """
    return StateMachine(
        {KeyingMode.PER_MEMBER: TO_MEMBER, KeyingMode.GROUP_IDENTITY: TO_GROUP},
        actions,
        place=lambda delivery: Place(table=KeyingMode(delivery.info.mode), holder=delivery),
        on_unlisted=desk.count_unlisted,
    )


class Deliveries:
    """The deliveries of one keyer; no clock.

    The class is longer than most: it has a method for each action of two tables, and makes their messages.
    """

    def __init__(self, desk: Desk, limits: Limits, on_receipt: Callable[[Delivery], None] = lambda _: None) -> None:
        """`on_receipt` is called with each delivery whose member has shown that it holds the key."""
        self._desk = desk
        self._judge = ReceiptJudge(desk, limits)
        self._on_receipt = on_receipt
        self._by_recipient: dict[str, Delivery] = {}
        self._timers: TimerSet[str] = TimerSet()
        self._machine = delivery_machine(desk, self._actions())

    def _actions(self) -> Actions[Delivery]:
        return {
            DeliveryAction.SEND: self._send,
            DeliveryAction.RESEND: self._resend,
            DeliveryAction.COUNT: self._count_bad_receipt,
            DeliveryAction.REMEMBER_CAUSE: self._count_reject,
            DeliveryAction.REPORT_RECEIPT: self._report_receipt,
            DeliveryAction.REPORT_SENT: self._report_sent,
            DeliveryAction.REPORT_FAILURE: self._report_failure,
        }

    @property
    def waiting(self) -> frozenset[str]:
        """Recipients that have not shown yet that they hold the key."""
        every = self._by_recipient.values()
        return frozenset(one.recipient for one in every if one.state is not DeliveryState.DELIVERED)

    def locate(self, member: Party) -> None:
        """Note where a member is, for deliveries that have not been sent yet."""
        delivery = self._by_recipient.get(member.identity)
        if delivery is not None and delivery.state is DeliveryState.QUEUED:
            delivery.to = member

    def queue(
        self,
        recipients: Iterable[str],
        info: GroupInfo,
        removals: RemovalList,
        ssv: bytes,
        addresses: Mapping[str, Party],
    ) -> None:
        """Queue one key for these recipients; it replaces open deliveries to them."""
        for recipient in recipients:
            self.forget(recipient)
            self._by_recipient[recipient] = Delivery(
                recipient=recipient, to=addresses.get(recipient), info=info, removals=removals, ssv=Secret(ssv)
            )

    def answer(
        self, member: Party, ask_hash: bytes, info: GroupInfo, removals: RemovalList, ssv: bytes, now: Instant
    ) -> None:
        """Send a key at once to a member that has asked for it; it replaces an open delivery to it."""
        before = self._by_recipient.get(member.identity)
        earlier = before.messages[:EARLIER_KEPT] if before is not None and before.info == info else ()
        self.forget(member.identity)
        delivery = self._by_recipient[member.identity] = Delivery(
            recipient=member.identity,
            to=member,
            info=info,
            removals=removals,
            ssv=Secret(ssv),
            ask_hash=ask_hash,
            earlier=earlier,
        )
        self._machine.run(delivery, DeliveryInput.TURN, now)

    def answer_again(self, ask_hash: bytes) -> bool:
        """Answer a repeated ask with the same octets. Returns False if these deliveries don't answer it."""
        for delivery in self._by_recipient.values():
            if delivery.ask_hash == ask_hash and delivery.octets:
                self._put(delivery)
                return True
        return False

    def take_turns(self, now: Instant) -> None:
        """Send to the next recipients, as many as may wait for their receipts at one time."""
        every = self._by_recipient.values()
        waiting = sum(one.state is DeliveryState.WAIT_RECEIPT for one in every)
        for delivery in every:
            if waiting >= DELIVERIES_AT_ONCE:
                return
            if delivery.state is DeliveryState.QUEUED and delivery.to is not None:
                waiting += self._machine.run(delivery, DeliveryInput.TURN, now)

    def try_again(self, now: Instant) -> None:
        """Send once more to the members that gave no receipt."""
        for delivery in list(self._by_recipient.values()):
            self._machine.run(delivery, DeliveryInput.AGAIN, now)
        self.take_turns(now)

    def heard(self, l2_id: int, now: Instant) -> None:
        """Somebody is on the air by a layer-2 id: a recipient there that gave no receipt is sent its key again."""
        for delivery in self._by_recipient.values():
            is_there = delivery.to is not None and delivery.to.l2_id == l2_id
            if not is_there or delivery.state is not DeliveryState.UNDELIVERED:
                continue
            if now.mono_s < delivery.not_again_before_s:
                continue
            wait_s = min(HEARD_AGAIN_AT_MOST_S, HEARD_AGAIN_AFTER_S * 2.0**delivery.heard_again)
            delivery.not_again_before_s = now.mono_s + wait_s
            delivery.heard_again += 1
            delivery.earlier, delivery.octets = delivery.messages[:EARLIER_KEPT], b""
            delivery.asked = None
            self._machine.run(delivery, DeliveryInput.AGAIN, now)
            self.take_turns(now)
            return

    def answered_by(self, accept: DirectAccept) -> Delivery | None:
        """The delivery whose message a DCA answers; None if there is none."""
        for delivery in self._by_recipient.values():
            if any(half.request_hash == accept.request_hash for half in delivery.messages):
                return delivery
        return None

    def refused_by(self, reject: DirectReject) -> Delivery | None:
        """The delivery whose message a Reject names; None if there is none."""
        for delivery in self._by_recipient.values():
            if delivery.asked is not None and delivery.asked.request_hash.startswith(reject.request_hash):
                return delivery
        return None

    def take_receipt(
        self, delivery: Delivery, accept: DirectAccept, pdu: ReceivedPdu, link_peer: str, now: Instant
    ) -> None:
        """Process the DCA that answers a delivery.

        `link_peer`: the peer of the link under which it came, else empty.
        """
        verdict = Receipt.BAD
        half = next((one for one in delivery.messages if one.request_hash == accept.request_hash), None)
        if half is not None and delivery.state is not DeliveryState.DELIVERED:
            expected = Expected(
                member=delivery.recipient,
                asked=half,
                ssv=bytes(delivery.ssv),
                eea=delivery.info.eea,
                answers=delivery.answers,
            )
            verdict = self._judge.judge(expected, accept, pdu, link_peer, now)
        if verdict is Receipt.WAITS:
            return
        good = verdict is Receipt.GOOD
        if not self._machine.run(delivery, DeliveryInput.GOOD_RECEIPT if good else DeliveryInput.BAD_RECEIPT, now):
            self._desk.drop(pdu, "receipt", "not expected when " + delivery.state.value)
        elif not good:
            self._desk.drop(pdu, "receipt", NOT_THE_MEMBERS)
        self.take_turns(now)

    def take_reject(self, delivery: Delivery, reject: DirectReject, now: Instant) -> None:
        """Note an unauthenticated Reject that names a delivery."""
        if self._machine.run(delivery, DeliveryInput.REJECT, now):
            delivery.cause = reject.cause

    def next_timer(self) -> float | None:
        """The next deadline on the monotonic clock."""
        return self._timers.next_deadline_s()

    def handle_timer(self, now: Instant) -> None:
        """Do all work that is due, and send to the next recipients."""
        for recipient, _ in self._timers.take_due(now.mono_s):
            delivery = self._by_recipient[recipient]
            left = delivery.sent < self._transmissions(delivery)
            event = DeliveryInput.T4100_TRIES_LEFT if left else DeliveryInput.T4100_NONE_LEFT
            self._machine.run(delivery, event, now)
        self.take_turns(now)

    def forget(self, recipient: str) -> None:
        """Drop the delivery to a recipient, and wipe its secret."""
        delivery = self._by_recipient.pop(recipient, None)
        if delivery is not None:
            self._timers.stop_all(recipient)
            delivery.ssv.wipe()
            delivery.answers.wipe()

    def forget_all(self) -> None:
        """Drop all deliveries, and wipe their secrets."""
        for recipient in list(self._by_recipient):
            self.forget(recipient)

    def _send(self, turn: Turn[Delivery]) -> None:
        """Make the message when it is sent, so that T is right; repetitions are the same octets."""
        delivery, now = turn.owner, turn.now
        if not delivery.octets:
            try:
                built = self._build(delivery, now)
            except (SecurityError, ProseLinkError) as error:
                delivery.why = f"its message can't be made: {error}"
                self._machine.run(delivery, DeliveryInput.NOT_MADE, now)
                return
            delivery.octets, delivery.asked = built.octets, built.asked
            self._desk.outbox.emit(
                GroupKeySent(
                    group=delivery.info.group_identity,
                    epoch=delivery.info.epoch,
                    recipient=delivery.recipient,
                    peer_l2=_l2_of(delivery),
                    octets=len(built.octets),
                    answers_ask=delivery.ask_hash is not None,
                )
            )
        delivery.sent = 0
        wait_s = 0.0 if delivery.ask_hash is not None else self._desk.first_wait_s()
        if wait_s:
            self._timers.start(delivery.recipient, Timer.T4100, now.mono_s + wait_s)
        else:
            self._transmit(delivery, now)

    def _transmit(self, delivery: Delivery, now: Instant) -> None:
        delivery.sent += 1
        self._put(delivery)
        after_s = REPEAT_TO_GROUP_S if _is_to_group(delivery) else self._answer_takes_s(delivery)
        self._timers.start(delivery.recipient, Timer.T4100, now.mono_s + self._desk.spread(after_s))

    def _put(self, delivery: Delivery) -> None:
        link = self._desk.links.with_peer(delivery.recipient, State.ESTABLISHED)
        if link is not None and link.profile is Profile.IDENTITY:
            self._desk.send_protected(link, delivery.octets)
        elif delivery.to is not None:
            self._desk.send_plain(delivery.octets, delivery.to)

    def _transmissions(self, delivery: Delivery) -> int:
        """Most transmissions of a message: to a member until its receipt comes, to the group always that many."""
        if _is_to_group(delivery) or delivery.to is None:
            return N4100
        return delivery.to.via.traits.n4100

    def _answer_takes_s(self, delivery: Delivery) -> float:
        """The wait for a receipt: by radio a time of its own, by other carriers their T4100."""
        if delivery.to is None or delivery.to.via.is_direct:
            return self._desk.config.timers.keying_s
        return delivery.to.via.traits.t4100_s

    def _resend(self, turn: Turn[Delivery]) -> None:
        self._transmit(turn.owner, turn.now)

    def _count_bad_receipt(self, _turn: Turn[Delivery]) -> None:
        self._desk.outbox.counters["bad receipt of a group key"] += 1

    def _count_reject(self, _turn: Turn[Delivery]) -> None:
        self._desk.outbox.counters["Reject of a group key"] += 1

    def _report_receipt(self, turn: Turn[Delivery]) -> None:
        self._report_delivered(turn.owner, receipt=True)
        self._on_receipt(turn.owner)

    def _report_sent(self, turn: Turn[Delivery]) -> None:
        self._report_delivered(turn.owner, receipt=False)

    def _report_delivered(self, delivery: Delivery, *, receipt: bool) -> None:
        self._timers.stop_all(delivery.recipient)
        delivery.ssv.wipe()
        delivery.answers.wipe()
        self._desk.outbox.emit(
            GroupKeyDelivered(
                group=delivery.info.group_identity,
                epoch=delivery.info.epoch,
                recipient=delivery.recipient,
                receipt=receipt,
            )
        )

    def _report_failure(self, turn: Turn[Delivery]) -> None:
        delivery = turn.owner
        self._desk.outbox.emit(
            GroupKeyUndelivered(
                group=delivery.info.group_identity,
                epoch=delivery.info.epoch,
                recipient=delivery.recipient,
                cause=delivery.cause,
                why=delivery.why or "no receipt after the last transmission",
            )
        )

    def _build(self, delivery: Delivery, now: Instant) -> BuiltRequest[DirectRequest]:
        desk, info = self._desk, delivery.info
        draft = DirectRequest(
            sequence_number=desk.outbox.next_sequence_number(),
            user_info=desk.credentials.uri,
            ip_address_config=desk.config.ip_address_config,
            maximum_inactivity_period_s=desk.config.maximum_inactivity_period_s,
            nonce_1=desk.random_bytes(16),
            capabilities=SecurityCapabilities.of((info.eea,), NO_INTEGRITY),
            kd_sess_id_msb=NO_CONTEXT_MSB,
            target_user_info=info.group_identity if _is_to_group(delivery) else delivery.recipient,
            link_l2_id=desk.config.l2_id,
            profile=ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP),
            request_hash=delivery.ask_hash,
            group_info=info,
            members_out=entries_of(delivery.removals),
            i_message=b"",
        )
        return build_request(draft, desk.credentials, ntp_s=now.ntp_s, kind=Kind.GROUP, ssv=bytes(delivery.ssv))


def _is_to_group(delivery: Delivery) -> bool:
    return delivery.info.mode == KeyingMode.GROUP_IDENTITY


def _l2_of(delivery: Delivery) -> int:
    return (delivery.to.l2_id if delivery.to else None) or UNKNOWN_L2
