"""The outcome of a run of many UEs, computed from its events alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab_scripts.demo.figures import air_time_ms, goodput_kbps
from lab_scripts.demo.plan import Fault
from lab_scripts.events.selection import Events, all_at_ns, events_of, first_of, time_ns
from lab_scripts.exit_codes import ExitCode
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.core.group_events import GroupEpochStarted, GroupKeyDelivered, GroupKeyReceived, GroupKeySent
from prose_link.ue.events import Connecting, GroupUnreadable, NodeStopped, PoweredOn, Progress
from prose_link.userplane.events import GroupMessageReceived, GroupMessageSent, PingReply, TrafficDone
from radio.phy.lte.channels.indications import Synchronised

_TO_FOUNDERS, _TO_JOINER, _AFTER_REMOVAL = 1, 2, 3
_MESSAGES: Final = {
    _TO_FOUNDERS: "first message, all at set-up",
    _TO_JOINER: "second, joiner included",
    _AFTER_REMOVAL: "third, one removed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdOutcome:
    """The verdict with its sentence, the closing table and the JSON document."""

    ok: bool
    """Whether the run succeeded; with a fault: whether it was stopped."""
    sentence: str
    rows: tuple[tuple[str, str], ...]
    document: dict[str, Any]
    fault: Fault | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 for a successful run, 5 for an attack that was stopped, 1 for anything else."""
        if not self.ok:
            return ExitCode.FAILED
        return ExitCode.OK if self.fault is None else ExitCode.SECURITY


def group_outcome(plan: CrowdPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
    """The outcome of a group's run: which UE got which key, and which could read which of the keyer's messages."""
    said = [one.event for one in events_of(events, GroupMessageSent, plan.keyer)]
    members = set(plan.names) - {plan.keyer}
    meant = {
        _TO_FOUNDERS: members - {plan.joiner},
        _TO_JOINER: members,
        _AFTER_REMOVAL: members - {plan.removed},
    }
    messages: list[dict[str, Any]] = []
    for number, audience in meant.items():
        sent = next((message for message in said if message.number == number), None)
        heard = set() if sent is None else hearers_of(events, sent)
        barred = {plan.removed} if number == _AFTER_REMOVAL else set()
        messages.append(
            {
                "number": number,
                "sha256": sent.sha256 if sent else None,
                "meant_for": sorted(audience),
                "heard_by": sorted(heard),
                "ok": sent is not None and heard >= audience and not heard & barred,
            }
        )
    unreadable = _unreadable_after_removal(plan, events)
    epochs = [one.event.epoch for one in events_of(events, GroupEpochStarted)]
    keyed = [_keyed(epoch, events) for epoch in epochs]
    received = first_of(events, GroupKeyReceived)
    keying = first_of(events, GroupKeySent)
    left = keys_left(events)
    ok = all(message["ok"] for message in messages) and unreadable > 0 and len(epochs) == 2 and left == 0
    key_ns = time_ns(events, GroupKeyReceived, plan.joiner)
    joined_ms = air_time_ms(time_ns(events, PoweredOn, plan.joiner), key_ns)
    before = sum(one.utc_ns < (key_ns or 0) for one in events_of(events, GroupUnreadable, plan.joiner))
    talk = _talk(plan, events)
    document = {
        **common_figures(plan, events, wall_s, ok),
        "keyer": plan.keyer,
        "epochs": epochs,
        "keyed": keyed,
        "ciphering": f"128-EEA{received.event.eea}" if received else None,
        "messages": messages,
        "members_talk": talk,
        "late_joiner": {"ue": plan.joiner, "power_on_to_key_ms": joined_ms, "unreadable_before_pdus": before},
        "removed": {"ue": plan.removed, "unreadable_pdus": unreadable},
        "keying_octets": keying.event.octets if keying else None,
        "integrity": "none: group traffic has no integrity and no proof of its sender",
    }
    rows = [
        *((_MESSAGES[message["number"]], _readers(message)) for message in messages),
        ("message of a member", f"{talk['heard_by']} of {talk['meant_for']} read it"),
        ("keying message", f"{document['keying_octets']} octets, an I_MESSAGE to each member"),
        *((f"key of epoch {one['epoch']}", _keyed_in_words(one)) for one in keyed),
        ("late joiner, power-on to key", f"{_ms(joined_ms)}; {before} PDUs before that it could not read"),
        ("removed member", f"{unreadable} PDUs of the new epoch it could not read"),
        ("protection", f"{document['ciphering'] or '-'}; no integrity and no proof of who sent it"),
        *common_rows(document),
    ]
    sentence = (
        f"{plan.n_ues} UEs shared a group key: all heard the keyer, {plan.joiner} joined late, "
        f"{plan.removed} was rekeyed out and could read no more."
        if ok
        else "The group's run did not get to its end: see the timeline for the last thing that worked."
    )
    return CrowdOutcome(ok=ok, sentence=sentence, rows=tuple(rows), document=document)


def pairs_outcome(plan: CrowdPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
    """A run in pairs: each pair does the main job with fewer pings."""
    pairs = [_pair(events, *pair) for pair in plan.pairs]
    ok = all(pair["ok"] for pair in pairs) and keys_left(events) == 0
    document = {**common_figures(plan, events, wall_s, ok), "pairs": pairs}
    rows = [
        (
            " and ".join(pair["ues"]),
            f"connected in {_ms(pair['connected_ms'])}, {pair['pings_answered']} pings answered, "
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


def _readers(message: Mapping[str, Any]) -> str:
    meant = set(message["meant_for"])
    return f"{len(meant & set(message['heard_by']))} of {len(meant)} read it"


def keys_left(events: Events) -> int:
    """Contexts with live keys that UEs had when they were off."""
    return sum(one.event.live_contexts for one in events_of(events, NodeStopped))


def hearers_of(events: Events, sent: GroupMessageSent) -> set[str]:
    """The UEs that received a message completely."""
    return {one.source for one in events_of(events, GroupMessageReceived) if one.event.sha256 == sent.sha256}


def _unreadable_after_removal(plan: CrowdPlan, events: Events) -> int:
    """PDUs that the removed member had no key for, from the keyer's last message on."""
    said = events_of(events, GroupMessageSent, plan.keyer)
    last = next((one for one in said if one.event.number == _AFTER_REMOVAL), None)
    if last is None:
        return 0
    return sum(one.utc_ns >= last.utc_ns for one in events_of(events, GroupUnreadable, plan.removed))


def _keyed(epoch: int, events: Events) -> dict[str, Any]:
    """The time until every recipient of an epoch's first messages held its key and had shown it."""
    started = next(one for one in events_of(events, GroupEpochStarted) if one.event.epoch == epoch)
    meant = set(started.event.recipients)
    delivered = [one for one in events_of(events, GroupKeyDelivered) if one.event.epoch == epoch]
    shown = [one.utc_ns for one in delivered if one.event.recipient in meant]
    held = [one.utc_ns for one in events_of(events, GroupKeyReceived) if one.event.epoch == epoch][: len(meant)]
    return {
        "epoch": epoch,
        "recipients": len(meant),
        "held_ms": air_time_ms(started.utc_ns, held[-1] if len(held) == len(meant) else None),
        "shown_ms": air_time_ms(started.utc_ns, shown[-1] if len(shown) == len(meant) else None),
    }


def _keyed_in_words(keyed: Mapping[str, Any]) -> str:
    return (
        f"held by {keyed['recipients']} members after {_ms(keyed['held_ms'])}, shown to the keyer by all after "
        f"{_ms(keyed['shown_ms'])}"
    )


def _talk(plan: CrowdPlan, events: Events) -> dict[str, Any]:
    """The number of UEs that had the key then and heard the member that spoke."""
    sent = first_of(events, GroupMessageSent, plan.speaker)
    if sent is None:
        return {"ue": plan.speaker, "heard_by": 0, "meant_for": 0}
    holders = {one.source for one in events_of(events, GroupKeyReceived) if one.utc_ns <= sent.utc_ns}
    heard = hearers_of(events, sent.event)
    able = {plan.keyer} | holders | heard
    return {"ue": plan.speaker, "heard_by": len(heard), "meant_for": len(able - {plan.speaker})}


def _pair(events: Events, initiator: str, responder: str) -> dict[str, Any]:
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
        air_time_ms(time_ns(events, PoweredOn, name), time_ns(events, Synchronised, name)) for name in plan.names[1:]
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
        ("longest time on air to sync", _ms(document["air_ms"]["sync"])),
        ("real-time factor", f"{document['real_time_factor'] or '-'} (air seconds a wall second)"),
        ("wall time", f"{document['wall_s']:.1f} s"),
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
