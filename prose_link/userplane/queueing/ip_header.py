"""What queues read and write of an IP packet: its flow, its DSCP, its ECN field. No packet is too odd to have them.

A packet that is cut short, or of no known version, is of flow 0 and DSCP 0, and can't be marked: queues judge nothing.
"""

from __future__ import annotations

import hashlib
from typing import Final

_ECN_MASK: Final = 0x03
"""The two lowest bits of traffic class or type of service (RFC 3168 5)."""
_NOT_ECT, _CE = 0b00, 0b11
_IPV4_LEAST, _IPV6_HEADER = 20, 40
_WITH_PORTS: Final = frozenset({6, 17, 33, 132, 136})
"""TCP, UDP, DCCP, SCTP and UDP-Lite begin with two ports of 16 bits."""
_PORTS_OCTETS: Final = 4


def traffic_class(packet: bytes) -> int:
    """Traffic class of IPv6 (RFC 8200 3) or type of service of IPv4 (RFC 791 3.1); 0 where there is none."""
    version = _version(packet)
    if version == 6:
        return (packet[0] << 4 | packet[1] >> 4) & 0xFF
    return packet[1] if version == 4 else 0


def dscp(packet: bytes) -> int:
    """The Differentiated Services code point (RFC 2474 3): 0..63."""
    return traffic_class(packet) >> 2


def flow_hash(packet: bytes, perturbation: bytes) -> int:
    """A hash of protocol, addresses and ports that can't be foretold without `perturbation`.

    RFC 8290 4.1: flows that meet in one queue share it, so that it must not be known who meets whom. A fragment, and
    a packet with IPv6 extension headers, is known by its addresses and first next header alone.

    Args:
        packet: a whole IP packet.
        perturbation: a key of at most 64 octets.
    """
    return int.from_bytes(hashlib.blake2b(_flow_key(packet), digest_size=4, key=perturbation).digest())


def with_congestion_mark(packet: bytes) -> bytes | None:
    """The packet with CE in its ECN field, None where its ends don't know ECN (RFC 3168 5)."""
    field = traffic_class(packet)
    if field & _ECN_MASK == _NOT_ECT:
        return None
    marked = bytearray(packet)
    if _version(packet) == 6:
        marked[1] |= _CE << 4
        return bytes(marked)
    marked[1] |= _CE
    marked[10:12] = _updated(packet[10:12], old=packet[:2], new=bytes(marked[:2]))
    return bytes(marked)


def _version(packet: bytes) -> int:
    version = packet[0] >> 4 if packet else 0
    least = {4: _IPV4_LEAST, 6: _IPV6_HEADER}.get(version, 0)
    return version if least and len(packet) >= least else 0


def _flow_key(packet: bytes) -> bytes:
    version = _version(packet)
    if version == 6:
        protocol, addresses, payload_at = packet[6], packet[8:40], _IPV6_HEADER
        is_fragment = False
    elif version == 4:
        protocol, addresses, payload_at = packet[9], packet[12:20], 4 * (packet[0] & 0x0F)
        is_fragment = int.from_bytes(packet[6:8]) & 0x3FFF != 0
    else:
        return b""
    ports = b"" if is_fragment or protocol not in _WITH_PORTS else packet[payload_at : payload_at + _PORTS_OCTETS]
    return bytes([protocol]) + addresses + ports


def _updated(checksum: bytes, *, old: bytes, new: bytes) -> bytes:
    """A header checksum after one of its words has changed (RFC 1624 3, equation 3)."""
    total = (~int.from_bytes(checksum) & 0xFFFF) + (~int.from_bytes(old) & 0xFFFF) + int.from_bytes(new)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2)
