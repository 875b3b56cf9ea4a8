"""Selection of a run's events by their class, for outcomes, benches and tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, TypeGuard, TypeVar

from prose_link.event_stream import PduSeen, TimedEvent

AnyEvent: TypeAlias = TimedEvent[object]
Events: TypeAlias = Sequence[AnyEvent]
_E = TypeVar("_E")
_NS_PER_MS: Final = 1e6


def is_of(timed: AnyEvent, kind: type[_E], source: str | None = None) -> TypeGuard[TimedEvent[_E]]:
    """Whether an event is of a class, and emitted by `source` if one is named."""
    return isinstance(timed.event, kind) and source in (None, timed.source)


def events_of(events: Iterable[AnyEvent], kind: type[_E], source: str | None = None) -> list[TimedEvent[_E]]:
    """The events of a class, in their order; of one source where it is named."""
    return [timed for timed in events if is_of(timed, kind, source)]


def first_of(events: Iterable[AnyEvent], kind: type[_E], source: str | None = None) -> TimedEvent[_E] | None:
    """The first event of a class, None where there is none."""
    return next((timed for timed in events if is_of(timed, kind, source)), None)


def has(events: Iterable[AnyEvent], kind: type[object], source: str | None = None) -> bool:
    """Whether there is an event of a class."""
    return first_of(events, kind, source) is not None


def time_ns(events: Iterable[AnyEvent], kind: type[object], source: str | None = None) -> int | None:
    """UTC in ns of the first event of a class, None where there is none."""
    first = first_of(events, kind, source)
    return None if first is None else first.utc_ns


def all_at_ns(events: Events, kind: type[object], sources: Iterable[str]) -> int | None:
    """The time, UTC in ns, at which the last of these sources emitted its first event of a class.

    None if one of them never did.
    """
    times = [time_ns(events, kind, source) for source in sources]
    known = [time for time in times if time is not None]
    return max(known, default=None) if len(known) == len(times) else None


def between_ms(start_ns: int | None, end_ns: int | None) -> float | None:
    """Time between two moments in ms, None where one of them has not come."""
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / _NS_PER_MS


def pdus_of(
    events: Iterable[AnyEvent], layer: str, direction: str, source: str | None = None
) -> list[TimedEvent[PduSeen]]:
    """The PDUs that crossed a layer, `direction` being tx or rx."""
    seen = events_of(events, PduSeen, source)
    return [timed for timed in seen if (timed.event.layer, timed.event.direction) == (layer, direction)]
