"""What a keyer of a group does from switch-on to its end: the first of the list by its plan, another where that fails.

The first one gathers the members, gives them a key, speaks to them, lets late joiners in, removes a member, and keeps
the group keyed from then on. A keyer further down the list stands by. It makes a key where there is none for too long,
where the key held is about to end, or where a member asks it since no keyer before it answers; then it speaks to the
members in the first one's place, and keeps the group keyed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Final, Protocol, assert_never

from prose_link.config.group import GroupMemberEntry, GroupSection
from prose_link.instant import Instant
from prose_link.pc5s.core.events import Event
from prose_link.pc5s.core.group_events import (
    GroupAskAnswered,
    GroupEpochStarted,
    GroupEpochYielded,
    GroupKeyReceived,
    GroupKeyUndelivered,
)
from prose_link.pc5s.groups.groups import Groups
from prose_link.pc5s.groups.keyer import Keyer
from prose_link.ue.events import GroupKeyingFailed, GroupPlanStage
from security.errors import SecurityError

_RENEWED_AT: Final = 0.9
"""Share of a key's life after which the keyer that made it makes the next one."""
_RENEWED_BY_OTHERS_AT: Final = 0.95
"""Share of a key's life after which another keyer does, unless the first one has."""
_STAND_IN_AFTER_S: Final = 5.0
"""How much longer than the keyer before it in the list a keyer waits for a group's first key."""
_OTHERS_KEY_TAKES_S: Final = 1.0
"""How long another keyer's key has to come to the members before this one speaks: it sees no receipts of that."""


class Stage(enum.Enum):
    """What a keyer is at."""

    GATHERING = "waiting for the members to be discovered"
    KEYING = "giving the key to the members"
    SPEAKING = "speaking to the members"
    AWAITING_JOINERS = "waiting for late joiners"
    KEYING_JOINER = "giving the key to a joiner"
    SPEAKING_TO_JOINERS = "speaking to members and joiners"
    AWAITING_REMOVAL = "waiting until a member is to be removed"
    REKEYING = "rekeying without the removed member"
    SPEAKING_TO_REST = "speaking to the members that stayed"
    STANDING_BY = "standing by for the keyers before it"
    TAKING_OVER = "keying the group in place of the keyers before it"
    SPEAKING_IN_PLACE = "speaking to the members in their place"
    DONE = "done"


_AFTER_KEYING: Final[Mapping[Stage, Stage]] = {
    Stage.KEYING: Stage.SPEAKING,
    Stage.KEYING_JOINER: Stage.SPEAKING_TO_JOINERS,
    Stage.REKEYING: Stage.SPEAKING_TO_REST,
    Stage.TAKING_OVER: Stage.SPEAKING_IN_PLACE,
}


class Speech(Protocol):
    """How a keyer speaks to its group."""

    @property
    def idle(self) -> bool:
        """Whether all that was said has gone out."""

    def speak(self, now: Instant) -> None:
        """Say the next message."""


class KeyerPlan:
    """The plan of one keyer; no clock. Keys are `Groups`' business.

    Args:
        section: the group's configuration.
        groups: the keys.
        identity: this keyer's.
        speech: how it speaks to the group.
        tell: takes its events.
    """

    def __init__(
        self,
        section: GroupSection,
        groups: Groups,
        identity: str,
        speech: Speech,
        tell: Callable[[GroupPlanStage | GroupKeyingFailed], None],
    ) -> None:
        place = section.keyers.index(identity)
        self.stage = Stage.STANDING_BY if place else Stage.GATHERING
        self._section = section
        self._groups = groups
        self._speech = speech
        self._tell = tell
        self._stands_in_after_s = section.set_up_after_s + place * _STAND_IN_AFTER_S
        self._joiners = frozenset(one.identity for one in _others(section, identity) if one.joins_late)
        self._founders = frozenset(one.identity for one in _others(section, identity)) - self._joiners
        self._located: dict[str, int] = {}
        self._joined: set[str] = set()
        self._rounds = 0
        self._undelivered = False
        self._failed = False
        self._serves_members = False
        self._renew_at_s = float("inf")
        self._speaks_from_s = 0.0

    def locate(self, member: str, l2_id: int) -> None:
        """Note where a member is."""
        self._located[member] = l2_id

    def follow(self, event: Event, now: Instant) -> None:
        """Go on from what the signalling tells."""
        lifetime_s = self._section.lifetime_s
        match event:
            case GroupKeyUndelivered():
                self._undelivered = True
            case GroupKeyReceived():
                self._renew_at_s = now.mono_s + _RENEWED_BY_OTHERS_AT * lifetime_s
            case GroupEpochStarted():
                self._renew_at_s = now.mono_s + _RENEWED_AT * lifetime_s
            case GroupEpochYielded():
                self._speaks_from_s = now.mono_s + _OTHERS_KEY_TAKES_S
            case GroupAskAnswered(member=member, new_epoch=True) if member not in self._section.keyers:
                self._serves_members = True

    def step(self, now: Instant) -> None:
        """Do what is due."""
        keyer = self._groups.keyer(self._section.identity)
        for member, l2_id in self._located.items():
            if member in keyer.unlocated or member in self._joiners:
                keyer.locate(self._groups.by_radio(member, l2_id))
        try:
            self._run(keyer, now)
        except SecurityError as error:
            self._tell(GroupKeyingFailed(why=str(error)))
            self._failed = True
            self.stage = Stage.DONE

    def _run(self, keyer: Keyer, now: Instant) -> None:
        match self.stage:
            case Stage.GATHERING:
                if keyer.established:
                    self._go(Stage.KEYING, keyer, now)
                elif self._founders <= self._located.keys() or now.mono_s >= self._section.set_up_after_s:
                    keyer.new_epoch(now)
                    self._go(Stage.KEYING, keyer, now)
            case Stage.STANDING_BY:
                self._stand_by(keyer, now)
            case Stage.KEYING | Stage.KEYING_JOINER | Stage.REKEYING | Stage.TAKING_OVER:
                self._wait_for_receipts(keyer, now)
            case Stage.SPEAKING | Stage.SPEAKING_TO_JOINERS | Stage.SPEAKING_TO_REST | Stage.SPEAKING_IN_PLACE:
                if self._speech.idle:
                    self._after_speaking(keyer, now)
            case Stage.AWAITING_JOINERS:
                self._keep_keyed(keyer, now)
                self._admit(keyer, now)
            case Stage.AWAITING_REMOVAL:
                self._keep_keyed(keyer, now)
                self._remove_when_due(keyer, now)
            case Stage.DONE:
                self._keep_keyed(keyer, now)
            case _ as never:
                assert_never(never)

    def _stand_by(self, keyer: Keyer, now: Instant) -> None:
        """Make a key where there is none for too long, or where the one held is about to end."""
        holds_key = self._groups.holds_key(self._section.identity)
        if now.mono_s >= (self._renew_at_s if holds_key else self._stands_in_after_s):
            keyer.new_epoch(now, why="no other keyer has made one")
            self._go(Stage.TAKING_OVER, keyer, now)
        elif self._serves_members:
            self._go(Stage.TAKING_OVER, keyer, now)

    def _wait_for_receipts(self, keyer: Keyer, now: Instant) -> None:
        """Wait for those whose place is known; then speak, once what is sent goes under the new key."""
        if self._undelivered:
            self._try_again(keyer, now)
        if keyer.waiting - keyer.unlocated and self._rounds < self._section.delivery_rounds:
            return
        if now.mono_s < self._speaks_from_s or not self._groups.sends_newest(self._section.identity):
            return
        stage = _AFTER_KEYING[self.stage]
        if self.stage is Stage.KEYING_JOINER and self._joiners - self._joined:
            stage = Stage.AWAITING_JOINERS
        self._go(stage, keyer, now)

    def _try_again(self, keyer: Keyer, now: Instant) -> None:
        self._undelivered = False
        self._rounds += 1
        if self._rounds < self._section.delivery_rounds:
            keyer.try_again(now)

    def _admit(self, keyer: Keyer, now: Instant) -> None:
        """Let the next late joiner that has been heard join."""
        heard = sorted((self._joiners & self._located.keys()) - self._joined)
        if heard:
            self._joined.add(heard[0])
            keyer.add(heard[0], now)
            self._go(Stage.KEYING_JOINER, keyer, now)

    def _after_speaking(self, keyer: Keyer, now: Instant) -> None:
        if self.stage is Stage.SPEAKING_IN_PLACE:
            self._go(Stage.DONE, keyer, now)
        elif self._joiners - self._joined:
            self._go(Stage.AWAITING_JOINERS, keyer, now)
        elif self._section.remove in keyer.members:
            self._go(Stage.AWAITING_REMOVAL, keyer, now)
        else:
            self._go(Stage.DONE, keyer, now)

    def _remove_when_due(self, keyer: Keyer, now: Instant) -> None:
        if now.mono_s >= self._section.remove_after_s:
            keyer.remove(self._section.remove, now)
            self._go(Stage.REKEYING, keyer, now)

    def _keep_keyed(self, keyer: Keyer, now: Instant) -> None:
        """A new epoch before the key expires, or when its numbers run out; who gave no receipt is tried again."""
        if self._failed:
            return
        if now.mono_s >= self._renew_at_s or self._groups.traffic.wants_epoch(self._section.l2_id):
            self._rounds, self._undelivered = 0, False
            keyer.new_epoch(now)
        elif self._undelivered:
            self._try_again(keyer, now)

    def _go(self, stage: Stage, keyer: Keyer, now: Instant) -> None:
        self.stage = stage
        self._rounds, self._undelivered = 0, False
        self._tell(GroupPlanStage(stage=stage.value, members=tuple(sorted(keyer.members))))
        if stage in _AFTER_KEYING.values():
            self._speech.speak(now)


def _others(section: GroupSection, identity: str) -> tuple[GroupMemberEntry, ...]:
    return tuple(entry for entry in section.members if entry.identity != identity)
