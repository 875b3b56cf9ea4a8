"""Events as lines of a timeline: time, source, sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from lab_scripts.console.sentences import sentence_of
from lab_scripts.events.selection import AnyEvent
from lab_scripts.runs.lab_world import LAB_UTC

START_NS: Final = round(LAB_UTC.timestamp() * 1e9)
"""The emulator's time zero, UTC in ns."""
_COLOURS: Final = {"ue-a": "cyan", "ue-b": "magenta", "kms": "yellow", "air": "blue"}


def air_ms(timed: AnyEvent) -> float:
    """Air time of an event since the emulator's time zero, in ms."""
    return float((timed.utc_ns - START_NS) / 1e6)


def time_of_day(timed: AnyEvent) -> str:
    """UTC of an event as a time of day, for runs beside other programs."""
    moment = datetime.fromtimestamp(timed.utc_ns / 1e9, UTC)
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def since_start(timed: AnyEvent) -> str:
    """Air time of an event, for runs in the lab's virtual UTC."""
    return f"{air_ms(timed):9.1f} ms"


def told(timed: AnyEvent, when: Callable[[AnyEvent], str] = since_start) -> str | None:
    """One event as a line with rich markup; None for an event without a sentence."""
    sentence = sentence_of(timed.event)
    return None if sentence is None else line_of(timed, sentence, when)


def line_of(timed: AnyEvent, sentence: str, when: Callable[[AnyEvent], str] = since_start) -> str:
    """Time, source, and a sentence."""
    colour = _COLOURS.get(timed.source, "white")
    return f"[dim]{when(timed)}[/]  [{colour}]{timed.source:<5}[/] {sentence}"
