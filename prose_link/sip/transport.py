"""Where messages come from and go to, as values: the edge that has sockets is another room's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Transport(Enum):
    """What carries messages; the value stands in Via (RFC 3261 20.42)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"

    @property
    def is_reliable(self) -> bool:
        """Whether it repeats for itself, and keeps messages of any length whole."""
        return self is not Transport.UDP


@dataclass(frozen=True, slots=True)
class Hop:
    """The transport address of the next element: host is an IP address."""

    transport: Transport
    host: str
    port: int

    def __str__(self) -> str:
        """As messages for people say it."""
        return f"{self.transport.value.lower()}:{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came: a datagram, or what a framer has cut out of a stream."""

    octets: bytes
    source: Hop


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent. On a stream it uses the connection with `to`, or by a new one."""

    octets: bytes
    to: Hop
    otherwise: Hop | None = None
    """Where a response goes when the connection that its request came by is gone (RFC 3261 18.2.2)."""
