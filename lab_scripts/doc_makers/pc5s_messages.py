"""Writes docs/pc5s-messages.md from the table of messages: `python -m lab_scripts.doc_makers.pc5s_messages [FILE]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from prose_link.pc5s.wire.elements import FOREIGN_ELEMENTS, Element, Format, Part, Shown
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import CONFIRM, PROFILES, elements_by_iei, lengths_by_iei

FILE: Final = Path("docs/pc5s-messages.md")
_INTRODUCTION: Final = """# Messages of PC5 signalling

Written from `prose_link/pc5s/wire/table.py` and `elements.py` by
`python -m lab_scripts.doc_makers.pc5s_messages`; a test holds this page and the table equal. The
same table makes the codecs, the Scapy layers of `lab_scripts/dissectors` and the tables of the
Wireshark plug-in. What the values mean is in [the profile](profile.md).

A message is its type (1 octet), its sequence number (2 octets) and then its elements in the order
given here. *Format* is how an element stands in the message: V is the value alone, L a length of
one octet (L-E: of two), T the identifier (IEI). An element in brackets may be missing. *Field* is
its name in the dataclass of the message; *filter* is its name in Wireshark, after `prose.pc5s.`.
"""
_TITLES: Final = {
    "identity": "The `identity` profile",
    "ts24334": "The `ts24334` profile",
    "relay": "Relay frames",
}
_FORMATS: Final = {
    Format.V: "V",
    Format.LV: "LV",
    Format.LV_E: "LV-E",
    Format.TV: "TV",
    Format.TLV: "TLV",
    Format.TLV_E: "TLV-E",
}


def page() -> str:
    """The whole page, Markdown."""
    lengths = lengths_by_iei()
    sections = [_INTRODUCTION, "## Message types\n", *_types(), ""]
    for profile, forms in PROFILES.items():
        sections += [f"## {_TITLES[profile]}\n"]
        for kind, form in forms.items():
            sections += [f"### {kind.words} ({_number(kind)})\n", *_form(form), ""]
    sections += [
        "## Elements with an identifier\n",
        "Those marked * are sent by other implementations: the dissectors know them, the codecs refuse them.\n",
        "| IEI | element | format | octets |",
        "|---|---|---|---|",
        *(
            f"| {iei:#04x} | {element.title}{_mark(element)} | {_FORMATS[element.format]} | {_lengths(*lengths[iei])} |"
            for iei, element in elements_by_iei().items()
        ),
        "",
        "## Fields\n",
        *_parts(),
    ]
    return "\n".join(sections) + "\n"


def _types() -> Iterator[str]:
    yield from ("| type | message | profiles |", "|---|---|---|")
    for kind in MessageType:
        profiles = ", ".join(f"`{name}`" for name, forms in PROFILES.items() if kind in forms)
        yield f"| {_number(kind)} | {kind.words} | {profiles} |"
    yield from ("", f"A Keepalive with the Key confirmation is called {CONFIRM}.")


def _form(form: tuple[Element, ...]) -> Iterator[str]:
    if not form:
        yield "No elements."
        return
    yield from ("| element | field | format | IEI | octets of the value |", "|---|---|---|---|---|")
    for element in form:
        title = f"[{element.title}]" if element.optional else element.title
        iei = f"{element.iei:#04x}" if element.format.has_identifier else ""
        yield f"| {title} | `{element.name}` | {_FORMATS[element.format]} | {iei} | {_lengths(element.lengths)} |"


def _parts() -> Iterator[str]:
    yield from ("| element | part | bits | filter | values |", "|---|---|---|---|---|")
    every = [e for forms in PROFILES.values() for form in forms.values() for e in form]
    seen: set[tuple[str, Part]] = set()
    for element in every:
        for part in element.parts:
            if part.shown is Shown.SPARE or (element.title, part) in seen:
                continue
            seen.add((element.title, part))
            bits = part.bits or (8 * element.fixed_octets if element.fixed_octets else "the rest")
            yield f"| {element.title} | {part.title} | {bits} | {_filter(part)} | {_words(part)} |"


def _filter(part: Part) -> str:
    name = part.filter or part.name
    if part.shown is Shown.CAPABILITIES:
        return f"`{name}.eea`, `{name}.eia`"
    return "" if part.shown in (Shown.I_MESSAGE, Shown.PC5S) else f"`{name}`"


def _words(part: Part) -> str:
    return ", ".join(f"{_number(number)} {text}" for number, text in part.words.items()) or part.shown.value


def _mark(element: Element) -> str:
    return " *" if any(element.iei == foreign.iei for foreign in FOREIGN_ELEMENTS) else ""


def _lengths(*ranges: range) -> str:
    shown = (f"{one.start}" if len(one) == 1 else f"{one.start} to {one.stop - 1}" for one in ranges)
    return " or ".join(shown)


def _number(number: int | IntEnum) -> str:
    return f"{int(number):#04x}" if number >= 0x80 else str(int(number))


def main(arguments: list[str]) -> None:
    """Write the page."""
    file = Path(arguments[0]) if arguments else FILE
    file.write_text(page())
    print(f"{file}: {len(MessageType)} messages")


if __name__ == "__main__":
    main(sys.argv[1:])
