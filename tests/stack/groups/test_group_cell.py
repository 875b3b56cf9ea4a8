"""A group of whole UEs over emulated radio in one process: both keying modes, from discovery to the last message."""

from pathlib import Path

import pytest

from lab_scripts.events.selection import events_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.userplane.events import GroupMessageReceived

MODES = {"per-member": {}, "group-identity": {"mode": "group-identity", "remove": ""}}


@pytest.mark.parametrize("mode", MODES)
def test_everybody_gets_the_key_and_reads_the_keyer(mode):
    plan = CrowdPlan(seed=3, n_ues=3, group=True, folder=Path())
    cell = Cell(plan, {"group": {"copies": 3, **MODES[mode]}})
    wanted = {("ue-b", 1), ("ue-b", 2), ("ue-c", 2)}
    heard = set()

    def enough(events):
        of_keyer = [one for one in events_of(events, GroupMessageReceived) if one.event.sender_l2 == 0x5C1A01]
        heard.update((one.source, one.event.number) for one in of_keyer)
        return heard >= wanted

    cell.run(12.0, until=enough)
    assert heard >= wanted, [one for one in cell.events if type(one.event).__name__.startswith("Group")]
