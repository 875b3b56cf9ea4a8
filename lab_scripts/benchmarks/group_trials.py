"""Trials with one group of whole UEs on the air of subframes; the first UEs are keyers, and all are members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab_scripts.events.selection import AnyEvent, is_of
from lab_scripts.runs.cell_plan import CrowdPlan, l2_id_of
from lab_scripts.runs.lab_world import LAB_UTC
from lab_scripts.runs.subframe_cell import SubframeCell
from prose_link.pc5s.core.group_events import GroupEpochStarted, GroupKeyReceived

Group = tuple[int, str]
"""(epoch, keyer): which key. Two keyers may make keys of one epoch."""
_TALK_EVERY_S: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTrialPlan(CrowdPlan):
    """A group whose members are known to the keyers beforehand; nobody comes late, nobody is removed.

    `loss` and `loss_ms` are those of every radio link. With `talks` each UE speaks for 13 s from its first key on.
    """

    group: bool = True
    folder: Path = Path()
    n_keyers: int = 1
    loss: float = 0.0
    loss_ms: int = 10
    talks: bool = False
    section: dict[str, Any] = field(default_factory=dict)

    @property
    def keyers(self) -> tuple[str, ...]:
        """The UEs that key the group."""
        return self.names[: self.n_keyers]

    @property
    def joiner(self) -> str:
        """Nobody."""
        return ""

    def scenario(self) -> dict[str, Any]:
        """The air, lossy as told."""
        document = CrowdPlan.scenario(self)
        for link in document["link"]:
            if self.loss:
                link.update(loss=self.loss, loss_ms=self.loss_ms)
        return document

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE; every keyer is a reference, so that a part of the group has one."""
        document = CrowdPlan.ue_config(self, name, kms_url=kms_url, ticket=ticket, air=air, power_on_s=power_on_s)
        members = [
            {"identity": self.granted[other], "l2_id": l2_id_of(place)}
            for place, other in enumerate(self.names)
            if other != name
        ]
        document["group"] = {
            "identity": document["group"]["identity"],
            "l2_id": document["group"]["l2_id"],
            "keyers": [self.granted[keyer] for keyer in self.keyers],
            "members": members,
            "message_octets": 60 if self.talks else 0,
            "copies": 32,
            "copy_every_s": _TALK_EVERY_S,
            "backward_secrecy": False,
            "set_up_after_s": 1.0,
            **self.section,
        }
        document["sync"] = {"role": "reference" if name in self.keyers else "follow"}
        document |= {"stop_after_s": 600.0, "stop_when_alone_s": 0.0}
        return document


class GroupTrial:
    """One group on its air, driven until something is reached.

    Args:
        plan: the group.
        cut: (receiver, sender, time in s) -> whether nothing comes through.
    """

    def __init__(self, plan: GroupTrialPlan, cut: Callable[[str, str, float], bool] = lambda *_: False) -> None:
        self.plan = plan
        self.held: dict[str, Group] = {}
        """UE -> the key that it took last."""
        self.dead: set[str] = set()
        """UEs that nobody hears any more, and that hear nobody."""
        self.now_s = 0.0
        self._cell = SubframeCell(plan, {})
        self._cell.air.cut = lambda to, of, subframe: bool(self.dead & {to, of}) or cut(to, of, subframe / 1000)
        self._seen = 0

    def run(self, for_s: float, until: Callable[[], bool]) -> float | None:
        """Let up to `for_s` pass; returns the time of the event at which `until` was first so, in s, else None."""
        found: list[float] = []

        def is_over(events: list[AnyEvent]) -> bool:
            while self._seen < len(events) and not found:
                timed = events[self._seen]
                self._seen += 1
                self.now_s = timed.utc_ns / 1e9 - LAB_UTC.timestamp()
                self._take(timed)
                if until():
                    found.append(self.now_s)
            return bool(found)

        self._cell.run(for_s, is_over)
        return found[0] if found else None

    @property
    def is_one_group(self) -> bool:
        """Whether all that live hold one and the same key."""
        living = [name for name in self.plan.names if name not in self.dead]
        keys = {self.held.get(name) for name in living}
        return len(keys) == 1 and None not in keys

    def _take(self, timed: AnyEvent) -> None:
        if is_of(timed, GroupEpochStarted):
            self.held[timed.source] = (timed.event.epoch, self.plan.granted[timed.source])
        elif is_of(timed, GroupKeyReceived):
            self.held[timed.source] = (timed.event.epoch, timed.event.keyer)
