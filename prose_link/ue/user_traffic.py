"""IP over the links of one UE: packets of its user plane go down under the link's keys, verified packets come up.

Down, each packet goes into the queue of its link, priority and flow (`prose_link.userplane.queueing`), and stays there
until its logical channel takes more. Only then it is sealed: a number that is spent on a packet can't be given to a
more urgent one any more. Layer 2 is told how much waits here, so that grants are made for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from prose_link.instant import Instant
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.wire.party import Party
from prose_link.ue.bearers import Bearers
from prose_link.ue.events import FirstProtected, QueueDropped
from prose_link.ue.pdu_tap import PduTap
from prose_link.userplane.packet_end import PeerPacket
from prose_link.userplane.queueing.link_queue import LinkQueue, QueueSettings
from prose_link.userplane.sessions import UserPlane
from radio.l2.indications import SduReceived

MAX_PACKETS_AT_ONCE = 16
"""Handed down in one step to one peer: more than any transport block takes but of the smallest packets."""
_TELL_DROPS_EVERY_S = 1.0


@dataclass(slots=True, kw_only=True)
class _Way:
    """What a link's packets go through."""

    queue: LinkQueue
    told_s: float
    """When drops were last told."""
    noted: dict[int, int] = field(default_factory=dict)
    """LCID -> the backlog that layer 2 was told last."""


class UserTraffic:
    """Moves packets between the user plane's sessions and the bearers.

    Args:
        user_plane: the ends of IP.
        queues: how packets wait.
        pc5s: says under which context a peer's packets go.
        bearers: the way down.
        tap: called with packets on their way up.
        emit: called with events.
    """

    def __init__(
        self,
        user_plane: UserPlane,
        queues: QueueSettings,
        pc5s: Pc5sEntity,
        bearers: Bearers,
        tap: PduTap,
        emit: Callable[[FirstProtected | QueueDropped], None],
    ) -> None:
        self._user_plane = user_plane
        self._queues = queues
        self._pc5s = pc5s
        self._bearers = bearers
        self._tap = tap
        self._emit = emit
        self._protected_seen: set[int] = set()
        self._ways: dict[int, _Way] = {}

    def receive(self, sdu: SduReceived, now: Instant) -> None:
        """Take a packet that the link admits."""
        if sdu.src_l2 not in self._protected_seen:
            self._protected_seen.add(sdu.src_l2)
            self._emit(FirstProtected(peer_l2=sdu.src_l2, octets=len(sdu.data)))
        self._tap.see("ip", "rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
        self._user_plane.receive(PeerPacket(peer_l2=sdu.src_l2, data=sdu.data), now)

    def send_packets(self, now: Instant) -> None:
        """Queue what the ends have sent, and hand down what there is room for."""
        for peer_l2 in self._user_plane.peers:
            party, kd_sess_id = self._pc5s.user_data_party(peer_l2), self._pc5s.user_data_id(peer_l2)
            if party is not None and kd_sess_id is not None:
                way = self._ways.setdefault(
                    peer_l2, _Way(queue=LinkQueue(self._queues), told_s=now.mono_s - _TELL_DROPS_EVERY_S)
                )
                self._send_to(peer_l2, way, party, kd_sess_id, now)
                self._tell_drops(peer_l2, way, now.mono_s)

    def forget(self, peer_l2: int) -> None:
        """The link with a peer is over."""
        self._protected_seen.discard(peer_l2)
        self._ways.pop(peer_l2, None)

    def _send_to(self, peer_l2: int, way: _Way, party: Party, kd_sess_id: int, now: Instant) -> None:
        n_left = MAX_PACKETS_AT_ONCE
        while n_left > 0:
            self._fill(peer_l2, way.queue, now)
            n_sent = self._hand_down(way.queue, party, kd_sess_id, n_left, now.mono_s)
            if not n_sent:
                break
            n_left -= n_sent
        self._note_backlog(peer_l2, way, party)

    def _fill(self, peer_l2: int, queue: LinkQueue, now: Instant) -> None:
        """Queue what the end has sent; of what it holds back one packet at a time, so that it waits at its source."""
        for packet in self._user_plane.pdus_to_send(now, peers=(peer_l2,), room=0 if queue else 1):
            queue.push(packet.data, now.mono_s)

    def _hand_down(self, queue: LinkQueue, party: Party, kd_sess_id: int, at_most: int, now_s: float) -> int:
        """Seal up to so many packets, the most urgent first, as far as their logical channels take them."""
        n_sent = 0
        for pppp in queue.waiting:
            lcid = self._queues.rule.lcid(pppp)
            while n_sent < at_most and self._bearers.has_room_for_packets(party, lcid):
                packet = queue.pop(pppp, now_s)
                if packet is None:
                    break
                self._bearers.send_packet(packet, party, kd_sess_id, lcid)
                n_sent += 1
        return n_sent

    def _note_backlog(self, peer_l2: int, way: _Way, party: Party) -> None:
        """Tell layer 2 what waits, by logical channel."""
        rule = self._queues.rule
        octets = {rule.lcid(pppp): way.queue.octets(pppp) for pppp in way.queue.waiting}
        if held_back := self._user_plane.held_back_octets(peer_l2):
            lcid = rule.lcid(rule.ordinary)
            octets[lcid] = octets.get(lcid, 0) + held_back
        for lcid in way.noted.keys() | octets.keys():
            self._bearers.note_backlog(party, lcid, octets.get(lcid, 0))
        way.noted = octets

    def _tell_drops(self, peer_l2: int, way: _Way, now_s: float) -> None:
        if now_s - way.told_s < _TELL_DROPS_EVERY_S:
            return
        drops = way.queue.take_drops()
        if drops.early or drops.overflow or drops.marked:
            way.told_s = now_s
            self._emit(QueueDropped(peer_l2=peer_l2, early=drops.early, overflow=drops.overflow, marked=drops.marked))
