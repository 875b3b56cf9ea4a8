"""The event stream of a process: typed events become JSON lines that consoles, captures and reports read."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import numpy as np

from prose_link.instant import Instant

NS = 1_000_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PduSeen:
    """One PDU as it crossed a layer of a UE: what captures are made of.

    `layer` is one of mib_sl, discovery, mac, pdcp, pc5s, mikey, ip; `direction` tx or rx.
    """

    layer: str
    direction: str
    subframe: int
    data: bytes
    src_l2: int = 0
    dst_l2: int = 0
    lcid: int = 0
    note: str = ""


class EventStream:
    """Stamps events with their source and time and hands them on as JSON-ready mappings.

    Args:
        source: name of the UE, hub or KMS that speaks.
        sinks: called with each mapping in turn.
    """

    def __init__(self, source: str, *sinks: Callable[[Mapping[str, Any]], None]) -> None:
        self._source = source
        self._sinks = sinks
        self._sequence = 0

    def emit(self, event: Any, now: Instant, **more: str) -> None:
        """Send one event (a dataclass instance) on; `more` are fields it does not know itself, such as the peer."""
        record = {
            "utc_ns": utc_ns(now),
            "source": self._source,
            "seq": self._sequence,
            "event": event_name(type(event)),
            **more,
            **fields_of(event),
        }
        self._sequence += 1
        for sink in self._sinks:
            sink(record)


def utc_ns(now: Instant) -> int:
    """UTC of a moment in whole ns: a float of seconds since 1970 resolves a quarter of a microsecond only."""
    powered_on_us = round((now.utc_s - now.mono_s) * 1e6)
    return powered_on_us * 1000 + round(now.mono_s * NS)


def event_name(kind: type) -> str:
    """`LinkEstablished` -> `link-established`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind.__name__).lower()


def fields_of(event: Any) -> dict[str, Any]:
    """The fields of an event as JSON-ready values."""
    return {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}


def to_line(record: Mapping[str, Any]) -> str:
    """One JSON line, without the line end."""
    return json.dumps(record, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, enum.IntEnum):
        return int(value)
    if isinstance(value, bool | str | int | type(None)) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, float | np.floating):
        return round(float(value), 9)
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, tuple | list | frozenset | set | np.ndarray):
        items = sorted(value) if isinstance(value, frozenset | set) else value
        return [_plain(item) for item in items]
    if isinstance(value, IPv4Address | IPv6Address):
        return str(value)
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    raise TypeError(f"an event field of type {type(value).__name__} has no JSON form")
