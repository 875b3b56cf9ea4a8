"""A pcapng reader (draft-ietf-opsawg-pcapng): packets with the name and link type of their interface and comments."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.pcapng import Interface

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 3, 6
_BYTE_ORDER_MAGIC = b"\x1a\x2b\x3c\x4d"
_CLASSIC_PCAP = {b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1"}
_OPT_END, _OPT_COMMENT = 0, 1
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 2, 3, 9
_BLOCK_OVERHEAD = 12
_MAX_BLOCK_OCTETS = 1 << 24
_DEFAULT_RESOLUTION = 6
"""Microseconds (if_tsresol)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One packet of a capture; `time_ns` since the Unix epoch."""

    number: int
    interface: Interface
    time_ns: int
    data: bytes
    comment: str = ""


@dataclass(frozen=True, slots=True)
class _Clock:
    """Ticks of an interface's time stamps: 10^-n or 2^-n seconds (if_tsresol)."""

    base: int
    exponent: int

    def to_ns(self, ticks: int) -> int:
        return ticks * 1_000_000_000 // int(self.base**self.exponent)


def read_packets(path: Path) -> Iterator[Packet]:
    """The packets of a file in order, as far as it can be read.

    Raises:
        CaptureError: not pcapng, cut short or damaged; raised where the reading stops.
        OSError: the file can't be opened.
    """
    with path.open("rb") as file:
        number = 0
        section = _Section(path)
        for kind, body in section.blocks(file):
            if kind == _INTERFACE_DESCRIPTION:
                section.add_interface(body)
            elif kind in (_ENHANCED_PACKET, _SIMPLE_PACKET):
                number += 1
                yield section.packet(number, body, simple=kind == _SIMPLE_PACKET)


class _Section:
    """What the packets of a section depend on: byte order and interfaces."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._order = "<"
        self._interfaces: list[tuple[Interface, _Clock]] = []

    def blocks(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """(type, body) of each block; section headers are dealt with here."""
        self._check_first(head := file.read(8))
        while head:
            if len(head) < 8:
                raise self._damaged("the file is cut short")
            magic = b""
            if head[:4] == _SECTION_HEADER.to_bytes(4, "big"):
                magic = file.read(4)
                self._begin(magic)
            kind, total = struct.unpack(f"{self._order}II", head)
            if total % 4 or not _BLOCK_OVERHEAD + len(magic) <= total <= _MAX_BLOCK_OCTETS:
                raise self._damaged(f"a block of {total} octets")
            rest = file.read(total - 8 - len(magic))
            if len(rest) < total - 8 - len(magic):
                raise self._damaged("the file is cut short")
            if rest[-4:] != head[4:]:
                raise self._damaged("a block's two lengths differ")
            yield kind, magic + rest[:-4]
            self._offset += total
            head = file.read(8)

    def add_interface(self, body: bytes) -> None:
        """Take in an Interface Description Block."""
        if len(body) < 8:
            raise self._damaged("an interface description is cut short")
        options = self._options(body[8:])
        (link_type,) = struct.unpack_from(f"{self._order}H", body)
        name = options.get(_IF_NAME, [b""])[0].decode("utf-8", "replace")
        description = options.get(_IF_DESCRIPTION, [b""])[0].decode("utf-8", "replace")
        resolution = options.get(_IF_TSRESOL, [bytes([_DEFAULT_RESOLUTION])])[0][:1] or bytes([_DEFAULT_RESOLUTION])
        clock = _Clock(2 if resolution[0] & 0x80 else 10, resolution[0] & 0x7F)
        self._interfaces.append((Interface(name=name, link_type=link_type, description=description), clock))

    def packet(self, number: int, body: bytes, *, simple: bool) -> Packet:
        """The packet in an Enhanced or Simple Packet Block."""
        head = 4 if simple else 20
        if len(body) < head:
            raise self._damaged("a packet is cut short")
        if simple:
            index, high, low = 0, 0, 0
            length = min(struct.unpack_from(f"{self._order}I", body)[0], len(body) - head)
        else:
            index, high, low, length, _ = struct.unpack_from(f"{self._order}IIIII", body)
        if index >= len(self._interfaces) or length > len(body) - head:
            raise self._damaged(f"a packet of {length} octets on interface {index}")
        interface, clock = self._interfaces[index]
        options = {} if simple else self._options(body[head + length + -length % 4 :])
        comments = [comment.decode("utf-8", "replace") for comment in options.get(_OPT_COMMENT, [])]
        return Packet(
            number=number,
            interface=interface,
            time_ns=clock.to_ns(high << 32 | low),
            data=body[head : head + length],
            comment="; ".join(comments),
        )

    def _check_first(self, head: bytes) -> None:
        if not head:
            raise CaptureError(f"{self._path} is empty")
        if head[:4] in _CLASSIC_PCAP:
            raise CaptureError(
                f"{self._path} is a classic pcap file, not pcapng", hint="convert it: editcap -F pcapng IN OUT"
            )
        if head[:4] != _SECTION_HEADER.to_bytes(4, "big"):
            raise CaptureError(f"{self._path} is not a pcapng file")

    def _begin(self, magic: bytes) -> None:
        if magic not in (_BYTE_ORDER_MAGIC, _BYTE_ORDER_MAGIC[::-1]):
            raise self._damaged("a section header without byte order")
        self._order = ">" if magic == _BYTE_ORDER_MAGIC else "<"
        self._interfaces.clear()

    def _options(self, octets: bytes) -> dict[int, list[bytes]]:
        options: dict[int, list[bytes]] = {}
        while len(octets) >= 4:
            code, length = struct.unpack_from(f"{self._order}HH", octets)
            if code == _OPT_END:
                break
            if 4 + length > len(octets):
                raise self._damaged("an option runs past its block")
            options.setdefault(code, []).append(octets[4 : 4 + length])
            octets = octets[4 + length + -length % 4 :]
        return options

    def _damaged(self, what: str) -> CaptureError:
        return CaptureError(f"{self._path}: {what} (block at octet {self._offset})")
