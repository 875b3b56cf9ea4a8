"""From a captured frame to the IP packet in it, for the link types that captures of IP traffic have.

Source: the link-layer header types of tcpdump.org. VLAN tags (IEEE 802.1Q, also stacked) and MPLS labels are passed
over. A frame without IP gives None.
"""

from __future__ import annotations

from collections.abc import Callable

from lab_scripts.capture.exported_pdu import exported_parts

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = {0x8100, 0x88A8, 0x9100}
_PPPOE_SESSION, _MPLS = 0x8864, 0x8847
_PPP_IPV4, _PPP_IPV6 = 0x0021, 0x0057
_MAX_TAGS = 8


def ip_packet(link_type: int, frame: bytes) -> bytes | None:
    """The IP packet in a frame, None where there is none."""
    unwrap = _LINKS.get(link_type)
    packet = unwrap(frame) if unwrap else None
    return packet if packet and packet[0] >> 4 in (4, 6) else None


def _ethernet(frame: bytes) -> bytes | None:
    return _by_type(int.from_bytes(frame[12:14], "big"), frame[14:])


def _by_type(ether_type: int, payload: bytes) -> bytes | None:
    for _ in range(_MAX_TAGS):
        if ether_type in _VLAN_TAGS:
            ether_type, payload = int.from_bytes(payload[2:4], "big"), payload[4:]
        elif ether_type == _PPPOE_SESSION:
            return _ppp(payload[6:])
        elif ether_type == _MPLS:
            return _below_labels(payload)
        else:
            break
    return payload if ether_type in (_IPV4, _IPV6) else None


def _below_labels(payload: bytes) -> bytes | None:
    for at in range(0, 4 * _MAX_TAGS, 4):
        label = payload[at : at + 4]
        if len(label) < 4:
            return None
        if label[2] & 1:
            return payload[at + 4 :]
    return None


def _ppp(frame: bytes) -> bytes | None:
    frame = frame[2:] if frame[:2] == b"\xff\x03" else frame
    return frame[2:] if int.from_bytes(frame[:2], "big") in (_PPP_IPV4, _PPP_IPV6) else None


def _linux_cooked(frame: bytes) -> bytes | None:
    return _by_type(int.from_bytes(frame[14:16], "big"), frame[16:])


def _linux_cooked_2(frame: bytes) -> bytes | None:
    return _by_type(int.from_bytes(frame[:2], "big"), frame[20:])


def _loopback(frame: bytes) -> bytes | None:
    """An address family in the byte order of whatever machine captured, then IP: the version tells which."""
    return frame[4:]


def _exported(frame: bytes) -> bytes | None:
    dissector, pdu = exported_parts(frame)
    return pdu if dissector in ("ip", "ipv6") else None


_LINKS: dict[int, Callable[[bytes], bytes | None]] = {
    0: _loopback,
    1: _ethernet,
    9: _ppp,
    12: lambda frame: frame,
    14: lambda frame: frame,
    50: _ppp,
    51: lambda frame: _ppp(frame[6:]),
    101: lambda frame: frame,
    108: _loopback,
    113: _linux_cooked,
    228: lambda frame: frame,
    229: lambda frame: frame,
    252: _exported,
    276: _linux_cooked_2,
}
"""LINKTYPE_ number -> the function that removes its header."""
