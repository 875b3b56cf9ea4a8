"""Hidden terminals, stars and crowds: blocks lost, goodput, fairness, and how soon all UEs have their links.

Air time on a model of the air (`subframe_air`), so that 64 UEs fit in a minute or two of the machine's. Receivers of a
star hear all, and its leaves hear each other or don't. Everything above the PHY is the product's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.events.selection import AnyEvent, events_of, pdus_of
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.subframe_cell import SubframeCell
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import PoweredOn
from prose_link.userplane.transfer import CHUNK_OCTETS
from radio.access.protocol import BlockReceived

_SEEDS: Final = range(1, 7)
_STAR_SEEDS: Final = range(1, 3)
_QUICK_SEEDS: Final = range(1, 2)
_BUSY_S: Final = 2.0
_SETTLING_S: Final = 1.0
_LONGEST_S: Final = 30.0
_NS_PER_S: Final = 1e9
_MORE_THAN_ENOUGH_OCTETS: Final = 4 * 1024 * 1024
_PACKET_OCTETS: Final = 40 + 8 + 7 + CHUNK_OCTETS
"""IPv6 and UDP headers, the chunk's own, and what it carries."""
_LOSS_DB: Final = 92.0
_HIDDEN_PAIR: Final = 2
_STARS: Final = ((_HIDDEN_PAIR, True), (3, True), (7, False))
"""Senders, and whether they are hidden from each other."""
_PAIR_BAD_AIM: Final = 0.10
_FAIR_AIM: Final = 0.9
_LINKED_AIMS_S: Final = {32: 2.0, 64: 5.0}
_QUIET: Final[dict[str, Any]] = {"traffic": {"pings": 0, "push_octets": 0, "release_when_done": False}}
_PUSHING: Final[dict[str, Any]] = {
    "traffic": {"pings": 1, "push_octets": _MORE_THAN_ENOUGH_OCTETS, "release_when_done": False}
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StarPlan(CrowdPlan):
    """The first UE is the hub that all others, the leaves, call; with `hidden` no leaf hears another."""

    hidden: bool

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each leaf and the hub."""
        return tuple((leaf, self.names[0]) for leaf in self.names[1:])

    def scenario(self) -> dict[str, Any]:
        """The air: with hidden leaves only the hub's links are there, all alike."""
        document = CrowdPlan.scenario(self)
        if self.hidden:
            of_hub = [link for link in document["link"] if self.names[0] in link["between"]]
            document["link"] = [{**link, "path_loss_db": _LOSS_DB} for link in of_hub]
        return document

    def _pair_sections(self, name: str) -> dict[str, Any]:
        hub, *leaves = self.names
        if name == hub:
            return {"link": {"allow": [self.granted[leaf] for leaf in leaves]}, "traffic": {}}
        # discovery names the hub by the user info that its configuration has
        hub_config = CrowdPlan.ue_config(self, hub, kms_url="", ticket=Path(), air="", power_on_s=0.0)
        peer = {"connect_to": self.granted[hub], "peer_user_info_id": hub_config["discovery"]["user_info_id"]}
        return {"link": peer, "traffic": {}}


def _named(n_leaves: int, *, hidden: bool) -> str:
    return f"{n_leaves} {'hidden ' if hidden else ''}senders, one receiver"


def _figures(n_leaves: int, *, hidden: bool) -> tuple[Figure, Figure, Figure]:
    """Of a star: blocks lost at the hub, goodput, fairness."""
    named = _named(n_leaves, hidden=hidden)
    return (
        Figure(
            name=f"blocks lost, {named}",
            unit="share",
            aim=_PAIR_BAD_AIM if hidden and n_leaves == _HIDDEN_PAIR else None,
        ),
        Figure(name=f"goodput, {named}", unit="kbit/s", lower_is_better=False),
        Figure(
            name=f"fairness, Jain's index, {named}",
            unit="share",
            lower_is_better=False,
            aim=None if hidden else _FAIR_AIM,
        ),
    )


def _linked_figure(n_ues: int) -> Figure:
    return Figure(name=f"power-on to all linked, {n_ues} UEs", unit="s", aim=_LINKED_AIMS_S[n_ues])


def _measure(quick: bool) -> Iterator[Result]:
    """The figures, hidden senders first."""
    pair_seeds, star_seeds = (_QUICK_SEEDS, _QUICK_SEEDS) if quick else (_SEEDS, _STAR_SEEDS)
    for n_leaves, hidden in _STARS:
        yield from star_results(n_leaves, pair_seeds if n_leaves == _HIDDEN_PAIR else star_seeds, hidden=hidden)
    for n_ues in (32,) if quick else _LINKED_AIMS_S:
        yield _linked_result(n_ues, _QUICK_SEEDS if quick else _STAR_SEEDS)


def star_results(n_leaves: int, seeds: Sequence[int], *, hidden: bool) -> Iterator[Result]:
    """Leaves that all send what they can to the hub: blocks lost there, goodput, fairness.

    A seed in which not every leaf got through counts with nothing for it.
    """
    bad, rates_kbit_s, fair = [], [], []
    for seed in seeds:
        plan = StarPlan(seed=seed, n_ues=n_leaves + 1, group=False, folder=Path(), hidden=hidden)
        lost, rates = _busy_star(plan)
        bad.append(lost)
        rates_kbit_s.append(sum(rates) / 1e3)
        fair.append(_fairness(rates))
    for figure, values in zip(_figures(n_leaves, hidden=hidden), (bad, rates_kbit_s, fair), strict=True):
        yield figure.result(values, seeds=seeds)


def _busy_star(plan: StarPlan) -> tuple[float, list[float]]:
    """(share of blocks lost at the hub, bit/s of each leaf) in `_BUSY_S` from a second after the last had begun."""
    hub, *leaves = plan.names
    cell = SubframeCell(plan, {}, changes_of={name: _PUSHING if name in leaves else _QUIET for name in plan.names})

    def is_enough(events: list[AnyEvent]) -> bool:
        starts = _starts_ns(events)
        until_ns = max(starts.values(), default=0) + (_SETTLING_S + _BUSY_S) * _NS_PER_S
        return len(starts) == len(leaves) and events[-1].utc_ns >= until_ns

    cell.run(_LONGEST_S, is_enough)
    starts = _starts_ns(cell.events)
    begin_ns = max(starts.values(), default=0) + _SETTLING_S * _NS_PER_S
    end_ns = begin_ns + _BUSY_S * _NS_PER_S
    blocks = [one for one in events_of(cell.events, BlockReceived, hub) if begin_ns < one.utc_ns <= end_ns]
    if not blocks:
        raise LabError(f"{plan.n_ues - 1} senders: the hub received nothing", code=ExitCode.FAILED)
    arrived: dict[int, set[bytes]] = {leaf_l2: set() for leaf_l2 in starts}
    for one in pdus_of(cell.events, "ip", "rx"):
        if begin_ns < one.utc_ns <= end_ns and len(one.event.data) == _PACKET_OCTETS and one.event.src_l2 in arrived:
            arrived[one.event.src_l2].add(one.event.data)
    rates = [len(chunks) * CHUNK_OCTETS * 8 / _BUSY_S for chunks in arrived.values()]
    return (
        sum(not one.event.crc_ok for one in blocks) / len(blocks),
        rates + [0.0] * (len(leaves) - len(rates)),
    )


def _starts_ns(events: list[AnyEvent]) -> dict[int, int]:
    """When the first chunk of each sender arrived."""
    starts: dict[int, int] = {}
    for one in pdus_of(events, "ip", "rx"):
        if len(one.event.data) == _PACKET_OCTETS:
            starts.setdefault(one.event.src_l2, one.utc_ns)
    return starts


def _linked_result(n_ues: int, seeds: Sequence[int]) -> Result:
    """From the first power-on until the last of a crowd in pairs has its link; the longest time where one has none."""
    times_s = []
    for seed in seeds:
        plan = CrowdPlan(seed=seed, n_ues=n_ues, group=False, folder=Path())
        cell = SubframeCell(plan, _QUIET)
        cell.run(_LONGEST_S, lambda events: len({one.source for one in events_of(events, LinkEstablished)}) == n_ues)
        up_ns = {one.source: one.utc_ns for one in reversed(events_of(cell.events, LinkEstablished))}
        on_ns = min(one.utc_ns for one in events_of(cell.events, PoweredOn))
        is_whole = len(up_ns) == n_ues
        times_s.append((max(up_ns.values()) - on_ns) / _NS_PER_S if is_whole else _LONGEST_S)
    return _linked_figure(n_ues).result(times_s, seeds=seeds)


def _fairness(rates: list[float]) -> float:
    squares = sum(rate * rate for rate in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares else 0.0


FAMILY: Final = Family(
    name="crowds",
    title="Hidden senders, stars and crowds",
    method=(
        "Whole UEs on an air of subframes: scheduler, layer 2 and all above run as they are, the PHY is a model. "
        "Senders push without end to one receiver, and 2 s are counted from a second after the last one has begun. "
        "Hidden senders hear the receiver alone. Of a crowd in pairs, the time from the first power-on until the last "
        "UE has its link counts."
    ),
    full_minutes=12,
    figures=(
        *(figure for n_leaves, hidden in _STARS for figure in _figures(n_leaves, hidden=hidden)),
        *(_linked_figure(n_ues) for n_ues in _LINKED_AIMS_S),
    ),
    measure=_measure,
)
