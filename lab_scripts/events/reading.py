"""Reads events from JSON lines, for consoles, reports and captures.

A line of a UE has a stamp (`utc_ns`, `source`, `seq`); a line of the KMS or the emulator has none. Besides the fields
of its class a line may name the `peer` that it is about, or the `worker` of a KMS that emitted it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lab_scripts.events.catalogue import CATALOGUE
from lab_scripts.events.json_forms import EventFormatError, fields_in_json, read_fields
from lab_scripts.events.undated import UndatedEvent
from prose_link.event_stream import TimedEvent

STAMP: Final = ("utc_ns", "source", "seq")
"""The keys of a line's stamp: time, source, and a number among events of one time."""
_BESIDE: Final[Mapping[str, Any]] = {"utc_ns": int, "source": str, "seq": int | str, "peer": str, "worker": str}
"""Keys of a line besides the fields of the event, with their types."""
_IN_WORDS: Final = {int: "an integer", str: "text", int | str: "an integer or text"}


def read_record(record: object) -> TimedEvent[object] | UndatedEvent:
    """The event of a decoded JSON line; a dated one where it has a stamp.

    Raises EventFormatError: it is no event of the catalogue, or a field is missing, unknown or of another form.
    """
    if not isinstance(record, Mapping) or not isinstance(name := record.get("event"), str):
        raise EventFormatError(f"no event: {json.dumps(record, default=repr)[:80]}")
    kind = CATALOGUE.get(name)
    if kind is None:
        raise EventFormatError(f"unknown event {name!r}: docs/events.md lists those there are")
    try:
        return _read(kind, {key: value for key, value in record.items() if key != "event"})
    except EventFormatError as error:
        raise EventFormatError(f"event {name}: {error}") from error


def read_line(line: str) -> TimedEvent[object] | UndatedEvent:
    """The event of a JSON line. Raises EventFormatError."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise EventFormatError(f"not JSON: {line[:60]!r}") from error
    return read_record(record)


def read_lines(lines: Iterable[str], where: str) -> Iterator[TimedEvent[object]]:
    """The dated events of lines; an error names `where` and the number of the line. Raises EventFormatError."""
    for number, line in enumerate(lines, start=1):
        try:
            read = _dated(read_line(line))
        except EventFormatError as error:
            raise EventFormatError(f"{where}, line {number}: {error}") from error
        yield read


def _dated(read: TimedEvent[object] | UndatedEvent) -> TimedEvent[object]:
    """The same event; raises EventFormatError for one without a stamp."""
    if isinstance(read, UndatedEvent):
        raise EventFormatError(f"no field {', '.join(STAMP)}")
    return read


def read_file(path: Path) -> list[TimedEvent[object]]:
    """The events of an `events.jsonl`. Raises EventFormatError, OSError."""
    with path.open(encoding="utf-8") as lines:
        return list(read_lines(lines, str(path)))


def _read(kind: type, record: dict[str, Any]) -> TimedEvent[object] | UndatedEvent:
    own = fields_in_json(kind)
    beside = {key: record.pop(key) for key in _BESIDE if key in record and key not in own}
    for key, value in beside.items():
        if isinstance(value, bool) or not isinstance(value, _BESIDE[key]):
            raise EventFormatError(f"field {key}: {value!r} is not {_IN_WORDS[_BESIDE[key]]}")
    event = read_fields(kind, record)
    if beside.keys() <= {"worker"}:
        return UndatedEvent(event=event, **beside)
    if "worker" in beside:
        raise EventFormatError("unknown field worker")
    if missing := set(STAMP) - beside.keys():
        raise EventFormatError(f"no field {', '.join(sorted(missing))}")
    return TimedEvent(event=event, **beside)
