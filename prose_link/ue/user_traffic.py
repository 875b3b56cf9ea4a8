"""IP over the links of one UE: packets of its user plane go down under the link's keys, verified packets come up."""

from __future__ import annotations

from collections.abc import Callable

from prose_link.instant import Instant
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.ue.bearers import Bearers
from prose_link.ue.events import FirstProtected
from prose_link.ue.pdu_tap import PduTap
from prose_link.userplane.packet_end import PeerPacket
from prose_link.userplane.sessions import UserPlane
from radio.l2.indications import SduReceived

MAX_PACKETS_AT_ONCE = 4


class UserTraffic:
    """Moves packets between the user plane's sessions and the bearers.

    Args:
        user_plane: the ends of IP.
        pc5s: knows the context of each peer's packets.
        bearers: the way down.
        tap: called with packets on their way up.
        emit: called with events.
    """

    def __init__(
        self,
        user_plane: UserPlane,
        pc5s: Pc5sEntity,
        bearers: Bearers,
        tap: PduTap,
        emit: Callable[[FirstProtected], None],
    ) -> None:
        self._user_plane = user_plane
        self._pc5s = pc5s
        self._bearers = bearers
        self._tap = tap
        self._emit = emit
        self._protected_seen: set[int] = set()

    def receive(self, sdu: SduReceived, now: Instant) -> None:
        """Take a packet that the link admits."""
        if sdu.src_l2 not in self._protected_seen:
            self._protected_seen.add(sdu.src_l2)
            self._emit(FirstProtected(peer_l2=sdu.src_l2, octets=len(sdu.data)))
        self._tap.see("ip", "rx", sdu.data, sdu.src_l2, sdu.dst_l2, sdu.lcid)
        self._user_plane.receive(PeerPacket(peer_l2=sdu.src_l2, data=sdu.data), now)

    def send_packets(self, now: Instant) -> None:
        """Send waiting packets to peers whose queues are short."""
        contexts = {
            peer_l2: (party, kd_sess_id)
            for peer_l2 in self._user_plane.peers
            if (kd_sess_id := self._pc5s.user_data_id(peer_l2)) is not None
            and (party := self._pc5s.user_data_party(peer_l2)) is not None
            and self._bearers.has_room_for_packets(party)
        }
        for packet in self._user_plane.pdus_to_send(now, peers=contexts, room=MAX_PACKETS_AT_ONCE):
            self._bearers.send_packet(packet.data, *contexts[packet.peer_l2])

    def forget(self, peer_l2: int) -> None:
        """The link with a peer is over."""
        self._protected_seen.discard(peer_l2)
