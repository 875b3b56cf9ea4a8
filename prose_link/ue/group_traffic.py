"""Joins a UE's part in its group to the bearers: packets to and from the group, and layer-2 ids that others use."""

from __future__ import annotations

from collections.abc import Callable

from prose_link.instant import Instant
from prose_link.ue.bearers import Bearers
from prose_link.ue.events import UeEvent
from prose_link.ue.group_role import GroupRole, announced_l2
from prose_link.ue.pdu_tap import PduTap
from prose_link.userplane.packet_end import PeerPacket
from radio.l2.indications import Dropped, DropReason, SduReceived


class GroupTraffic:
    """Moves packets between the group's endpoint and the bearers.

    Args:
        role: the UE's part in the group.
        bearers: the way down.
        tap: called with packets on their way up.
        emit: called with events.
    """

    def __init__(self, role: GroupRole, bearers: Bearers, tap: PduTap, emit: Callable[[UeEvent], None]) -> None:
        self.role = role
        self._bearers = bearers
        self._tap = tap
        self._emit = emit

    def receive(self, sdu: SduReceived, now: Instant) -> None:
        """Take a packet that came to the group and was deciphered."""
        self._tap.see("ip", "rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
        self.role.receive(PeerPacket(peer_l2=sdu.src_l2, data=sdu.data), now)

    def could_not_read(self, dropped: Dropped) -> bool:
        """Whether a dropped PDU is one to the group that no key opens; the role then emits its own event."""
        unreadable = dropped.dst_l2 == self.role.l2_id and dropped.reason is DropReason.NOT_VERIFIED
        if unreadable:
            self.role.unreadable(dropped.src_l2, dropped.detail)
        return unreadable

    def hear_announced(self, message: bytes, now: Instant) -> None:
        """Another UE announces a layer-2 id and will send from it, so this UE may not."""
        self.hear_sender(announced_l2(message), now)

    def hear_sender(self, l2_id: int, now: Instant) -> None:
        """Another UE uses a layer-2 id: if this UE sends to the group from it, it draws a new one."""
        if self._bearers.give_up_group_sender(l2_id):
            self.role.address_given_up(l2_id, now)

    def run(self, now: Instant) -> None:
        """Do all work that is due."""
        role = self.role
        for packet in role.step(now):
            self._bearers.send_group_packet(packet, role.sender_l2, role.l2_id)
        while (event := role.next_event()) is not None:
            self._emit(event)
