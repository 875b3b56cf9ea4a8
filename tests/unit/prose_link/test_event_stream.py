"""Events become JSON lines that lose nothing and repeat."""

import enum
import json
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

import numpy as np
import pytest

from prose_link.event_stream import EventStream, TimedEvent, event_name, to_line
from prose_link.instant import Instant


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    SEVEN = 7


@dataclass(frozen=True)
class SomethingHappened:
    a: Any


NOW = Instant(mono_s=1.5, utc_s=1_000_000_000.25)


def spoken(value: object) -> dict[str, Any]:
    lines: list[str] = []
    EventStream("ue-a", lambda timed: lines.append(to_line(timed.record()))).emit(SomethingHappened(value), NOW)
    return json.loads(lines[0])


def test_an_event_carries_source_time_and_order() -> None:
    told: list[TimedEvent[object]] = []
    stream = EventStream("ue-a", told.append)
    stream.emit(SomethingHappened(1), NOW)
    stream.emit(SomethingHappened(2), NOW, peer="tel:1")
    first, second = told
    assert (first.seq, second.seq, first.event) == (0, 1, SomethingHappened(1))
    stamp = {"utc_ns": 1_000_000_000_250_000_000, "source": "ue-a"}
    assert first.record() == {**stamp, "seq": 0, "event": "something-happened", "a": 1}
    assert list(second.record()) == ["utc_ns", "source", "seq", "event", "peer", "a"]
    assert second.record()["peer"] == "tel:1"


def test_what_its_source_did_not_date_has_its_stamp_last() -> None:
    dated = TimedEvent(utc_ns=1, source="kms", seq="{}", event=SomethingHappened(1))
    assert list(dated.record()) == ["event", "a", "utc_ns", "source", "seq"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (b"\x01\xff", "01ff"),
        (Colour.RED, "red"),
        (Number.SEVEN, 7),
        ((1, 2), [1, 2]),
        (frozenset({2, 1}), [1, 2]),
        (IPv6Address("fe80::1"), "fe80::1"),
        (SomethingHappened(4), {"a": 4}),
        ({"b": (1, 2)}, {"b": [1, 2]}),
    ],
)
def test_values_have_a_json_form(value: object, plain: object) -> None:
    assert spoken(value)["a"] == plain


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="object"):
        spoken(object())


def test_names() -> None:
    assert event_name(SomethingHappened) == "something-happened"
