"""Events for tests: one of any class of the catalogue, with the fields that matter and plain values for the rest."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lab_scripts.runs.lab_world import LAB_UTC
from prose_link.event_stream import TimedEvent

START_NS = round(LAB_UTC.timestamp() * 1e9)
_E = TypeVar("_E")
_PLAIN: Mapping[Any, Any] = {
    bool: False,
    int: 0,
    float: 0.0,
    str: "x",
    bytes: b"",
    IPv4Address: IPv4Address("192.0.2.1"),
    IPv6Address: IPv6Address("fe80::1"),
    tuple: (),
    frozenset: frozenset(),
    Mapping: {},
}


def an_event(kind: type[_E], **fields: Any) -> _E:
    """An event of a class: the fields that are named, and a plain value for each other."""
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: _plain(hints[name]) for name in names} | fields)


def at(event: _E, source: str = "ue-a", ms: float = 0.0, *, seq: int = 0, peer: str | None = None) -> TimedEvent[_E]:
    """An event that a source tells, so many ms after a run's start."""
    return TimedEvent(utc_ns=START_NS + round(ms * 1e6), source=source, seq=seq, event=event, peer=peer)


def _plain(annotation: Any) -> Any:
    origin = get_origin(annotation) or annotation
    if origin is types.UnionType:
        return None if type(None) in get_args(annotation) else _plain(get_args(annotation)[0])
    if origin in _PLAIN:
        return _PLAIN[origin]
    return next(iter(annotation)) if issubclass(annotation, enum.Enum) else an_event(annotation)
