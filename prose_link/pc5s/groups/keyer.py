"""A group's keyer: it decides which members get the key of which epoch; `deliveries` send it (PROFILE 11).

Each epoch has a fresh key. The keyer starts one at the beginning, when a member joins a group with backward secrecy,
when a member leaves, before the key expires, and when a member asks for a key that this keyer hasn't made. The keyer is
a member too: it installs its own key without a message, and then queues a delivery for each other member. It learns
from discovery or configuration where a member is; a delivery to a member that is not located waits.

A group may have several keyers. Of their keys the one with the greatest mark counts: a keyer that accepts another's
greater key stops distributing its own. The removed members count whatever key wins: the keyer merges the lists of the
others. If the winning key lacks a removal that is on its record, it makes the next key itself, after a wait by its
place in the list, unless another keyer was faster. This ends, because marks only rise and lists only grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.group_config import GroupConfig, GroupConfigError, info_of
from prose_link.pc5s.core.group_events import (
    GroupEpochFailed,
    GroupEpochStarted,
    GroupEpochYielded,
    GroupRemovalDone,
)
from prose_link.pc5s.core.limits import Limits
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.groups.answers import AskAnswers
from prose_link.pc5s.groups.deliveries import Deliveries, Delivery
from prose_link.pc5s.wire.messages import DirectAccept, DirectReject
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.errors import SecurityError
from security.groups import GroupError, GroupKeyer, GroupMembership, KeyingMode, KeyingOrder, RemovalList
from security.groups.keying import TAG_BITS

PLACE_WAIT_S: Final = 0.3
SPREAD_WAIT_S: Final = 0.2
"""Wait of a keyer before it makes a key for a missing removal: its place times the first, plus up to the second
(PROFILE 11).
"""
TRY_AGAIN_S: Final = 5.0
"""Wait before another attempt to make a key that could not be made (P)."""


@dataclass(slots=True)
class ReadableSsvs:
    """Source of SSVs that every implementation reads alike when they are encapsulated to the members.

    `ntp_s` is a time in the key period of the encapsulation.
    """

    credentials: Credentials
    ntp_s: float = 0.0

    def draw(self, recipients: tuple[str, ...]) -> bytes:
        """A fresh SSV for these members."""
        return self.credentials.draw_ssv(recipients, self.ntp_s)

    def suits(self, ssv: bytes, recipient: str) -> bool:
        """Whether the SSV in use suits one more member."""
        return self.credentials.suits(ssv, recipient, self.ntp_s)


class Keyer:
    """The role that distributes the keys of one group.

    The keyer is a member too: it takes its own key without a message. `answers` serves members that ask. The class is
    longer than most: it has a method for each request of its owner, and for each kind of news from other keyers and
    members.
    """

    def __init__(self, desk: Desk, limits: Limits, config: GroupConfig, membership: GroupMembership) -> None:
        self._desk = desk
        self._config = config
        self._membership = membership
        self._ssvs = ReadableSsvs(desk.credentials)
        self._keyer = GroupKeyer(
            identity=desk.credentials.uri,
            keyers=config.keyers,
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
        self._deliveries = Deliveries(desk, limits, self._note_receipt)
        self._established = False
        self._rekey_at_s: float | None = None
        self._shown: set[tuple[bytes, str]] = set()
        self.answers = AskAnswers(
            desk,
            config,
            membership,
            self._keyer,
            self._deliveries,
            lambda now, why, mark: self.new_epoch(now, why=why, above=mark >> TAG_BITS),
        )

    @property
    def members(self) -> frozenset[str]:
        """The members that get the group's keys, without the keyer itself."""
        return self._keyer.members

    @property
    def established(self) -> bool:
        """Whether an epoch has been started."""
        return self._established

    @property
    def waiting(self) -> frozenset[str]:
        """Recipients of the current key that have not shown yet that they hold it."""
        return self._deliveries.waiting

    @property
    def unlocated(self) -> frozenset[str]:
        """Recipients whose place is not known yet."""
        others = frozenset(self._config.keyers) - {self._desk.credentials.uri}
        return (self.members | others) - self._addresses.keys()

    def serves(self, identity: str) -> bool:
        """Whether an identity gets the group's keys."""
        return self._keyer.serves(identity)

    def locate(self, member: Party) -> None:
        """Note where a member is, from discovery or configuration."""
        self._addresses[member.identity] = member
        self._deliveries.locate(member)

    # Requests of the owner. All raise SecurityError if no key can be made.

    def new_epoch(self, now: Instant, *, why: str = "planned", above: int = 0) -> None:
        """Make a fresh key for all members."""
        self._take_time(now)
        order = self._keyer.new_epoch(expiry_ntp_s=self._expiry(now), now_ntp_s=now.ntp_s, above=above)
        self._start(order, now, why)

    def add(self, member: str, now: Instant) -> None:
        """Add a member. With backward secrecy all members get a new key."""
        self._take_time(now)
        order = self._keyer.add(member, expiry_ntp_s=self._expiry(now), now_ntp_s=now.ntp_s)
        self._shown = {pair for pair in self._shown if pair[1] != member}
        self._start(order, now, f"{member} joins")

    def remove(self, member: str, now: Instant) -> None:
        """Remove a member: a new key goes to each member that stays.

        Raises GroupConfigError for a group keyed by mode 0. If the removal is recorded but no key can be made, nothing
        is sent under the old one, and the keyer tries to make the next key again.
        """
        if self._config.mode is KeyingMode.GROUP_IDENTITY:
            raise GroupConfigError(
                f"{self._config.identity} is keyed by its group identity, whose key {member} holds until the key "
                "period ends: no member can be removed from it; key the group per member, or give it another identity"
            )
        self._take_time(now)
        try:
            order = self._keyer.remove(member, expiry_ntp_s=self._expiry(now), now_ntp_s=now.ntp_s)
            self._start(order, now, f"{member} is removed")
        except SecurityError:
            self._membership.mind_removals(self._config.l2_id)
            self.look_at_removals(now)
            raise

    def try_again(self, now: Instant) -> None:
        """Send once more to the members that gave no receipt."""
        self._deliveries.try_again(now)

    def heard(self, l2_id: int, now: Instant) -> None:
        """A UE of this layer-2 id was heard: if it owes a receipt, its key is sent once more."""
        if self._config.deliver_when_heard:
            self._deliveries.heard(l2_id, now)

    # Answers of members, and news from other keyers.

    def answers_it(self, message: DirectAccept | DirectReject) -> bool:
        """Whether a DCA or a Reject answers a keying message of this group."""
        if isinstance(message, DirectAccept):
            return self._deliveries.answered_by(message) is not None
        return self._deliveries.refused_by(message) is not None

    def receive(self, pdu: ReceivedPdu, message: DirectAccept | DirectReject, link_peer: str, now: Instant) -> None:
        """Process an answer to a keying message of this group.

        `link_peer`: the peer of the link under which it came.
        """
        if isinstance(message, DirectAccept):
            if (delivery := self._deliveries.answered_by(message)) is not None:
                self._deliveries.take_receipt(delivery, message, pdu, link_peer, now)
        elif (delivery := self._deliveries.refused_by(message)) is not None:
            self._deliveries.take_reject(delivery, message, now)

    def removals_learnt(self) -> None:
        """Another keyer's removals are recorded now: the removed members get no key any more."""
        for recipient in self._deliveries.waiting - {self._config.identity}:
            if not self._keyer.serves(recipient):
                self._deliveries.forget(recipient)

    def yield_to(self, epoch: int, keyer: str) -> None:
        """Another keyer's key has won: stop distributing this keyer's own."""
        if self._keyer.current is not None:
            self._desk.outbox.emit(GroupEpochYielded(group=self._config.identity, epoch=epoch, keyer=keyer))
        self._keyer.wipe()
        self._deliveries.forget_all()

    def look_at_removals(self, now: Instant) -> None:
        """Check whether the key held lacks a removal; if so, the next key is due after a wait."""
        if not self._missing():
            self._rekey_at_s = None
        elif self._rekey_at_s is None:
            place = self._config.keyers.index(self._desk.credentials.uri)
            self._rekey_at_s = now.mono_s + place * PLACE_WAIT_S + self._desk.part_of(SPREAD_WAIT_S)

    # Time.

    def next_timer(self) -> float | None:
        """The next deadline on the monotonic clock."""
        deadlines = (self._deliveries.next_timer(), self._rekey_at_s)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do all work that is due, and send to the next recipients."""
        if self._rekey_at_s is not None and self._rekey_at_s <= now.mono_s:
            self._rekey_at_s = None
            self._key_for_removals(now)
        self._deliveries.handle_timer(now)

    def wipe(self) -> None:
        """Wipe every secret."""
        self._keyer.wipe()
        self._deliveries.forget_all()
        self._rekey_at_s = None

    def _take_time(self, now: Instant) -> None:
        """Set the time for which keys are made. Raises GroupError if the clock can't be trusted.

        A mark or a removal made by a clock that is ahead would lock this keyer out until that time has come.
        """
        fault = self._desk.clock_fault(now)
        if fault is not None:
            raise GroupError(f"no key of {self._config.identity} is made: {fault}")
        self._ssvs.ntp_s = now.ntp_s

    def _missing(self) -> RemovalList:
        """The recorded removals that the key held lacks; none if no key is held."""
        held = self._membership.newest(self._config.l2_id)
        return self._keyer.missing_from(held.removals) if held is not None else ()

    def _key_for_removals(self, now: Instant) -> None:
        missing = self._missing()
        if not missing:
            return
        names = ", ".join(self._keyer.name_of(entry.member) for entry in missing)
        try:
            self.new_epoch(now, why=f"the key in use lacks the removal of {names}")
        except (SecurityError, ProseLinkError) as error:
            self._desk.outbox.emit(GroupEpochFailed(group=self._config.identity, why=str(error)))
            self._rekey_at_s = now.mono_s + TRY_AGAIN_S

    def _note_receipt(self, delivery: Delivery) -> None:
        """A member holds a key: the removals in that key are done as far as this member is concerned."""
        for entry in delivery.removals:
            pair = (entry.member, delivery.recipient)
            if entry.is_out and pair not in self._shown:
                self._shown.add(pair)
                self._desk.outbox.emit(
                    GroupRemovalDone(
                        group=self._config.identity,
                        removed=self._keyer.name_of(entry.member),
                        member=delivery.recipient,
                        epoch=delivery.info.epoch,
                    )
                )

    def _start(self, order: KeyingOrder, now: Instant, why: str) -> None:
        keying, config = order.keying, self._config
        held = self._membership.newest(config.l2_id)
        is_new = held is None or held.keying.mark != keying.mark
        if is_new:
            try:
                self._membership.install(
                    keying,
                    order.ssv,
                    keyer=self._desk.credentials.uri,
                    place=config.keyers.index(self._desk.credentials.uri),
                    removals=order.removals,
                    t_ntp_s=now.ntp_s,
                    now_ntp_s=now.ntp_s,
                )
            except SecurityError:
                self._keyer.wipe()
                raise
            self._membership.go_on_sending(config.l2_id)
        self._established = True
        if is_new:
            self._deliveries.forget_all()
            self._rekey_at_s = None
        self._deliveries.queue(order.recipients, info_of(keying), order.removals, order.ssv, self._addresses)
        if is_new:
            self._desk.outbox.emit(
                GroupEpochStarted(
                    group=keying.group_identity,
                    group_l2=keying.group_l2,
                    epoch=keying.epoch,
                    pgk_id=keying.pgk_id,
                    mode=keying.mode,
                    expiry_ntp_s=keying.expiry_ntp_s,
                    recipients=order.recipients,
                    members_out=tuple(self._keyer.name_of(one.member) for one in order.removals if one.is_out),
                    why=why,
                )
            )
        self._deliveries.take_turns(now)

    def _expiry(self, now: Instant) -> int:
        return int(now.ntp_s) + self._config.lifetime_s
