"""Encoding and decoding of a message by its row of the table, element by element.

Decoding is strict: elements in the listed order, nothing repeated, nothing unknown, nothing after the last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from prose_link.pc5s.wire.elements import Element
from prose_link.pc5s.wire.ies import Coder, MalformedMessage, coder_of, write_number
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import HEADER_OCTETS, Forms, TableError


class HasType(Protocol):
    """A dataclass of one message: its fields are the sequence number and the table's elements, by name."""

    TYPE: ClassVar[MessageType]


_M = TypeVar("_M", bound=HasType)


@dataclasses.dataclass(frozen=True, slots=True)
class BoundElement:
    """An element with the functions that write and read its value."""

    element: Element
    coder: Coder


Layout = tuple[BoundElement, ...]


def bind(forms: Forms, *kinds: type[_M]) -> Mapping[type[_M], Layout]:
    """The layout of each message of a profile. Raises TableError if dataclasses and table don't agree."""
    missing = set(forms) ^ {kind.TYPE for kind in kinds}
    if missing:
        raise TableError(f"the table's messages and the dataclasses differ in {', '.join(m.words for m in missing)}")
    for kind in kinds:
        _check_fields(kind, ["sequence_number", *(element.name for element in forms[kind.TYPE])])
    return {kind: tuple(BoundElement(element, coder_of(element)) for element in forms[kind.TYPE]) for kind in kinds}


def _check_fields(kind: type[Any], expected: list[str]) -> None:
    """Check that a field which the profile's form doesn't have is optional."""
    fields = dataclasses.fields(kind)
    of_table = [field.name for field in fields if field.name in expected or field.default is not None]
    if of_table != expected:
        raise TableError(f"{kind.__name__} has the fields {of_table}, the table {expected}")


def write_message(message_type: MessageType, message: Any, layout: Layout) -> bytes:
    """Type, sequence number and the elements of a layout; raises MalformedMessage for values without encoding."""
    header = bytes([message_type]) + write_number(HEADER_OCTETS - 1)(message.sequence_number)
    return header + b"".join(_written(message, layout))


def read_message(octets: bytes, layouts: Mapping[type[_M], Layout]) -> _M:
    """The message of a profile in these octets. Raises MalformedMessage, and nothing else, for any other."""
    if len(octets) < HEADER_OCTETS:
        raise MalformedMessage(f"{len(octets)} octets are no message")
    for kind, layout in layouts.items():
        if octets[0] == kind.TYPE:
            return kind(**_read_fields(octets, layout))
    raise MalformedMessage(f"message type {octets[0]}")


def _read_fields(octets: bytes, layout: Layout) -> dict[str, Any]:
    """Sequence number, and the values of a layout's elements by name; None for those left out."""
    cursor = _Cursor(octets)
    fields: dict[str, Any] = {"sequence_number": cursor.sequence_number}
    for bound in layout:
        if bound.element.optional and not cursor.starts(bound.element):
            fields[bound.element.name] = None
        else:
            fields[bound.element.name] = bound.coder.read(cursor.value_of(bound.element))
    cursor.check_end()
    return fields


def _written(message: Any, layout: Layout) -> Iterator[bytes]:
    for bound in layout:
        element = bound.element
        value = getattr(message, element.name)
        if value is None and element.optional:
            continue
        octets = bound.coder.write(value)
        if len(octets) not in element.lengths:
            raise MalformedMessage(f"{element.name}: {len(octets)} octets")
        yield _framing(element, len(octets)) + octets


def _framing(element: Element, length: int) -> bytes:
    identifier = bytes([element.iei]) if element.format.has_identifier else b""
    length_octets = element.format.length_octets
    return identifier + (length.to_bytes(length_octets) if length_octets else b"")


class _Cursor:
    """Reads IEs one after the other. Raises MalformedMessage at the end of the octets."""

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

    def starts(self, element: Element) -> bool:
        """Whether the next octet is the identifier of this element."""
        return self._position < len(self._octets) and self._octets[self._position] == element.iei

    def value_of(self, element: Element) -> bytes:
        """The value octets of the next element, which must be this one."""
        if element.format.has_identifier and self._take(1)[0] != element.iei:
            raise MalformedMessage(f"{element.name} expected at octet {self._position - 1}")
        length_octets = element.format.length_octets
        length = int.from_bytes(self._take(length_octets)) if length_octets else element.lengths.start
        if length not in element.lengths:
            raise MalformedMessage(f"{element.name}: {length} octets")
        return self._take(length)

    def check_end(self) -> None:
        """Raise MalformedMessage if octets are left."""
        if self._position != len(self._octets):
            raise MalformedMessage(f"{len(self._octets) - self._position} octets after the last IE")
