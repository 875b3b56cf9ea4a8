"""Writes the tables of PC5-S inside the Wireshark plug-in: `python -m lab_scripts.doc_makers.wireshark_tables`.

The plug-in is one file, so that people can copy it. Its tables of messages, elements and fields stand between two
marks and are made from the table of messages; a test holds them equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, assert_never

from lab_scripts.exit_codes import LabError
from prose_link.pc5s.wire.elements import CONFIRMATION, TARGET_USER_INFO, USER_INFO, Element, Part, Shown
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import CONFIRM, IN_SUMMARY, elements_by_iei, heading_of

FILE: Final = Path(__file__).parents[1] / "capture" / "pc5lab.lua"
FIRST: Final = "-- Made from the table of messages by lab_scripts.doc_makers.wireshark_tables: do not edit\n"
LAST: Final = "-- End of what is made from the table of messages\n"


class PluginError(LabError):
    """The plug-in has lost its marks, or two fields have one filter name."""


def with_tables(plugin: str) -> str:
    """The text of a plug-in with the tables of today between its marks."""
    before, mark, rest = plugin.partition(FIRST)
    _, other_mark, after = rest.partition(LAST)
    if not mark or not other_mark:
        raise PluginError(f"the plug-in has no line {FIRST.strip()!r} with {LAST.strip()!r} after it")
    return before + FIRST + tables() + LAST + after


def tables() -> str:
    """Messages, fields and elements as Lua."""
    by_iei = elements_by_iei()
    every = [*by_iei.values(), *(element for kind in MessageType for element in heading_of(kind))]
    return "\n".join(
        [
            *_table("MESSAGES", (f"[{int(kind)}] = {_text(kind.words)}" for kind in MessageType)),
            f"local CONFIRM = {{ type = {int(MessageType.KEEPALIVE)}, iei = {CONFIRMATION.iei:#04x}, "
            f"name = {_text(CONFIRM)} }}",
            f"local USER, TARGET = {_text(_last(USER_INFO))}, {_text(_last(TARGET_USER_INFO))}",
            f"local IN_SUMMARY = {{ {', '.join(_text(_last(element)) for element in IN_SUMMARY)} }}",
            "-- What the numbers of a field are called",
            *_table("WORDS", _words(every)),
            "-- Filter after `prose.pc5s.` -> field",
            *_table("f", _fields(every)),
            "-- A part is a filter, its first octet, its octets (nil: all that is left), and how to read it.",
            "-- An element has a title, parts, and either a number of octets or a length of so many octets.",
            "-- Message type -> the elements without identifier that it begins with",
            *_table("HEADINGS", map(_heading, MessageType)),
            "-- IEI -> element",
            *_table("IES", (f"[{iei:#04x}] = {_element(element)}" for iei, element in by_iei.items())),
            "",
        ]
    )


def _table(name: str, rows: Iterator[str]) -> Iterator[str]:
    yield f"local {name} = {{"
    yield from (f"  {row}," for row in rows)
    yield "}"


def _heading(kind: MessageType) -> str:
    rows = "".join(f"\n    {_element(element)}," for element in heading_of(kind))
    return f"[{int(kind)}] = {{{rows}" + ("\n  }" if rows else "}")


def _element(element: Element) -> str:
    octets = element.format.length_octets
    length = f"length_octets = {octets}" if octets else f"octets = {element.fixed_octets}"
    return f"{{ title = {_text(element.title)}, {length}, parts = {{ {', '.join(_parts(element))} }} }}"


def _parts(element: Element) -> Iterator[str]:
    bit = 0
    for part in element.parts:
        at, octets = bit // 8, -(-part.bits // 8) if part.bits else None
        bit += part.bits or 0
        match part.shown:
            case Shown.SPARE:
                continue
            case Shown.CAPABILITIES:
                yield from (f"{{ {_text(name)}, {at + n}, 1 }}" for n, name in enumerate(_offered(part)))
            case Shown.NUMBER | Shown.HEX if part.bits and part.bits % 8 == 0:
                yield f'{{ {_text(_filter(part))}, {at}, {octets}, "number" }}'
            case Shown.NUMBER | Shown.HEX | Shown.OCTETS | Shown.IPV6:
                yield f"{{ {_text(_filter(part))}, {at}, {octets or 'nil'} }}"
            case Shown.TEXT:
                yield f'{{ {_text(_filter(part))}, {at}, nil, "text" }}'
            case Shown.I_MESSAGE | Shown.PC5S:
                yield f'{{ {_text(_filter(part))}, {at}, nil, "{part.shown.name.lower()}" }}'
            case _:
                assert_never(part.shown)


def _words(elements: list[Element]) -> Iterator[str]:
    found = {_filter(part): part.words for element in elements for part in element.parts if part.words}
    for name, words in found.items():
        yield f"[{_text(name)}] = {{ " + ", ".join(f"[{n}] = {_text(text)}" for n, text in words.items()) + " }"


def _fields(elements: list[Element]) -> Iterator[str]:
    found: dict[str, str] = {}
    for element in elements:
        bit = 0
        for part in element.parts:
            for name, field in _field(part, bit):
                if found.setdefault(name, field) != field:
                    raise PluginError(f"the filter prose.pc5s.{name} names {found[name]} and {field}")
            bit += part.bits or 0
    yield from (f"[{_text(name)}] = {field}" for name, field in found.items())


def _field(part: Part, bit: int) -> Iterator[tuple[str, str]]:
    name, title = _filter(part), part.title
    match part.shown:
        case Shown.NUMBER | Shown.HEX:
            yield name, _proto_field(f"uint{max(8, part.bits or 0)}", name, title, _base(part, bit))
        case Shown.CAPABILITIES:
            for offered, algorithms in zip(_offered(part), ("EEA", "EIA"), strict=True):
                yield (
                    offered,
                    _proto_field("uint8", offered, f"Offered {algorithms}0..7 (from bit 8)", ", base.HEX"),
                )
        case Shown.OCTETS:
            yield name, _proto_field("bytes", name, title)
        case Shown.TEXT:
            yield name, _proto_field("string", name, title)
        case Shown.IPV6:
            yield name, _proto_field("ipv6", name, title)
        case Shown.SPARE | Shown.I_MESSAGE | Shown.PC5S:
            return
        case _:
            assert_never(part.shown)


def _base(part: Part, bit: int) -> str:
    """Base, words and mask of a number; those left out at the end are Wireshark's defaults."""
    base = ", base.HEX" if part.shown is Shown.HEX else ", base.DEC"
    bits = part.bits or 0
    words = f", WORDS[{_text(_filter(part))}]" if part.words else ""
    if bits % 8 == 0:
        return base + words
    mask = ((1 << bits) - 1) << (8 - bit % 8 - bits)
    return f"{base}{words or ', nil'}, 0x{mask:02X}"


def _proto_field(kind: str, name: str, title: str, more: str = "") -> str:
    return f'ProtoField.{kind}("prose.pc5s.{name}", {_text(title)}{more})'


def _offered(part: Part) -> tuple[str, str]:
    return f"{_filter(part)}.eea", f"{_filter(part)}.eia"


def _filter(part: Part) -> str:
    return part.filter or part.name


def _last(element: Element) -> str:
    return _filter(element.parts[-1])


def _text(text: str) -> str:
    """A Lua string; the table's texts are printable ASCII."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    """Rewrite the plug-in."""
    FILE.write_text(with_tables(FILE.read_text()))
    print(f"{FILE}: {len(MessageType)} messages, {len(elements_by_iei())} elements with identifier")


if __name__ == "__main__":
    main()
