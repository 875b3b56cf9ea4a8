"""The search: every state that a model can reach, checked for two kinds of property.

* `bad(state)`: a sentence if the state itself breaks the property. This serves secrecy, agreement, split links,
  repeated counts.
* `goal(state)`: where the honest ends want to get. A state breaks the property if honest steps alone no longer lead
  to the goal: then whatever the attacker and the faults did before has ended it for good. This serves requests that
  must come up, groups that must meet again, clocks that must be mended.

A step is honest (an end, or a message that arrives) or not (an attacker, a loss, a restart, a jump of a clock). The
search is exhaustive: a model is finite by the budgets in its state, and a search that meets its limit raises, so that
"holds" always means that all states were seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

LIMIT: Final = 3_000_000
"""States that a search may see."""


class SearchTooLarge(Exception):
    """A model has more states than `LIMIT`: it says nothing."""


StateT = TypeVar("StateT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Step(Generic[StateT]):
    """A transition: what happens in words, the state after it, and whether an honest end or the air does it."""

    text: str
    after: StateT
    honest: bool = True


class Model(Protocol[StateT]):
    """What a search needs of a model."""

    def start(self) -> StateT:
        """The first state."""

    def steps(self, state: StateT) -> Iterable[Step[StateT]]:
        """All that can happen in a state."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a search found: `broken` says how the property broke ("" if it holds), `trace` the steps that lead there."""

    states: int
    broken: str = ""
    trace: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no reachable state breaks the property."""
        return not self.broken


def search(
    model: Model[StateT],
    *,
    bad: Callable[[StateT], str] | None = None,
    goal: Callable[[StateT], bool] | None = None,
    within: Callable[[StateT], bool] = lambda _: True,
) -> Result:
    """Look at every reachable state; the trace is the shortest to a state that breaks the property.

    `within`: from which states the goal has to be in reach; others only serve to get there.

    Raises SearchTooLarge.
    """
    start = model.start()
    came: dict[StateT, tuple[StateT, str] | None] = {start: None}
    back: dict[StateT, list[StateT]] = {}
    order = deque([start])
    while order:
        state = order.popleft()
        if bad is not None and (why := bad(state)):
            return Result(len(came), why, tuple(_trace(came, state)))
        for step in model.steps(state):
            if step.honest and goal is not None:
                back.setdefault(step.after, []).append(state)
            if step.after not in came:
                came[step.after] = state, step.text
                order.append(step.after)
        if len(came) > LIMIT:
            raise SearchTooLarge(f"more than {LIMIT} states")
    if goal is not None and (lost := _first_lost(came, back, goal, within)) is not None:
        return Result(len(came), "honest steps no longer lead to the goal", tuple(_trace(came, lost)))
    return Result(len(came))


def _first_lost(
    came: dict[StateT, tuple[StateT, str] | None],
    back: dict[StateT, list[StateT]],
    goal: Callable[[StateT], bool],
    within: Callable[[StateT], bool],
) -> StateT | None:
    """The first state, in the order of the search, from which no honest path leads to the goal."""
    saved = {state for state in came if goal(state)}
    order = list(saved)
    while order:
        for before in back.get(order.pop(), ()):
            if before not in saved:
                saved.add(before)
                order.append(before)
    return next((state for state in came if state not in saved and within(state)), None)


def _trace(came: dict[StateT, tuple[StateT, str] | None], state: StateT) -> Iterator[str]:
    texts = []
    while (before := came[state]) is not None:
        state, text = before
        texts.append(text)
    return reversed(texts)
