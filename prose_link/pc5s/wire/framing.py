"""How information elements are put one after the other: written by a message's table of IEs, and read by it again.

Reading is strict: IEs in the listed order, nothing repeated, nothing unknown, nothing after the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prose_link.pc5s.wire import ies
from prose_link.pc5s.wire.ies import Format, Ie, MalformedMessage

HEADER_OCTETS: Final = 3
"""Message type and sequence number, in every message (TS 24.334 12.5.1)."""


def write_message(message_type: int, message: Any, layout: tuple[Ie, ...]) -> bytes:
    """Type, sequence number and the IEs of a layout; raises MalformedMessage for values that have no encoding."""
    header = bytes([message_type]) + ies.write_number(2)(message.sequence_number)
    return header + b"".join(_written(message, layout))


def read_fields(octets: bytes, layout: tuple[Ie, ...]) -> dict[str, Any]:
    """Sequence number and the values of a layout's IEs by name, None for those left out; raises MalformedMessage."""
    cursor = _Cursor(octets)
    fields: dict[str, Any] = {"sequence_number": cursor.sequence_number}
    for ie in layout:
        if ie.optional and not cursor.starts(ie):
            fields[ie.name] = None
        else:
            fields[ie.name] = ie.read(cursor.value_of(ie))
    cursor.check_end()
    return fields


def _written(message: Any, layout: tuple[Ie, ...]) -> Iterator[bytes]:
    for ie in layout:
        value = getattr(message, ie.name)
        if value is None and ie.optional:
            continue
        octets = ie.write(value)
        if len(octets) not in ie.lengths:
            raise MalformedMessage(f"{ie.name}: {len(octets)} octets")
        yield _framing(ie, len(octets)) + octets


def _framing(ie: Ie, length: int) -> bytes:
    match ie.format:
        case Format.V:
            return b""
        case Format.LV:
            return bytes([length])
        case Format.TV:
            return bytes([ie.iei])
        case Format.TLV:
            return bytes([ie.iei, length])
        case Format.TLV_E:
            return bytes([ie.iei]) + length.to_bytes(2)


class _Cursor:
    """Reads IEs one after the other; raises MalformedMessage where the octets run out."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._position = 1
        self.sequence_number = int.from_bytes(self._take(2))

    def _take(self, length: int) -> bytes:
        taken = self._octets[self._position : self._position + length]
        if len(taken) < length:
            raise MalformedMessage(f"cut short at octet {len(self._octets)}")
        self._position += length
        return taken

    def starts(self, ie: Ie) -> bool:
        """Whether the next octet is the identifier of this IE."""
        return self._position < len(self._octets) and self._octets[self._position] == ie.iei

    def value_of(self, ie: Ie) -> bytes:
        """The value octets of the next IE, which must be this one."""
        if ie.format in (Format.TV, Format.TLV, Format.TLV_E) and self._take(1)[0] != ie.iei:
            raise MalformedMessage(f"{ie.name} expected at octet {self._position - 1}")
        match ie.format:
            case Format.V | Format.TV:
                length = ie.lengths.start
            case Format.LV | Format.TLV:
                length = self._take(1)[0]
            case Format.TLV_E:
                length = int.from_bytes(self._take(2))
        if length not in ie.lengths:
            raise MalformedMessage(f"{ie.name}: {length} octets")
        return self._take(length)

    def check_end(self) -> None:
        """Raises MalformedMessage if octets are left."""
        if self._position != len(self._octets):
            raise MalformedMessage(f"{len(self._octets) - self._position} octets after the last IE")
