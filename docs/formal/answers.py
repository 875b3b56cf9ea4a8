"""What outsiders can use up: the answers that A opens, those that B gives, and a request that comes by two carriers.

Three small models of PROFILE 6 and 12. *Candidates* (C2): accepts arrive at A, and A opens a bounded number. *Fade*
(C5): copies of A's request arrive at B while A hears nothing. *Two carriers* (C7): a core hands over a copy of A's
request under another name, before the one by PC5 arrives. Numbers are small: that a bound exists is what matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from docs.formal.case import Case, Kind, made_by_others, searched
from docs.formal.search import Result, Step
from docs.formal.terms import digest, encapsulated, public, rsk, secret, ssk

OPENED: Final = 2
"""Answers that A opens for one request, in the model."""
FORGED: Final = 5
"""Forged accepts that arrive, in the model."""


@dataclass(frozen=True, slots=True)
class CandidateRules:
    """C2; each may be taken away."""

    counts_signed_only: bool = True
    """Only what ECCSI has shown to be B's counts against the answers that are opened."""
    keeps_good: bool = True
    """A good outcome is kept, so that an altered copy costs a compare."""
    keeps_no_bad: bool = True
    """A bad outcome is never kept."""
    proof_is_optional: bool = True
    """An accept without a Key proof (0x45) is looked at as well."""
    keeps_no_bad_proof: bool = True
    """A bad Key proof drops its accept, and is not kept."""


@dataclass(frozen=True, slots=True)
class CandidateState:
    """Answers left, outcomes kept by signed part, accepts still to be forged, and whether the good one was taken."""

    left: int = OPENED
    good: bool = False
    bad: bool = False
    forged: int = FORGED
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """B's accept with an I_MESSAGE, copies of it altered in conf_R or in the signature, and forged ones."""

    rules: CandidateRules
    proves: bool = False
    """B's accept has a Key proof."""

    def start(self) -> CandidateState:
        """B's accept is on the air."""
        return CandidateState()

    def steps(self, state: CandidateState) -> Iterable[Step[CandidateState]]:
        """An accept arrives at A."""
        if state.taken:
            return
        is_looked_at = self.proves or self.rules.proof_is_optional
        if is_looked_at and not state.bad and (state.left or (state.good and self.rules.keeps_good)):
            yield Step("B's accept arrives", replace(self._opens(state), taken=True))
        if state.forged:
            fewer = replace(state, forged=state.forged - 1)
            plain = fewer if self.rules.counts_signed_only else replace(fewer, left=max(0, state.left - 1))
            yield Step("an accept without I_MESSAGE arrives", plain, honest=False)
            spoilt = plain if self.rules.keeps_no_bad else replace(plain, bad=True)
            yield Step("B's accept with another signature arrives", spoilt, honest=False)
            yield Step("B's accept with another conf_R arrives", self._opens(fewer), honest=False)
            if self.proves:
                dropped = fewer if self.rules.keeps_no_bad_proof else replace(fewer, bad=True)
                yield Step("B's accept with another Key proof arrives", dropped, honest=False)

    def _opens(self, state: CandidateState) -> CandidateState:
        """A opens what B has signed, unless the outcome is kept or no answers are left."""
        if state.good and self.rules.keeps_good:
            return state
        return replace(state, left=state.left - 1, good=True) if state.left else state


@dataclass(frozen=True, slots=True)
class FadeState:
    """Answers that B has left (if they are numbered), answers on their way, losses to come, and whether A has one."""

    answers: int = 3
    on_the_way: bool = False
    losses: int = 4
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Fade:
    """B answers copies of A's request: by number (first edition), or at a rate."""

    by_number: bool

    def start(self) -> FadeState:
        """B is provisional."""
        return FadeState()

    def steps(self, state: FadeState) -> Iterable[Step[FadeState]]:
        """A copy arrives, an answer arrives or is lost; when A's fade ends nothing is lost any more."""
        if state.taken:
            return
        if state.answers and not state.on_the_way:
            answers = state.answers - 1 if self.by_number else state.answers
            yield Step("a copy of A's request arrives", replace(state, answers=answers, on_the_way=True))
        if state.on_the_way:
            yield Step("the answer arrives", replace(state, on_the_way=False, taken=True))
            if state.losses:
                yield Step(
                    "the answer is lost", replace(state, on_the_way=False, losses=state.losses - 1), honest=False
                )


@dataclass(frozen=True, slots=True)
class NamesState:
    """B's replay cache has A's request; B answers it; B shows a name as the peer's."""

    replayed: bool = False
    answers: bool = False
    shown: str = ""
    core_sent: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """A's request comes by PC5, and by a core that says it is from C."""

    refused_at_step: int
    shows_signed: bool = True

    def start(self) -> NamesState:
        """Nothing has arrived."""
        return NamesState()

    def steps(self, state: NamesState) -> Iterable[Step[NamesState]]:
        """A copy arrives by either way."""
        if not state.replayed:
            answered = replace(state, replayed=True, answers=True, shown="A")
            yield Step("A's request arrives by PC5", answered)
        if not state.core_sent:
            if not self.refused_at_step and not state.replayed:
                shown = "A" if self.shows_signed else "C"
                after = replace(state, replayed=True, answers=True, shown=shown)
            else:
                after = replace(state, replayed=state.replayed or self.refused_at_step > 11)
            yield Step("the core hands it over as C's", replace(after, core_sent=True), honest=False)


def _shown_wrongly(state: NamesState) -> str:
    return f"B shows {state.shown} for a link with A" if state.shown not in ("", "A") else ""


def _taken(state: CandidateState | FadeState) -> bool:
    return state.taken


def _answered(state: NamesState) -> bool:
    return state.answers


def _candidates(name: str, kind: Kind, rule: str, rules: CandidateRules, *, proves: bool = False) -> Case:
    claim = "B's accept is still taken, whatever was forged before"
    return searched(f"requests/{name}", "C2", kind, rule, claim, Candidates(rules, proves), goal=_taken)


def _proof(name: str, kind: Kind, rule: str, *, takes_ssv: bool) -> Case:
    """Who has heard both messages, and holds no RSK of B: can it make A verify anything?"""

    def run() -> Result:
        ssv, seen = secret("SSV of A"), (public("HR"), public("H(T2)"), public("H(S(I_B))"))
        proof = digest("pre", *((ssv,) if takes_ssv else ()), *seen)
        return made_by_others(proof, *seen, encapsulated("B", ssv), rsk("E"), ssk("E"))

    claim = "only who holds the RSK of B makes a Key proof"
    return Case(name=f"requests/{name}", label="C2", kind=kind, rule=rule, claim=claim, run=run)


def _fade(name: str, kind: Kind, rule: str, by_number: bool) -> Case:
    claim = "after a fade of A, and any copies of its request, an answer still comes"
    return searched(f"requests/{name}", "C5", kind, rule, claim, Fade(by_number), goal=_taken)


def _names(name: str, kind: Kind, rule: str, model: Names) -> Case:
    claim = "a core's wrong name neither burns A's request nor is shown"
    return searched(f"requests/{name}", "C7", kind, rule, claim, model, bad=_shown_wrongly, goal=_answered)


CASES: Final = (
    _candidates("forged-accepts", Kind.HOLDS, "none", CandidateRules()),
    _candidates("accepts-counted", Kind.FALLS, "each accept counts", CandidateRules(counts_signed_only=False)),
    _candidates("copies-opened-again", Kind.FALLS, "a good outcome isn't kept", CandidateRules(keeps_good=False)),
    _candidates("bad-outcome-kept", Kind.FALLS, "a bad outcome is kept", CandidateRules(keeps_no_bad=False)),
    _candidates("key-proof", Kind.HOLDS, "none; B's accept has a Key proof", CandidateRules(), proves=True),
    _candidates(
        "key-proof-required", Kind.FALLS, "no accept without a Key proof", CandidateRules(proof_is_optional=False)
    ),
    _candidates(
        "bad-proof-kept", Kind.FALLS, "a bad Key proof is kept", CandidateRules(keeps_no_bad_proof=False), proves=True
    ),
    _proof("key-proof-of-ssv", Kind.HOLDS, "none", takes_ssv=True),
    _proof("key-proof-of-messages", Kind.FALLS, "the Key proof doesn't take the SSV", takes_ssv=False),
    _fade("fade", Kind.HOLDS, "none", by_number=False),
    _fade("answers-by-number", Kind.FALLS, "a number of answers", by_number=True),
    _names("names-on-carriers", Kind.HOLDS, "none", Names(refused_at_step=2)),
    _names("mismatch-refused-late", Kind.FALLS, "a mismatch is refused after step 11", Names(refused_at_step=12)),
    _names("carriers-name-shown", Kind.FALLS, "what the carrier asserts is shown", Names(0, shows_signed=False)),
)
