"""Messages to a group as IP multicast: UDP datagrams that carry their own hash, repeated since no member answers.

Group traffic has no integrity and no acknowledgement. So each message is sent several times, and carries a number and
the SHA-256 of its content. A receiver delivers the first copy whose hash is right, and ignores later copies with the
same sender, number and hash; it remembers a bounded number of them. A wrong hash is an event: it is the only sign of a
flipped bit. The hash protects against errors, not against attackers, who can compute it too. If the sender has to
change its layer-2 id, copies on the way are lost, and all open messages start again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from prose_link.instant import Instant
from prose_link.userplane.events import (
    GroupMessageEvent,
    GroupMessageReceived,
    GroupMessageSent,
    GroupMessageSpoilt,
)
from prose_link.userplane.ipv6 import UDP, Datagram, PacketError, decode_datagram, decode_packet, encode_datagram
from prose_link.userplane.packet_end import PeerPacket

GROUP_PORT: Final = 49_700
"""UDP port of group messages, from the dynamic range (RFC 6335 6)."""
MAX_MESSAGE_OCTETS: Final = 1200
"""A message fits one IPv6 packet of the minimum MTU (RFC 8200 5)."""
MESSAGES_REMEMBERED: Final = 256
_NUMBER_OCTETS = 2
_HASH_OCTETS = 32


@dataclass(slots=True)
class _Copies:
    packet: bytes
    left: int
    due_s: float


class GroupEndpoint:
    """One UE's end of a group's multicast: sends messages several times, delivers each once. A `SansIoEntity`.

    Args:
        own: this UE's link-local address.
        multicast: the group's address.
        copies: number of copies of each message.
        every_s: time between copies.
    """

    def __init__(self, own: IPv6Address, multicast: IPv6Address, *, copies: int, every_s: float) -> None:
        self._own = own
        self._multicast = multicast
        self._copies = copies
        self._every_s = every_s
        self._sending: deque[_Copies] = deque()
        self._number = 0
        self._taken: OrderedDict[tuple[IPv6Address, int, bytes], None] = OrderedDict()
        self._events: deque[GroupMessageEvent] = deque()

    @property
    def idle(self) -> bool:
        """Whether every copy of every message has been sent and had its time on the way."""
        return not self._sending

    def start_over(self, now: Instant) -> None:
        """Send every open message again from its first copy: copies on the way are lost."""
        for message in self._sending:
            message.left, message.due_s = self._copies, now.mono_s

    def say(self, content: bytes, now: Instant) -> None:
        """Send a message of up to 1200 octets. Raises PacketError for a longer one."""
        if len(content) > MAX_MESSAGE_OCTETS:
            raise PacketError(f"a group message of {len(content)} octets; at most {MAX_MESSAGE_OCTETS}")
        self._number += 1
        digest = hashlib.sha256(content).digest()
        data = self._number.to_bytes(_NUMBER_OCTETS) + digest + content
        datagram = Datagram(source_port=GROUP_PORT, destination_port=GROUP_PORT, data=data)
        packet = encode_datagram(self._own, self._multicast, datagram)
        self._sending.append(_Copies(packet, self._copies, now.mono_s))
        self._events.append(
            GroupMessageSent(number=self._number, octets=len(content), sha256=digest.hex(), copies=self._copies)
        )

    def next_timer(self) -> float | None:
        """When the next copy is due, or a message has had its time on the way; None if nothing is being sent."""
        return min((message.due_s for message in self._sending), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Drop the messages whose last copy has had its time on the way."""
        self._sending = deque(message for message in self._sending if message.left or message.due_s > now.mono_s)

    def pdus_to_send(self, now: Instant) -> list[bytes]:
        """Hand out the copies that are due."""
        due = [message for message in self._sending if message.left and message.due_s <= now.mono_s]
        for message in due:
            message.left -= 1
            message.due_s = now.mono_s + self._every_s
        return [message.packet for message in due]

    def receive(self, packet: PeerPacket, _now: Instant) -> None:
        """Take one packet that was sent to the group."""
        try:
            sender, number, content, digest = self._read(packet.data)
        except PacketError as error:
            self._events.append(GroupMessageSpoilt(sender_l2=packet.peer_l2, why=str(error)))
            return
        if (sender, number, digest) in self._taken:
            return
        self._taken[sender, number, digest] = None
        if len(self._taken) > MESSAGES_REMEMBERED:
            self._taken.popitem(last=False)
        self._events.append(
            GroupMessageReceived(sender_l2=packet.peer_l2, number=number, octets=len(content), sha256=digest.hex())
        )

    def next_event(self) -> GroupMessageEvent | None:
        """The oldest event not yet taken, None if there is none."""
        return self._events.popleft() if self._events else None

    def _read(self, packet: bytes) -> tuple[IPv6Address, int, bytes, bytes]:
        outer = decode_packet(packet)
        if outer.destination != self._multicast or outer.next_header != UDP:
            raise PacketError(f"a packet to {outer.destination} in the group's traffic")
        datagram = decode_datagram(outer.payload)
        if datagram.destination_port != GROUP_PORT or len(datagram.data) < _NUMBER_OCTETS + _HASH_OCTETS:
            raise PacketError("no group message")
        number = int.from_bytes(datagram.data[:_NUMBER_OCTETS])
        digest = datagram.data[_NUMBER_OCTETS : _NUMBER_OCTETS + _HASH_OCTETS]
        content = datagram.data[_NUMBER_OCTETS + _HASH_OCTETS :]
        if hashlib.sha256(content).digest() != digest:
            raise PacketError("the hash of a group message is wrong")
        return outer.source, number, content, digest
