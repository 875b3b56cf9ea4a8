"""One UE's part in its group: the keyer follows its plan, a member gets the key, both send and receive messages.

The first keyer in the list waits until its members are discovered, makes the first key, and reports when each member
holds it. It then sends its message, admits late members, and removes one member if the configuration asks for it.
Another keyer stands by: it makes a key if there is none for too long, or if the present one is about to expire. A
member waits for the key and sends its message when it may send under the key. `Groups` holds keys and messages; this
class decides when.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final, assert_never

import numpy as np

from prose_link.config.group import GroupSection
from prose_link.discovery.codec import DiscoveryFormatError, decode
from prose_link.instant import Instant
from prose_link.pc5s.core.events import Event
from prose_link.pc5s.core.group_events import GroupKeyReceived, GroupKeyUndelivered
from prose_link.pc5s.groups.groups import Groups
from prose_link.pc5s.groups.keyer import Keyer
from prose_link.ue.events import (
    GroupAddress,
    GroupAddressTaken,
    GroupKeyingFailed,
    GroupPlanStage,
    GroupUnreadable,
    NodeEvent,
)
from prose_link.userplane.events import GroupMessageEvent
from prose_link.userplane.group_messages import GroupEndpoint
from prose_link.userplane.packet_end import PeerPacket
from security.errors import SecurityError
from security.groups import KeyingMode

TRIES_OF_DELIVERY: Final = 3
"""Rounds in which the keyer tries to reach a member before it continues without it."""
_RENEWED_AT: Final = 0.9
"""Share of a key's life after which the first keyer makes the next one."""
_RENEWED_BY_OTHERS_AT: Final = 0.95
"""Share of a key's life after which another keyer makes it, if the first one has not."""
_STAND_IN_AFTER_S: Final = 5.0
"""Extra wait of a keyer for the group's first key, for each place in the list."""
_TALK_SPACING_S: Final = 0.05
"""Time between the first messages of members that got the same key."""
_MODES: Final = {"per-member": KeyingMode.PER_MEMBER, "group-identity": KeyingMode.GROUP_IDENTITY}


def keying_mode(section: GroupSection) -> KeyingMode:
    """The keying mode that a configuration names."""
    return _MODES[section.mode]


class Stage(enum.Enum):
    """Stage of the keyer's plan."""

    GATHERING = "waiting for the members to be discovered"
    KEYING = "giving the key to the members"
    SPEAKING = "speaking to the members"
    AWAITING_JOINERS = "waiting for late joiners"
    KEYING_JOINER = "giving the key to a joiner"
    SPEAKING_TO_JOINERS = "speaking to members and joiners"
    REKEYING = "rekeying without the removed member"
    SPEAKING_TO_REST = "speaking to the members that stayed"
    DONE = "done"


def announced_l2(octets: bytes) -> int:
    """The layer-2 id of a discovery message's sender; 0 if it holds none. Not verified."""
    try:
        return getattr(decode(octets).message, "prose_ue_id", 0)
    except DiscoveryFormatError:
        return 0


class GroupRole:
    """Drives the group of one UE: `GroupSection` is the plan, `Groups` holds keys.

    Args:
        section: the configuration.
        groups: the keys.
        endpoint: the UE's end of the group's multicast.
        identity: identity of this UE.
        rng: makes the contents of messages.
    """

    def __init__(
        self,
        section: GroupSection,
        groups: Groups,
        endpoint: GroupEndpoint,
        identity: str,
        rng: np.random.Generator,
    ) -> None:
        self.l2_id = section.l2_id
        self.stage = Stage.GATHERING
        self._section = section
        self._groups = groups
        self._endpoint = endpoint
        self._rng = rng
        self._told_sender_l2: int | None = None
        place = section.keyers.index(identity) if identity in section.keyers else None
        self._follows_plan = place == 0
        self._stands_in_after_s = None if place is None else section.set_up_after_s + place * _STAND_IN_AFTER_S
        self._entries = {entry.identity: entry for entry in section.members if entry.identity != identity}
        self._located: dict[str, int] = {}
        self._joined: set[str] = set()
        self._tries = 0
        self._undelivered = False
        self._speak_at_s: float | None = None
        self._spoken = False
        self._renew_at_s = float("inf")
        self._events: deque[NodeEvent] = deque()
        for entry in self._entries.values():
            if entry.l2_id:
                self._located[entry.identity] = entry.l2_id
                groups.locate(groups.by_radio(entry.identity, entry.l2_id))

    @property
    def done(self) -> bool:
        """Whether the keyer has completed its plan and may switch off."""
        return self._section.stop_when_done and self.stage is Stage.DONE and self._endpoint.idle

    @property
    def sender_l2(self) -> int:
        """The layer-2 id from which this UE sends to the group."""
        return self._groups.traffic.sender_l2

    def discovered(self, user_info_id: int, l2_id: int) -> None:
        """Another UE was heard on the discovery channel."""
        for entry in self._entries.values():
            if entry.user_info_id == user_info_id and not entry.l2_id:
                self._located[entry.identity] = l2_id
                self._groups.locate(self._groups.by_radio(entry.identity, l2_id))

    def follow(self, event: Event, now: Instant) -> None:
        """Continue after an event of the signalling."""
        if isinstance(event, GroupKeyUndelivered):
            self._undelivered = True
        elif isinstance(event, GroupKeyReceived):
            self._renew_at_s = now.mono_s + _RENEWED_BY_OTHERS_AT * self._section.lifetime_s
        if isinstance(event, GroupKeyReceived) and not self._spoken and self._section.message_octets:
            self._spoken = True
            self._speak_at_s = now.mono_s + _TALK_SPACING_S * int(self._rng.integers(1, 9))

    def receive(self, packet: PeerPacket, now: Instant) -> None:
        """Take a packet that came to the group and was deciphered."""
        self._endpoint.receive(packet, now)

    def address_given_up(self, taken_l2: int, now: Instant) -> None:
        """Another UE uses this UE's layer-2 id: layer 2 dropped all PDUs that waited to be sent from it."""
        self._events.append(GroupAddressTaken(sender_l2=taken_l2))
        self._endpoint.start_over(now)

    def unreadable(self, sender_l2: int, why: str) -> None:
        """A PDU to the group could not be deciphered."""
        self._events.append(GroupUnreadable(sender_l2=sender_l2, why=why))

    def step(self, now: Instant) -> list[bytes]:
        """Do all work that is due. Returns the packets to send to the group."""
        if self._stands_in_after_s is not None:
            self._key(now)
        if self._speak_at_s is not None and now.mono_s >= self._speak_at_s:
            self._speak_at_s = None
            self._speak(now)
        if not self._groups.may_send(self._section.identity):
            return []
        if self.sender_l2 != self._told_sender_l2:
            self._told_sender_l2 = self.sender_l2
            self._events.append(GroupAddress(sender_l2=self.sender_l2))
        self._endpoint.handle_timer(now)
        return self._endpoint.pdus_to_send(now)

    def next_event(self) -> NodeEvent | GroupMessageEvent | None:
        """The oldest event not yet taken, None if there is none."""
        return self._events.popleft() if self._events else self._endpoint.next_event()

    # The keyer's plan.

    def _key(self, now: Instant) -> None:
        """Do a keyer's work: the first keyer follows its plan, another one stands by."""
        keyer = self._groups.keyer(self._section.identity)
        self._locate_members(keyer)
        try:
            if self._follows_plan:
                self._run_plan(keyer, now)
            else:
                self._stand_by(keyer, now)
        except SecurityError as error:
            self._events.append(GroupKeyingFailed(why=str(error)))
            self._renew_at_s = float("inf")
            self.stage = Stage.DONE

    def _stand_by(self, keyer: Keyer, now: Instant) -> None:
        """Make a key if there is none for too long, or if the present one is about to expire."""
        holds_key = self._groups.holds_key(self._section.identity)
        is_due = now.mono_s >= (self._renew_at_s if holds_key else self._stands_in_after_s or 0.0)
        if is_due and self.stage is not Stage.DONE:
            self._renew_at_s = now.mono_s + _RENEWED_BY_OTHERS_AT * self._section.lifetime_s
            keyer.new_epoch(now, why="no other keyer has made one")

    def _locate_members(self, keyer: Keyer) -> None:
        for member, l2_id in self._located.items():
            if member in keyer.unlocated or member in self._joiners:
                keyer.locate(self._groups.by_radio(member, l2_id))

    def _run_plan(self, keyer: Keyer, now: Instant) -> None:
        match self.stage:
            case Stage.GATHERING:
                if keyer.established:
                    self._go(Stage.KEYING, keyer, now)
                elif not self._missing() or now.mono_s >= self._section.set_up_after_s:
                    keyer.new_epoch(now)
                    self._go(Stage.KEYING, keyer, now)
            case Stage.KEYING | Stage.KEYING_JOINER | Stage.REKEYING:
                self._wait_for_receipts(keyer, now)
            case Stage.SPEAKING | Stage.SPEAKING_TO_JOINERS | Stage.SPEAKING_TO_REST:
                if self._endpoint.idle:
                    self._after_speaking(keyer, now)
            case Stage.AWAITING_JOINERS:
                self._keep_keyed(keyer, now)
                self._admit(keyer, now)
            case Stage.DONE:
                self._keep_keyed(keyer, now)
            case _ as never:
                assert_never(never)

    @property
    def _joiners(self) -> frozenset[str]:
        return frozenset(name for name, entry in self._entries.items() if entry.joins_late)

    def _missing(self) -> set[str]:
        """Founding members not yet located."""
        return self._entries.keys() - self._joiners - self._located.keys()

    def _wait_for_receipts(self, keyer: Keyer, now: Instant) -> None:
        if self._undelivered:
            self._undelivered = False
            self._tries += 1
            if self._tries < TRIES_OF_DELIVERY:
                keyer.try_again(now)
        if keyer.waiting and self._tries < TRIES_OF_DELIVERY:
            return
        following = {
            Stage.KEYING: Stage.SPEAKING,
            Stage.KEYING_JOINER: Stage.SPEAKING_TO_JOINERS,
            Stage.REKEYING: Stage.SPEAKING_TO_REST,
        }
        stage = following[self.stage]
        if self.stage is Stage.KEYING_JOINER and self._joiners - self._joined:
            stage = Stage.AWAITING_JOINERS
        self._go(stage, keyer, now)

    def _admit(self, keyer: Keyer, now: Instant) -> None:
        """Let the next late joiner that has been heard join."""
        heard = sorted((self._joiners & self._located.keys()) - self._joined)
        if heard:
            self._joined.add(heard[0])
            keyer.add(heard[0], now)
            self._go(Stage.KEYING_JOINER, keyer, now)

    def _after_speaking(self, keyer: Keyer, now: Instant) -> None:
        if self._joiners - self._joined:
            self._go(Stage.AWAITING_JOINERS, keyer, now)
        elif self._section.remove in keyer.members:
            keyer.remove(self._section.remove, now)
            self._go(Stage.REKEYING, keyer, now)
        else:
            self._go(Stage.DONE, keyer, now)

    def _keep_keyed(self, keyer: Keyer, now: Instant) -> None:
        """Start a new epoch before the key expires or its numbers run out; send again to members without receipt."""
        if now.mono_s >= self._renew_at_s or self._groups.traffic.wants_epoch(self.l2_id):
            self._renew_at_s = now.mono_s + _RENEWED_AT * self._section.lifetime_s
            self._tries, self._undelivered = 0, False
            keyer.new_epoch(now)
        elif self._undelivered:
            self._undelivered = False
            self._tries += 1
            if self._tries < TRIES_OF_DELIVERY:
                keyer.try_again(now)

    def _go(self, stage: Stage, keyer: Keyer, now: Instant) -> None:
        self.stage = stage
        self._tries, self._undelivered = 0, False
        self._events.append(GroupPlanStage(stage=stage.value, members=tuple(sorted(keyer.members))))
        if stage in (Stage.KEYING, Stage.KEYING_JOINER, Stage.REKEYING):
            self._renew_at_s = now.mono_s + _RENEWED_AT * self._section.lifetime_s
        if stage in (Stage.SPEAKING, Stage.SPEAKING_TO_JOINERS, Stage.SPEAKING_TO_REST):
            self._speak(now)

    def _speak(self, now: Instant) -> None:
        if self._section.message_octets:
            self._endpoint.say(self._rng.bytes(self._section.message_octets), now)
