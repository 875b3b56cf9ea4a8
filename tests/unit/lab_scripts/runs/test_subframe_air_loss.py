"""Loss on the air of subframes: the stretches that the emulator's links lose, and what whoever drives it cuts."""

from __future__ import annotations

from lab_scripts.benchmarks.pair_trials import PAIR, SILENT, PairPlan
from lab_scripts.events.selection import events_of
from lab_scripts.runs.lab_world import LAB_UTC
from lab_scripts.runs.plan import scenario_of
from lab_scripts.runs.subframe_air import SubframeAir
from lab_scripts.runs.subframe_cell import SubframeCell
from prose_link.pc5s.core.events import LinkEstablished
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx

SIGNAL = SlssTx(n_sl_id=1, mib=MibSl(bandwidth_prb=25, dfn=0, subframe=0, in_coverage=False))


def air_of(**link: float) -> SubframeAir:
    return SubframeAir(scenario_of(PairPlan(seed=3, link={"snr_db": 20.0, **link})), dict.fromkeys(PAIR, 0))


def heard_in(air: SubframeAir, subframes: range) -> list[bool]:
    for subframe in subframes:
        air.send("ue-a", subframe, [SIGNAL])
    return [bool(air.heard("ue-b", subframe)) for subframe in subframes]


def test_without_loss_all_is_heard() -> None:
    assert all(heard_in(air_of(), range(100)))


def test_stretches_are_lost_whole_with_the_chance_told() -> None:
    heard = heard_in(air_of(loss=0.3, loss_ms=10), range(5000))
    stretches = [heard[first : first + 10] for first in range(0, 5000, 10)]
    assert all(all(one) or not any(one) for one in stretches)
    assert 0.64 < sum(map(all, stretches)) / len(stretches) < 0.76


def test_each_direction_loses_by_itself() -> None:
    air = air_of(loss=0.5, loss_ms=10)
    for subframe in range(500):
        air.send("ue-a", subframe, [SIGNAL])
    one_way = [bool(air.heard("ue-b", subframe)) for subframe in range(500)]
    air = air_of(loss=0.5, loss_ms=10)
    for subframe in range(500):
        air.send("ue-b", subframe, [SIGNAL])
    assert one_way != [bool(air.heard("ue-a", subframe)) for subframe in range(500)]


def test_who_is_cut_off_gets_no_link_before_it_is_over() -> None:
    stays = {"stop_when_alone_s": 0.0}
    cell = SubframeCell(PairPlan(seed=3), {"traffic": SILENT}, changes_of=dict.fromkeys(PAIR, stays))
    cell.air.cut = lambda _to, _of, subframe: 200 <= subframe < 1500
    cell.run(4.0, lambda events: len(events_of(events, LinkEstablished)) == 2)
    up = events_of(cell.events, LinkEstablished)
    assert len(up) == 2 and all(one.utc_ns / 1e9 - LAB_UTC.timestamp() > 1.5 for one in up)
