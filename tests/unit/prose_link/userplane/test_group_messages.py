"""Group messages: copies in time, each taken once, and a flipped bit shows."""

from ipaddress import IPv6Address

import pytest

from prose_link.instant import Instant
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent, GroupMessageSpoilt
from prose_link.userplane.group_messages import (
    MAX_MESSAGE_OCTETS,
    GroupEndpoint,
)
from prose_link.userplane.ipv6 import PacketError, decode_packet, link_local_address
from prose_link.userplane.packet_end import PeerPacket


def at(mono_s: float) -> Instant:
    """A moment of virtual time."""
    return Instant(mono_s, 1e9 + mono_s)


def taken(end: GroupEndpoint, mono_s: float) -> list[bytes]:
    """What goes out at a moment."""
    end.handle_timer(at(mono_s))
    return end.pdus_to_send(at(mono_s))


MULTICAST = IPv6Address("ff02::7063:3500")


def endpoint(l2_id, copies=3):
    return GroupEndpoint(link_local_address(l2_id), MULTICAST, copies=copies, every_s=0.1)


def drained(end):
    events = []
    while (event := end.next_event()) is not None:
        events.append(event)
    return events


def test_copies_go_out_in_time_and_are_taken_once():
    a, b = endpoint(1), endpoint(2)
    a.say(b"hello group", at(5.0))
    packets = [packet for when_s in (5.0, 5.05, 5.1, 5.2, 5.3, 9.0) for packet in taken(a, when_s)]
    assert len(packets) == 3 and len(set(packets)) == 1 and a.idle
    assert decode_packet(packets[0]).destination == MULTICAST
    for packet in packets:
        b.receive(PeerPacket(peer_l2=1, data=packet), at(0.0))
    (sent,) = drained(a)
    (received,) = drained(b)
    assert isinstance(sent, GroupMessageSent) and isinstance(received, GroupMessageReceived)
    assert (received.sha256, received.octets, received.number) == (sent.sha256, 11, 1)


def test_same_number_of_another_sender_is_another_message():
    a, b, c = endpoint(1), endpoint(2), endpoint(3)
    for end in (a, b):
        end.say(b"x", at(0.0))
    c.receive(PeerPacket(peer_l2=1, data=taken(a, 0.0)[0]), at(0.0))
    c.receive(PeerPacket(peer_l2=2, data=taken(b, 0.0)[0]), at(0.0))
    assert [event.sender_l2 for event in drained(c)] == [1, 2]


def test_every_flipped_octet_shows():
    a, b = endpoint(1), endpoint(2)
    a.say(b"hello group", at(0.0))
    (packet,) = taken(a, 0.0)
    for place in range(40, len(packet)):
        flipped = packet[:place] + bytes([packet[place] ^ 0x10]) + packet[place + 1 :]
        b.receive(PeerPacket(peer_l2=1, data=flipped), at(0.0))
    events = drained(b)
    assert len(events) == len(packet) - 40 and all(isinstance(event, GroupMessageSpoilt) for event in events)


def test_too_long_a_message_is_refused():
    with pytest.raises(PacketError):
        endpoint(1).say(bytes(MAX_MESSAGE_OCTETS + 1), at(0.0))
