"""What direct radio asks of a `SidelinkAccess`, as wires: what one end offers, the other ends hear when they are told.

No samples, no timing and no loss. The queue is bounded, as MAC's is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prose_link.carriers.direct import Direct
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.mac import QueueFull
from radio.l2.pdcp_entity import PdcpPdu

MAX_QUEUED_OCTETS = 64 * 1024


@dataclass
class WireAccess:
    """One end."""

    queued: list[PdcpPdu] = field(default_factory=list)

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raises QueueFull."""
        if sum(len(pdu.data) for pdu in self.queued) + octets > MAX_QUEUED_OCTETS:
            raise QueueFull("the wire is full")

    def offer(self, pdu: PdcpPdu) -> None:
        """Queue a PDU. Raises QueueFull."""
        self.check_room(AddressPair(pdu.src_l2, pdu.dst_l2), pdu.lcid, len(pdu.data))
        self.queued.append(pdu)

    def queued_octets(self, dst_l2: int, lcid: int | None = None) -> int:
        """Octets for a destination, on one logical channel or on all."""
        return sum(len(pdu.data) for pdu in self.queued if pdu.dst_l2 == dst_l2 and lcid in (None, pdu.lcid))


def carry(ends: dict[int, tuple[WireAccess, Direct]]) -> None:
    """Let everything queued be heard by the end whose layer-2 id it goes to, and what that makes them send."""
    while any(access.queued for access, _ in ends.values()):
        for access, _ in list(ends.values()):
            queued, access.queued = access.queued, []
            for pdu in queued:
                if pdu.dst_l2 in ends:
                    ends[pdu.dst_l2][1].heard(
                        PduReceived(
                            src_l2=pdu.src_l2, dst_l2=pdu.dst_l2, lcid=pdu.lcid, to_group=pdu.to_group, data=pdu.data
                        )
                    )
