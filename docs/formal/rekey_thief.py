"""Rekeying against a thief of keys (PROFILE 5, 9; R2, R3, R4): what a stolen context or KD is still good for.

A and B share a link; A asks for one rekey or more, one after the other, by a plan: with nonces only, or with
I_MESSAGEs. The attacker owns the air. It starts with what the case says was stolen (the first context, KD-next, an
RSK), and may put any message that it can make in place of any other, at both ends.

*Healed*: once a rekey with I_MESSAGEs is through at an end, the attacker doesn't know that end's context, and the
peer holds it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from docs.formal.case import Case, Kind, searched
from docs.formal.search import Step
from docs.formal.terms import (
    NONE,
    OWN_NONCE,
    OWN_SSV,
    Known,
    Term,
    derives,
    digest,
    encapsulated,
    encapsulations_in,
    learn,
    message,
    nonces_in,
    public,
    rsk,
    sealed,
    secret,
    signed,
)

RELEASE: Final = public("Release")


@dataclass(frozen=True, slots=True)
class Context:
    """Keys of one exchange: KD-sess, its transcript, and the KD that the next rekey takes."""

    key: Term
    tx: Term
    kd: Term


@dataclass(frozen=True, slots=True)
class Asked:
    """An open Request: its nonce, what is signed in it, and the SSV inside (`NONE` twice without an I_MESSAGE)."""

    nonce: Term
    body: Term
    ssv: Term


@dataclass(frozen=True, slots=True)
class End:
    """One end: the context in use, the one before, and the one that waits for Ack (A) or Confirm (B)."""

    current: Context
    old: Context | None = None
    coming: Context | None = None
    asked: Asked | None = None
    rekeys: int = 0
    obeyed: bool = False
    """Whether it obeyed a command under the old context."""


@dataclass(frozen=True, slots=True)
class State:
    """What the attacker knows, and both ends."""

    known: Known
    a: End
    b: End


@dataclass(frozen=True, slots=True)
class Rules:
    """What R2, R3 and R4 say; each may be taken away."""

    old_takes_data_only: bool = True
    i_message_when_due: bool = True
    both_when_mutual: bool = True
    kd_moves_on: bool = True


def first_context(rules: Rules) -> tuple[Context, Term]:
    """The context of the set-up, whose nonces went in clear; and the KD that it is from."""
    kd, tx = secret("KD of the set-up"), public("TX of the set-up")
    kept = digest("KD-next", kd, tx) if rules.kd_moves_on else kd
    return Context(digest("KD-sess", kd, public("nonces of the set-up"), tx), tx, kept), kd


@dataclass(frozen=True, slots=True)
class Thief:
    """A link, the rekeys planned on it (True: with I_MESSAGEs), and what was stolen."""

    rules: Rules
    plan: tuple[bool, ...]
    mutual: bool
    stolen: Callable[[Context], tuple[Term, ...]]

    def start(self) -> State:
        """After the set-up and the theft."""
        context, _ = first_context(self.rules)
        known = learn(frozenset({OWN_NONCE, OWN_SSV}), self.stolen(context))
        return State(known, End(context), End(context))

    def steps(self, state: State) -> Iterable[Step[State]]:
        """A asks; each end takes any message that the attacker can bring."""
        yield from self._a_asks(state)
        yield from self._b_answers(state)
        yield from self._a_takes_response(state)
        yield from self._confirm_and_ack(state)
        if not self.rules.old_takes_data_only:
            for name in ("a", "b"):
                end: End = getattr(state, name)
                if end.old and not end.obeyed and derives(state.known, sealed(end.old.key, RELEASE)):
                    obeyed = replace(end, obeyed=True)
                    yield Step(f"Release under the old context to {name.upper()}", _with(state, name, obeyed))

    def _t1(self, context: Context, nonce: Term) -> Term:
        return digest("T1", context.tx, nonce)

    def _make(self, before: Context, asked: Asked, nonce_2: Term, body_b: Term, ssv_b: Term) -> tuple[Context, Term]:
        """The context of a rekey, and H(T2) that B's I_MESSAGE holds."""
        t1 = self._t1(before, asked.nonce)
        t2 = digest("T2", digest("HR", t1, asked.body), nonce_2)
        tx = digest("TX", t1, asked.body, t2, body_b)
        fresh = (asked.ssv, ssv_b) != (NONE, NONE)
        kd = digest("KD", asked.ssv, ssv_b, t1, t2, before.kd) if fresh else before.kd
        kept = digest("KD-next", kd, tx) if self.rules.kd_moves_on else kd
        return Context(digest("KD-sess", kd, asked.nonce, nonce_2, tx), tx, kept), t2

    def _a_asks(self, state: State) -> Iterable[Step[State]]:
        end = state.a
        if end.asked or end.coming or end.rekeys == len(self.plan):
            return
        nonce = secret(f"nonce of A {end.rekeys}")
        asked = Asked(nonce, NONE, NONE)
        i_message = NONE
        if self.plan[end.rekeys]:
            ssv = secret(f"SSV of A {end.rekeys}")
            body = message(public("kind 4"), self._t1(end.current, nonce), encapsulated("B", ssv))
            asked, i_message = Asked(nonce, body, ssv), signed("A", body)
        pdu = sealed(end.current.key, message(public("Request"), nonce, i_message))
        yield Step("A sends its Request", State(learn(state.known, [pdu]), replace(end, asked=asked), state.b))

    def _b_answers(self, state: State) -> Iterable[Step[State]]:
        end = state.b
        if end.coming or end.rekeys == len(self.plan):
            return
        due = self.plan[end.rekeys]
        for nonce, body, ssv in self._requests(state):
            if due and self.rules.i_message_when_due and body is NONE:
                continue
            i_message = NONE if body is NONE else signed("A", body)
            if not derives(state.known, sealed(end.current.key, message(public("Request"), nonce, i_message))):
                continue
            nonce_2 = secret(f"nonce of B {end.rekeys}")
            ssv_b, body_b, sign_b = NONE, NONE, NONE
            asked = Asked(nonce, body, ssv)
            if self.mutual and body is not NONE:
                ssv_b = secret(f"SSV of B {end.rekeys}")
                _, t2 = self._make(end.current, asked, nonce_2, NONE, NONE)
                body_b = message(public("kind 5"), t2, encapsulated("A", ssv_b))
                sign_b = signed("B", body_b)
            context, _ = self._make(end.current, asked, nonce_2, body_b, ssv_b)
            proof = digest("conf-R", context.key)
            pdu = sealed(end.current.key, message(public("Response"), nonce, body, nonce_2, sign_b, proof))
            after = State(learn(state.known, [pdu]), state.a, replace(end, coming=context))
            yield Step(f"B answers a Request with {nonce} and {'an' if body is not NONE else 'no'} I_MESSAGE", after)

    def _requests(self, state: State) -> Iterable[tuple[Term, Term, Term]]:
        """Nonce, signed part and SSV of every Request that B would take as A's."""
        for nonce in nonces_in(state.known):
            yield nonce, NONE, NONE
            bound = self._t1(state.b.current, nonce)
            for inner in encapsulations_in(state.known, "B"):
                yield nonce, message(public("kind 4"), bound, inner), inner.parts[0]

    def _a_takes_response(self, state: State) -> Iterable[Step[State]]:
        end = state.a
        asked = end.asked
        if asked is None:
            return
        two_due = self.mutual and asked.body is not NONE
        for nonce_2 in nonces_in(state.known):
            _, t2 = self._make(end.current, asked, nonce_2, NONE, NONE)
            inners = encapsulations_in(state.known, "A")
            signed_parts = [(message(public("kind 5"), t2, inner), inner.parts[0]) for inner in inners]
            for body_b, ssv_b in [(NONE, NONE), *signed_parts]:
                if body_b is NONE and two_due and self.rules.both_when_mutual:
                    continue
                context, _ = self._make(end.current, asked, nonce_2, body_b, ssv_b)
                sign_b = NONE if body_b is NONE else signed("B", body_b)
                parts = (public("Response"), asked.nonce, asked.body, nonce_2, sign_b, digest("conf-R", context.key))
                if derives(state.known, sealed(end.current.key, message(*parts))):
                    confirm = sealed(context.key, digest("conf-I", context.key))
                    after = replace(end, asked=None, coming=context)
                    text = f"A takes a Response with {nonce_2} and {'no' if body_b is NONE else 'an'} I_MESSAGE"
                    yield Step(text, State(learn(state.known, [confirm]), after, state.b))

    def _confirm_and_ack(self, state: State) -> Iterable[Step[State]]:
        coming = state.b.coming
        if coming and derives(state.known, sealed(coming.key, digest("conf-I", coming.key))):
            ack = sealed(coming.key, public("Ack"))
            yield Step("B takes the Confirm", State(learn(state.known, [ack]), state.a, _moved(state.b)))
        coming = state.a.coming
        if coming and derives(state.known, sealed(coming.key, public("Ack"))):
            yield Step("A takes the Ack", State(state.known, _moved(state.a), state.b))


def _moved(end: End) -> End:
    assert end.coming
    return replace(end, current=end.coming, old=end.current, coming=None, rekeys=end.rekeys + 1)


def _with(state: State, name: str, end: End) -> State:
    return replace(state, a=end) if name == "a" else replace(state, b=end)


def not_healed(plan: tuple[bool, ...]) -> Callable[[State], str]:
    """After a rekey with I_MESSAGEs an end's context is unknown, and no command under the old one was obeyed."""

    def bad(state: State) -> str:
        for name, end, peer in (("A", state.a, state.b), ("B", state.b, state.a)):
            if end.obeyed:
                return f"{name} obeys a Release under the old context"
            if True not in plan[: end.rekeys]:
                continue
            if derives(state.known, end.current.key):
                return f"the attacker knows {name}'s context after rekey {end.rekeys}"
            if end.current not in (peer.current, peer.coming, peer.old):
                return f"{name}'s context after rekey {end.rekeys} is not the peer's"
        return ""

    return bad


def opened_by_memory(rules: Rules, rekeys: int) -> Callable[[State], str]:
    """After that many rekeys, what A keeps beside its contexts opens no recorded context."""

    def bad(state: State) -> str:
        if state.a.rekeys < rekeys or state.b.rekeys < rekeys:
            return ""
        known = learn(state.known, [state.a.current.kd])
        held = [("in use", state.a.current), ("before it", state.a.old)]
        for name, context in [*held, ("of the set-up", first_context(rules)[0])]:
            if context and derives(known, context.key):
                return f"the KD in memory opens the context {name}"
        return ""

    return bad


def _stolen_context(context: Context) -> tuple[Term, ...]:
    return context.key, context.kd


def _with_rsk(*names: str) -> Callable[[Context], tuple[Term, ...]]:
    return lambda context: (context.key, context.kd, *(rsk(name) for name in names))


def _nothing(_context: Context) -> tuple[Term, ...]:
    return ()


HEALS: Final = "after a rekey with I_MESSAGEs the thief knows neither end's context, and gives no orders"


def _case(
    name: str,
    label: str,
    kind: Kind,
    rule: str,
    rules: Rules,
    stolen: Callable[[Context], tuple[Term, ...]],
    *,
    plan: tuple[bool, ...] = (True,),
    mutual: bool = True,
) -> Case:
    model = Thief(rules, plan, mutual, stolen)
    return searched(f"rekey/{name}", label, kind, rule, HEALS, model, bad=not_healed(plan))


def _memory_case(name: str, kind: Kind, rule: str, rules: Rules) -> Case:
    claim = "what is kept beside the contexts opens none of the past or the present"
    model = Thief(rules, (False, False), False, _nothing)
    return searched(f"rekey/{name}", "R4", kind, rule, claim, model, bad=opened_by_memory(rules, 2))


CASES: Final = (
    _case("heals-mutual", "R3", Kind.HOLDS, "none; context, KD-next and RSK of B stolen", Rules(), _with_rsk("B")),
    _case("heals-mutual-a", "R3", Kind.HOLDS, "none; context, KD-next and RSK of A stolen", Rules(), _with_rsk("A")),
    _case(
        "heals-one-way", "R3", Kind.HOLDS, "none; context and KD-next stolen", Rules(), _stolen_context, mutual=False
    ),
    _case(
        "heals-later",
        "R3",
        Kind.HOLDS,
        "none; nonces only, then I_MESSAGEs",
        Rules(),
        _stolen_context,
        plan=(False, True),
    ),
    _case(
        "stays-healed",
        "R3",
        Kind.HOLDS,
        "none; I_MESSAGEs, then nonces only",
        Rules(),
        _with_rsk("B"),
        plan=(True, False),
    ),
    _case(
        "one-way-downgrade",
        "R3",
        Kind.FALLS,
        "a requester on a mutual link takes a one-way Response; RSK of B stolen too",
        Rules(both_when_mutual=False),
        _with_rsk("B"),
    ),
    _case(
        "nonce-only-when-due",
        "R3",
        Kind.FALLS,
        "a responder takes nonces only where an I_MESSAGE is due",
        Rules(i_message_when_due=False),
        _stolen_context,
    ),
    _case(
        "old-context-command",
        "R2",
        Kind.FALLS,
        "the old context takes commands in T_old",
        Rules(old_takes_data_only=False),
        _stolen_context,
    ),
    _case(
        "one-way-rsk-of-b",
        "",
        Kind.LIMIT,
        "one-way; context, KD-next and RSK of B stolen",
        Rules(),
        _with_rsk("B"),
        mutual=False,
    ),
    _case("both-rsks", "", Kind.LIMIT, "mutual; context, KD-next and both RSKs stolen", Rules(), _with_rsk("A", "B")),
    _memory_case("memory", Kind.HOLDS, "none; two rekeys with nonces only, then A's memory is read", Rules()),
    _memory_case(
        "kd-held", Kind.FALLS, "KD stays for rekeys with nonces only (first edition)", Rules(kd_moves_on=False)
    ),
)
