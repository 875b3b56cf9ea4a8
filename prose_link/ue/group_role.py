"""One UE's part in its group: the keyer follows its plan, a member gets the key, both send and receive messages.

The first keyer in the list waits until its members are discovered, makes the first key, and reports when each member
holds it. It then sends its message, admits late members, and removes one member if the configuration asks for it.
Another keyer stands by: it makes a key if there is none for too long, or if the present one is about to expire. A
member waits for the key and sends its message when it may send under the key. `Groups` holds keys and messages; this
class decides when.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from prose_link.config.group import GroupSection
from prose_link.discovery.codec import DiscoveryFormatError, decode
from prose_link.instant import Instant
from prose_link.pc5s.core.events import Event
from prose_link.pc5s.core.group_events import GroupKeyReceived
from prose_link.pc5s.groups.groups import Groups
from prose_link.ue.events import GroupAddress, GroupAddressTaken, GroupUnreadable, NodeEvent
from prose_link.ue.keyer_plan import KeyerPlan, Stage
from prose_link.userplane.events import GroupMessageEvent
from prose_link.userplane.group_messages import GroupEndpoint
from prose_link.userplane.packet_end import PeerPacket
from security.groups import KeyingMode

_TALK_SPACING_S: Final = 0.05
"""Time between the first messages of members that got the same key."""
_MODES: Final = {"per-member": KeyingMode.PER_MEMBER, "group-identity": KeyingMode.GROUP_IDENTITY}


def keying_mode(section: GroupSection) -> KeyingMode:
    """The keying mode that a configuration names."""
    return _MODES[section.mode]


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
        self._section = section
        self._groups = groups
        self._endpoint = endpoint
        self._rng = rng
        self._told_sender_l2: int | None = None
        self._entries = {entry.identity: entry for entry in section.members if entry.identity != identity}
        self._speak_at_s: float | None = None
        self._spoken = False
        self._events: deque[NodeEvent] = deque()
        self._plan = (
            KeyerPlan(section, groups, identity, self, self._events.append) if identity in section.keyers else None
        )
        for entry in self._entries.values():
            if entry.l2_id:
                self._locate(entry.identity, entry.l2_id)

    @property
    def done(self) -> bool:
        """Whether the keyer has completed its plan and may switch off."""
        return self._section.stop_when_done and self.stage is Stage.DONE and self.idle

    @property
    def stage(self) -> Stage | None:
        """What a keyer is at; None for a member."""
        return None if self._plan is None else self._plan.stage

    @property
    def idle(self) -> bool:
        """Whether all that was said has gone out."""
        return self._endpoint.idle

    @property
    def sender_l2(self) -> int:
        """The layer-2 id from which this UE sends to the group."""
        return self._groups.traffic.sender_l2

    def discovered(self, user_info_id: int, l2_id: int) -> None:
        """Another UE was heard on the discovery channel."""
        for entry in self._entries.values():
            if entry.user_info_id == user_info_id and not entry.l2_id:
                self._locate(entry.identity, l2_id)

    def follow(self, event: Event, now: Instant) -> None:
        """Continue after an event of the signalling."""
        if self._plan is not None:
            self._plan.follow(event, now)
        speaks_as_member = self.stage in (None, Stage.STANDING_BY) and not self._spoken
        if isinstance(event, GroupKeyReceived) and speaks_as_member and self._section.message_octets:
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
        if self._plan is not None:
            self._plan.step(now)
        if self._speak_at_s is not None and now.mono_s >= self._speak_at_s:
            self._speak_at_s = None
            self.speak(now)
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

    def _locate(self, identity: str, l2_id: int) -> None:
        self._groups.locate(self._groups.by_radio(identity, l2_id))
        if self._plan is not None:
            self._plan.locate(identity, l2_id)

    def speak(self, now: Instant) -> None:
        """Say the next message, where this UE has anything to say."""
        if self._section.message_octets:
            self._endpoint.say(self._rng.bytes(self._section.message_octets), now)
