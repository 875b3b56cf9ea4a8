"""What a link takes on the air: times from power-on to the first protected packet, octets, and share of the pool.

Air time, not wall time: the figures are the same on every machine. The aim of 400 ms holds at an SC period of 40 ms.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab_scripts.benchmarks.cell import Cell
from lab_scripts.benchmarks.measure import Result, interquartile_range
from lab_scripts.demo.crowd_plan import PRECONFIGURATION, CrowdPlan
from lab_scripts.exit_codes import ExitCode, LabError
from prose_link.config import shipped_path
from prose_link.preconfiguration import load_pools
from radio.l2.config import L2Config
from radio.l2.grant import is_dft_size
from radio.phy.pools import CommPool
from radio.phy.tbs import transport_block_size
from radio.phy.trpt import n_trp, trp_bitmap

Record = Mapping[str, Any]
_UES: Final = (2, 8, 16)
_QUICK_UES: Final = (2,)
_SEED: Final = 7
_PINGS: Final = 3
_PUSH_OCTETS, _QUICK_PUSH_OCTETS = 64 * 1024, 24 * 1024
_MANY_PUSH_OCTETS: Final = 12 * 1024
"""Of each of many UEs: together they keep the cell busy for as long."""
_LONGEST_S: Final = 30.0
_CONNECTED_AIM_MS: Final = 400.0
_SHARE_AIM: Final = 0.8
_TRANSMISSIONS: Final = 4
"""Of each transport block (TS 36.321 5.14.2.2)."""
_NS_PER_MS: Final = 1e6


def run(*, quick: bool) -> Iterator[Result]:
    """Figures of cells with 2, 8 and 16 UEs, in pairs."""
    for n_ues in _QUICK_UES if quick else _UES:
        push = _MANY_PUSH_OCTETS if n_ues > 2 else (_QUICK_PUSH_OCTETS if quick else _PUSH_OCTETS)
        yield from cell_results(n_ues, push_octets=push)


def cell_results(n_ues: int, *, push_octets: int) -> Iterator[Result]:
    """The figures of one cell; raises LabError where no pair in it got to its end."""
    plan = CrowdPlan(seed=_SEED, n_ues=n_ues, group=False, folder=Path())
    cell = Cell(plan, {"traffic": {"push_octets": push_octets}})
    cell.run(_LONGEST_S)
    events = cell.events
    aims = {"decision to connected": _CONNECTED_AIM_MS} if n_ues == 2 else {}
    for name, values in air_times_ms(plan, events).items():
        if not values:
            raise LabError(f"{n_ues} UEs: nobody got as far as {name!r}", code=ExitCode.FAILED)
        yield _result(f"{name}, {n_ues} UEs", values, "ms", lower_is_better=True, aim=aims.get(name))
    for message, values in octets(events).items():
        yield _result(f"{message}, {n_ues} UEs", values, "octets", lower_is_better=True)
    done = _sources(events, "link-established")
    yield _result(f"UEs with a link, of {n_ues}", [float(len(done))], "UEs", lower_is_better=False)
    pool = load_pools(shipped_path(PRECONFIGURATION)).comm[0]
    if n_ues == 2:
        shares = [rate / one_way_capacity_bit_s(pool) for rate in transfer_rates_bit_s(events)]
        name = "goodput as a share of what one sender's widest grants carry"
        yield _result(f"{name}, 2 UEs", shares, "share", lower_is_better=False, aim=_SHARE_AIM)
    else:
        share = aggregate_rate_bit_s(events) / pool_capacity_bit_s(pool)
        name = "goodput of all together as a share of what the whole pool carries"
        yield _result(f"{name}, {n_ues} UEs", [share], "share", lower_is_better=False)


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
        "decision to connected": _known(connected),
        "decision to first protected packet": _known(protected),
    }


def octets(events: Sequence[Record]) -> dict[str, list[float]]:
    """Sizes of the PC5-S messages of the set-up."""
    of_type = {"Direct Connection Request": "01", "Direct Connection Accept": "02"}
    seen = [event for event in events if event["event"] == "pdu-seen" and event["layer"] == "pc5s"]
    sent = [event["data"] for event in seen if event["direction"] == "tx"]
    return {name: [len(data) / 2 for data in sent if data.startswith(prefix)] for name, prefix in of_type.items()}


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
    widest = max(n for n in range(1, len(pool.pssch_prbs) + 1) if is_dft_size(n))
    n_blocks = n_subframes // _TRANSMISSIONS
    return n_blocks * transport_block_size(L2Config().max_mcs, widest) / (pool.sc_period * 1e-3)


def _result(
    name: str, values: Sequence[float], unit: str, *, lower_is_better: bool, aim: float | None = None
) -> Result:
    return Result(
        name=name,
        value=statistics.median(values) if values else 0.0,
        unit=unit,
        lower_is_better=lower_is_better,
        runs=len(values),
        spread=interquartile_range(list(values)),
        aim=aim,
    )


def _sources(events: Sequence[Record], name: str) -> set[str]:
    return {event["source"] for event in events if event["event"] == name}


def _time(events: Sequence[Record], name: str, source: str) -> int | None:
    return next((e["utc_ns"] for e in events if e["event"] == name and e["source"] == source), None)


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    return (end_ns - start_ns) / _NS_PER_MS if start_ns is not None and end_ns is not None else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
