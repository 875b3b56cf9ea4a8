"""A group's keyer: decides who is to have which epoch's key; `deliveries` bring it to them (PROFILE 11).

Each epoch has a fresh key. The keyer starts one at the beginning, when a member joins a group with backward secrecy,
when one leaves, and before the key expires. The keyer is a member too: it installs its own key without a message, and
then queues a delivery for everybody else. Where a member is, it learns from discovery or configuration; a delivery to
one that is not located waits.
"""

from __future__ import annotations

from dataclasses import dataclass

from prose_link.instant import Instant
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.group_config import GroupConfig, GroupConfigError, info_of
from prose_link.pc5s.core.group_events import GroupEpochStarted
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.groups.deliveries import Deliveries
from prose_link.pc5s.wire.messages import DirectAccept, DirectReject
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.groups import GroupKeyer, GroupMembership, KeyingMode, KeyingOrder
from security.link.key_ladder import binding_hash


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
        self._addresses: dict[str, Party] = {config.identity: desk.by_radio(config.identity, config.l2_id)}
        self._deliveries = Deliveries(desk)
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
        return self._deliveries.waiting

    @property
    def unlocated(self) -> frozenset[str]:
        """Members of whom it is not known yet where they are."""
        return self.members - self._addresses.keys()

    def locate(self, member: Party) -> None:
        """Note where a member is, from discovery or configuration."""
        self._addresses[member.identity] = member
        self._deliveries.locate(member)

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
        self._deliveries.try_again(now)

    def answers_it(self, message: DirectAccept | DirectReject) -> bool:
        """Whether a DCA or a Reject answers a keying message of this group."""
        if isinstance(message, DirectAccept):
            return self._deliveries.answered_by(message) is not None
        return self._deliveries.refused_by(message) is not None

    def receive(self, pdu: ReceivedPdu, message: DirectAccept | DirectReject, now: Instant) -> None:
        """Take an answer to a keying message of this group."""
        if isinstance(message, DirectAccept):
            if (delivery := self._deliveries.answered_by(message)) is not None:
                self._deliveries.take_receipt(delivery, message, pdu, now)
        elif (delivery := self._deliveries.refused_by(message)) is not None:
            self._deliveries.take_reject(delivery, message, now)

    def next_timer(self) -> float | None:
        """The next deadline on the monotonic clock."""
        return self._deliveries.next_timer()

    def handle_timer(self, now: Instant) -> None:
        """Do what is due, and let the next ones have their turn."""
        self._deliveries.handle_timer(now)

    def wipe(self) -> None:
        """Let go of every secret."""
        self._keyer.wipe()
        self._deliveries.forget_all()

    def _start(self, order: KeyingOrder, now: Instant) -> None:
        keying = order.keying
        own_hash = binding_hash(f"keyer of {keying.group_identity}, epoch {keying.epoch}".encode())
        taken = self._membership.install(
            keying, order.ssv, signed_part_hash=own_hash, t_ntp_s=now.ntp_s, now_ntp_s=now.ntp_s
        )
        self._established = True
        if taken:
            self._deliveries.forget_all()
        self._deliveries.queue(order.recipients, info_of(keying), order.ssv, self._addresses)
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
        self._deliveries.take_turns(now)

    def _expiry(self, now: Instant) -> int:
        return int(now.ntp_s) + self._config.lifetime_s
