"""What a Request's capabilities may be (PROFILE 3, 9; R5): can a rekey bring a link to algorithms nobody agreed on?

A has asked for the link and offered `OFFERS`; both ends have policies. Either end asks for a rekey with nonces only.
The thief has the context in use and KD-next, so it may ask in the other's name with any capabilities, and confirm.

*Agreed algorithms*: no end uses an algorithm that the set-up's request did not offer, or that its own policy doesn't
allow. *Both may ask*: a Request of either end is still answered by an honest peer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Final

from docs.formal.case import Case, Kind, searched
from docs.formal.search import Step

STRONG, WEAK, NULL = "strong", "weak", "null"
ALL: Final = (STRONG, WEAK, NULL)
"""The best first."""
OFFERS: Final = frozenset({STRONG, WEAK})
ALLOWED: Final = (frozenset({STRONG, WEAK}), frozenset({STRONG, NULL}))
"""The policies of A and B: B would take no ciphering from others."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What R5 says; each may be taken away."""

    within_offers: bool = True
    """The receiver takes only a subset of the set-up's offers."""
    holds_allowed: bool = True
    """It must hold an algorithm that the receiver allows."""
    responder_has_a_set: bool = True
    """The set-up's responder asks with what it allows of the offers; else with what it has sent at set-up: nothing."""


@dataclass(frozen=True, slots=True)
class State:
    """The algorithm that each end uses, whose Requests were answered, and what the thief may still forge."""

    uses: tuple[str, str] = (STRONG, STRONG)
    answered: frozenset[int] = frozenset()
    forgeries: int = 2


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A (0) and B (1) on a link."""

    rules: Rules = Rules()

    def start(self) -> State:
        """After the set-up."""
        return State()

    def steps(self, state: State) -> Iterable[Step[State]]:
        """An end asks and is answered; the thief asks in its name."""
        for asking in (0, 1):
            chosen = self._chosen(1 - asking, self._own(asking))
            if chosen in ALLOWED[asking]:
                after = replace(state, uses=(chosen, chosen), answered=state.answered | {asking})
                yield Step(f"{'AB'[asking]} asks and gets {chosen}", after)
        for asking in (0, 1) if state.forgeries else ():
            for forged in _subsets():
                chosen = self._chosen(1 - asking, forged)
                if chosen:
                    uses = (state.uses[0], chosen) if asking == 0 else (chosen, state.uses[1])
                    text = f"the thief asks as {'AB'[asking]} with {', '.join(sorted(forged))}"
                    yield Step(text, replace(state, uses=uses, forgeries=state.forgeries - 1), honest=False)

    def _own(self, end: int) -> frozenset[str]:
        """The capabilities in a Request of an end."""
        if end == 0:
            return OFFERS
        return OFFERS & ALLOWED[1] if self.rules.responder_has_a_set else frozenset()

    def _chosen(self, end: int, offered: frozenset[str]) -> str:
        """What an end that answers chooses, "" where it drops the Request."""
        if self.rules.within_offers and not offered <= OFFERS:
            return ""
        taken = offered & ALLOWED[end] if self.rules.holds_allowed else offered
        return next((algorithm for algorithm in ALL if algorithm in taken), "")


def _subsets() -> list[frozenset[str]]:
    every = chain.from_iterable(combinations(ALL, size) for size in range(len(ALL) + 1))
    return [frozenset(one) for one in every]


def not_agreed(state: State) -> str:
    """Whether an end uses what was never offered, or what it doesn't allow."""
    for name, uses, allowed in zip("AB", state.uses, ALLOWED, strict=True):
        if uses not in OFFERS:
            return f"{name} uses {uses}, which was never offered"
        if uses not in allowed:
            return f"{name} uses {uses}, which it doesn't allow"
    return ""


def both_answered(state: State) -> bool:
    """Whether each end's Request was answered."""
    return state.answered == {0, 1}


CLAIM: Final = "an algorithm that was offered and is allowed, whoever asks; and either end may ask"


def _case(name: str, kind: Kind, rule: str, rules: Rules) -> Case:
    return searched(f"rekey/{name}", "R5", kind, rule, CLAIM, Capabilities(rules), bad=not_agreed, goal=both_answered)


CASES: Final = (
    _case("capabilities", Kind.HOLDS, "none; context and KD-next stolen", Rules()),
    _case("never-offered", Kind.FALLS, "any capabilities are taken", Rules(within_offers=False)),
    _case("not-allowed", Kind.FALLS, "no allowed algorithm need be among them", Rules(holds_allowed=False)),
    _case(
        "responder-sent-none",
        Kind.FALLS,
        "each end asks with what it has sent at set-up (first edition)",
        Rules(responder_has_a_set=False),
    ),
)
