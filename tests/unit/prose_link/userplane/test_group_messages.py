"""Group messages: copies in time, each taken once, and a flipped bit shows."""

from ipaddress import IPv6Address

import pytest

from prose_link.userplane.group_messages import (
    MAX_MESSAGE_OCTETS,
    GroupEndpoint,
    GroupMessageReceived,
    GroupMessageSent,
    GroupMessageSpoilt,
)
from prose_link.userplane.ipv6 import PacketError, decode_packet, link_local_address

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
    a.say(b"hello group", 5.0)
    packets = [packet for at in (5.0, 5.05, 5.1, 5.2, 5.3, 9.0) for packet in a.packets_to_send(at)]
    assert len(packets) == 3 and len(set(packets)) == 1 and a.idle
    assert decode_packet(packets[0]).destination == MULTICAST
    for packet in packets:
        b.receive(1, packet)
    (sent,) = drained(a)
    (received,) = drained(b)
    assert isinstance(sent, GroupMessageSent) and isinstance(received, GroupMessageReceived)
    assert (received.sha256, received.octets, received.number) == (sent.sha256, 11, 1)


def test_same_number_of_another_sender_is_another_message():
    a, b, c = endpoint(1), endpoint(2), endpoint(3)
    for end in (a, b):
        end.say(b"x", 0.0)
    c.receive(1, a.packets_to_send(0.0)[0])
    c.receive(2, b.packets_to_send(0.0)[0])
    assert [event.sender_l2 for event in drained(c)] == [1, 2]


def test_every_flipped_octet_shows():
    a, b = endpoint(1), endpoint(2)
    a.say(b"hello group", 0.0)
    (packet,) = a.packets_to_send(0.0)
    for at in range(40, len(packet)):
        b.receive(1, packet[:at] + bytes([packet[at] ^ 0x10]) + packet[at + 1 :])
    events = drained(b)
    assert len(events) == len(packet) - 40 and all(isinstance(event, GroupMessageSpoilt) for event in events)


def test_too_long_a_message_is_refused():
    with pytest.raises(PacketError):
        endpoint(1).say(bytes(MAX_MESSAGE_OCTETS + 1), 0.0)
