"""Events of a UE's user plane: its ends of IP, the traffic over them, and messages to a group."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class IpConfigured:
    """The addresses of a link as its DCR and DCA settled them; IPv4 only where both ends offered it."""

    peer: str
    link_local: IPv6Address
    """The UE's own link-local address."""
    peer_link_local: IPv6Address
    """That of the peer."""
    ipv4: IPv4Address | None
    """The UE's own address; None without IPv4."""
    peer_ipv4: IPv4Address | None
    """That of the peer; None without IPv4."""
    interface: str
    """The TUN interface that programs use; empty for the in-process end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingReply:
    """A ping was answered in time."""

    sequence: int
    """Number of the echo request, from 1."""
    rtt_ms: float
    """From the request into the link's queue to the reply out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingLost:
    """A ping was not answered in time."""

    sequence: int
    """Number of the echo request, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSent:
    """The receiver has everything and its hash agrees."""

    transfer_id: int
    octets: int
    sha256: str
    chunks_sent: int
    """Datagrams with content, those sent again included."""
    started_s: float
    finished_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReceived:
    """All octets are here and their hash is the offered one."""

    transfer_id: int
    octets: int
    sha256: str
    started_s: float
    finished_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFailed:
    """This end has given up a transfer."""

    transfer_id: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSent:
    """All datagrams of this UE's stream have gone to the link."""

    datagrams: int
    """Number of datagrams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceReceived:
    """Result of the peer's stream. Latencies are None if nothing was heard."""

    sent: int
    """Datagrams that the peer has sent by its own count."""
    received: int
    """Datagrams that came, each counted once."""
    lost: int
    """Datagrams that did not come."""
    duplicates: int
    """Datagrams that came again."""
    loss_percent: float
    """Share of those sent that did not come."""
    latency_p50_ms: float | None
    """Median of the time from the coder to the arrival."""
    latency_p95_ms: float | None
    """95 of 100 datagrams took no longer."""
    latency_p99_ms: float | None
    """99 of 100 datagrams took no longer."""
    latency_max_ms: float | None
    """The longest time."""
    jitter_ms: float
    """As in RFC 3550 6.4.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficDone:
    """All planned traffic of the link is over, successful or not."""

    pings_answered: int
    """Own pings that were answered."""
    pings_lost: int
    """Own pings that were not."""
    pushed_octets: int
    """What the peer has taken of this UE's push."""
    taken_octets: int
    """What this UE has taken of the peer's."""
    ok: bool
    """Whether all planned traffic was successful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketDropped:
    """An IP packet, received or to be sent, was dropped."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMessageSent:
    """A message went out for the first time; its other copies will follow."""

    number: int
    """Number of the message at its sender, from 1."""
    octets: int
    sha256: str
    copies: int
    """Number of copies in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMessageReceived:
    """The first copy of a message came, and its hash is right. Further copies cause no event.

    Copies of one message may come from two layer-2 ids, if the sender had to take a new one in between.
    """

    sender_l2: int
    number: int
    """Number of the message at its sender, from 1."""
    octets: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMessageSpoilt:
    """A packet is no group message, or its hash is wrong. Only the hash shows a flipped bit."""

    sender_l2: int
    why: str


TransferEvent: TypeAlias = TransferSent | TransferReceived | TransferFailed
EndpointEvent: TypeAlias = PingReply | PingLost | PacketDropped | TransferEvent | VoiceSent | VoiceReceived
GroupMessageEvent: TypeAlias = GroupMessageSent | GroupMessageReceived | GroupMessageSpoilt
UserPlaneEvent: TypeAlias = IpConfigured | EndpointEvent | TrafficDone
