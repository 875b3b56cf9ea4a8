"""The deliveries of a group's current key: one for each recipient, each by a table of its own (PROFILE 11).

A delivery is queued, sent when it is its turn, repeated by T4100, and over when the receipt has come or the copies are
spent. Only a few wait for their receipt at one time, so that the answers don't meet on the air. A message is made when
its turn comes, not before: its time T is then the time it goes out, and its copies are the same octets.

A receipt is a DCA in its one-way form. Its conf_R shows that the member has opened the SSV, which costs this end hashes
only. So forged receipts use nothing up, and a bad one ends nothing. The SSV of a delivery is kept until then. Nobody
answers a message to a group identity: it goes out as often as a Request does on a carrier that repeats nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.group_events import GroupKeyDelivered, GroupKeySent, GroupKeyUndelivered
from prose_link.pc5s.core.machine import Actions, Place, StateMachine, Turn
from prose_link.pc5s.core.secret import Secret
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer, TimerSet
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.groups.checks import NO_INTEGRITY
from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER, DeliveryAction, DeliveryInput, DeliveryState
from prose_link.pc5s.identity.key_exchange import BuiltRequest, accept_t2, agree, build_request, contributed_kd
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
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
from security.groups import KeyingMode
from security.mikey import Kind

DELIVERIES_AT_ONCE: Final = 4
"""Members whose receipts are waited for at one time, so that their answers do not meet on the air."""
REPEAT_TO_GROUP_S: Final = 0.5
"""Between the copies of a message to a group identity: nobody answers, so there is no answer to wait for."""
NO_CONTEXT_MSB: Final = 1
"""KD-sess ID MSB of a keying message: not 0, and of no meaning, since no context comes of it."""


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One recipient of the current key. `request` b"" until its turn; `to` None until it is known where that is."""

    recipient: str
    to: Party | None
    info: GroupInfo
    ssv: Secret = field(repr=False)
    state: DeliveryState = DeliveryState.QUEUED
    octets: bytes = b""
    asked: Asked[DirectRequest] | None = None
    sent: int = 0
    cause: int | None = None
    why: str = ""
    """Why its message can't be made, if so."""


def delivery_machine(desk: Desk, actions: Actions[Delivery]) -> StateMachine[Delivery]:
    """The machine of deliveries: which table one goes by depends on whether it goes to a member or to the group.

    Raises StateMachineError where tables and actions don't fit.
    """
    return StateMachine(
        {KeyingMode.PER_MEMBER: TO_MEMBER, KeyingMode.GROUP_IDENTITY: TO_GROUP},
        actions,
        place=lambda delivery: Place(table=KeyingMode(delivery.info.mode), holder=delivery),
        on_unlisted=desk.count_unlisted,
    )


class Deliveries:
    """The deliveries of one keyer; no clock.

    Longer than most classes: it has a method for each of the actions of two tables, and makes their message.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
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
        """Recipients that have not shown yet that they have the key."""
        every = self._by_recipient.values()
        return frozenset(one.recipient for one in every if one.state is not DeliveryState.DELIVERED)

    def locate(self, member: Party) -> None:
        """Note where a member is, for what has not gone out yet."""
        delivery = self._by_recipient.get(member.identity)
        if delivery is not None and delivery.state is DeliveryState.QUEUED:
            delivery.to = member

    def queue(self, recipients: Iterable[str], info: GroupInfo, ssv: bytes, addresses: Mapping[str, Party]) -> None:
        """Queue one key for these recipients, in place of what was under way to them."""
        for recipient in recipients:
            self.forget(recipient)
            address = addresses.get(recipient)
            self._by_recipient[recipient] = Delivery(recipient=recipient, to=address, info=info, ssv=Secret(ssv))

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
        """Send once more to those who gave no receipt."""
        for delivery in list(self._by_recipient.values()):
            self._machine.run(delivery, DeliveryInput.AGAIN, now)
        self.take_turns(now)

    def answered_by(self, accept: DirectAccept) -> Delivery | None:
        """The delivery whose message a DCA answers, None if it answers none of these."""
        for delivery in self._by_recipient.values():
            if delivery.asked is not None and delivery.asked.request_hash == accept.request_hash:
                return delivery
        return None

    def refused_by(self, reject: DirectReject) -> Delivery | None:
        """The delivery whose message a Reject names, None if it names none of these."""
        for delivery in self._by_recipient.values():
            if delivery.asked is not None and delivery.asked.request_hash.startswith(reject.request_hash):
                return delivery
        return None

    def take_receipt(self, delivery: Delivery, accept: DirectAccept, pdu: ReceivedPdu, now: Instant) -> None:
        """Take the DCA that answers a delivery."""
        good = self._proves(delivery, accept, pdu)
        if not self._machine.run(delivery, DeliveryInput.GOOD_RECEIPT if good else DeliveryInput.BAD_RECEIPT, now):
            self._desk.drop(pdu, "receipt", "not expected when " + delivery.state.value)
        self.take_turns(now)

    def take_reject(self, delivery: Delivery, reject: DirectReject, now: Instant) -> None:
        """Note an unauthenticated Reject that names a delivery."""
        if self._machine.run(delivery, DeliveryInput.REJECT, now):
            delivery.cause = reject.cause

    def next_timer(self) -> float | None:
        """The next deadline on the monotonic clock."""
        return self._timers.next_deadline_s()

    def handle_timer(self, now: Instant) -> None:
        """Do what is due, and let the next ones have their turn."""
        for recipient, _ in self._timers.take_due(now.mono_s):
            delivery = self._by_recipient[recipient]
            left = delivery.sent < self._transmissions(delivery)
            event = DeliveryInput.T4100_TRIES_LEFT if left else DeliveryInput.T4100_NONE_LEFT
            self._machine.run(delivery, event, now)
        self.take_turns(now)

    def forget(self, recipient: str) -> None:
        """Give up what is under way to a recipient, and wipe its secret."""
        delivery = self._by_recipient.pop(recipient, None)
        if delivery is not None:
            self._timers.stop_all(recipient)
            delivery.ssv.wipe()

    def forget_all(self) -> None:
        """Give up everything under way, and wipe the secrets."""
        for recipient in list(self._by_recipient):
            self.forget(recipient)

    def _send(self, turn: Turn[Delivery]) -> None:
        """Make the message at its turn, so that T is the time it goes out; repetitions are octet-identical."""
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
                )
            )
        delivery.sent = 0
        wait_s = self._desk.first_wait_s()
        if wait_s:
            self._timers.start(delivery.recipient, Timer.T4100, now.mono_s + wait_s)
        else:
            self._transmit(delivery, now)

    def _transmit(self, delivery: Delivery, now: Instant) -> None:
        delivery.sent += 1
        if delivery.to is not None:
            self._desk.send_plain(delivery.octets, delivery.to)
        after_s = REPEAT_TO_GROUP_S if _is_to_group(delivery) else self._answer_takes_s(delivery)
        self._timers.start(delivery.recipient, Timer.T4100, now.mono_s + self._desk.spread(after_s))

    def _transmissions(self, delivery: Delivery) -> int:
        """How often a message is sent at most: to a member until its receipt comes, to the group so many copies."""
        if _is_to_group(delivery) or delivery.to is None:
            return N4100
        return delivery.to.via.traits.n4100

    def _answer_takes_s(self, delivery: Delivery) -> float:
        """How long a receipt is waited for: by radio a time of its own, by other carriers their T4100."""
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

    def _report_sent(self, turn: Turn[Delivery]) -> None:
        self._report_delivered(turn.owner, receipt=False)

    def _report_delivered(self, delivery: Delivery, *, receipt: bool) -> None:
        self._timers.stop_all(delivery.recipient)
        delivery.ssv.wipe()
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
            target_user_info=delivery.recipient,
            link_l2_id=desk.config.l2_id,
            profile=ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP),
            group_info=info,
            i_message=b"",
        )
        return build_request(draft, desk.credentials, ntp_s=now.ntp_s, kind=Kind.GROUP, ssv=bytes(delivery.ssv))

    def _proves(self, delivery: Delivery, accept: DirectAccept, pdu: ReceivedPdu) -> bool:
        """Whether a DCA is this recipient's, in its one-way form, and its conf_R shows that it has the SSV.

        That costs hashes only, so forged ones are not counted: nobody can use up what the genuine one needs.
        """
        half = delivery.asked
        if half is None or not delivery.ssv:
            return False
        expected = ChosenAlgorithms(eea=delivery.info.eea, eia=0)
        if accept.user_info != delivery.recipient or accept.i_message is not None or accept.algorithms != expected:
            return False
        if accept.profile != half.message.profile or (pdu.addresses_count and pdu.src_l2 != accept.link_l2_id):
            return False
        t2 = accept_t2(half, accept)
        kd = contributed_kd(half, t2, ssv_a=bytes(delivery.ssv), ssv_b=None)
        agreed = agree(half, t2, accept, kd=kd, kdf=half.message.profile.kdf, signed_b=b"")
        return hmac.compare_digest(agreed.keys.conf_r, accept.confirmation)


def _is_to_group(delivery: Delivery) -> bool:
    return delivery.info.mode == KeyingMode.GROUP_IDENTITY


def _l2_of(delivery: Delivery) -> int:
    return (delivery.to.l2_id if delivery.to else None) or UNKNOWN_L2
