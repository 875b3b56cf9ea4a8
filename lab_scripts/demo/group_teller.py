"""Tells a group's run to a person: UEs by their names, and a line where one of the run's steps is reached."""

from __future__ import annotations

from collections.abc import Iterator

from lab_scripts.console.timeline import line_of
from lab_scripts.demo.crowd_teller import CrowdTeller
from lab_scripts.demo.group_plan import GroupPlan
from lab_scripts.events.selection import AnyEvent
from prose_link.pc5s.core.group_events import GroupAskAnswered, GroupEpochStarted, GroupEpochYielded, GroupKeyReceived
from prose_link.ue.events import GroupUnreadable, NodeStopped
from radio.emulator.events import UeBackInReach
from security.groups import member_hash


class GroupTeller:
    """Tells the events of one run of a group, in the order in which they are said."""

    def __init__(self, plan: GroupPlan) -> None:
        self._plan = plan
        self._crowd = CrowdTeller(plan.n_ues)
        self._names = {identity: name for name, identity in plan.granted.items()}
        self._names |= {member_hash(identity).hex(): name for name, identity in plan.granted.items()}
        self._removal_epoch: int | None = None
        self._told: set[str] = set()

    def told(self, timed: AnyEvent) -> str | None:
        """An event as lines, None for those that are not told."""
        reached = [step for step in self._steps(timed) if step not in self._told]
        self._told.update(reached)
        steps = [line_of(timed, f"[bold]step: {step}[/]") for step in reached]
        line = self._crowd.told(timed)
        lines = "\n".join(([] if line is None else [line]) + steps)
        for spelt, name in self._names.items():
            lines = lines.replace(spelt, name)
        return lines or None

    def _steps(self, timed: AnyEvent) -> Iterator[str]:
        plan = self._plan
        first, second = plan.keyers
        match timed.event:
            case GroupEpochYielded(keyer=keyer):
                yield f"both keyers have made a key; the one of {keyer} is greater, and all take that"
            case GroupEpochStarted(members_out=out, epoch=epoch) if plan.granted[plan.removed] in out:
                if self._removal_epoch is None:
                    self._removal_epoch = epoch
                    yield f"{plan.removed} is removed; from now on it is to read nothing"
                elif timed.source == second:
                    yield f"{second} takes over from {first}; its key leaves {plan.removed} out too"
            case GroupUnreadable() if timed.source == plan.removed and self._removal_epoch is not None:
                yield f"{plan.removed} can't read what is said since its removal"
            case UeBackInReach(ue=ue):
                yield f"{ue} is back; it has missed the key without {plan.removed}"
            case GroupKeyReceived(keyer=keyer) if timed.source == second and keyer == plan.granted[first]:
                yield f"{second} is a keyer too, and takes the keys of {first} while that one lives"
            case GroupKeyReceived(epoch=epoch) if timed.source == plan.deaf and epoch == self._removal_epoch:
                yield f"{plan.deaf} has the key that it missed"
            case NodeStopped() if timed.source == first:
                yield f"{first} is dead: it sent no Release"
            case GroupAskAnswered(member=member, new_epoch=True) if member == plan.granted[plan.joiner]:
                yield f"{plan.joiner} asked {first} in vain, and is answered by {second}"
