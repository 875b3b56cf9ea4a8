"""Both ends of a link begin to send as soon as it stands for them, and go on both at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of, has
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.userplane.events import PingLost, PingReply, VoiceReceived


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_first_packets_of_both_ends_arrive(seed: int) -> None:
    """The responder's first packet may be what tells the initiator that the link stands."""
    cell = Cell(CrowdPlan(seed=seed, n_ues=2, group=False, folder=Path()), {"traffic": {"pings": 5, "push_octets": 0}})
    cell.run(5.0, lambda events: len(events_of(events, PingReply)) == 10)
    assert len(events_of(cell.events, PingReply)) == 10
    assert not has(cell.events, PingLost)


def test_a_conversation_loses_nothing() -> None:
    """Voice both ways: the ends never announce in the same two subframes, and seldom send in the same ones."""
    plan = CrowdPlan(seed=1, n_ues=2, group=False, folder=Path())
    traffic = {"pings": 1, "push_octets": 0, "voice_s": 3.0}
    cell = Cell(plan, {"traffic": traffic})
    cell.run(10.0, lambda events: len(events_of(events, VoiceReceived)) == 2)
    heard = events_of(cell.events, VoiceReceived)
    assert len(heard) == 2
    assert sum(event.event.lost for event in heard) <= 3
