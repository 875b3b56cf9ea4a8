"""The port of the user plane for the source and sink of one link's IP packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from prose_link.entity_protocol import SansIoEntity
from prose_link.instant import Instant
from prose_link.userplane.events import EndpointEvent

PACKETS_AT_ONCE: Final = 64
"""Packets handed out by one call, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPacket:
    """An IP packet, and the layer-2 id of the peer it comes from or goes to."""

    peer_l2: int
    data: bytes


class PacketEnd(SansIoEntity[bytes, bytes, EndpointEvent], Protocol):
    """One link's end of IP: the in-process endpoint, or a share of a TUN interface.

    Never blocks; its memory is bounded.
    """

    @property
    def held_back_octets(self) -> int:
        """Octets of packets that the end will make as soon as there is room for them."""
        ...

    def pdus_to_send(self, now: Instant, /, *, room: int = PACKETS_AT_ONCE) -> list[bytes]:
        """Hand out whole IP packets for the peer: those that are there, and up to `room` of those held back.

        At most PACKETS_AT_ONCE, and no more packets held back than that number leaves.
        """

    def close(self, now: Instant) -> None:
        """The link is over; the last events may still be taken."""
