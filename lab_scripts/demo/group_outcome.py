"""What a run of the demo's group came to, worked out from its events alone: the steps that it is to show, one by one.

Times are ms of air time, since the air's start or, where a name ends in `after_ms`, since what it follows from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab_scripts.console.timeline import START_NS
from lab_scripts.demo.crowd_outcome import CrowdOutcome, common_figures, common_rows, hearers_of, keys_left
from lab_scripts.demo.figures import air_time_ms, in_ms
from lab_scripts.demo.group_plan import GroupPlan
from lab_scripts.events.selection import Events, events_of, first_of
from prose_link.event_stream import TimedEvent
from prose_link.pc5s.core.events import RequestRefused
from prose_link.pc5s.core.group_events import (
    GroupAskAnswered,
    GroupAsked,
    GroupEpochStarted,
    GroupEpochYielded,
    GroupKeyReceived,
    GroupKeySent,
    GroupRemovalDone,
)
from prose_link.pc5s.groups.ask_checks import NOT_A_MEMBER
from prose_link.pc5s.groups.asks import UNHELD
from prose_link.ue.events import GroupUnreadable, NodeStopped
from prose_link.userplane.events import GroupMessageSent

SOON_MS: Final = 2000.0
"""A member that was deaf has the key so soon after its return, or the step counts as failed."""
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the things that the run is to show: whether it did, in figures, and in words for a person."""

    name: str
    ok: bool
    figures: Mapping[str, Any]
    row: tuple[str, str]
    sentence: str
    """The part of the run's sentence that tells it."""

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {"ok": self.ok, **self.figures}


def group_outcome(plan: GroupPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
    """Whether all steps happened, no key was left, and what each of them took."""
    removal = _removal(plan, events)
    steps = (
        _keyers(plan, events, removal),
        _removed(plan, events, removal),
        _asked(plan, events, removal),
        _taken_over(plan, events),
    )
    failed = [step for step in steps if not step.ok]
    ok = not failed and keys_left(events) == 0
    received, keying = first_of(events, GroupKeyReceived), first_of(events, GroupKeySent)
    document = {
        **common_figures(plan, events, wall_s, ok),
        "group": {step.name: step.document() for step in steps},
        "ciphering": f"128-EEA{received.event.eea}" if received else None,
        "keying_octets": keying.event.octets if keying else None,
        "integrity": "none: group traffic has no integrity and no proof of its sender",
    }
    sentence = f"{plan.n_ues} UEs shared a group's key: {'; '.join(step.sentence for step in steps)}."
    if failed:
        sentence = f"The group's run did not show all of it: {', '.join(step.row[0] for step in failed)} went wrong."
    elif not ok:
        sentence = "The group's run left keys behind."
    document["sentence"] = sentence
    rows = [
        *((step.row[0], step.row[1] + ("" if step.ok else ": NOT DONE")) for step in steps),
        ("keying message", f"{document['keying_octets']} octets, an I_MESSAGE to each member"),
        ("protection", f"{document['ciphering'] or '-'}; no integrity and no proof of who sent it"),
        *common_rows(document),
    ]
    return CrowdOutcome(ok=ok, sentence=sentence, rows=tuple(rows), document=document)


def _keyers(plan: GroupPlan, events: Events, removal: TimedEvent[GroupEpochStarted] | None) -> Step:
    """Both make keys, the second takes the first one's, and all at set-up read what the first one says."""
    first, second = plan.keyers
    epochs = {name: [one.event.epoch for one in events_of(events, GroupEpochStarted, name)] for name in plan.keyers}
    yielded = [one.source for one in events_of(events, GroupEpochYielded)]
    said = first_of(events, GroupMessageSent, first)
    meant = set(plan.names) - {first, plan.joiner}
    heard = hearers_of(events, said.event) if said else set()
    taken = [one for one in events_of(events, GroupKeyReceived, second) if one.event.keyer == plan.granted[first]]
    in_time = said is not None and removal is not None and said.utc_ns < removal.utc_ns
    told = f"{first} made {_keys(epochs[first])}, and {second} took {len(taken)} and made {_keys(epochs[second])}"
    if yielded:
        told += f"; where both had made one at once, {yielded[0]} gave its own out no more: the other's was greater"
    return Step(
        name="keyers",
        ok=all(epochs.values()) and bool(taken) and in_time and heard >= meant,
        figures={
            "ues": list(plan.keyers),
            "epochs": epochs,
            "taken": [one.event.epoch for one in taken],
            "yielded": yielded,
            **_audience(meant, heard),
        },
        row=("two keyers", f"{told}. {first}'s first message: {len(heard & meant)} of {len(meant)} read it"),
        sentence=f"{first} and {second} keyed it",
    )


def _removed(plan: GroupPlan, events: Events, removal: TimedEvent[GroupEpochStarted] | None) -> Step:
    """The members hold a key that the removed one doesn't get, and it reads nothing that is said from then on."""
    gone, since_ns = plan.removed, removal.utc_ns if removal else None
    after = [] if since_ns is None else [one for one in events if one.utc_ns >= since_ns]
    said = events_of(after, GroupMessageSent)
    read = sum(gone in hearers_of(events, one.event) for one in said)
    unreadable = len(events_of(after, GroupUnreadable, gone))
    shown = [one for one in events_of(after, GroupRemovalDone) if one.event.removed == plan.granted[gone]]
    refused = {
        name: sum(one.event.why == NOT_A_MEMBER for one in events_of(after, RequestRefused, name))
        for name in plan.keyers
    }
    keys = len(events_of(after, GroupKeyReceived, gone))
    at_ms = _since_start(since_ns)
    figures = {
        "ue": gone,
        "by": removal.source if removal else None,
        "at_ms": at_ms,
        "members_shown": len({one.event.member for one in shown}),
        "first_shown_after_ms": air_time_ms(since_ns, shown[0].utc_ns if shown else None),
        "messages_after": len(said),
        "messages_read": read,
        "unreadable_pdus": unreadable,
        "keys_after": keys,
        "asks_refused": refused,
    }
    return Step(
        name="removed",
        ok=bool(said and shown) and read == 0 and keys == 0 and unreadable > 0,
        figures=figures,
        row=(
            "removal",
            f"{gone} was out at {in_ms(at_ms)}; {figures['members_shown']} members showed a key without it. "
            f"It read {read} of {len(said)} messages said since, had no key for {unreadable} PDUs, and its asks were "
            f"refused {sum(refused.values())} times",
        ),
        sentence=f"{gone} was removed and read nothing more",
    )


def _asked(plan: GroupPlan, events: Events, removal: TimedEvent[GroupEpochStarted] | None) -> Step:
    """A member out of reach misses the keying; it comes back, hears a key that it doesn't hold, and asks for it."""
    deaf = plan.deaf
    away_ns, back_ns = (START_NS + round(at_s * _NS_PER_S) for at_s in plan.away_s)
    missed = removal is not None and away_ns < removal.utc_ns < back_ns
    epoch = removal.event.epoch if removal else None
    held = next((one for one in events_of(events, GroupKeyReceived, deaf) if one.event.epoch == epoch), None)
    back = [one for one in events if one.utc_ns >= back_ns]
    asked = next((one for one in events_of(back, GroupAsked, deaf) if one.event.why == UNHELD), None)
    answers = [one for one in events_of(back, GroupAskAnswered) if one.event.member == plan.granted[deaf]]
    asked_ms = air_time_ms(back_ns, asked.utc_ns if asked else None)
    key_ms = air_time_ms(back_ns, held.utc_ns if held else None)
    in_order = _in_order(asked, answers[0] if answers else None, held)
    return Step(
        name="asked",
        ok=missed and in_order and key_ms is not None and key_ms <= SOON_MS,
        figures={
            "ue": deaf,
            "away_ms": [_since_start(away_ns), _since_start(back_ns)],
            "missed_epoch": epoch if missed else None,
            "why": asked.event.why if asked else None,
            "asked_after_ms": asked_ms,
            "answered_by": answers[0].source if answers else None,
            "key_held_after_ms": key_ms,
        },
        row=(
            "deaf member",
            f"{deaf} was out of reach and missed the key of epoch {epoch}; it asked {in_ms(asked_ms)} after its return "
            f"and had it after {in_ms(key_ms)}, from {answers[0].source if answers else 'nobody'}",
        ),
        sentence=f"{deaf} missed a key, asked, and had it {in_ms(key_ms)} after its return",
    )


def _taken_over(plan: GroupPlan, events: Events) -> Step:
    """The first keyer dies. A UE that needs a key asks it in vain, then asks the second one, which takes over."""
    dead, heir = plan.keyers
    off = first_of(events, NodeStopped, dead)
    off_ns = off.utc_ns if off else None
    after = [] if off_ns is None else [one for one in events if one.utc_ns >= off_ns]
    asks = events_of(after, GroupAsked, plan.joiner)
    in_vain = sum(one.event.keyer == plan.granted[dead] for one in asks)
    started = first_of(after, GroupEpochStarted, heir)
    new_ms = air_time_ms(off_ns, started.utc_ns if started else None)
    meant = set(plan.names) - {dead, heir, plan.removed}
    keys = [] if started is None else events_of(after, GroupKeyReceived)
    held = {one.source: one.utc_ns for one in keys if started and one.event.epoch == started.event.epoch}
    all_ms = air_time_ms(off_ns, max(held.values())) if held.keys() >= meant else None
    said = [one for one in events_of(after, GroupMessageSent, heir) if started and one.utc_ns > started.utc_ns]
    heard = hearers_of(events, said[0].event) if said else set()
    return Step(
        name="taken_over",
        ok=in_vain > 0 and held.keys() >= meant and heard >= meant and plan.removed not in held.keys() | heard,
        figures={
            "dead": dead,
            "dead_at_ms": _since_start(off_ns),
            "by": heir,
            "asked_by": plan.joiner,
            "asks_in_vain": in_vain,
            "epoch": started.event.epoch if started else None,
            "new_key_after_ms": new_ms,
            "held_by_all_after_ms": all_ms,
            **_audience(meant, heard),
        },
        row=(
            "dead keyer",
            f"{dead} died at {in_ms(_since_start(off_ns))}; {plan.joiner} asked it {in_vain} times in vain, then "
            f"{heir}, which made a new key {in_ms(new_ms)} after the death; all members held it after {in_ms(all_ms)}. "
            f"{heir}'s message then: {len(heard & meant)} of {len(meant)} read it",
        ),
        sentence=f"{dead} died and {heir} took over",
    )


def _removal(plan: GroupPlan, events: Events) -> TimedEvent[GroupEpochStarted] | None:
    """The first keyer's first key that leaves the removed member out."""
    out, made = plan.granted[plan.removed], events_of(events, GroupEpochStarted, plan.keyers[0])
    return next((one for one in made if out in one.event.members_out), None)


def _in_order(*events: TimedEvent[Any] | None) -> bool:
    """Whether all of them have happened, one after the other."""
    times_ns = [one.utc_ns for one in events if one is not None]
    return len(times_ns) == len(events) and times_ns == sorted(times_ns)


def _audience(meant: set[str], heard: set[str]) -> dict[str, Any]:
    return {"meant_for": sorted(meant), "heard_by": sorted(heard)}


def _since_start(utc_ns: int | None) -> float | None:
    return air_time_ms(START_NS, utc_ns)


def _keys(epochs: list[int]) -> str:
    return f"{len(epochs)} key{'' if len(epochs) == 1 else 's'}"
