"""The radio bearers of one UE: SDUs are sealed by PDCP and handed to the access, PDUs that come in are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prose_link.pc5s.wire.pdus import OutgoingPdu
from prose_link.ue.events import L2Dropped
from prose_link.ue.pdu_tap import PduTap
from radio.access.protocol import SidelinkAccess
from radio.l2.indications import Dropped, PduReceived, SduReceived
from radio.l2.mac import QueueFull
from radio.l2.pdcp import MAX_OVERHEAD_OCTETS, PdcpSdu, ProtectionError, SduType
from radio.l2.pdcp_entity import PdcpEntity

USER_LCID = 1
"""Logical channel of the user plane (TS 36.321 Table 6.2.4-1: 1..10)."""
MAX_QUEUED_USER_OCTETS = 16 * 1024
"""User data handed to layer 2 ahead of the air, so that queues stay short."""


class Bearers:
    """PDCP above the access: what finds no room or no key is told as an event, never raised.

    Args:
        own_l2_id: this UE's layer-2 id.
        access: the radio.
        pdcp: seals and opens.
        tap: is shown IP packets and signalling on their way down.
        emit: takes events.
    """

    def __init__(
        self,
        own_l2_id: int,
        access: SidelinkAccess,
        pdcp: PdcpEntity,
        tap: PduTap,
        emit: Callable[[L2Dropped], None],
    ) -> None:
        self._own_l2_id = own_l2_id
        self._access = access
        self._pdcp = pdcp
        self._tap = tap
        self._emit = emit

    def has_room_for_packets(self, peer_l2: int) -> bool:
        """Whether so little waits for a peer that more user data may be handed down."""
        return self._access.queued_octets(peer_l2) < MAX_QUEUED_USER_OCTETS

    def send_signalling(self, pdu: OutgoingPdu) -> None:
        """Send a PC5-S message."""
        self._tap.signalling("tx", pdu.data, self._own_l2_id, pdu.dst_l2, pdu.lcid)
        self._send(
            PdcpSdu(
                dst_l2=pdu.dst_l2,
                lcid=pdu.lcid,
                sdu_type=SduType.PC5_SIGNALLING,
                data=pdu.data,
                kd_sess_id=pdu.kd_sess_id,
            )
        )

    def send_packet(self, packet: bytes, peer_l2: int, kd_sess_id: int) -> None:
        """Send an IP packet over a link."""
        self._send_packet(packet, self._own_l2_id, peer_l2, kd_sess_id)

    def send_group_packet(self, packet: bytes, sender_l2: int, group_l2: int) -> None:
        """Send an IP packet to a group, from the layer-2 id that its key is bound to."""
        self._send_packet(packet, sender_l2, group_l2, 0)

    def open(self, items: Iterable[PduReceived | Dropped]) -> list[SduReceived | Dropped]:
        """Open the PDUs that one transport block brought."""
        return [self._pdcp.receive(item) if isinstance(item, PduReceived) else item for item in items]

    def give_up_group_sender(self, l2_id: int) -> bool:
        """Told a layer-2 id that another UE goes by. True if this UE sent to its groups from it, and now doesn't.

        What waited to be sent to groups from the old id is thrown away.
        """
        if not self._pdcp.give_up_sender(l2_id):
            return False
        self._access.forget_groups_from(l2_id)
        return True

    def _send_packet(self, packet: bytes, src_l2: int, dst_l2: int, kd_sess_id: int) -> None:
        self._tap.see("ip", "tx", packet, src_l2, dst_l2, USER_LCID)
        self._send(PdcpSdu(dst_l2=dst_l2, lcid=USER_LCID, sdu_type=SduType.IP, data=packet, kd_sess_id=kd_sess_id))

    def _send(self, sdu: PdcpSdu) -> None:
        try:
            self._access.check_room(self._pdcp.addresses_of(sdu), sdu.lcid, len(sdu.data) + MAX_OVERHEAD_OCTETS)
            self._access.offer(self._pdcp.send(sdu))
        except (QueueFull, ProtectionError) as error:
            self._emit(L2Dropped(layer="l2", why=str(error)))
