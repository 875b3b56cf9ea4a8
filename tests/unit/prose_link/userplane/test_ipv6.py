"""Packets of the in-process endpoint, held against Scapy's own idea of IPv6."""

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6

from prose_link.userplane import ipv6

A, B = ipv6.link_local_address(0x0A0B0C), ipv6.link_local_address(0x0D0E0F)


@pytest.mark.parametrize("octets", [0, 1, 55, 56])
def test_echo_agrees_with_scapy(octets: int) -> None:
    for reply, layer in ((False, ICMPv6EchoRequest), (True, ICMPv6EchoReply)):
        data = bytes(range(octets))
        ours = ipv6.encode_echo(A, B, ipv6.Echo(reply=reply, identifier=7, sequence=9, data=data))
        theirs = IPv6(src=str(A), dst=str(B), hlim=64) / layer(id=7, seq=9, data=data)
        assert ours == bytes(theirs)
        packet = ipv6.decode_packet(ours)
        assert ipv6.decode_echo(packet.payload) == ipv6.Echo(reply=reply, identifier=7, sequence=9, data=data)


def test_datagram_agrees_with_scapy() -> None:
    ours = ipv6.encode_datagram(A, B, ipv6.Datagram(source_port=1, destination_port=2, data=b"abc"))
    assert ours == bytes(IPv6(src=str(A), dst=str(B), hlim=64) / UDP(sport=1, dport=2) / b"abc")
    assert ipv6.decode_datagram(ipv6.decode_packet(ours).payload).data == b"abc"


def test_every_flipped_bit_of_the_body_is_noticed() -> None:
    packet = ipv6.encode_datagram(A, B, ipv6.Datagram(source_port=1, destination_port=2, data=b"abcd"))
    for bit in range(8 * 8, 8 * len(packet)):
        broken = bytearray(packet)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ipv6.PacketError):
            ipv6.decode_packet(bytes(broken))


def test_truncations_are_noticed() -> None:
    packet = ipv6.encode_datagram(A, B, ipv6.Datagram(source_port=1, destination_port=2, data=b"abcd"))
    for n in range(len(packet)):
        with pytest.raises(ipv6.PacketError):
            ipv6.decode_packet(packet[:n])
