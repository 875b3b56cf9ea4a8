"""The hand-over of a group from one key to the next (PROFILE 11, G11): when the new one is spoken under, the old read.

Time is a small number; a keyer makes a new key at 0, and it comes to the other members one by one. One unit stands for
the second after T and for T_old alike, `LONG` for the 60 s. Where the new key leaves R out, R still has the old one.

*Nobody is missed*: who holds the new key reads who still speaks under the old one; and where the key takes no longer
than a unit to come, nobody speaks under a key that another member hasn't got. *Out is out*: who holds a key without R
doesn't speak under one that R has, and T_old later no longer reads one, so that R can't speak in the group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from docs.formal.case import Case, Kind, searched
from docs.formal.search import Step

UNIT: Final = 1
LONG: Final = 6
MEMBERS: Final = 3
"""The keyer and two others."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What G11 says; each may be taken away."""

    waits_a_second: bool = True
    """The new key is spoken under from T + 1 s on, so that the others can have it."""
    at_once_at_removal: bool = True
    old_read_long: bool = True
    """The old key is read for 60 s; else for T_old, as a link's old context is."""
    old_read_short_at_removal: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """The time, and since when each member holds the new key; -1: not yet."""

    now: int = 0
    since: tuple[int, ...] = (0, -1, -1)


@dataclass(frozen=True, slots=True)
class GroupHandOver:
    """A keyer and its members; `removal`: the new key leaves R out; `takes`: how long it may take to come."""

    rules: Rules = Rules()
    removal: bool = False
    takes: int = LONG - 1

    def start(self) -> State:
        """The keyer has made the key and holds it."""
        return State()

    def steps(self, state: State) -> Iterable[Step[State]]:
        """The key comes to a member, or time passes; by the end of `takes` everybody has it."""
        for member, since in enumerate(state.since):
            if since < 0 and state.now <= self.takes:
                holders = (*state.since[:member], state.now, *state.since[member + 1 :])
                yield Step(f"the key comes to member {member}", replace(state, since=holders))
        if state.now < LONG + 1 and (state.now < self.takes or -1 not in state.since):
            yield Step("time passes", replace(state, now=state.now + 1))

    def speaks_under_new(self, state: State, member: int) -> bool:
        """Which key a member speaks under."""
        if state.since[member] < 0:
            return False
        at_once = self.removal and self.rules.at_once_at_removal
        return at_once or not self.rules.waits_a_second or state.now >= UNIT

    def reads_old(self, state: State, member: int) -> bool:
        """Whether a member reads what is sent under the old key."""
        since = state.since[member]
        short = (self.removal and self.rules.old_read_short_at_removal) or not self.rules.old_read_long
        return since < 0 or state.now <= since + (UNIT if short else LONG)

    def wrong(self, state: State) -> str:
        """Whether a member is missed, or R is heard or can read."""
        for speaker in range(MEMBERS):
            under_new = self.speaks_under_new(state, speaker)
            if self.removal:
                if state.since[speaker] >= 0 and not under_new:
                    return f"member {speaker} holds a key without R, and speaks under one that R has"
                if 0 <= state.since[speaker] < state.now - UNIT and self.reads_old(state, speaker):
                    return f"member {speaker} still reads a key that R has, and so R"
                continue
            for reader in range(MEMBERS):
                if not under_new and not self.reads_old(state, reader):
                    return f"member {speaker} speaks under the old key, and member {reader} doesn't read it"
                if self.takes <= UNIT and under_new and state.since[reader] < 0 and state.now < UNIT:
                    return f"member {speaker} speaks under the new key before member {reader} can have it"
        return ""


def _case(name: str, kind: Kind, rule: str, model: GroupHandOver) -> Case:
    claim = "nobody in the group is missed, and who is out neither reads nor is read"
    return searched(f"group/{name}", "G11", kind, rule, claim, model, bad=model.wrong)


CASES: Final = (
    _case("hand-over", Kind.HOLDS, "none; the key takes up to 60 s to come to all", GroupHandOver()),
    _case("hand-over-quick", Kind.HOLDS, "none; the key comes within a second", GroupHandOver(takes=UNIT)),
    _case("hand-over-removal", Kind.HOLDS, "none; R is removed", GroupHandOver(removal=True)),
    _case(
        "old-key-too-short",
        Kind.FALLS,
        "the old key is read for T_old only (first edition)",
        GroupHandOver(Rules(old_read_long=False)),
    ),
    _case(
        "new-key-too-soon",
        Kind.FALLS,
        "the new key is spoken under at once; it comes within a second",
        GroupHandOver(Rules(waits_a_second=False), takes=UNIT),
    ),
    _case(
        "removed-reads-on",
        Kind.FALLS,
        "the old key is spoken under for a second after a removal too",
        GroupHandOver(Rules(at_once_at_removal=False), removal=True),
    ),
    _case(
        "removed-is-read",
        Kind.FALLS,
        "the old key is read for 60 s after a removal too",
        GroupHandOver(Rules(old_read_short_at_removal=False), removal=True),
    ),
)
