"""The port between a UE's links and one interface that they share: a TUN interface, or programs of the lab's own."""

from __future__ import annotations

from typing import Protocol

from prose_link.userplane.addresses import IpAddresses
from prose_link.userplane.packet_end import PacketEnd


class PacketInterface(Protocol):
    """One interface, of which each link has a share."""

    @property
    def name(self) -> str:
        """What events call it."""
        ...

    def attach(self, peer_l2: int, peer: IpAddresses) -> PacketEnd:
        """Give a link its share; it is given back by the end's `close`."""
        ...

    def close(self) -> None:
        """Take the interface away; may be called twice."""
        ...
