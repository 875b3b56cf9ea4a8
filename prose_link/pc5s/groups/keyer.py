"""A group's keyer: gives each epoch's key to those who are to have it, and hears their receipts (PROFILE 11)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.group_config import GroupConfig, GroupConfigError, info_of
from prose_link.pc5s.core.group_events import GroupEpochStarted, GroupKeyDelivered, GroupKeySent, GroupKeyUndelivered
from prose_link.pc5s.core.link import Secret
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import N4100, Timer, TimerSet
from prose_link.pc5s.core.transcript import Asked
from prose_link.pc5s.groups.checks import NO_INTEGRITY
from prose_link.pc5s.groups.fsm import (
    TO_GROUP,
    TO_MEMBER,
    DeliveryAction,
    DeliveryInput,
    DeliveryState,
)
from prose_link.pc5s.identity.key_exchange import BuiltRequest, accept_t2, agree, build_request, contributed_kd
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    DirectAccept,
    DirectRequest,
    GroupInfo,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from prose_link.pc5s.wire.pdus import DIRECT, ReceivedPdu
from security.errors import SecurityError
from security.groups import GroupKeyer, GroupMembership, KeyingMode, KeyingOrder
from security.link.key_ladder import binding_hash
from security.mikey import Kind

DELIVERIES_AT_ONCE: Final = 4
"""Members whose receipts are waited for at one time, so that their answers do not meet on the air."""
REPEAT_TO_GROUP_S: Final = 0.5
"""Between the copies of a message to a group identity: nobody answers, so there is no answer to wait for."""
NO_CONTEXT_MSB: Final = 1
"""KD-sess ID MSB of a keying message: not 0, and of no meaning, since no context comes of it."""


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One recipient of the current key. `request` b"" until its turn; `l2_id` None until it is known."""

    recipient: str
    l2_id: int | None
    info: GroupInfo
    ssv: Secret = field(repr=False)
    state: DeliveryState = DeliveryState.QUEUED
    octets: bytes = b""
    asked: Asked[DirectRequest] | None = None
    sent: int = 0
    cause: int | None = None
    why: str = ""
    """Why its message can't be made, if so."""


@dataclass(slots=True)
class ReadableSsvs:
    """SSVs that read alike everywhere when they are encapsulated to the members, in the key period of `ntp_s`."""

    credentials: Credentials
    ntp_s: float = 0.0

    def draw(self, recipients: tuple[str, ...]) -> bytes:
        """A fresh SSV for these members."""
        return self.credentials.draw_ssv(recipients, self.ntp_s)

    def suits(self, ssv: bytes, recipient: str) -> bool:
        """Whether the SSV in use may go to one more."""
        return self.credentials.suits(ssv, recipient, self.ntp_s)


class Keyer:
    """Keys one group. The keyer is a member too: it takes its own key without a message.

    The SSV of a delivery is kept until its receipt comes: conf_R is checked with it.
    """

    def __init__(self, desk: Desk, config: GroupConfig, membership: GroupMembership) -> None:
        self._desk = desk
        self._config = config
        self._membership = membership
        self._ssvs = ReadableSsvs(desk.credentials)
        self._keyer = GroupKeyer(
            group_identity=config.identity,
            group_l2=config.l2_id,
            eea=config.eea,
            mode=config.mode,
            members=config.members,
            marks=desk.record,
            random=desk.random_bytes,
            ssvs=self._ssvs,
            backward_secrecy=config.backward_secrecy,
        )
        self._addresses: dict[str, int] = {config.identity: config.l2_id}
        self._deliveries: dict[str, Delivery] = {}
        self._timers: TimerSet[str] = TimerSet()
        self._established = False

    @property
    def members(self) -> frozenset[str]:
        """Who is to have the group's keys, the keyer itself not counted."""
        return self._keyer.members

    @property
    def established(self) -> bool:
        """Whether an epoch has been started."""
        return self._established

    @property
    def waiting(self) -> frozenset[str]:
        """Recipients of the current key that have not shown yet that they have it."""
        return frozenset(one.recipient for one in self._deliveries.values() if one.state is not DeliveryState.DELIVERED)

    @property
    def unlocated(self) -> frozenset[str]:
        """Members whose layer-2 id is not known yet."""
        return self.members - self._addresses.keys()

    def locate(self, member: str, l2_id: int) -> None:
        """Note a member's layer-2 id, from discovery or configuration."""
        self._addresses[member] = l2_id
        delivery = self._deliveries.get(member)
        if delivery is not None and delivery.state is DeliveryState.QUEUED:
            delivery.l2_id = l2_id

    def new_epoch(self, now: Instant) -> None:
        """A fresh key for everybody; raises SecurityError where none can be made."""
        self._ssvs.ntp_s = now.ntp_s
        self._start(self._keyer.new_epoch(expiry_ntp_s=self._expiry(now), now_ntp_s=now.ntp_s), now)

    def add(self, member: str, now: Instant) -> None:
        """Let a member join; with backward secrecy everybody gets a new key."""
        self._ssvs.ntp_s = now.ntp_s
        self._start(self._keyer.add(member, expiry_ntp_s=self._expiry(now), now_ntp_s=now.ntp_s), now)

    def remove(self, member: str, now: Instant) -> None:
        """Rekey a member out: a new key for each who stays. Raises GroupConfigError for a group keyed by mode 0."""
        if self._config.mode is KeyingMode.GROUP_IDENTITY:
            raise GroupConfigError(
                f"{self._config.identity} is keyed by its group identity, whose key {member} holds until the key "
                "period ends: nobody can be removed from it; key the group per member, or give it another identity"
            )
        self._ssvs.ntp_s = now.ntp_s
        self._start(self._keyer.remove(member, expiry_ntp_s=self._expiry(now), now_ntp_s=now.ntp_s), now)

    def try_again(self, now: Instant) -> None:
        """Send once more to those who gave no receipt."""
        for delivery in list(self._deliveries.values()):
            self._run(delivery, DeliveryInput.AGAIN, now)
        self._take_turns(now)

    def on_accept(self, pdu: ReceivedPdu, now: Instant) -> bool:
        """Take a receipt; False if this DCA answers no keying message of this group."""
        try:
            accept = decode(pdu.data)
        except MalformedMessage:
            return False
        if not isinstance(accept, DirectAccept):
            return False
        delivery = self._of_request(accept.request_hash)
        if delivery is None:
            return False
        good = self._proves(delivery, accept, pdu)
        if not self._run(delivery, DeliveryInput.GOOD_RECEIPT if good else DeliveryInput.BAD_RECEIPT, now):
            self._desk.drop(pdu, "receipt", "not expected when " + delivery.state.value)
        self._take_turns(now)
        return True

    def on_reject(self, shortened_hash: bytes, cause: int, now: Instant) -> bool:
        """Note an unauthenticated Reject; False if it answers no keying message of this group."""
        for delivery in self._deliveries.values():
            if delivery.asked is not None and delivery.asked.request_hash[: len(shortened_hash)] == shortened_hash:
                if self._run(delivery, DeliveryInput.REJECT, now):
                    delivery.cause = cause
                return True
        return False

    def next_timer(self) -> float | None:
        """The next deadline on the monotonic clock."""
        return self._timers.next_deadline_s()

    def handle_timer(self, now: Instant) -> None:
        """Do what is due, and let the next ones have their turn."""
        for recipient, _ in self._timers.due(now.mono_s):
            delivery = self._deliveries[recipient]
            left = delivery.sent < self._transmissions(delivery)
            self._run(delivery, DeliveryInput.T4100_TRIES_LEFT if left else DeliveryInput.T4100_NONE_LEFT, now)
        self._take_turns(now)

    def wipe(self) -> None:
        """Let go of every secret."""
        self._keyer.wipe()
        for recipient in list(self._deliveries):
            self._forget(recipient)

    def _start(self, order: KeyingOrder, now: Instant) -> None:
        keying = order.keying
        own_hash = binding_hash(f"keyer of {keying.group_identity}, epoch {keying.epoch}".encode())
        taken = self._membership.install(
            keying, order.ssv, signed_part_hash=own_hash, t_ntp_s=now.ntp_s, now_ntp_s=now.ntp_s
        )
        self._established = True
        if taken:
            for recipient in list(self._deliveries):
                self._forget(recipient)
        self._queue(order.recipients, info_of(keying), order.ssv)
        if taken:
            self._desk.outbox.emit(
                GroupEpochStarted(
                    group=keying.group_identity,
                    group_l2=keying.group_l2,
                    epoch=keying.epoch,
                    pgk_id=keying.pgk_id,
                    mode=keying.mode,
                    expiry_ntp_s=keying.expiry_ntp_s,
                    recipients=order.recipients,
                )
            )
        self._take_turns(now)

    def _queue(self, recipients: Iterable[str], info: GroupInfo, ssv: bytes) -> None:
        for recipient in recipients:
            self._forget(recipient)
            address = self._addresses.get(recipient)
            self._deliveries[recipient] = Delivery(recipient=recipient, l2_id=address, info=info, ssv=Secret(ssv))

    def _take_turns(self, now: Instant) -> None:
        waiting = sum(one.state is DeliveryState.WAIT_RECEIPT for one in self._deliveries.values())
        for delivery in self._deliveries.values():
            if waiting >= DELIVERIES_AT_ONCE:
                return
            if delivery.state is DeliveryState.QUEUED and delivery.l2_id is not None:
                waiting += self._run(delivery, DeliveryInput.TURN, now)

    def _run(self, delivery: Delivery, event: DeliveryInput, now: Instant) -> bool:
        table = TO_GROUP if delivery.info.mode == KeyingMode.GROUP_IDENTITY else TO_MEMBER
        transition = table.get((delivery.state, event))
        if transition is None:
            self._desk.count_unlisted()
            return False
        delivery.state = transition.next_state
        for action in transition.actions:
            self._do(action, delivery, now)
        return True

    def _do(self, action: DeliveryAction, delivery: Delivery, now: Instant) -> None:
        group, epoch, recipient = delivery.info.group_identity, delivery.info.epoch, delivery.recipient
        match action:
            case DeliveryAction.SEND:
                self._send(delivery, now)
            case DeliveryAction.RESEND:
                self._transmit(delivery, now)
            case DeliveryAction.COUNT:
                self._desk.outbox.counters["bad receipt of a group key"] += 1
            case DeliveryAction.REMEMBER_CAUSE:
                self._desk.outbox.counters["Reject of a group key"] += 1
            case DeliveryAction.REPORT_RECEIPT | DeliveryAction.REPORT_SENT:
                self._timers.stop_all(delivery.recipient)
                delivery.ssv.wipe()
                receipt = action is DeliveryAction.REPORT_RECEIPT
                self._desk.outbox.emit(
                    GroupKeyDelivered(group=group, epoch=epoch, recipient=recipient, receipt=receipt)
                )
            case DeliveryAction.REPORT_FAILURE:
                why = delivery.why or "no receipt after the last transmission"
                self._desk.outbox.emit(
                    GroupKeyUndelivered(group=group, epoch=epoch, recipient=recipient, cause=delivery.cause, why=why)
                )

    def _send(self, delivery: Delivery, now: Instant) -> None:
        """Make the message at its turn, so that T is the time it goes out; repetitions are octet-identical."""
        if not delivery.octets:
            try:
                built = self._build(delivery, now)
            except (SecurityError, ProseLinkError) as error:
                delivery.why = f"its message can't be made: {error}"
                self._run(delivery, DeliveryInput.NOT_MADE, now)
                return
            delivery.octets, delivery.asked = built.octets, built.asked
            self._desk.outbox.emit(
                GroupKeySent(
                    group=delivery.info.group_identity,
                    epoch=delivery.info.epoch,
                    recipient=delivery.recipient,
                    peer_l2=delivery.l2_id or 0,
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
        self._desk.send_plain(delivery.octets, delivery.l2_id or 0, DIRECT)
        after_s = REPEAT_TO_GROUP_S if _is_to_group(delivery) else self._desk.config.timers.keying_s
        self._timers.start(delivery.recipient, Timer.T4100, now.mono_s + self._desk.spread(after_s))

    def _transmissions(self, delivery: Delivery) -> int:
        """How often a message is sent at most: to a member until its receipt comes, to the group so many copies."""
        return N4100 if _is_to_group(delivery) else self._desk.config.timers.n4100

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

    def _of_request(self, request_hash: bytes) -> Delivery | None:
        for delivery in self._deliveries.values():
            if delivery.asked is not None and delivery.asked.request_hash == request_hash:
                return delivery
        return None

    def _forget(self, recipient: str) -> None:
        delivery = self._deliveries.pop(recipient, None)
        if delivery is not None:
            self._timers.stop_all(recipient)
            delivery.ssv.wipe()

    def _expiry(self, now: Instant) -> int:
        return int(now.ntp_s) + self._config.lifetime_s


def _is_to_group(delivery: Delivery) -> bool:
    return delivery.info.mode == KeyingMode.GROUP_IDENTITY
