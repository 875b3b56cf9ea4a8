"""The event stream of a UE: its typed events with their time and source, which consoles, captures and reports read.

An event is a frozen dataclass. Its class makes its name, its fields make the keys of its JSON form: `event_name` and
`fields_of` are the only place that says how. `lab_scripts/events` has the catalogue of all classes, and the way back.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Generic, TypeVar

import numpy as np

from prose_link.instant import Instant

NS = 1_000_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PduSeen:
    """One PDU as it crossed a layer of a UE; captures consist of these events."""

    layer: str
    """mib_sl, discovery, mac, pdcp, pc5s, mikey or ip."""
    direction: str
    """tx or rx."""
    subframe: int
    data: bytes
    """The octets of the PDU."""
    src_l2: int = 0
    dst_l2: int = 0
    lcid: int = 0
    note: str = ""
    """Further information for the reader of a capture, such as the KD-sess ID; empty if there is none."""


_E = TypeVar("_E", covariant=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimedEvent(Generic[_E]):
    """An event, its time, and the UE, KMS or emulator that emits it."""

    utc_ns: int
    """UTC in ns since 1970."""
    source: str
    """Name of the UE, KMS or emulator that emits the event."""
    seq: int | str
    """Distinguishes events of one source and time: a count, or a text if the source does not date its events."""
    event: _E
    peer: str | None = None
    """The peer that the event is about, where the event itself does not say."""

    def record(self) -> dict[str, Any]:
        """The JSON form. Where the source does not date its events, the stamp stands last."""
        stamp = {"utc_ns": self.utc_ns, "source": self.source, "seq": self.seq}
        peer = {} if self.peer is None else {"peer": self.peer}
        told = {"event": event_name(type(self.event)), **peer, **fields_of(self.event)}
        return {**told, **stamp} if isinstance(self.seq, str) else {**stamp, **told}


class EventStream:
    """Adds source and time to events and passes them on.

    Args:
        source: name of the UE, hub or KMS.
        sinks: called with each event, one after the other.
    """

    def __init__(self, source: str, *sinks: Callable[[TimedEvent[object]], None]) -> None:
        self._source = source
        self._sinks = sinks
        self._sequence = 0

    def emit(self, event: object, now: Instant, *, peer: str | None = None) -> None:
        """Pass on one event (a dataclass instance); `peer` is the peer it is about, if the event does not hold it."""
        timed = TimedEvent(utc_ns=utc_ns(now), source=self._source, seq=self._sequence, event=event, peer=peer)
        self._sequence += 1
        for sink in self._sinks:
            sink(timed)


def utc_ns(now: Instant) -> int:
    """UTC of a moment in whole ns. A float of seconds since 1970 resolves a quarter of a microsecond only."""
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
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    raise TypeError(f"an event field of type {type(value).__name__} has no JSON form")
