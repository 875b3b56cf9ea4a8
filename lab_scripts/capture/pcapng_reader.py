"""A pcapng reader (draft-ietf-opsawg-pcapng): packets with the name and link type of their interface and comments."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.packet import Packet
from lab_scripts.capture.pcapng import Interface

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION, _OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_PACKET_BLOCKS = {_OBSOLETE_PACKET: 20, _SIMPLE_PACKET: 4, _ENHANCED_PACKET: 20}
"""Octets in front of the packet's own."""
_BYTE_ORDER_MAGIC = b"\x1a\x2b\x3c\x4d"
_OPT_END, _OPT_COMMENT = 0, 1
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL, _IF_FCSLEN, _IF_TSOFFSET = 2, 3, 9, 13, 14
_EPB_FLAGS = 2
_LINKTYPE_ETHERNET = 1
_NS = 1_000_000_000
_BLOCK_OVERHEAD = 12
_MAX_BLOCK_OCTETS = 1 << 24
_DEFAULT_RESOLUTION = 6
"""Microseconds (if_tsresol)."""


@dataclass(frozen=True, slots=True)
class _Clock:
    """Ticks of an interface's time stamps: 10^-n or 2^-n seconds (if_tsresol), from a time on (if_tsoffset)."""

    base: int
    exponent: int
    offset_s: int

    def to_ns(self, ticks: int) -> int:
        return ticks * _NS // int(self.base**self.exponent) + self.offset_s * _NS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """An interface with the options that change its packets' times and lengths; `snap_octets` 0: without limit."""

    interface: Interface
    clock: _Clock
    snap_octets: int
    fcs_octets: int


def pcapng_packets(path: Path, file: BinaryIO) -> Iterator[Packet]:
    """The packets of a pcapng file in order, as far as it can be read; `path` is for messages.

    Raises CaptureError where the reading stops: cut short or damaged.
    """
    number = 0
    section = _Section(path)
    for kind, body in section.blocks(file):
        if kind == _INTERFACE_DESCRIPTION:
            section.add_interface(body)
        elif kind in _PACKET_BLOCKS:
            number += 1
            yield section.packet(number, body, kind)


class _Section:
    """The data of a section that its packets depend on: byte order and interfaces."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._order = "<"
        self._interfaces: list[_Source] = []

    def blocks(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """(type, body) of each block; section headers are dealt with here."""
        head = file.read(8)
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
        link_type, _, snap_octets = struct.unpack_from(f"{self._order}HHI", body)
        name = options.get(_IF_NAME, [b""])[0].decode("utf-8", "replace")
        description = options.get(_IF_DESCRIPTION, [b""])[0].decode("utf-8", "replace")
        resolution = options.get(_IF_TSRESOL, [b""])[0][:1] or bytes([_DEFAULT_RESOLUTION])
        offset = options.get(_IF_TSOFFSET, [bytes(8)])[0]
        if len(offset) != 8:
            raise self._damaged(f"an if_tsoffset of {len(offset)} octets")
        (offset_s,) = struct.unpack(f"{self._order}q", offset)
        fcs_octets = (options.get(_IF_FCSLEN, [b""])[0][:1] or b"\0")[0]
        self._interfaces.append(
            _Source(
                interface=Interface(name=name, link_type=link_type, description=description),
                clock=_Clock(2 if resolution[0] & 0x80 else 10, resolution[0] & 0x7F, offset_s),
                snap_octets=snap_octets,
                fcs_octets=fcs_octets,
            )
        )

    def packet(self, number: int, body: bytes, kind: int) -> Packet:
        """The packet in an Enhanced, Simple or obsolete Packet Block."""
        head = _PACKET_BLOCKS[kind]
        if len(body) < head:
            raise self._damaged("a packet is cut short")
        ticks: int | None = None
        if kind == _SIMPLE_PACKET:
            index = 0
            (original,) = struct.unpack_from(f"{self._order}I", body)
            length = self._simple_length(original, len(body) - head)
        elif kind == _ENHANCED_PACKET:
            index, high, low, length, _ = struct.unpack_from(f"{self._order}IIIII", body)
            ticks = high << 32 | low
        else:
            index, _, high, low, length, _ = struct.unpack_from(f"{self._order}HHIIII", body)
            ticks = high << 32 | low
        if index >= len(self._interfaces) or length > len(body) - head:
            raise self._damaged(f"a packet of {length} octets on interface {index}")
        source = self._interfaces[index]
        options = {} if kind == _SIMPLE_PACKET else self._options(body[head + length + -length % 4 :])
        comments = [comment.decode("utf-8", "replace") for comment in options.get(_OPT_COMMENT, [])]
        data = body[head : head + length]
        if source.interface.link_type == _LINKTYPE_ETHERNET:
            data = data[: max(0, len(data) - self._fcs_octets(source, options))]
        return Packet(
            number=number,
            interface=source.interface,
            time_ns=None if ticks is None else source.clock.to_ns(ticks),
            data=data,
            comment="; ".join(comments),
        )

    def _simple_length(self, original: int, room: int) -> int:
        """Octets of the packet in a Simple Packet Block: its length, or what its interface's limit left of it."""
        snap_octets = self._interfaces[0].snap_octets if self._interfaces else 0
        return min(original, snap_octets or original, room)

    def _fcs_octets(self, source: _Source, options: dict[int, list[bytes]]) -> int:
        """Octets of frame check sequence behind a frame: what its flags tell (bits 5-8), else its interface."""
        flags = options.get(_EPB_FLAGS, [b""])[0]
        told = struct.unpack(f"{self._order}I", flags)[0] >> 5 & 0xF if len(flags) == 4 else 0
        return told or source.fcs_octets

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
