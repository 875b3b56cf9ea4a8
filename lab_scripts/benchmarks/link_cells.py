"""What a link takes on the air: times from power-on to the first protected packet, octets, and share of the pool.

Air time, not wall time: the figures are the same on every machine. The aim of 400 ms holds at an SC period of 40 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.events.selection import AnyEvent, Events, all_at_ns, between_ms, events_of, pdus_of, time_ns
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import PRECONFIGURATION, CrowdPlan
from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import shipped_path
from prose_link.event_stream import PduSeen, TimedEvent
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.wire.messages import MessageType
from prose_link.ue.events import Connecting, FirstProtected, PoweredOn
from prose_link.userplane.transfer import CHUNK_OCTETS
from radio.l2.lte_mode2.allocation import dft_sizes
from radio.l2.lte_mode2.config import Mode2Config
from radio.phy.lte.channels.indications import Synchronised
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.grid.trpt import n_trp, trp_bitmap
from radio.phy.lte.pools.mode2 import CommPool

_SEEDS: Final = {2: range(7, 12), 8: range(7, 9), 16: range(7, 8)}
"""UEs in the cell -> seeds of the runs: places, oscillators and all choices on the air differ."""
_QUICK_SEEDS: Final = {2: range(7, 8)}
_BUSY_S, _QUICK_BUSY_S = 2.0, 0.6
"""How long goodput is counted for, all senders being busy."""
_SETTLING_S: Final = 1.0
"""How long the senders are left to find their places before."""
_LONGEST_S: Final = 30.0
_MORE_THAN_ENOUGH_OCTETS: Final = 4 * 1024 * 1024
_CONNECTED_AIM_MS: Final = 400.0
_SHARE_AIM: Final = 0.8
_TRANSMISSIONS: Final = 4
"""Of each transport block (TS 36.321 5.14.2.2)."""
_NS_PER_S: Final = 1e9
_CHUNK_OVERHEAD_OCTETS: Final = 40 + 8 + 7
"""IPv6 and UDP headers, and the chunk's own."""
_MESSAGE_TYPES: Final = {kind.words: kind for kind in (MessageType.REQUEST, MessageType.ACCEPT)}
_SYNCHRONISED: Final = "power-on to sync"
_DISCOVERED: Final = "both on to discovered"
_CONNECTED: Final = "decision to connected"
_PROTECTED: Final = "decision to first protected packet"
_LINKED: Final = "UEs that got their link"
_ONE_WAY: Final = "goodput one way as a share of what the senders can carry"
_BOTH_WAYS: Final = "goodput both ways as a share of what the pool carries"
_FAIRNESS: Final = "fairness of the goodput both ways, Jain's index"


def _measure(quick: bool) -> Iterator[Result]:
    """Figures of cells with 2, 8 and 16 UEs, in pairs."""
    for n_ues, seeds in (_QUICK_SEEDS if quick else _SEEDS).items():
        yield from cell_results(n_ues, seeds, busy_s=_QUICK_BUSY_S if quick else _BUSY_S)


def cell_results(n_ues: int, seeds: Sequence[int], *, busy_s: float) -> Iterator[Result]:
    """The figures of cells of one size, over several seeds; raises LabError where no pair got to its end."""
    figures: dict[str, list[float]] = {}
    for seed in seeds:
        plan = CrowdPlan(seed=seed, n_ues=n_ues, group=False, folder=Path())
        for name, values in _figures(plan, busy_s).items():
            figures.setdefault(name, []).extend(values)
    for name, values in figures.items():
        if not values:
            raise LabError(f"{n_ues} UEs: nobody got as far as {name!r}", code=ExitCode.FAILED)
        yield _figure(name, n_ues).result(values, seeds=seeds)


def _figures(plan: CrowdPlan, busy_s: float) -> dict[str, list[float]]:
    """Every figure of one cell, once with one end of each pair sending and once with both."""
    pool = load_pools(shipped_path(PRECONFIGURATION)).comm[0]
    one_way = _events_of(plan, [a for a, _ in plan.pairs], busy_s)
    both_ways = _events_of(plan, plan.names, busy_s)
    rates = busy_rates_bit_s(both_ways, busy_s)
    return {
        **air_times_ms(plan, one_way),
        **octets(one_way),
        _LINKED: [len({one.source for one in events_of(one_way, LinkEstablished)}) / plan.n_ues],
        _ONE_WAY: [sum(busy_rates_bit_s(one_way, busy_s)) / senders_capacity_bit_s(pool, len(plan.pairs))],
        _BOTH_WAYS: [sum(rates) / senders_capacity_bit_s(pool, plan.n_ues)],
        _FAIRNESS: [fairness(rates)],
    }


def _events_of(plan: CrowdPlan, senders: Sequence[str], busy_s: float) -> list[AnyEvent]:
    """What a cell says in which `senders` ping once and then push without end, until all have for `busy_s`."""
    silent = {"traffic": {"pings": 0, "push_octets": 0, "release_when_done": False}}
    pushing = {"traffic": {"pings": 1, "push_octets": _MORE_THAN_ENOUGH_OCTETS, "release_when_done": False}}
    cell = Cell(plan, {}, changes_of={name: pushing if name in senders else silent for name in plan.names})

    def is_enough(events: list[AnyEvent]) -> bool:
        starts = _chunk_starts_ns(events)
        return (
            len(starts) == len(senders)
            and events[-1].utc_ns >= max(starts.values()) + (_SETTLING_S + busy_s) * _NS_PER_S
        )

    cell.run(_LONGEST_S, is_enough)
    return cell.events


def _figure(name: str, n_ues: int) -> Figure:
    full_name = f"{name}, {n_ues} UEs"
    if name in (_LINKED, _ONE_WAY, _BOTH_WAYS, _FAIRNESS):
        aim = _SHARE_AIM if name == _ONE_WAY else None
        return Figure(name=full_name, unit="share", lower_is_better=False, aim=aim)
    if name in _MESSAGE_TYPES:
        return Figure(name=full_name, unit="octets")
    return Figure(name=full_name, unit="ms", aim=_CONNECTED_AIM_MS if name == _CONNECTED and n_ues == 2 else None)


def air_times_ms(plan: CrowdPlan, events: Events) -> dict[str, list[float]]:
    """Times on the air by name, one value for each UE or pair that got so far."""
    on_ns = {name: time_ns(events, PoweredOn, name) for name in plan.names}
    synchronised = [between_ms(on_ns[name], time_ns(events, Synchronised, name)) for name in plan.names[1:]]
    discovered, connected, protected = [], [], []
    for a, b in plan.pairs:
        connecting_ns = time_ns(events, Connecting, a)
        both_on_ns = max(on_ns[a] or 0, on_ns[b] or 0)
        discovered.append(between_ms(both_on_ns, connecting_ns))
        connected.append(between_ms(connecting_ns, all_at_ns(events, LinkEstablished, (a, b))))
        protected.append(between_ms(connecting_ns, time_ns(events, FirstProtected, b)))
    return {
        _SYNCHRONISED: _known(synchronised),
        _DISCOVERED: _known(discovered),
        _CONNECTED: _known(connected),
        _PROTECTED: _known(protected),
    }


def octets(events: Events) -> dict[str, list[float]]:
    """Sizes of the PC5-S messages of the set-up."""
    sent = [one.event.data for one in pdus_of(events, "pc5s", "tx")]
    return {name: [len(data) for data in sent if data[0] == kind] for name, kind in _MESSAGE_TYPES.items()}


def senders_capacity_bit_s(pool: CommPool, n_senders: int) -> float:
    """What so many senders carry at best at the highest MCS: each its densest pattern, together the whole pool."""
    densest = max(sum(trp_bitmap(i_trp, n_trp(pool.tdd_config))) for i_trp in pool.i_trps)
    n_subframes = len(pool.pssch_subframes(0))
    return _capacity_bit_s(pool, min(n_subframes, n_senders * n_subframes * densest // n_trp(pool.tdd_config)))


def busy_rates_bit_s(events: Events, busy_s: float) -> list[float]:
    """User octets of each sender that arrived, none twice, in `busy_s` from a second after the last one had begun."""
    starts = _chunk_starts_ns(events)
    begin_ns = max(starts.values(), default=0) + _SETTLING_S * _NS_PER_S
    arrived: dict[tuple[str, int], set[bytes]] = {flow: set() for flow in starts}
    for one in _chunks(events):
        if begin_ns < one.utc_ns <= begin_ns + busy_s * _NS_PER_S:
            arrived[one.source, one.event.src_l2].add(one.event.data)
    return [len(chunks) * CHUNK_OCTETS * 8 / busy_s for chunks in arrived.values()]


def fairness(rates: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same, 1/n where one has everything."""
    squares = sum(rate * rate for rate in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares else 0.0


def _chunks(events: Events) -> Iterator[TimedEvent[PduSeen]]:
    """Chunks of transfers as they arrived: the only packets of their size."""
    packets = pdus_of(events, "ip", "rx")
    return (one for one in packets if len(one.event.data) == _CHUNK_OVERHEAD_OCTETS + CHUNK_OCTETS)


def _chunk_starts_ns(events: Events) -> dict[tuple[str, int], int]:
    """When the first chunk of each sender arrived, by receiver and sender."""
    starts: dict[tuple[str, int], int] = {}
    for one in _chunks(events):
        starts.setdefault((one.source, one.event.src_l2), one.utc_ns)
    return starts


def _capacity_bit_s(pool: CommPool, n_subframes: int) -> float:
    widest = dft_sizes(len(pool.pssch_prbs))[-1]
    n_blocks = n_subframes // _TRANSMISSIONS
    return n_blocks * transport_block_size(Mode2Config().max_mcs, widest) / (pool.sc_period * 1e-3)


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


_IN_EVERY_CELL: Final = (
    *(_SYNCHRONISED, _DISCOVERED, _CONNECTED, _PROTECTED, *_MESSAGE_TYPES),
    *(_LINKED, _ONE_WAY, _BOTH_WAYS, _FAIRNESS),
)
FAMILY: Final = Family(
    name="cells",
    title="Pairs in one cell",
    method=(
        "Whole UEs in pairs in a square of 200 m, 5 MHz, emulated samples. Goodput is user octets of IP packets, none "
        "twice, counted for 2 s from a second after the last sender began."
    ),
    full_minutes=45,
    figures=tuple(_figure(name, n_ues) for n_ues in _SEEDS for name in _IN_EVERY_CELL),
    measure=_measure,
)
