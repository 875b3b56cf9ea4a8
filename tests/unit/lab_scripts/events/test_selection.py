"""Events are picked by class, source and time."""

from __future__ import annotations

from lab_scripts.events.selection import all_at_ns, between_ms, events_of, first_of, has, pdus_of, time_ns
from prose_link.event_stream import PduSeen
from prose_link.userplane.events import PingLost, PingReply
from tests.samples.events import START_NS, an_event, at

EVENTS = [
    at(an_event(PingReply, sequence=1), "ue-a", 10.0),
    at(an_event(PingLost, sequence=2), "ue-a", 20.0),
    at(an_event(PingReply, sequence=3), "ue-b", 30.0),
    at(an_event(PduSeen, layer="ip", direction="tx", data=b"1"), "ue-a", 40.0),
    at(an_event(PduSeen, layer="ip", direction="rx", data=b"2"), "ue-b", 50.0),
]


def test_by_class_and_source() -> None:
    assert [one.event.sequence for one in events_of(EVENTS, PingReply)] == [1, 3]
    assert [one.event.sequence for one in events_of(EVENTS, PingReply, "ue-b")] == [3]
    first = first_of(EVENTS, PingReply, "ue-b")
    assert first is EVENTS[2] and first_of(EVENTS, PingLost, "ue-b") is None
    assert has(EVENTS, PingLost) and not has(EVENTS, PingLost, "ue-b")


def test_times() -> None:
    assert time_ns(EVENTS, PingReply, "ue-b") == START_NS + 30_000_000
    assert time_ns(EVENTS, PingLost, "ue-b") is None
    assert all_at_ns(EVENTS, PingReply, ("ue-a", "ue-b")) == START_NS + 30_000_000
    assert all_at_ns(EVENTS, PingLost, ("ue-a", "ue-b")) is None and all_at_ns(EVENTS, PingLost, ()) is None
    assert between_ms(1_000_000, 3_500_000) == 2.5
    assert between_ms(None, 1) is None and between_ms(1, None) is None and between_ms(0, 0) == 0.0


def test_pdus() -> None:
    assert [one.event.data for one in pdus_of(EVENTS, "ip", "rx")] == [b"2"]
    assert pdus_of(EVENTS, "ip", "rx", "ue-a") == [] and pdus_of(EVENTS, "mac", "rx") == []
