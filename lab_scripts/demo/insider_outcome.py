"""The outcome of a run with an insider in a group, computed from its events alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from lab_scripts.demo.crowd_outcome import CrowdOutcome, common_figures, common_rows, hearers_of, keys_left
from lab_scripts.demo.figures import air_time_ms
from lab_scripts.demo.insider_plan import INSIDER, KEYER, VICTIM
from lab_scripts.demo.plan import Fault
from lab_scripts.demo.verdict import Rejected
from lab_scripts.events.selection import Events, events_of, first_of
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.pc5s.core.events import Dropped
from prose_link.pc5s.core.group_events import GroupKeyDelivered, GroupKeyReceived, GroupKeySent
from prose_link.userplane.events import GroupMessageSent

_WHAT: Final = f"{INSIDER} gave receipts for the group's key in the name of {VICTIM}, which was deaf to the keyer"


def insider_outcome(plan: CrowdPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
    """Whether the keyer accepted the member's own receipt only, and all members had the key when it sent."""
    victim = plan.granted[VICTIM]
    drops = [one.event for one in events_of(events, Dropped, KEYER) if one.event.message == "receipt"]
    rejected = Rejected(by=KEYER, cause=None, why=drops[0].why, step=None, times=len(drops)) if drops else None
    sent_ns = next((one.utc_ns for one in events_of(events, GroupKeySent) if one.event.recipient == victim), None)
    held = first_of(events, GroupKeyReceived, VICTIM)
    shown_ns = next(
        (one.utc_ns for one in events_of(events, GroupKeyDelivered, KEYER) if one.event.recipient == victim), None
    )
    said = first_of(events, GroupMessageSent, KEYER)
    heard = hearers_of(events, said.event) if said else set()
    moments_ns = [held.utc_ns if held else None, shown_ns, said.utc_ns if said else None]
    known_ns = [moment for moment in moments_ns if moment is not None]
    in_order = known_ns == moments_ns and known_ns == sorted(known_ns)
    ok = rejected is not None and in_order and heard == {INSIDER, VICTIM} and keys_left(events) == 0
    document = {
        **common_figures(plan, events, wall_s, ok),
        "fault": Fault.FORGED_RECEIPT.value,
        "rejected": asdict(rejected) if rejected else None,
        "heard_by": sorted(heard),
        "victim": {
            "ue": VICTIM,
            "key_held_ms": air_time_ms(sent_ns, held.utc_ns if held else None),
            "key_shown_ms": air_time_ms(sent_ns, shown_ns),
        },
    }
    sentence = f"{_WHAT}; nothing stopped it."
    if ok and rejected is not None:
        sentence = (
            f"{_WHAT}; {KEYER} dropped {rejected.times} of them, since each {rejected.why}, and spoke to the group "
            f"only when {VICTIM} had the key and had said so itself."
        )
    document["sentence"] = sentence
    rows = [
        ("receipts dropped", str(len(drops))),
        ("key held by the deaf member", _after(document["victim"]["key_held_ms"])),
        ("key shown to the keyer", _after(document["victim"]["key_shown_ms"])),
        ("message of the keyer", f"{len(heard)} of {plan.n_ues - 1} read it"),
        *common_rows(document),
    ]
    return CrowdOutcome(ok=ok, sentence=sentence, rows=tuple(rows), document=document, fault=Fault.FORGED_RECEIPT)


def _after(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:.1f} ms after it was first sent"
