"""From IP packets of a capture to the payloads of UDP and TCP: fragments are joined, TCP streams are put in order.

A capture is looked through once, in memory that is bounded: the oldest of datagrams and streams that stay incomplete
are dropped. TCP keeps to what a capture needs: segments by sequence number from the first one seen, retransmissions
once, a stream as far as it has no gap.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

UDP, TCP = 17, 6
_IPV6_EXTENSIONS = {0, 43, 60, 135, 139, 140}
_IPV6_FRAGMENT, _AUTHENTICATION_HEADER = 44, 51
_MAX_EXTENSIONS = 16
_MAX_DATAGRAMS = 1024
_MAX_STREAMS = 4096
_MAX_STREAM_OCTETS = 1 << 20
_MAX_DATAGRAM_OCTETS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The octets between two ports: a datagram of UDP, or a TCP stream as far as it is complete."""

    protocol: int
    src_port: int
    dst_port: int
    data: bytes


@dataclass(slots=True)
class _Fragments:
    parts: dict[int, bytes] = field(default_factory=dict)
    total: int | None = None

    def whole(self) -> bytes | None:
        """The datagram once it is complete."""
        if self.total is None:
            return None
        out = bytearray()
        for offset in sorted(self.parts):
            if offset > len(out):
                return None
            out[offset:] = self.parts[offset] if offset + len(self.parts[offset]) > len(out) else out[offset:]
        return bytes(out[: self.total]) if len(out) >= self.total else None


@dataclass(slots=True)
class _Stream:
    first_seq: int
    segments: dict[int, bytes] = field(default_factory=dict)
    n_octets: int = 0

    def add(self, seq: int, data: bytes) -> None:
        """Take in a segment; offsets are counted modulo 2^32 from the first one, which need not be the lowest."""
        offset = (seq - self.first_seq + (1 << 31)) % (1 << 32) - (1 << 31)
        if len(data) > len(self.segments.get(offset, b"")) and self.n_octets < _MAX_STREAM_OCTETS:
            self.n_octets += len(data)
            self.segments[offset] = data

    def runs(self) -> Iterator[bytes]:
        """What is whole: octets without a gap, run by run."""
        run, end = bytearray(), None
        for offset in sorted(self.segments):
            data = self.segments[offset]
            if end is not None and offset > end:
                yield bytes(run)
                run, end = bytearray(), None
            if end is None:
                run, end = bytearray(data), offset + len(data)
            elif offset + len(data) > end:
                run += data[end - offset :]
                end = offset + len(data)
        if run:
            yield bytes(run)


class IpPayloads:
    """Takes IP packets in the order of the capture.

    Returns datagrams when they are complete, and streams at the end.
    """

    def __init__(self) -> None:
        self._datagrams: OrderedDict[tuple[bytes, ...], _Fragments] = OrderedDict()
        self._streams: OrderedDict[tuple[bytes, bytes], _Stream] = OrderedDict()

    @property
    def n_incomplete(self) -> int:
        """Datagrams of which fragments are missing."""
        return len(self._datagrams)

    def take(self, packet: bytes) -> Iterator[Payload]:
        """Process one IP packet; a malformed one gives nothing."""
        try:
            parsed = self._ipv4(packet) if packet[0] >> 4 == 4 else self._ipv6(packet)
            if parsed is None:
                return
            ends, protocol, data = parsed
            if protocol == UDP and len(data) >= 8:
                src, dst, length = struct.unpack_from("!HHH", data)
                yield Payload(protocol=UDP, src_port=src, dst_port=dst, data=data[8 : length or len(data)])
            elif protocol == TCP and len(data) >= 20:
                self._tcp(ends, data)
        except (IndexError, struct.error):
            return

    def finish(self) -> Iterator[Payload]:
        """What the TCP streams carried."""
        for (_, ports), stream in self._streams.items():
            src, dst = struct.unpack("!HH", ports)
            for run in stream.runs():
                yield Payload(protocol=TCP, src_port=src, dst_port=dst, data=run)

    def _ipv4(self, packet: bytes) -> tuple[bytes, int, bytes] | None:
        header = (packet[0] & 0xF) * 4
        total, identity, flags = struct.unpack_from("!HHH", packet, 2)
        # A total length of 0 is what offloaded segmentation leaves in a capture.
        data, protocol, ends = packet[header : total or len(packet)], packet[9], packet[12:20]
        offset, more = (flags & 0x1FFF) * 8, bool(flags & 0x2000)
        if offset or more:
            key = (ends, bytes([protocol]), identity.to_bytes(2, "big"))
            whole = self._fragment(key, offset, more, data)
            return (ends, protocol, whole) if whole is not None else None
        return ends, protocol, data

    def _ipv6(self, packet: bytes) -> tuple[bytes, int, bytes] | None:
        length, protocol = struct.unpack_from("!HB", packet, 4)
        ends, data = packet[8:40], packet[40 : 40 + length if length else len(packet)]
        for _ in range(_MAX_EXTENSIONS):
            if protocol in _IPV6_EXTENSIONS:
                protocol, data = data[0], data[(data[1] + 1) * 8 :]
            elif protocol == _AUTHENTICATION_HEADER:
                protocol, data = data[0], data[(data[1] + 2) * 4 :]
            elif protocol == _IPV6_FRAGMENT:
                following, _, place, identity = struct.unpack_from("!BBHI", data)
                key = (ends, b"6", identity.to_bytes(4, "big"))
                whole = self._fragment(key, place & 0xFFF8, bool(place & 1), data[8:])
                if whole is None:
                    return None
                protocol, data = following, whole
            else:
                return ends, protocol, data
        return None

    def _fragment(self, key: tuple[bytes, ...], offset: int, more: bool, data: bytes) -> bytes | None:
        if offset + len(data) > _MAX_DATAGRAM_OCTETS:
            return None
        fragments = self._datagrams.setdefault(key, _Fragments())
        fragments.parts.setdefault(offset, data)
        if not more:
            fragments.total = offset + len(data)
        whole = fragments.whole()
        if whole is not None:
            del self._datagrams[key]
        while len(self._datagrams) > _MAX_DATAGRAMS:
            self._datagrams.popitem(last=False)
        return whole

    def _tcp(self, ends: bytes, segment: bytes) -> None:
        seq = int.from_bytes(segment[4:8], "big")
        data = segment[(segment[12] >> 4) * 4 :]
        if not data:
            return
        # A SYN takes one sequence number, data in it begins after it.
        seq += segment[13] >> 1 & 1
        stream = self._streams.setdefault((ends, segment[:4]), _Stream(first_seq=seq))
        stream.add(seq % (1 << 32), data)
        while len(self._streams) > _MAX_STREAMS:
            self._streams.popitem(last=False)
