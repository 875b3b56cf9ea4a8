"""IPv6, ICMPv6 echo and UDP packets as octets: what the in-process endpoint of a UE speaks.

Encoding builds the body with zeros in place of the checksum, computes the Internet checksum over pseudo-header and body
(RFC 8200 8.1), writes it, and puts the IPv6 header before it. A checksum that comes out as zero is sent as all ones,
since zero would say that a UDP datagram has none (RFC 768), and IPv6 forbids that (RFC 8200 8.1).

Decoding goes from the outside in, and each step checks what the next one relies on: version and length of the header,
the payload length against the octets that are there, the next header, the checksum, then the ICMPv6 or UDP header with
its own length. Input comes from a peer over the air. So whatever doesn't fit raises PacketError with the reason, and
the endpoint drops the packet.

The subset is small on purpose: no extension headers, no fragments, and of ICMPv6 only echo. The endpoint's own packets
need no more, and a program that needs more uses a TUN interface and the kernel's IP. The traffic class carries the DSCP
(RFC 2474 3), by which the queues above layer 2 choose a priority.

A UE's link-local address follows from its layer-2 id, in the form of an interface identifier that is made from a MAC
address with that id as its low three octets (RFC 4291 appendix A). So it needs no address configuration, and the two
ends of a link have different addresses as long as their layer-2 ids differ.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from prose_link.errors import ProseLinkError

ICMPV6 = 58
"""Next header of ICMPv6 (RFC 4443 1)."""
UDP = 17
"""Next header of UDP (RFC 768)."""
ECHO_REQUEST = 128
"""ICMPv6 type (RFC 4443 4.1)."""
ECHO_REPLY = 129
"""ICMPv6 type (RFC 4443 4.2)."""
HOP_LIMIT = 64
"""Hop limit of what this endpoint sends (RFC 1700, the default of the day)."""
_IPV6_HEADER = struct.Struct("!IHBB16s16s")
_UDP_HEADER = struct.Struct("!HHHH")
_ECHO_HEADER = struct.Struct("!BBHHH")


class PacketError(ProseLinkError):
    """Octets that are not a packet of the kind this endpoint supports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipv6Packet:
    """An IPv6 packet taken apart, without extension headers."""

    source: IPv6Address
    destination: IPv6Address
    next_header: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """An ICMPv6 echo request or reply (RFC 4443 4.1, 4.2)."""

    reply: bool
    identifier: int
    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """A UDP datagram (RFC 768)."""

    source_port: int
    destination_port: int
    data: bytes


def link_local_address(l2_id: int) -> IPv6Address:
    """The link-local IPv6 address a UE forms from its 24-bit layer-2 id: fe80::/64 with the id in the low octets."""
    return IPv6Address((0xFE80 << 112) | (0x0200_00FF_FE00_0000 | l2_id))


def encode_echo(source: IPv6Address, destination: IPv6Address, echo: Echo) -> bytes:
    """An ICMPv6 echo message as a whole IPv6 packet."""
    kind = ECHO_REPLY if echo.reply else ECHO_REQUEST
    body = _ECHO_HEADER.pack(kind, 0, 0, echo.identifier, echo.sequence) + echo.data
    return encode_packet(source, destination, ICMPV6, body, checksum_at=2)


def encode_datagram(source: IPv6Address, destination: IPv6Address, datagram: Datagram, *, dscp: int = 0) -> bytes:
    """A UDP datagram as a whole IPv6 packet."""
    length = _UDP_HEADER.size + len(datagram.data)
    body = _UDP_HEADER.pack(datagram.source_port, datagram.destination_port, length, 0) + datagram.data
    return encode_packet(source, destination, UDP, body, checksum_at=6, dscp=dscp)


def decode_packet(octets: bytes) -> Ipv6Packet:
    """Split a packet into addresses, next header and payload; the payload's checksum must hold.

    Raises:
        PacketError: not IPv6, a wrong length, an extension header, or a checksum that does not hold.
    """
    if len(octets) < _IPV6_HEADER.size or octets[0] >> 4 != 6:
        raise PacketError(f"not an IPv6 packet: {len(octets)} octets")
    _, length, next_header, _, source, destination = _IPV6_HEADER.unpack_from(octets)
    payload = octets[_IPV6_HEADER.size :]
    if length != len(payload):
        raise PacketError(f"payload length says {length}, packet carries {len(payload)} octets")
    if next_header not in (ICMPV6, UDP):
        raise PacketError(f"next header {next_header} is neither ICMPv6 nor UDP")
    if _checksum(source, destination, next_header, payload) not in (0, 0xFFFF):
        raise PacketError("checksum does not hold")
    return Ipv6Packet(
        source=IPv6Address(source), destination=IPv6Address(destination), next_header=next_header, payload=payload
    )


def decode_echo(payload: bytes) -> Echo:
    """Raises PacketError where the ICMPv6 message is no echo."""
    if len(payload) < _ECHO_HEADER.size or payload[0] not in (ECHO_REQUEST, ECHO_REPLY):
        raise PacketError("not an ICMPv6 echo")
    kind, _, _, identifier, sequence = _ECHO_HEADER.unpack_from(payload)
    return Echo(reply=kind == ECHO_REPLY, identifier=identifier, sequence=sequence, data=payload[_ECHO_HEADER.size :])


def decode_datagram(payload: bytes) -> Datagram:
    """Raises PacketError where the length field is wrong."""
    if len(payload) < _UDP_HEADER.size:
        raise PacketError("UDP header cut short")
    source_port, destination_port, length, _ = _UDP_HEADER.unpack_from(payload)
    if length != len(payload):
        raise PacketError(f"UDP length says {length}, datagram has {len(payload)} octets")
    return Datagram(source_port=source_port, destination_port=destination_port, data=payload[_UDP_HEADER.size :])


def encode_packet(
    source: IPv6Address, destination: IPv6Address, next_header: int, body: bytes, *, checksum_at: int, dscp: int = 0
) -> bytes:
    """A whole IPv6 packet.

    Args:
        source: where it comes from.
        destination: where it goes.
        next_header: what `body` is.
        body: with zeros at `checksum_at`, where its checksum belongs.
        checksum_at: place of the 16 bits of the checksum.
        dscp: the Differentiated Services code point (RFC 2474 3).
    """
    checksum = _checksum(source.packed, destination.packed, next_header, body) or 0xFFFF
    body = body[:checksum_at] + checksum.to_bytes(2, "big") + body[checksum_at + 2 :]
    header = _IPV6_HEADER.pack(
        6 << 28 | dscp << 22, len(body), next_header, HOP_LIMIT, source.packed, destination.packed
    )
    return header + body


def _checksum(source: bytes, destination: bytes, next_header: int, body: bytes) -> int:
    """The Internet checksum over pseudo-header and body (RFC 8200 8.1)."""
    octets = source + destination + struct.pack("!II", len(body), next_header) + body
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
