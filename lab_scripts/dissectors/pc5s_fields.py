"""Scapy fields made from the table's elements: one field for each part of a value, and the length where it has one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

from scapy.fields import (
    BitEnumField,
    BitField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    FlagsField,
    IntField,
    PacketLenField,
    ShortField,
    StrLenField,
    ThreeBytesField,
    X3BytesField,
    XByteField,
    XIntField,
    XShortField,
    XStrFixedLenField,
    XStrLenField,
)
from scapy.layers.inet6 import IP6Field
from scapy.packet import Packet

from prose_link.pc5s.wire.elements import Element, Part, Shown

ALGORITHM_BITS = [*(f"EIA{n}" for n in reversed(range(8))), *(f"EEA{n}" for n in reversed(range(8)))]
"""From the least significant bit up: EEA0 is bit 8 of the first octet (TS 24.301 9.9.3.36)."""
_PLAIN = {8: ByteField, 16: ShortField, 24: ThreeBytesField, 32: IntField}
_HEX = {8: XByteField, 16: XShortField, 24: X3BytesField, 32: XIntField}
_FIXED = (Shown.NUMBER, Shown.HEX, Shown.SPARE)
"""A value that ends with one of these has one length, whatever its length octet says."""
_LENGTH_FORMAT = {1: "B", 2: "H"}

Nested = Mapping[Shown, type[Packet]]
"""The layers of values that are messages themselves."""


def class_name(title: str) -> str:
    """A title of the table as the name of a class: `KD-sess ID LSB` is KdSessIdLsb."""
    return "".join(word[0].upper() + word[1:].lower() for word in re.findall(r"[A-Za-z0-9]+", title))


def fields_of(element: Element, nested: Nested) -> list[Any]:
    """Length and value of an element, without its identifier."""
    length = "length" if element.format.has_identifier else f"{element.name}_length"
    return [*_length_field(element, length), *_value_fields(element, length, nested)]


def _length_field(element: Element, name: str) -> Iterator[Any]:
    octets = element.format.length_octets
    if not octets:
        return
    if element.parts[-1].shown in _FIXED:
        yield ByteField(name, element.lengths.start)
    else:
        before = _octets_before_the_last(element)
        yield FieldLenField(
            name,
            None,
            fmt=_LENGTH_FORMAT[octets],
            length_of=element.parts[-1].name,
            adjust=lambda packet, n_octets: n_octets + before,
        )


def _value_fields(element: Element, length: str, nested: Nested) -> Iterator[Any]:
    before = _octets_before_the_last(element)

    def left(packet: Packet) -> int:
        return max(0, int(getattr(packet, length)) - before)

    for part in element.parts:
        yield _field(part, None if element.format.length_octets else element.fixed_octets, left, nested)


def _octets_before_the_last(element: Element) -> int:
    return sum(part.bits or 0 for part in element.parts[:-1]) // 8


def _field(part: Part, fixed_octets: int | None, left: Callable[[Packet], int], nested: Nested) -> Any:
    match part.shown:
        case Shown.NUMBER | Shown.HEX:
            return _number(part)
        case Shown.SPARE:
            return BitField(part.name, 0, part.bits)
        case Shown.OCTETS if part.bits:
            return XStrFixedLenField(part.name, bytes(part.bits // 8), part.bits // 8)
        case Shown.OCTETS if fixed_octets is not None:
            return XStrFixedLenField(part.name, bytes(fixed_octets), fixed_octets)
        case Shown.OCTETS:
            return XStrLenField(part.name, b"", length_from=left)
        case Shown.TEXT:
            return StrLenField(part.name, b"", length_from=left)
        case Shown.IPV6:
            return IP6Field(part.name, "fe80::")
        case Shown.CAPABILITIES:
            return FlagsField(part.name, 0, part.bits, ALGORITHM_BITS)
        case Shown.I_MESSAGE | Shown.PC5S:
            layer = nested[part.shown]
            return PacketLenField(part.name, layer(), layer, length_from=left)
        case _:
            assert_never(part.shown)


def _number(part: Part) -> Any:
    whole_octets = part.bits in _PLAIN
    if part.words and part.bits == 8:
        return ByteEnumField(part.name, part.default, part.words)
    if part.words:
        return BitEnumField(part.name, part.default, part.bits, part.words)
    if not whole_octets:
        return BitField(part.name, part.default, part.bits)
    return (_HEX if part.shown is Shown.HEX else _PLAIN)[part.bits or 0](part.name, part.default)
