"""Two members with one layer-2 id in a cell of whole UEs over emulated radio: no COUNT twice, all get through."""

from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest

from lab_scripts.events.selection import events_of, pdus_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import GROUP_L2, CrowdPlan
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from prose_link.ue.events import GroupAddress, GroupAddressTaken
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent

TWINS = {"ue-b", "ue-c"}
TAKEN_L2 = 0x5C1B02


class PlanWithTwins(CrowdPlan):
    """ue-b and ue-c have one layer-2 id and both speak; no member is removed, none comes late.

    The twins announce themselves, or are known to the keyer beforehand, ask for nothing, and are first heard when they
    speak.
    """

    announced: ClassVar = True

    def ue_config(self, name, **places):
        document = super().ue_config(name, **places)
        document["group"] |= {"message_octets": 300, "copies": 4, "asks": self.announced}
        if name == self.keyer:
            members = [{**member, "joins_late": False} for member in document["group"]["members"]]
            document["group"] |= {"remove": "", "stop_when_done": False, "members": members}
            if not self.announced:
                twins = {self.granted[twin] for twin in TWINS}
                for member in members:
                    if member["identity"] in twins:
                        member["l2_id"] = TAKEN_L2
        if name in TWINS:
            document["l2_id"] = TAKEN_L2
            document["discovery"]["announce"] = self.announced
        return document

    @property
    def joiner(self):
        return ""


class PlanWithSilentTwins(PlanWithTwins):
    announced: ClassVar = False


@pytest.mark.parametrize("kind", [PlanWithTwins, PlanWithSilentTwins])
def test_the_id_is_given_up_and_everybody_hears_everybody(kind):
    plan = kind(seed=7, n_ues=4, group=True, folder=Path())
    cell = Cell(plan, {})
    wanted = {(a, b) for a in plan.names for b in plan.names if a != b}

    def heard():
        said = {e.event.sha256: e.source for e in events_of(cell.events, GroupMessageSent)}
        got = events_of(cell.events, GroupMessageReceived)
        return Counter((said[e.event.sha256], e.source) for e in got)

    def enough(events):
        return wanted <= heard().keys() and given_up(events) and len(sealed_numbers(events)) >= 4 * 4

    cell.run(12.0, until=enough)
    assert heard() == dict.fromkeys(wanted, 1), "every message once, from whichever layer-2 id its copies came"
    assert given_up(cell.events)
    assert given_up(cell.events) <= TWINS
    addresses = {name: [] for name in plan.names}
    for e in events_of(cell.events, GroupAddress):
        addresses[e.source].append(e.event.sender_l2)
    for twin in given_up(cell.events):
        assert addresses[twin][-1] != TAKEN_L2
    if plan.announced:
        assert given_up(cell.events) == TWINS
        assert TAKEN_L2 not in {of_ue[0] for of_ue in addresses.values()}, "nobody ever spoke from it"
    else:
        assert {addresses[twin][0] for twin in TWINS} == {TAKEN_L2}, "both spoke from it until they knew"
    assert len({of_ue[-1] for of_ue in addresses.values()}) == 4
    sealed = sealed_numbers(cell.events)
    assert len(sealed) >= 4 * 4
    assert len(set(sealed)) == len(sealed)


def given_up(events):
    return {e.source for e in events_of(events, GroupAddressTaken) if e.event.sender_l2 == TAKEN_L2}


def sealed_numbers(events):
    """(sender, PGK index, PTK ID, SN, LCID) of every PDU that any UE ciphered for the group: its PEK and COUNT."""
    numbers = []
    for e in pdus_of(events, "pdcp", "tx"):
        if e.event.dst_l2 == GROUP_L2 and e.event.lcid != LCID_UNPROTECTED:
            header = e.event.data[:5]
            numbers.append((e.event.src_l2, header[0] & 0x1F, *header[1:5], e.event.lcid))
    return numbers
