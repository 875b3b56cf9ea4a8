"""A UE that is asked to stop releases its links on the air, and its peers see it at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lab_scripts.events.selection import AnyEvent, events_of, has
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.pc5s.core.events import LinkEstablished, LinkReleased, RequestReceived
from prose_link.ue.events import Connecting
from prose_link.ue.node import FAREWELL_IN_T4103
from radio.phy.lte.channels.indications import SyncLost

WHY = "asked to stop"


class Standing(CrowdPlan):
    """Two UEs with a link that nothing but a person ends."""

    def ue_config(self, name: str, **others: object) -> dict[str, object]:
        config = CrowdPlan.ue_config(self, name, **others)
        return config | {"stop_after_s": 60.0, "traffic": {"release_when_done": False}}


def standing_cell() -> Cell:
    return Cell(Standing(seed=3, n_ues=2, group=False, folder=Path()), {})


def both_up(events: list[AnyEvent]) -> bool:
    return all(has(events, LinkEstablished, name) for name in ("ue-a", "ue-b"))


@pytest.mark.parametrize("leaver", ["ue-a", "ue-b"])
def test_the_peer_sees_the_release_at_once_and_calls_again_if_it_is_told_to(leaver: str) -> None:
    cell = standing_cell()
    peer = "ue-b" if leaver == "ue-a" else "ue-a"
    left = False

    def leave_once_up(events: list[AnyEvent]) -> bool:
        nonlocal left
        if both_up(events) and not left:
            left = True
            cell.node(leaver).leave(WHY)
            assert not cell.node(leaver).done
        return has(events, LinkReleased, peer) and bool(cell.node(leaver).done)

    cell.run(6.0, until=leave_once_up)
    assert cell.node(leaver).done == WHY
    (own,), (seen,) = (events_of(cell.events, LinkReleased, name) for name in (leaver, peer))
    up = events_of(cell.events, LinkEstablished, peer)[-1]
    assert (seen.event.why, seen.event.agreed) == ("released by the peer", False)
    assert own.event.why == "Release Accept received"
    assert abs(own.utc_ns - seen.utc_ns) < 0.3e9 and seen.utc_ns - up.utc_ns < 0.5e9
    assert not cell.node(peer).done
    assert not [e for e in events_of(cell.events, RequestReceived, leaver) if e.utc_ns > seen.utc_ns]


def test_a_ue_without_a_link_is_off_at_once_and_calls_nobody() -> None:
    cell = standing_cell()
    cell.node("ue-b").leave(WHY)
    assert cell.node("ue-b").done == WHY
    cell.run(2.0)
    assert not events_of(cell.events, Connecting, "ue-b")


def test_a_peer_that_does_not_answer_is_not_waited_for() -> None:
    cell = standing_cell()
    off_at_s: list[float] = []

    def silence(events: list[AnyEvent]) -> bool:
        if both_up(events) and not off_at_s:
            off_at_s.append(cell.node("ue-a").now.mono_s)
            cell.node("ue-b").done = "its battery was taken out"
            cell.node("ue-a").leave(WHY)
        return bool(cell.node("ue-a").done)

    cell.run(10.0, until=silence)
    t4103_s = 0.5
    took_s = cell.node("ue-a").now.mono_s - off_at_s[0]
    assert FAREWELL_IN_T4103 * t4103_s <= took_s < FAREWELL_IN_T4103 * t4103_s + 0.1


def lost_reference(stop_when_alone_s: float) -> Cell:
    """A cell in which the reference, ue-a, goes away without a word once the link is up."""

    class Alone(Standing):
        def ue_config(self, name: str, **others: object) -> dict[str, object]:
            config = Standing.ue_config(self, name, **others)
            return config | {"stop_when_alone_s": stop_when_alone_s if name == "ue-b" else 0.0}

    return Cell(Alone(seed=3, n_ues=2, group=False, folder=Path()), {})


def gone_once_up(cell: Cell) -> Callable[[list[AnyEvent]], bool]:
    def take_away(events: list[AnyEvent]) -> bool:
        if both_up(events):
            cell.node("ue-a").done = "its battery was taken out"
        return False

    return take_away


def test_a_lost_reference_switches_no_ue_off() -> None:
    cell = lost_reference(0.0)
    cell.run(5.0, until=gone_once_up(cell))
    assert has(cell.events, SyncLost, "ue-b")
    assert not cell.node("ue-b").done and not has(cell.events, LinkReleased, "ue-b")


def test_a_ue_that_is_told_to_switches_off_when_it_has_heard_nobody() -> None:
    cell = lost_reference(0.4)
    cell.run(5.0, until=gone_once_up(cell))
    assert cell.node("ue-b").done == "it has heard no other UE for 0.4 s"
    assert 0.4 < cell.node("ue-b").now.mono_s < 3.0
