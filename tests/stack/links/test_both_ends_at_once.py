"""Both ends of a link begin to send as soon as it stands for them, and go on both at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_first_packets_of_both_ends_arrive(seed: int) -> None:
    """The responder's first packet may be what tells the initiator that the link stands."""
    cell = Cell(CrowdPlan(seed=seed, n_ues=2, group=False, folder=Path()), {"traffic": {"pings": 5, "push_octets": 0}})
    cell.run(5.0, lambda events: sum(event["event"] == "ping-reply" for event in events) == 10)
    assert sum(event["event"] == "ping-reply" for event in cell.events) == 10
    assert not [event for event in cell.events if event["event"] == "ping-lost"]


def test_a_conversation_loses_nothing() -> None:
    """Voice both ways: the ends never announce in the same two subframes, and seldom send in the same ones."""
    plan = CrowdPlan(seed=1, n_ues=2, group=False, folder=Path())
    traffic = {"pings": 1, "push_octets": 0, "voice_s": 3.0}
    cell = Cell(plan, {"traffic": traffic})
    cell.run(10.0, lambda events: sum(event["event"] == "voice-received" for event in events) == 2)
    heard = [event for event in cell.events if event["event"] == "voice-received"]
    assert len(heard) == 2
    assert sum(event["lost"] for event in heard) <= 3
