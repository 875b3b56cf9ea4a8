"""What the processes of a run say becomes events; what is none ends the run with the process's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.events.json_forms import EventFormatError
from lab_scripts.events.undated import UndatedEvent
from lab_scripts.exit_codes import ExitCode
from lab_scripts.runs.kms_and_kernels import backstage_event
from lab_scripts.runs.supervisor import Said, Supervisor, _Line
from prose_link.userplane.events import PingReply
from radio.emulator.events import AirStarted, UeLeft, UeOutOfReach
from security.kms.events import KmsKeysIssued
from tests.samples.events import START_NS, at


def said(folder: Path, record: Any) -> Said:
    supervisor = Supervisor(folder)
    supervisor._lines.put(_Line(name="ue-a", record=record))
    return next(supervisor.lines("a test"))


def test_a_line_of_a_process_is_an_event(tmp_path: Path) -> None:
    timed = at(PingReply(sequence=1, rtt_ms=2.5), peer="tel:1")
    assert said(tmp_path, timed.record()) == Said(name="ue-a", event=timed)
    assert said(tmp_path, {"event": "air-started"}) == Said(name="ue-a", event=UndatedEvent(event=AirStarted()))


@pytest.mark.parametrize(("record", "why"), [({"event": "no-such"}, "unknown event 'no-such'"), (7, "no event: 7")])
def test_what_is_no_event_names_the_process(tmp_path: Path, record: object, why: str) -> None:
    with pytest.raises(EventFormatError, match=f"process ue-a: {why}") as ended:
        said(tmp_path, record)
    assert ended.value.exit_code is ExitCode.FAILED


def test_what_belongs_to_a_run_is_dated_by_the_lab() -> None:
    issued = UndatedEvent(event=KmsKeysIssued(uri="tel:1", periods=(3, 4)))
    dated = backstage_event(issued)
    assert dated is not None and (dated.utc_ns, dated.source, dated.event) == (START_NS, "kms", issued.event)
    assert (
        json.loads(str(dated.seq)) == issued.record() == {"event": "kms-keys-issued", "uri": "tel:1", "periods": [3, 4]}
    )
    assert list(dated.record()) == ["event", "uri", "periods", "utc_ns", "source", "seq"]
    started = backstage_event(UndatedEvent(event=AirStarted()))
    assert started is not None and started.source == "air"
    away = backstage_event(UndatedEvent(event=UeOutOfReach(ue="ue-e", hub_block=2500)))
    assert away is not None and (away.source, away.utc_ns - START_NS) == ("air", 2_500_000_000)


def test_what_tells_of_the_wall_clock_belongs_to_no_run() -> None:
    assert backstage_event(UndatedEvent(event=UeLeft(ue="ue-a", hub_block=7))) is None
