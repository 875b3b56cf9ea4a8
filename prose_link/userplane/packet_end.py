"""What the user plane of a UE needs of whatever makes and takes the IP packets of one link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketDropped:
    """An IP packet, received or to be sent, that went nowhere."""

    why: str


class PacketEnd(Protocol):
    """One link's end of IP: the in-process endpoint, or a share of a TUN interface. Never blocks, never grows."""

    def packets_to_send(self, room: int, now_s: float) -> list[bytes]:
        """Up to `room` whole IP packets for the peer."""
        ...

    def receive(self, packet: bytes, now_s: float) -> None:
        """Take one IP packet of the peer's; what is wrong with it becomes an event."""
        ...

    def next_event(self) -> object | None:
        """The oldest event not yet taken, None if there is none."""
        ...

    def close(self, now_s: float) -> None:
        """The link is over; the last events may still be taken."""
        ...
