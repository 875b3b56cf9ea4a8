"""What an event becomes in JSON is read back as the same event, and fits the schema; anything else is an error."""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lab_scripts.doc_makers.events import schema
from lab_scripts.events.catalogue import CATALOGUE
from lab_scripts.events.json_forms import EventFormatError, fields_in_json, read_fields
from lab_scripts.events.reading import read_file, read_line, read_lines, read_record
from lab_scripts.events.undated import UndatedEvent
from prose_link.event_stream import TimedEvent, event_name, fields_of, to_line
from prose_link.pc5s.core.events import LinkFailed
from prose_link.ue.events import Progress
from prose_link.userplane.events import PingReply
from radio.emulator.events import AirStarted
from security.kms.events import KmsEnrolled
from tests.samples.events import an_event, at

FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCHEMA = json.loads(schema())
THOUSANDTHS = st.integers(-(10**9), 10**9).map(lambda number: number / 1000)
STAMPS = st.fixed_dictionaries(
    {
        "utc_ns": st.integers(0, 2**62),
        "source": st.text(max_size=8),
        "seq": st.integers(0, 99) | st.text(max_size=8),
    }
)


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type; numbers with a point have at most 9 digits after it, as events have in JSON."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is float:
        return THOUSANDTHS
    if origin is types.UnionType:
        return st.one_of(*(values(one) for one in arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is frozenset:
        return st.frozensets(values(arguments[0]), max_size=3)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=4), values(arguments[1]), max_size=3)
    return instances(annotation) if is_dataclass(annotation) else st.from_type(annotation)


def instances(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hints[name]) for name in fields_in_json(kind)})


@pytest.mark.parametrize("name", CATALOGUE)
@FEW
@given(data=st.data())
def test_a_line_gives_its_event_back(name: str, data: st.DataObject) -> None:
    kind = CATALOGUE[name]
    peer = None if "peer" in fields_in_json(kind) else data.draw(st.none() | st.text(max_size=8))
    timed = TimedEvent(event=data.draw(instances(kind)), peer=peer, **data.draw(STAMPS))
    line = to_line(timed.record())
    assert read_line(line) == timed
    document = json.loads(line)
    one = Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})
    assert not list(one.iter_errors(document))
    assert list(one.iter_errors(document | {"no_such_field": 1}))
    worker = None if "worker" in fields_in_json(kind) else data.draw(st.none() | st.text(max_size=8))
    undated = UndatedEvent(event=timed.event, worker=worker)
    assert read_line(to_line(undated.record())) == undated
    assert not list(one.iter_errors(undated.record()))


STAMP = {"utc_ns": 1, "source": "ue-a", "seq": 0}
REPLY = {**STAMP, "event": "ping-reply", "sequence": 1, "rtt_ms": 2.5}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "no event"),
        ({"utc_ns": 1}, "no event"),
        ({"event": 7}, "no event"),
        ({**STAMP, "event": "no-such"}, "unknown event 'no-such'"),
        ({**STAMP, "event": "ping-reply", "sequence": 1}, "event ping-reply: no field rtt_ms"),
        (REPLY | {"more": 1}, "event ping-reply: unknown field more"),
        (REPLY | {"sequence": "1"}, "field sequence: '1' is not an integer"),
        (REPLY | {"sequence": True}, "field sequence: True is not an integer"),
        (REPLY | {"sequence": 1.0}, "field sequence: 1.0 is not an integer"),
        (REPLY | {"rtt_ms": None}, "field rtt_ms: None is not a number"),
        (REPLY | {"utc_ns": "1"}, "field utc_ns: '1' is not an integer"),
        (REPLY | {"seq": 1.5}, "field seq: 1.5 is not an integer or text"),
        (REPLY | {"source": None}, "field source: None is not text"),
        (REPLY | {"peer": 1}, "field peer: 1 is not text"),
        (REPLY | {"worker": "w"}, "unknown field worker"),
        ({"event": "ping-reply", "sequence": 1, "rtt_ms": 2.5, "source": "ue-a"}, "no field seq, utc_ns"),
        ({"event": "pdu-seen", "layer": "ip", "direction": "tx", "subframe": 1, "data": "0"}, "'0' is not hex digits"),
        ({"event": "ue-joined", "ue": "ue-a", "again": 1}, "field again: 1 is not true or false"),
        ({"event": "waiting-for", "ues": "ue-a", "hub_block": 1, "waited_s": 1.0}, "'ue-a' is not a list"),
        ({"event": "waiting-for", "ues": [1], "hub_block": 1, "waited_s": 1.0}, "field ues: 1 is not text"),
    ],
)
def test_what_is_no_event_is_refused_and_named(record: object, message: str) -> None:
    with pytest.raises(EventFormatError) as refused:
        read_record(record)
    assert message in str(refused.value)


@pytest.mark.parametrize("place", ["mib", "mib.dfn", "mib.extra"])
def test_a_fault_inside_a_structure_is_named(place: str) -> None:
    record = at(an_event(CATALOGUE["synchronised"])).record()
    if place == "mib":
        record["mib"] = 1
    elif place == "mib.dfn":
        record["mib"]["dfn"] = "x"
    else:
        record["mib"]["extra"] = 1
    with pytest.raises(EventFormatError, match=r"event synchronised: field mib: "):
        read_record(record)


def test_a_line_that_is_no_json_is_refused() -> None:
    with pytest.raises(EventFormatError, match="not JSON: 'half a li'"):
        read_line("half a li")


def test_a_field_that_is_younger_than_the_file_has_its_default() -> None:
    record = {"event": "pdu-seen", "layer": "ip", "direction": "tx", "subframe": 1, "data": "45"}
    read = read_record(record)
    assert read.event.note == "" and read.event.data == b"\x45"  # type: ignore[attr-defined]


def test_a_file_is_read_whole_and_its_faults_are_placed(tmp_path: Path) -> None:
    told = [at(PingReply(sequence=n, rtt_ms=1.5), ms=n, seq=n, peer="tel:1") for n in range(3)]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(to_line(one.record()) + "\n" for one in told))
    assert read_file(path) == told
    lines = [*path.read_text().splitlines(), to_line(UndatedEvent(event=AirStarted()).record())]
    with pytest.raises(EventFormatError, match=r"run, line 4: no field utc_ns, source, seq"):
        list(read_lines(lines, "run"))


def test_undated_events_name_their_worker() -> None:
    said = read_record({"event": "kms-enrolled", "user": "ann", "worker": "west-1"})
    assert said == UndatedEvent(event=KmsEnrolled(user="ann"), worker="west-1")


def test_a_peer_belongs_to_the_event_where_the_event_has_one() -> None:
    timed = at(an_event(LinkFailed, peer="tel:1"))
    assert read_record(timed.record()) == timed
    about = at(an_event(Progress), peer="tel:1")
    assert read_record(about.record()).peer == "tel:1"


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Number(enum.IntEnum):
    SEVEN = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    colour: Colour
    number: Number


def test_enumerations_are_names_or_numbers() -> None:
    painted = Painted(colour=Colour.BLUE, number=Number.SEVEN)
    assert fields_of(painted) == {"colour": "blue", "number": 7}
    assert read_fields(Painted, fields_of(painted)) == painted
    for colour in ("green", True, ["blue"]):
        with pytest.raises(EventFormatError, match="is not `red` or `blue`"):
            read_fields(Painted, {"colour": colour, "number": 7})
    assert event_name(Painted) == "painted"
