"""Whole UEs whose synchronisation changes under a link, or comes to be before one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab_scripts.events.selection import AnyEvent, events_of, has
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import SAMPLE_RATE_HZ, CrowdPlan
from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkReleased
from prose_link.sync.events import BecameSyncRef, SyncRefSelected
from prose_link.userplane.events import TrafficDone, VoiceReceived
from radio.access.protocol import BlockReceived
from radio.phy.lte.channels.indications import Synchronised, SyncLost

VOICE_EVERY_S = 0.02
BRISK = {"role": "auto", "scan_every_s": 0.4}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan(CrowdPlan):
    """ue-a and ue-b link and ue-b speaks; a third, if any, has nothing to do with them but for its synchronisation."""

    on_s: tuple[float, ...]
    sync: Mapping[str, Mapping[str, Any]]
    off_s: Mapping[str, float] = field(default_factory=dict)
    voice_s: float = 0.0

    def scenario(self) -> dict[str, Any]:
        scenario = CrowdPlan.scenario(self)
        for ue, on_s in zip(scenario["ue"], self.on_s, strict=True):
            ue["power_on_sample"] = round(on_s * SAMPLE_RATE_HZ)
        return scenario

    def ue_config(self, name: str, **others: Any) -> dict[str, Any]:
        config = CrowdPlan.ue_config(self, name, **others)
        return config | {
            "sync": self.sync[name],
            "stop_after_s": self.off_s.get(name, 60.0),
            "stop_when_alone_s": 0.0,
        }

    def _pair_sections(self, name: str) -> dict[str, Any]:
        if name not in self.names[:2]:
            return {}
        pings = 0 if self.voice_s or name != "ue-a" else 3
        traffic = {"voice_s": self.voice_s if name == "ue-b" else 0.0, "pings": pings}
        return CrowdPlan._pair_sections(self, name) | {"traffic": traffic}


def ran(plan: SyncPlan, for_s: float, until: type) -> list[AnyEvent]:
    """What the UEs have said until ue-a says `until`."""
    cell = Cell(plan, {})
    cell.run(for_s, until=lambda events: has(events, until, "ue-a"))
    return cell.events


def test_a_link_survives_when_both_ends_move_to_a_reference_in_coverage() -> None:
    plan = SyncPlan(
        seed=5,
        n_ues=3,
        group=False,
        folder=Path(),
        on_s=(0.0, 0.05, 1.5137),
        sync={
            "ue-a": BRISK | {"listen_s": 0.3},
            "ue-b": BRISK | {"listen_s": 3.0},
            "ue-c": {"role": "reference", "n_sl_id": 30, "in_coverage": True},
        },
        voice_s=3.0,
    )
    events = ran(plan, 8.0, until=VoiceReceived)
    (link,) = events_of(events, LinkEstablished, "ue-a")
    moves = [events_of(events, SyncRefSelected, name)[-1] for name in ("ue-a", "ue-b")]
    assert all(move.event.n_sl_id == 30 and move.utc_ns > link.utc_ns for move in moves)
    assert not any(has(events, kind) for kind in (LinkFailed, LinkReleased))
    (voice,) = events_of(events, VoiceReceived, "ue-a")
    apart_s = abs(moves[0].utc_ns - moves[1].utc_ns) * 1e-9
    # Lost is what was sent while the two were on different timings, and an SC period or two around the moves.
    assert voice.event.sent == 150 and 0 < voice.event.lost * VOICE_EVERY_S < apart_s + 0.1


def test_a_link_goes_on_when_the_reference_of_both_ends_falls_silent() -> None:
    plan = SyncPlan(
        seed=5,
        n_ues=3,
        group=False,
        folder=Path(),
        on_s=(0.02, 0.05, 0.0),
        sync={
            "ue-a": BRISK | {"listen_s": 0.6},
            "ue-b": BRISK | {"listen_s": 1.5},
            "ue-c": {"role": "reference", "n_sl_id": 200},
        },
        off_s={"ue-c": 1.2},
        voice_s=4.0,
    )
    events = ran(plan, 8.0, until=VoiceReceived)
    assert all(events_of(events, SyncLost, name) for name in ("ue-a", "ue-b"))
    (heir,) = events_of(events, BecameSyncRef, "ue-a")
    assert events_of(events, SyncRefSelected, "ue-b")[-1].event.n_sl_id == heir.event.n_sl_id
    (voice,) = events_of(events, VoiceReceived, "ue-a")
    assert voice.event.sent == 200 and voice.event.lost <= 2


@pytest.mark.parametrize("lowest_id_wins", [False, True], ids=["standard", "lowest-id-wins"])
def test_two_islands_become_one_and_then_link(lowest_id_wins: bool) -> None:
    island = BRISK | {"listen_s": 0.2, "lowest_id_wins": lowest_id_wins}
    # With this seed both run out of patience within 4 ms of each other.
    plan = SyncPlan(
        seed=2, n_ues=2, group=False, folder=Path(), on_s=(0.03, 0.0123), sync={"ue-a": island, "ue-b": island}
    )
    events = ran(plan, 12.0, until=TrafficDone)
    founded = {name: events_of(events, BecameSyncRef, name)[0].event.n_sl_id for name in ("ue-a", "ue-b")}
    assert len(set(founded.values())) == 2
    moved = [name for name in founded if events_of(events, SyncRefSelected, name)]
    assert moved
    if lowest_id_wins:
        assert moved == [max(founded, key=lambda name: founded[name])]
    (done,) = events_of(events, TrafficDone, "ue-a")
    assert done.event.pings_answered == 3


LOST_FROM_S, LOST_FOR_S = 1.5, 5.0


def deafen(cell: Cell, name: str, from_s: float, for_s: float) -> None:
    """The radio of a UE hears nothing for a while; what it sends is heard as ever."""
    node, step = cell.node(name), cell.node(name).step

    def deaf_step(iq: Any, first_sample: int) -> Any:
        is_deaf = from_s <= first_sample / SAMPLE_RATE_HZ < from_s + for_s
        return step(iq * 0 if is_deaf else iq, first_sample)

    node.step = deaf_step


@pytest.mark.parametrize("role", ["follow", "auto"])
def test_a_link_survives_when_the_follower_hears_nothing_for_five_seconds(role: str) -> None:
    """A `follow` UE searches again, an `auto` one becomes a reference meanwhile; no UE calls again or switches off."""
    plan = SyncPlan(
        seed=5,
        n_ues=2,
        group=False,
        folder=Path(),
        on_s=(0.0, 0.05),
        sync={"ue-a": {"role": "reference", "n_sl_id": 30}, "ue-b": BRISK | {"role": role, "listen_s": 0.6}},
        voice_s=12.0,
    )
    cell = Cell(plan, {"timers": {"t4102_s": 2.0}})
    deafen(cell, "ue-b", LOST_FROM_S, LOST_FOR_S)
    cell.run(10.0)
    (lost,) = events_of(cell.events, SyncLost, "ue-b")
    back: type[Any] = Synchronised if role == "follow" else SyncRefSelected
    found = [event for event in events_of(cell.events, back, "ue-b") if event.utc_ns > lost.utc_ns]
    last = found[-1].event
    assert isinstance(last, Synchronised | SyncRefSelected) and last.n_sl_id == 30
    assert len(events_of(cell.events, BecameSyncRef, "ue-b")) == (role == "auto")
    assert not any(has(cell.events, kind) for kind in (LinkFailed, LinkReleased))
    heard = [event for event in events_of(cell.events, BlockReceived, "ue-a") if event.utc_ns > found[-1].utc_ns]
    assert len([event for event in heard if event.event.crc_ok]) > 20, "voice goes on over the link there was"
    assert not cell.node("ue-b").done
