"""A case of the model: rules, a property, and whether the property has to hold or to break.

Three kinds. *Holds*: the second edition as it is written. *Falls*: one rule is taken away, and the property that the
rule is for breaks; so the search can fail, and no rule is there for nothing. *Limit*: the property breaks although no
rule is missing; the profile says so among its limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from docs.formal.search import Model, Result, StateT, search
from docs.formal.terms import Term, derives, learn


class Kind(Enum):
    """What a case is for."""

    HOLDS = "holds"
    FALLS = "falls"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One search.

    name: part and words, such as "rekey/split"; label: change of the profile that it is about, "" if none; rule: what
    is taken away, or which attacker it is; claim: the property in words; slow: whether it takes more than a second or
    so.
    """

    name: str
    label: str
    kind: Kind
    rule: str
    claim: str
    run: Callable[[], Result]
    slow: bool = False

    def is_as_expected(self, result: Result) -> bool:
        """Whether the search ended as this kind of case must."""
        return result.holds is (self.kind is Kind.HOLDS)


def searched(
    name: str,
    label: str,
    kind: Kind,
    rule: str,
    claim: str,
    model: Model[StateT],
    *,
    bad: Callable[[StateT], str] | None = None,
    goal: Callable[[StateT], bool] | None = None,
    slow: bool = False,
) -> Case:
    """A case that looks at every state of a model; `bad` and `goal` as in `search`, the other fields as in `Case`."""

    def run() -> Result:
        return search(model, bad=bad, goal=goal)

    return Case(name=name, label=label, kind=kind, rule=rule, claim=claim, run=run, slow=slow)


def made_by_others(goal: Term, *known: Term) -> Result:
    """Whether an attacker that knows these terms can make a message."""
    made = derives(learn(frozenset(), known), goal)
    return Result(1, "another can make it" if made else "", ("another makes it",) if made else ())
