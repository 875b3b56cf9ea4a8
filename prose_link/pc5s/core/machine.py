"""One state machine for everything that runs by a table: links, their rekeys, the delivery of group keys.

A machine is made of tables and of one method for each action. Its constructor refuses a table with an action that has
no method. So a forgotten method fails at once, not at the rare transition that needs it. The machine keeps no state of
its own. Each owner (a link, a delivery) keeps its state, and the `place` function of the machine finds it.

An input has one of two results:

* the table lists it in the owner's state: the state changes first, then the actions are done in their order. So an
  action that runs another input starts from the new state;
* the table doesn't list it: the input is counted, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import Table

_Owner = TypeVar("_Owner")
UNLISTED: Final = "event without effect in its state"
"""The counter of inputs that a table doesn't list in a state."""


class StateMachineError(ProseLinkError):
    """A table contains actions that have no method; the text names them."""


class HasState(Protocol):
    """An owner that runs through a table: its state is one of the table's states."""

    state: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Generic[_Owner]):
    """A transition in progress: its owner, its time, and its reason."""

    owner: _Owner
    now: Instant
    why: str


Actions: TypeAlias = Mapping[Enum, Callable[[Turn[_Owner]], None]]
"""The method of each action of a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Position of an owner: which of the machine's tables it uses, and the object that holds its state."""

    table: Hashable
    holder: HasState


class StateMachine(Generic[_Owner]):
    """Runs owners through tables; it has no state of its own.

    Args:
        tables: the tables by any name.
        actions: a method for each action of the tables; more methods do no harm.
        place: finds the table of an owner, and the object that holds its state.
        on_unlisted: called for each input that had no effect.
        after: called after the actions of a transition, for example to drop owners that have ended.

    Raises StateMachineError if an action of a table has no method.
    """

    def __init__(
        self,
        tables: Mapping[Any, Table[Any]],
        actions: Actions[_Owner],
        *,
        place: Callable[[_Owner], Place],
        on_unlisted: Callable[[], None],
        after: Callable[[_Owner], None] = lambda _: None,
    ) -> None:
        check_actions(tables, actions)
        self._tables = tables
        self._actions = dict(actions)
        self._place = place
        self._on_unlisted = on_unlisted
        self._after = after

    def run(self, owner: _Owner, event: Enum, now: Instant, why: str = "") -> bool:
        """Make the transition that the table lists.

        Returns False if the table lists none; the input is then counted, and nothing changes.
        """
        place = self._place(owner)
        transition = self._tables[place.table].get((place.holder.state, event))
        if transition is None:
            self._on_unlisted()
            return False
        place.holder.state = transition.next_state
        turn = Turn(owner=owner, now=now, why=why or str(event.value))
        for action in transition.actions:
            self._actions[action](turn)
        self._after(owner)
        return True


def check_actions(tables: Mapping[Any, Table[Any]], actions: Mapping[Enum, Any]) -> None:
    """Raise StateMachineError for an action of a table without a method."""
    asked = {action for table in tables.values() for entry in table.values() for action in entry.actions}
    missing = sorted(f"{type(action).__name__}.{action.name}" for action in asked - actions.keys())
    if missing:
        raise StateMachineError(f"state tables {', '.join(map(str, tables))}: no method for {', '.join(missing)}")


def nothing(_turn: Turn[Any]) -> None:
    """An action without effect: the table asks for the transition only."""
