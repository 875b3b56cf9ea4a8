"""Writes docs/events.md and docs/events.schema.json from the catalogue: `python -m lab_scripts.doc_makers.events`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lab_scripts.console.sentences import SILENT
from lab_scripts.doc_makers.field_docstrings import field_docstrings
from lab_scripts.doc_makers.prose_width import wrapped
from lab_scripts.events.catalogue import CATALOGUE, CHAPTERS
from lab_scripts.events.json_forms import fields_in_json, needed_fields
from lab_scripts.events.reading import STAMP
from lab_scripts.events.shared_fields import SHARED_FIELDS
from prose_link.event_stream import event_name

PAGE: Final = Path("docs/events.md")
SCHEMA: Final = Path("docs/events.schema.json")
_LINE: Final = "line"
_BESIDE: Final[Mapping[str, tuple[Any, str]]] = {
    "utc_ns": ({"type": "integer"}, "UTC in ns since 1970."),
    "source": ({"type": "string"}, "Name of the UE, `kms` or `air`."),
    "seq": ({"type": ["integer", "string"]}, "Tells events of one source and time apart."),
    "peer": ({"type": "string"}, "Identity of the peer that the event is about, where it does not say that itself."),
    "worker": ({"type": "string"}, "The serving process of a KMS that tells it, where there are several."),
}
_INTRODUCTION: Final = """# Events

Written from the catalogue in `lab_scripts/events/catalogue.py` by
`python -m lab_scripts.doc_makers.events`; a test holds this page and the classes equal.
[events.schema.json](events.schema.json) says the same as a JSON Schema (draft 2020-12).

A UE, the KMS and the RF emulator tell what happens to them as events. An event is a frozen
dataclass; on a line of JSON `event` is its name, and the keys are its fields. Octets are hex
digits, sets are sorted lists, and numbers with a point are rounded to 9 digits. `events.jsonl` of a
run has the events of all UEs in the order of air time, but for PDUs, which are in the capture, and
`progress`, which tells of the wall clock. `pc5lab ue run CONFIG --events -` prints all of them.

Beside its fields a line may have:

| key | value | meaning |
|---|---|---|
"""
_SEQ_NOTE: Final = """
Lines of a UE always have `utc_ns`, `source` and `seq`. The KMS and the emulator date nothing; where
their events get into `events.jsonl` they have the time of the run's start, and their text as `seq`.

A field is in every line of its event; one marked * may be missing in files written before it was
there. A field whose name ends in a unit is in that unit.
"""


def meanings_of(kind: type) -> dict[str, str]:
    """Field -> its meaning: the string under it, else the meaning of its name in all events; empty without both."""
    own = field_docstrings(kind)
    return {name: own.get(name) or SHARED_FIELDS.get(name, "") for name in fields_in_json(kind)}


def page() -> str:
    """The whole page, Markdown."""
    stamp = [f"| `{key}` | {_type_words(schema)} | {meaning} |" for key, (schema, meaning) in _BESIDE.items()]
    parts = [_INTRODUCTION + "\n".join(stamp) + "\n" + _SEQ_NOTE]
    for chapter in CHAPTERS:
        parts.append(f"## {chapter.title}\n\n{wrapped(chapter.words)}\n")
        parts += ["\n".join(_section(kind)) + "\n" for kind in chapter.classes]
    return "\n".join(parts)


def schema() -> str:
    """The schema of one line, JSON text."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event of pc5lab",
        "description": "One line of events.jsonl, of `pc5lab ue run --events`, `rf serve --json` or `kms serve`.",
        "type": "object",
        "required": ["event"],
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in CATALOGUE],
        "$defs": {_LINE: _line(), **{name: _definition(name, kind) for name, kind in CATALOGUE.items()}},
    }
    return json.dumps(document, indent=1) + "\n"


def _section(kind: type) -> Iterator[str]:
    name = event_name(kind)
    yield from (f"### `{name}`", "", wrapped(inspect.getdoc(kind) or ""))
    forms, meanings = fields_in_json(kind), meanings_of(kind)
    if forms:
        yield from ("", "| field | value | meaning |", "|---|---|---|")
    for field, form in forms.items():
        mark = "" if field in needed_fields(kind) else " *"
        yield f"| `{field}`{mark} | {form.words} | {meanings[field]} |"
    if kind in SILENT:
        yield from ("", wrapped(f"No sentence of the console tells it: {SILENT[kind]}."))


def _line() -> dict[str, Any]:
    """The keys of any line besides the fields of its event; a stamp has all its keys or none."""
    return {
        "type": "object",
        "properties": {key: {**form, "description": meaning} for key, (form, meaning) in _BESIDE.items()},
        "dependentRequired": {key: [other for other in STAMP if other != key] for key in STAMP},
    }


def _definition(name: str, kind: type) -> dict[str, Any]:
    forms, meanings = fields_in_json(kind), meanings_of(kind)
    fields = {field: {**form.schema, "description": meanings[field]} for field, form in forms.items()}
    return {
        "description": " ".join((inspect.getdoc(kind) or "").split()),
        "$ref": f"#/$defs/{_LINE}",
        "properties": {"event": {"const": name}, **fields},
        "required": ["event", *(field for field in forms if field in needed_fields(kind))],
        "unevaluatedProperties": False,
    }


def _type_words(schema: Mapping[str, Any]) -> str:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join({"integer": "integer", "string": "text"}[kind] for kind in kinds)


def main(arguments: list[str]) -> None:
    """Write both files, into another folder where one is named."""
    folder = Path(arguments[0]) if arguments else PAGE.parent
    (folder / PAGE.name).write_text(page(), encoding="utf-8")
    (folder / SCHEMA.name).write_text(schema(), encoding="utf-8")
    print(f"{folder / PAGE.name}, {folder / SCHEMA.name}: {len(CATALOGUE)} events")


if __name__ == "__main__":
    main(sys.argv[1:])
