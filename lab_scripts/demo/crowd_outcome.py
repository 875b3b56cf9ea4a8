"""What a run of many UEs came to, worked out from its events alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab_scripts.demo.figures import air_time_ms, goodput_kbps, in_ms
from lab_scripts.demo.plan import Fault
from lab_scripts.events.selection import Events, all_at_ns, events_of, time_ns
from lab_scripts.exit_codes import ExitCode
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.ue.events import Connecting, NodeStopped, PoweredOn, Progress
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent, PingReply, TrafficDone
from radio.phy.lte.channels.indications import Synchronised


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdOutcome:
    """The verdict, the sentence that says it, the closing table and the JSON document."""

    ok: bool
    """The run did what it was for; where a fault was mounted: it was stopped."""
    sentence: str
    rows: tuple[tuple[str, str], ...]
    document: dict[str, Any]
    fault: Fault | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 for a run that did its job, 5 for an attack that was stopped, 1 for anything else."""
        if not self.ok:
            return ExitCode.FAILED
        return ExitCode.OK if self.fault is None else ExitCode.SECURITY


def pairs_outcome(plan: CrowdPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
    """A run in pairs: each pair does the main job with fewer pings."""
    pairs = [pair_figures(events, *pair) for pair in plan.pairs]
    ok = all(pair["ok"] for pair in pairs) and keys_left(events) == 0
    document = {**common_figures(plan, events, wall_s, ok), "pairs": pairs}
    rows = [
        (
            " and ".join(pair["ues"]),
            f"connected in {in_ms(pair['connected_ms'])}, {pair['pings_answered']} pings answered, "
            f"{pair['goodput_kbps'] or '-'} kbit/s" + ("" if pair["ok"] else ": NOT DONE"),
        )
        for pair in pairs
    ]
    done = sum(pair["ok"] for pair in pairs)
    sentence = (
        f"{done} of {len(pairs)} pairs found each other, agreed a key and carried protected IP traffic both ways."
    )
    return CrowdOutcome(ok=ok, sentence=sentence, rows=(*rows, *common_rows(document)), document=document)


def print_crowd(console: Console, outcome: CrowdOutcome, folder: Path) -> None:
    """Print the closing table and the verdict."""
    table = Table(title="What it came to", title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for row in outcome.rows:
        table.add_row(*map(escape, row))
    console.print()
    console.print(table)
    console.print(f"\n[bold {'green' if outcome.ok else 'red'}]{escape(outcome.sentence)}[/]")
    console.print(f"events: {folder / 'events.jsonl'}   capture: {folder / 'capture.pcapng'}", markup=False)


def keys_left(events: Events) -> int:
    """Contexts with live keys that UEs had when they were off."""
    return sum(one.event.live_contexts for one in events_of(events, NodeStopped))


def hearers_of(events: Events, sent: GroupMessageSent) -> set[str]:
    """The UEs that heard a message whole."""
    return {one.source for one in events_of(events, GroupMessageReceived) if one.event.sha256 == sent.sha256}


def pair_figures(events: Events, initiator: str, responder: str) -> dict[str, Any]:
    """The main job of one pair: whether it was done, and how fast."""
    pair = (initiator, responder)
    own = [one for one in events if one.source in pair]
    done = events_of(own, TrafficDone)
    return {
        "ues": list(pair),
        "ok": len(done) == 2 and all(one.event.ok for one in done),
        "connected_ms": air_time_ms(time_ns(own, Connecting, initiator), all_at_ns(own, LinkEstablished, pair)),
        "pings_answered": len(events_of(own, PingReply)),
        "goodput_kbps": goodput_kbps(own),
    }


def common_figures(plan: CrowdPlan, events: Events, wall_s: float, ok: bool) -> dict[str, Any]:
    """The figures of any run of many UEs."""
    synced = [
        air_time_ms(time_ns(events, PoweredOn, name), time_ns(events, Synchronised, name))
        for name in plan.names
        if name != plan.reference
    ]
    factors = {one.source: one.event.real_time_factor for one in events_of(events, Progress)}
    return {
        "ok": ok,
        "seed": plan.seed,
        "ues": plan.n_ues,
        "air_ms": {"sync": max((ms for ms in synced if ms is not None), default=None)},
        "synchronised": sum(ms is not None for ms in synced),
        "real_time_factor": min(factors.values(), default=None),
        "wall_s": round(wall_s, 2),
    }


def common_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those figures as rows of the closing table."""
    return [
        ("longest time on air to sync", in_ms(document["air_ms"]["sync"])),
        ("real-time factor", f"{document['real_time_factor'] or '-'} (air seconds a wall second)"),
        ("wall time", f"{document['wall_s']:.1f} s"),
    ]
