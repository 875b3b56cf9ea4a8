"""Two ends that run the state tables of the code against each other, over an air that loses (PROFILE 7).

Like `state_tables`, this part reads the tables that the entities run by: the text of an action names the messages that
it sends and the timers that it starts. One message is on its way to each end; it may be lost, and a later one takes its
place. One set-up is run, with good messages only: what may be forged is the business of other parts.

* *Comes up*: while both ends still try, whatever was lost so far, messages that arrive and timers with tries left lead
  to a link that both hold for up.
* *Never half for good*: from every state, what ends and air do leads to a link that both have, or that neither has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from docs.formal.case import Case, Kind
from docs.formal.search import Result, Step, search
from docs.formal.state_tables import AnyTable, Place, edges
from prose_link.pc5s.core.fsm import Input, Role, State
from prose_link.pc5s.identity import tables as identity
from prose_link.pc5s.ts24334 import tables as ts24334
from prose_link.pc5s.ts24334.tables import ModeInput

MESSAGES: Final = (
    ("Security Mode Command", "Security Mode Command"),
    ("Security Mode Complete", "Security Mode Complete"),
    ("Keepalive Ack", "Keepalive Ack"),
    ("Keepalive", "Keepalive"),
    ("Release Accept", "Release Accept"),
    ("Release", "Release"),
    ("DCR", "DCR"),
    ("DCA", "DCA"),
    ("Confirm", "Confirm"),
    ("Accept", "Accept under the context"),
    ("Ack", "Ack"),
)
"""Words behind "send" in an action's text, the longer before the shorter, and the message that they mean."""
INPUTS: Final[Mapping[str, tuple[Enum, ...]]] = {
    "DCR": (Input.GOOD_REQUEST, Input.SAME_REQUEST),
    "DCA": (Input.GOOD_ACCEPT, Input.SAME_ACCEPT),
    "Security Mode Command": (ModeInput.GOOD_COMMAND,),
    "Security Mode Complete": (ModeInput.GOOD_COMPLETE,),
    "Accept under the context": (ModeInput.PROTECTED_ACCEPT, Input.VERIFIED_PDU),
    "Confirm": (Input.GOOD_CONFIRM,),
    "Ack": (Input.ACK, Input.VERIFIED_PDU),
    "Keepalive": (Input.KEEPALIVE, Input.VERIFIED_PDU),
    "Keepalive Ack": (Input.KEEPALIVE_ACK, Input.VERIFIED_PDU),
    "Release": (Input.RELEASE,),
    "Release Accept": (Input.RELEASE_ACCEPT,),
}
"""What a message is to the table of its receiver: the first that the table lists in its state."""


class Pair(NamedTuple):
    """Both ends (0 asks, 1 answers), the message on its way to each, and whether the request was made and answered."""

    ends: tuple[Place, Place]
    to: tuple[str, str] = ("", "")
    asked: bool = False
    answered: bool = False


def sent_by(actions: Iterable[Enum]) -> str:
    """The message that actions send, by their texts; "" if none."""
    for action in actions:
        for part in str(action.value).split(","):
            words = part.strip().removeprefix("send ").removeprefix("the same ")
            if words != part.strip():
                return next((message for start, message in MESSAGES if words.startswith(start)), "")
    return ""


class TwoEnds(NamedTuple):
    """The tables of the end that asks and of the one that answers."""

    tables: tuple[AnyTable, AnyTable]

    def start(self) -> Pair:
        """Neither has heard of the other."""
        return Pair((Place(State.IDLE), Place(State.IDLE)))

    def steps(self, pair: Pair) -> Iterable[Step[Pair]]:
        """A wish, a timer, a message that arrives or is lost."""
        if not pair.asked:
            yield from self._input(pair._replace(asked=True), 0, str(Input.CONNECT.value), honest=True)
        for who in (0, 1):
            for edge in edges(self.tables[who], pair.ends[who]):
                if edge.timer:
                    given_up = "none left" in edge.text or edge.timer in ("T4108", "T4111")
                    yield from self._input(pair, who, edge.text, honest=not given_up)
            yield from self._input(pair, who, str(Input.RELEASE_WANTED.value), honest=False)
            if message := pair.to[who]:
                without = pair._replace(to=("", pair.to[1]) if who == 0 else (pair.to[0], ""))
                yield Step(f"{message} is lost", without, honest=False)
                yield from self._arrives(without, who, message)

    def _arrives(self, pair: Pair, who: int, message: str) -> Iterable[Step[Pair]]:
        state = pair.ends[who].state
        if message == "DCR" and pair.answered and state is State.IDLE:
            return
        for event in INPUTS[message]:
            if (state, event) in self.tables[who]:
                answered = pair.answered or event is Input.GOOD_REQUEST
                yield from self._input(pair._replace(answered=answered), who, str(event.value), honest=True)
                return

    def _input(self, pair: Pair, who: int, text: str, *, honest: bool) -> Iterable[Step[Pair]]:
        for edge in edges(self.tables[who], pair.ends[who]):
            if edge.text == text:
                sent = sent_by(self._actions(pair.ends[who].state, text, who))
                ends = (edge.after, pair.ends[1]) if who == 0 else (pair.ends[0], edge.after)
                to = (sent or pair.to[0], pair.to[1]) if who == 1 else (pair.to[0], sent or pair.to[1])
                yield Step(f"{'AB'[who]}: {text}", pair._replace(ends=ends, to=to), honest)

    def _actions(self, state: Any, text: str, who: int) -> tuple[Enum, ...]:
        rows = self.tables[who].items()
        return next(row.actions for (at, event), row in rows if at is state and str(event.value) == text)


def up(pair: Pair) -> bool:
    """Whether both hold the link for up."""
    return all(end.state is State.ESTABLISHED for end in pair.ends)


def still_trying(pair: Pair) -> bool:
    """Whether the asking end has tries left, and the answering one hasn't given up."""
    a, b = pair.ends
    trying = a.state in (State.WAIT_ACCEPT, State.CONFIRMING) and any(left for _, left in a.timers)
    return trying and (b.state in (State.PROVISIONAL, State.ESTABLISHED) or not pair.answered)


def both_or_neither(pair: Pair) -> bool:
    """Whether nothing is half up."""
    return up(pair) or all(end.state is State.IDLE for end in pair.ends)


class WithGivingUp(NamedTuple):
    """The same, where giving up is something that ends do by themselves."""

    pair: TwoEnds

    def start(self) -> Pair:
        """As before."""
        return self.pair.start()

    def steps(self, pair: Pair) -> Iterable[Step[Pair]]:
        """All steps but losses and wishes are honest."""
        for step in self.pair.steps(pair):
            stays = step.text.endswith(("lost", str(Input.RELEASE_WANTED.value)))
            yield step if stays else Step(step.text, step.after)


def comes_up(tables: tuple[AnyTable, AnyTable]) -> Result:
    """Losses don't stop a set-up while both ends try."""
    return search(TwoEnds(tables), goal=up, within=still_trying)


def never_half(tables: tuple[AnyTable, AnyTable]) -> Result:
    """A link is up at both ends, or it ends at both."""
    return search(WithGivingUp(TwoEnds(tables)), goal=both_or_neither)


def without(table: AnyTable, state: State, event: Enum) -> AnyTable:
    """A table without one of its rows."""
    return {key: row for key, row in table.items() if key != (state, event)}


IDENTITY: Final = (identity.LINK_TABLES[Role.INITIATOR], identity.LINK_TABLES[Role.RESPONDER])
MODE: Final = (ts24334.LINK_TABLES[Role.INITIATOR], ts24334.LINK_TABLES[Role.RESPONDER])
UP: Final = "while both ends try, losses don't stop a set-up"
HALF: Final = "no link stays half up for good"


def _case(name: str, kind: Kind, rule: str, tables: tuple[AnyTable, AnyTable], *, half: bool = False) -> Case:
    def run() -> Result:
        return never_half(tables) if half else comes_up(tables)

    claim = HALF if half else UP
    return Case(name=f"tables/{name}", label="", kind=kind, rule=rule, claim=claim, run=run)


def _lost_row(end: int, state: State, event: Enum) -> tuple[AnyTable, AnyTable]:
    less = without(IDENTITY[end], state, event)
    return (less, IDENTITY[1]) if end == 0 else (IDENTITY[0], less)


def _lost_timers() -> tuple[AnyTable, AnyTable]:
    row = without(IDENTITY[1], State.ESTABLISHED, Input.T4108)
    return IDENTITY[0], without(row, State.ESTABLISHED, Input.T4101_NONE_LEFT)


CASES: Final = (
    _case("identity comes up", Kind.HOLDS, "none; any message may be lost", IDENTITY),
    _case("ts24334 comes up", Kind.HOLDS, "none; any message may be lost", MODE),
    _case("identity never half", Kind.HOLDS, "none; any message may be lost", IDENTITY, half=True),
    _case("ts24334 never half", Kind.HOLDS, "none; any message may be lost", MODE, half=True),
    _case(
        "request not repeated",
        Kind.FALLS,
        "T4100 repeats nothing",
        _lost_row(0, State.WAIT_ACCEPT, Input.T4100_TRIES_LEFT),
    ),
    _case(
        "accept not repeated",
        Kind.FALLS,
        "the same DCR gets no DCA",
        _lost_row(1, State.PROVISIONAL, Input.SAME_REQUEST),
    ),
    _case(
        "confirm not repeated",
        Kind.FALLS,
        "T4101 repeats nothing",
        _lost_row(0, State.CONFIRMING, Input.T4101_TRIES_LEFT),
    ),
    _case("silence not noticed", Kind.FALLS, "the answering end notices no silence", _lost_timers(), half=True),
)
