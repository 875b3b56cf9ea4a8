"""What a run of many UEs came to, worked out from its events alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab_scripts.runs.cell_plan import CrowdPlan

Record = Mapping[str, Any]
_TO_FOUNDERS, _TO_JOINER, _AFTER_REMOVAL = 1, 2, 3
_MESSAGES: Final = {
    _TO_FOUNDERS: "first message, all at set-up",
    _TO_JOINER: "second, joiner included",
    _AFTER_REMOVAL: "third, one removed",
}
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdOutcome:
    """The verdict, the sentence that says it, the closing table and the JSON document."""

    ok: bool
    sentence: str
    rows: tuple[tuple[str, str], ...]
    document: dict[str, Any]


def group_outcome(plan: CrowdPlan, events: Sequence[Record], *, wall_s: float) -> CrowdOutcome:
    """A group's run: who got which key, and who could read which of the keyer's messages."""
    said = [event for event in _of(events, "group-message-sent") if event["source"] == plan.keyer]
    members = set(plan.names) - {plan.keyer}
    meant = {
        _TO_FOUNDERS: members - {plan.joiner},
        _TO_JOINER: members,
        _AFTER_REMOVAL: members - {plan.removed},
    }
    messages: list[dict[str, Any]] = []
    for number, audience in meant.items():
        sent = next((event for event in said if event["number"] == number), None)
        heard = {
            event["source"]
            for event in _of(events, "group-message-received")
            if sent and event["sha256"] == sent["sha256"]
        }
        barred = {plan.removed} if number == _AFTER_REMOVAL else set()
        messages.append(
            {
                "number": number,
                "sha256": sent["sha256"] if sent else None,
                "meant_for": sorted(audience),
                "heard_by": sorted(heard),
                "ok": sent is not None and heard >= audience and not heard & barred,
            }
        )
    unreadable = _unreadable_after_removal(plan, events)
    epochs = [event["epoch"] for event in _of(events, "group-epoch-started")]
    keyed = [_keyed(epoch, events) for epoch in epochs]
    received = next(iter(_of(events, "group-key-received")), None)
    keys_left = sum(event["live_contexts"] for event in _of(events, "node-stopped"))
    ok = all(message["ok"] for message in messages) and unreadable > 0 and len(epochs) == 2 and keys_left == 0
    joined_ms = _between(_time(events, "powered-on", plan.joiner), _time(events, "group-key-received", plan.joiner))
    key_ns = _time(events, "group-key-received", plan.joiner) or 0
    before = sum(e["source"] == plan.joiner and e["utc_ns"] < key_ns for e in _of(events, "group-unreadable"))
    talk = _talk(plan, events)
    document = {
        **_common(plan, events, wall_s, ok),
        "keyer": plan.keyer,
        "epochs": epochs,
        "keyed": keyed,
        "ciphering": f"128-EEA{received['eea']}" if received else None,
        "messages": messages,
        "members_talk": talk,
        "late_joiner": {"ue": plan.joiner, "power_on_to_key_ms": joined_ms, "unreadable_before_pdus": before},
        "removed": {"ue": plan.removed, "unreadable_pdus": unreadable},
        "keying_octets": next((event["octets"] for event in _of(events, "group-key-sent")), None),
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
        *_common_rows(document),
    ]
    sentence = (
        f"{plan.n_ues} UEs shared a group key: all heard the keyer, {plan.joiner} joined late, "
        f"{plan.removed} was rekeyed out and could read no more."
        if ok
        else "The group's run did not get to its end: see the timeline for the last thing that worked."
    )
    return CrowdOutcome(ok=ok, sentence=sentence, rows=tuple(rows), document=document)


def pairs_outcome(plan: CrowdPlan, events: Sequence[Record], *, wall_s: float) -> CrowdOutcome:
    """A run in pairs: each pair does the main job with fewer pings."""
    pairs = [_pair(events, *pair) for pair in plan.pairs]
    keys_left = sum(event["live_contexts"] for event in _of(events, "node-stopped"))
    ok = all(pair["ok"] for pair in pairs) and keys_left == 0
    document = {**_common(plan, events, wall_s, ok), "pairs": pairs}
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
    return CrowdOutcome(ok=ok, sentence=sentence, rows=(*rows, *_common_rows(document)), document=document)


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


def _unreadable_after_removal(plan: CrowdPlan, events: Sequence[Record]) -> int:
    """PDUs that the removed member had no key for, from the keyer's last message on."""
    last = next(
        (
            event["utc_ns"]
            for event in _of(events, "group-message-sent")
            if event["source"] == plan.keyer and event["number"] == _AFTER_REMOVAL
        ),
        None,
    )
    if last is None:
        return 0
    return sum(e["source"] == plan.removed and e["utc_ns"] >= last for e in _of(events, "group-unreadable"))


def _keyed(epoch: int, events: Sequence[Record]) -> dict[str, Any]:
    """How long it took until every recipient of an epoch's first messages held its key, and had shown it."""
    started = next(event for event in _of(events, "group-epoch-started") if event["epoch"] == epoch)
    meant = set(started["recipients"])
    shown = [e for e in _of(events, "group-key-delivered") if e["epoch"] == epoch and e["recipient"] in meant]
    held = [e["utc_ns"] for e in _of(events, "group-key-received") if e["epoch"] == epoch][: len(meant)]
    return {
        "epoch": epoch,
        "recipients": len(meant),
        "held_ms": _between(started["utc_ns"], held[-1] if len(held) == len(meant) else None),
        "shown_ms": _between(started["utc_ns"], shown[-1]["utc_ns"] if len(shown) == len(meant) else None),
    }


def _keyed_in_words(keyed: Mapping[str, Any]) -> str:
    return (
        f"held by {keyed['recipients']} members after {_ms(keyed['held_ms'])}, shown to the keyer by all after "
        f"{_ms(keyed['shown_ms'])}"
    )


def _talk(plan: CrowdPlan, events: Sequence[Record]) -> dict[str, Any]:
    """How many of those who had the key then heard the member that spoke."""
    sent = next((event for event in _of(events, "group-message-sent") if event["source"] == plan.speaker), None)
    if sent is None:
        return {"ue": plan.speaker, "heard_by": 0, "meant_for": 0}
    able = {plan.keyer} | {e["source"] for e in _of(events, "group-key-received") if e["utc_ns"] <= sent["utc_ns"]}
    heard = {e["source"] for e in _of(events, "group-message-received") if e["sha256"] == sent["sha256"]}
    return {"ue": plan.speaker, "heard_by": len(heard), "meant_for": len((able | heard) - {plan.speaker})}


def _pair(events: Sequence[Record], initiator: str, responder: str) -> dict[str, Any]:
    own = [event for event in events if event["source"] in (initiator, responder)]
    done = list(_of(own, "traffic-done"))
    up = [_time(own, "link-established", name) for name in (initiator, responder)]
    transfers = list(_of(own, "transfer-received"))
    seconds = sum(event["finished_s"] - event["started_s"] for event in transfers)
    octets = sum(event["octets"] for event in transfers)
    return {
        "ues": [initiator, responder],
        "ok": len(done) == 2 and all(event["ok"] for event in done),
        "connected_ms": _between(_time(own, "connecting", initiator), max(t for t in up if t) if all(up) else None),
        "pings_answered": len(list(_of(own, "ping-reply"))),
        "goodput_kbps": round(octets * 8e-3 / seconds, 1) if seconds else None,
    }


def _common(plan: CrowdPlan, events: Sequence[Record], wall_s: float, ok: bool) -> dict[str, Any]:
    synced = [
        _between(_time(events, "powered-on", name), _time(events, "synchronised", name)) for name in plan.names[1:]
    ]
    factors = {event["source"]: event["real_time_factor"] for event in _of(events, "progress")}
    return {
        "ok": ok,
        "seed": plan.seed,
        "ues": plan.n_ues,
        "air_ms": {"sync": max((ms for ms in synced if ms is not None), default=None)},
        "synchronised": sum(ms is not None for ms in synced),
        "real_time_factor": min(factors.values(), default=None),
        "wall_s": round(wall_s, 2),
    }


def _common_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("longest time on air to sync", _ms(document["air_ms"]["sync"])),
        ("real-time factor", f"{document['real_time_factor'] or '-'} (air seconds a wall second)"),
        ("wall time", f"{document['wall_s']:.1f} s"),
    ]


def _of(events: Sequence[Record], name: str) -> list[Record]:
    return [event for event in events if event["event"] == name]


def _time(events: Sequence[Record], name: str, source: str) -> int | None:
    return next((event["utc_ns"] for event in _of(events, name) if event["source"] == source), None)


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    return round((end_ns - start_ns) / _NS_PER_MS, 3) if start_ns is not None and end_ns is not None else None


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
