"""What a link takes on the air: times from power-on to the first protected packet, octets, and share of the pool.

Air time, not wall time: the figures are the same on every machine. The aim of 400 ms holds at an SC period of 40 ms.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab_scripts.benchmarks.cell import Cell
from lab_scripts.benchmarks.measure import Result, interquartile_range
from lab_scripts.demo.crowd_plan import PRECONFIGURATION, CrowdPlan
from lab_scripts.exit_codes import ExitCode, LabError
from prose_link.config import shipped_path
from prose_link.pc5s.messages import MessageType
from prose_link.preconfiguration import load_pools
from radio.l2.allocation import dft_sizes
from radio.l2.config import L2Config
from radio.phy.pools import CommPool
from radio.phy.tbs import transport_block_size
from radio.phy.trpt import n_trp, trp_bitmap

Record = Mapping[str, Any]
_SEEDS: Final = {2: range(7, 12), 8: range(7, 9), 16: range(7, 8)}
"""UEs in the cell -> seeds of the runs: places, oscillators and all choices on the air differ."""
_QUICK_SEEDS: Final = {2: range(7, 8)}
_PUSH_OCTETS, _QUICK_PUSH_OCTETS = 64 * 1024, 24 * 1024
_MANY_PUSH_OCTETS: Final = 12 * 1024
"""Of each of many UEs: together they keep the cell busy for as long."""
_LONGEST_S: Final = 30.0
_CONNECTED_AIM_MS: Final = 400.0
_SHARE_AIM: Final = 0.8
_TRANSMISSIONS: Final = 4
"""Of each transport block (TS 36.321 5.14.2.2)."""
_NS_PER_MS: Final = 1e6
_MESSAGE_TYPES: Final = {
    "Direct Connection Request": MessageType.REQUEST,
    "Direct Connection Accept": MessageType.ACCEPT,
}
_CONNECTED: Final = "decision to connected"
_LINKED: Final = "UEs that got their link"
_ONE_WAY: Final = "goodput as a share of what one sender's widest grants carry"
_ALL_TOGETHER: Final = "goodput of all together as a share of what the whole pool carries"


def run(*, quick: bool) -> Iterator[Result]:
    """Figures of cells with 2, 8 and 16 UEs, in pairs."""
    for n_ues, seeds in (_QUICK_SEEDS if quick else _SEEDS).items():
        push = _MANY_PUSH_OCTETS if n_ues > 2 else (_QUICK_PUSH_OCTETS if quick else _PUSH_OCTETS)
        yield from cell_results(n_ues, seeds, push_octets=push)


def cell_results(n_ues: int, seeds: Iterable[int], *, push_octets: int) -> Iterator[Result]:
    """The figures of cells of one size, over several seeds; raises LabError where no pair got to its end."""
    figures: dict[str, list[float]] = {}
    for seed in seeds:
        plan = CrowdPlan(seed=seed, n_ues=n_ues, group=False, folder=Path())
        cell = Cell(plan, {"traffic": {"push_octets": push_octets}})
        cell.run(_LONGEST_S)
        for name, values in _figures(plan, cell.events).items():
            figures.setdefault(name, []).extend(values)
    for name, values in figures.items():
        if not values:
            raise LabError(f"{n_ues} UEs: nobody got as far as {name!r}", code=ExitCode.FAILED)
        unit, aim = _units_and_aims(name, n_ues)
        lower = unit in ("ms", "octets")
        yield Result(
            name=f"{name}, {n_ues} UEs",
            value=statistics.median(values),
            unit=unit,
            lower_is_better=lower,
            runs=len(values),
            spread=interquartile_range(values),
            aim=aim,
        )


def _figures(plan: CrowdPlan, events: Sequence[Record]) -> dict[str, list[float]]:
    """Every figure of one run: one value for each UE, pair, message or transfer."""
    pool = load_pools(shipped_path(PRECONFIGURATION)).comm[0]
    linked = len(_sources(events, "link-established")) / plan.n_ues
    figures = {**air_times_ms(plan, events), **octets(events), _LINKED: [linked]}
    if plan.n_ues == 2:
        figures[_ONE_WAY] = [rate / one_way_capacity_bit_s(pool) for rate in transfer_rates_bit_s(events)]
    else:
        figures[_ALL_TOGETHER] = [aggregate_rate_bit_s(events) / pool_capacity_bit_s(pool)]
    return figures


def _units_and_aims(name: str, n_ues: int) -> tuple[str, float | None]:
    if name in (_LINKED, _ONE_WAY, _ALL_TOGETHER):
        return "share", _SHARE_AIM if name == _ONE_WAY else None
    if name in _MESSAGE_TYPES:
        return "octets", None
    return "ms", _CONNECTED_AIM_MS if name == _CONNECTED and n_ues == 2 else None


def air_times_ms(plan: CrowdPlan, events: Sequence[Record]) -> dict[str, list[float]]:
    """Times on the air by name, one value for each UE or pair that got so far."""
    on = {name: _time(events, "powered-on", name) for name in plan.names}
    synchronised = [_between(on[name], _time(events, "synchronised", name)) for name in plan.names[1:]]
    discovered, connected, protected = [], [], []
    for a, b in plan.pairs:
        connecting = _time(events, "connecting", a)
        up = [_time(events, "link-established", name) for name in (a, b)]
        both_on = max(on[a] or 0, on[b] or 0)
        discovered.append(_between(both_on, connecting))
        connected.append(_between(connecting, max(t for t in up if t) if all(up) else None))
        protected.append(_between(connecting, _time(events, "first-protected", b)))
    return {
        "power-on to sync": _known(synchronised),
        "both on to discovered": _known(discovered),
        _CONNECTED: _known(connected),
        "decision to first protected packet": _known(protected),
    }


def octets(events: Sequence[Record]) -> dict[str, list[float]]:
    """Sizes of the PC5-S messages of the set-up."""
    seen = [event for event in events if event["event"] == "pdu-seen" and event["layer"] == "pc5s"]
    sent = [event["data"] for event in seen if event["direction"] == "tx"]
    return {
        name: [len(data) / 2 for data in sent if data.startswith(f"{number:02x}")]
        for name, number in _MESSAGE_TYPES.items()
    }


def one_way_capacity_bit_s(pool: CommPool) -> float:
    """What one sender can carry: every transport block of its densest pattern, as wide and high as layer 2 goes."""
    n_subframes = len(pool.pssch_subframes(0))
    densest = max(sum(trp_bitmap(i_trp, n_trp(pool.tdd_config))) for i_trp in pool.i_trps)
    return _capacity_bit_s(pool, n_subframes * densest // n_trp(pool.tdd_config))


def pool_capacity_bit_s(pool: CommPool) -> float:
    """What the pool carries when every subframe of it is used over its whole width, by whomever."""
    return _capacity_bit_s(pool, len(pool.pssch_subframes(0)))


def transfer_rates_bit_s(events: Sequence[Record]) -> list[float]:
    """Rates of the transfers that arrived whole, from their first octet to their last."""
    return [
        event["octets"] * 8 / (event["finished_s"] - event["started_s"])
        for event in events
        if event["event"] == "transfer-received"
    ]


def aggregate_rate_bit_s(events: Sequence[Record]) -> float:
    """Octets of all transfers over the time from the first one's start to the last one's end."""
    ends = [(event["utc_ns"], event) for event in events if event["event"] == "transfer-received"]
    if not ends:
        return 0.0
    starts = [utc_ns - (event["finished_s"] - event["started_s"]) * 1e9 for utc_ns, event in ends]
    spent_s = (max(utc_ns for utc_ns, _ in ends) - min(starts)) * 1e-9
    return sum(event["octets"] for _, event in ends) * 8 / spent_s


def _capacity_bit_s(pool: CommPool, n_subframes: int) -> float:
    widest = dft_sizes(len(pool.pssch_prbs))[-1]
    n_blocks = n_subframes // _TRANSMISSIONS
    return n_blocks * transport_block_size(L2Config().max_mcs, widest) / (pool.sc_period * 1e-3)


def _sources(events: Sequence[Record], name: str) -> set[str]:
    return {event["source"] for event in events if event["event"] == name}


def _time(events: Sequence[Record], name: str, source: str) -> int | None:
    return next((e["utc_ns"] for e in events if e["event"] == name and e["source"] == source), None)


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    return (end_ns - start_ns) / _NS_PER_MS if start_ns is not None and end_ns is not None else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
