"""The state tables of the code: no deadlock, no livelock, every request ends (PROFILE 7, 9, 11).

This part speaks about the code: it reads the tables that the entities run by. A table says which input leads where,
and the text of an action names the timers that it starts. From that a machine is made: its state is the table's state
with the timers that run and the tries they have left. A timer is taken to run only while its state stays, unless an
action starts it, so a timer that code stops is never counted on. Every input that is no timer may come at any time,
or never. An input with a condition ("none left, Request without I_MESSAGE") comes once while its state stays, since
what is done at it takes the condition away.

* *No deadlock*: in every state that can be reached and is no place to rest, a timer runs whose input the table lists.
* *No livelock, every request ends*: when the peer has fallen silent, the timers alone lead to a place to rest. A loop
  of timers is allowed only if another timer runs through it, isn't started again in it, and leads out.

Rest is where nothing is waited for. A context that an end keeps for its peer (`AWAIT_CONFIRM`) ends with its link,
and links are checked by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from docs.formal.case import Case, Kind
from docs.formal.search import Result
from prose_link.pc5s.core.fsm import Role, Transition
from prose_link.pc5s.groups.fsm import TO_GROUP, TO_MEMBER
from prose_link.pc5s.identity import tables as identity
from prose_link.pc5s.ts24334 import tables as ts24334

AnyTable: TypeAlias = Mapping[tuple[Any, Enum], Transition[Any]]

TRIES: Final = 2
"""How often a question is repeated, in the model."""
REST: Final = frozenset({"IDLE", "NONE", "QUEUED", "DELIVERED", "UNDELIVERED"})
KEPT: Final = frozenset({"AWAIT_CONFIRM"})
"""States that end with the link."""
TIMERS_OF_A_LINK: Final = ("T4102", "T4108")
"""What "start its timers" starts when a link is up."""

TABLES: Final[Mapping[str, AnyTable]] = {
    "identity initiator": identity.LINK_TABLES[Role.INITIATOR],
    "identity responder": identity.LINK_TABLES[Role.RESPONDER],
    "ts24334 initiator": ts24334.LINK_TABLES[Role.INITIATOR],
    "ts24334 responder": ts24334.LINK_TABLES[Role.RESPONDER],
    "rekeying": identity.REKEYING,
    "key to a member": TO_MEMBER,
    "key to a group": TO_GROUP,
}


class Place(NamedTuple):
    """A state of a table, and its timers with the tries they have left, in order."""

    state: Any
    timers: tuple[tuple[str, int], ...] = ()


class Edge(NamedTuple):
    """An input taken: by which timer ("" if none), which timers it starts, and where it leads."""

    text: str
    timer: str
    starts: frozenset[str]
    after: Place


def timers_in(text: str) -> list[str]:
    """The timers that a text names."""
    return re.findall(r"\bT4\d{3}\b", text)


def started(transition: Transition[Any]) -> frozenset[str]:
    """The timers that the actions of a transition start."""
    texts = [str(action.value) for action in transition.actions]
    by_name = {timer for text in texts for timer in timers_in(text)}
    return frozenset(by_name.union(*(TIMERS_OF_A_LINK for text in texts if "start its timers" in text)))


def edges(table: AnyTable, place: Place) -> Iterator[Edge]:
    """All that can happen in a place."""
    running = dict(place.timers)
    for (state, event), transition in table.items():
        if state is not place.state:
            continue
        text = str(event.value)
        named = timers_in(text)
        timer = named[0] if named and text.startswith(named[0]) else ""
        if f"once: {text}" in running or (timer and timer not in running):
            continue
        if timer and not _is_its_turn(table, state, timer, text, running[timer]):
            continue
        starts = started(transition)
        left = {} if transition.next_state is not state else {t: n for t, n in running.items() if t != timer}
        if "none left, " in text and transition.next_state is state:
            left[f"once: {text}"] = 0
        for name in starts:
            left[name] = running[timer] - 1 if name == timer and "tries left" in text else TRIES
        yield Edge(text, timer, starts, Place(transition.next_state, tuple(sorted(left.items()))))


def _is_its_turn(table: AnyTable, state: Any, timer: str, text: str, left: int) -> bool:
    """Whether a timer tells this now: tries left as long as there are some, where the table lists such a row."""
    repeats = any(at is state and str(event.value).startswith(f"{timer}, tries left") for at, event in table)
    if "none left" in text:
        return left == 0 or not repeats
    return left > 0 if "tries left" in text else True


def reachable(table: AnyTable) -> dict[Place, tuple[str, ...]]:
    """Every place that can be reached, with the inputs that lead there."""
    first = next(place for place in (Place(state) for state, _ in table) if place.state.name in REST)
    found: dict[Place, tuple[str, ...]] = {first: ()}
    order = [first]
    for place in order:
        for edge in edges(table, place):
            if edge.after not in found:
                found[edge.after] = (*found[place], edge.text)
                order.append(edge.after)
    return found


def is_rest(place: Place) -> bool:
    """Whether nothing is waited for here."""
    return place.state.name in REST or place.state.name in KEPT


def check(table: AnyTable) -> Result:
    """Look at every place for deadlocks, then at all loops of timers."""
    found = reachable(table)
    silent = {place: [edge for edge in edges(table, place) if edge.timer] for place in found}
    for place, path in found.items():
        if not is_rest(place) and not silent[place]:
            return Result(len(found), f"deadlock in {place.state.name}: no timer runs that leads on", path)
    for loop in loops(silent):
        if not _has_way_out(loop, silent):
            place = next(place for place in found if place in loop)
            return Result(len(found), f"livelock in {place.state.name}: timers alone never end it", found[place])
    return Result(len(found))


def _has_way_out(loop: frozenset[Place], silent: Mapping[Place, list[Edge]]) -> bool:
    """Whether a timer runs through a loop, isn't started again in it, and leads out of it."""
    inside = [edge for place in loop for edge in silent[place] if edge.after in loop]
    steady = set.intersection(*({timer for timer, _ in place.timers if timers_in(timer) == [timer]} for place in loop))
    steady -= {timer for edge in inside for timer in edge.starts} | {edge.timer for edge in inside}
    return any(edge.timer in steady for place in loop for edge in silent[place])


def loops(silent: Mapping[Place, list[Edge]]) -> Iterator[frozenset[Place]]:
    """The sets of places, none of them rest, that timers lead around in: what can reach itself."""
    after = {place: {edge.after for edge in silent[place] if not is_rest(edge.after)} for place in silent}
    far = {place: closure(place, after) for place in silent if not is_rest(place)}
    seen: set[Place] = set()
    for place, places in far.items():
        if place in places and place not in seen:
            loop = frozenset(other for other in places if place in far.get(other, ()))
            seen |= loop
            yield loop


def closure(start: Hashable, after: Mapping[Any, set[Any]]) -> set[Any]:
    """All that can be reached from a place in one step or more."""
    found: set[Any] = set()
    order = [start]
    while order:
        for place in after.get(order.pop(), ()):
            if place not in found:
                found.add(place)
                order.append(place)
    return found


def without_way_out(table: AnyTable, state: Any) -> AnyTable:
    """A table whose timers no longer lead out of a state."""
    return {
        (at, event): transition
        for (at, event), transition in table.items()
        if not (at is state and timers_in(str(event.value)) and transition.next_state is not state)
    }


def _cases() -> Iterator[Case]:
    claim = "no deadlock, no livelock, every request ends"
    for name, table in TABLES.items():

        def run(table: AnyTable = table) -> Result:
            return check(table)

        yield Case(name=f"tables/{name}", label="", kind=Kind.HOLDS, rule="none", claim=claim, run=run)
        for state in sorted({state for state, _ in table}, key=lambda state: str(state.name)):
            if state.name in REST | KEPT:
                continue

            def stuck(table: AnyTable = table, state: Any = state) -> Result:
                return check(without_way_out(table, state))

            text = f"the timers of {state.name} lead nowhere"
            case_name = f"tables/{name}, {state.name}"
            yield Case(name=case_name, label="", kind=Kind.FALLS, rule=text, claim=claim, run=stuck)


CASES: Final = tuple(_cases())
