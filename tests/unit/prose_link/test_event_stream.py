"""Events become JSON lines that lose nothing and repeat."""

import enum
import json
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

import numpy as np
import pytest

from prose_link.event_stream import EventStream, event_name, to_line
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
    EventStream("ue-a", lambda record: lines.append(to_line(record))).emit(SomethingHappened(value), NOW)
    return json.loads(lines[0])


def test_an_event_carries_source_time_and_order() -> None:
    records: list[Any] = []
    stream = EventStream("ue-a", records.append)
    stream.emit(SomethingHappened(1), NOW)
    stream.emit(SomethingHappened(2), NOW)
    assert [r["seq"] for r in records] == [0, 1]
    assert records[0]["event"] == "something-happened" and records[0]["source"] == "ue-a"
    assert records[0]["utc_ns"] == 1_000_000_000_250_000_000


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
    ],
)
def test_values_have_a_json_form(value: object, plain: object) -> None:
    assert spoken(value)["a"] == plain


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="object"):
        spoken(object())


def test_names() -> None:
    assert event_name(SomethingHappened) == "something-happened"
