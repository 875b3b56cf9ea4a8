"""The set-up exchange against an attacker that owns the air, and a provisioned user E who helps it (PROFILE 3 to 7).

A asks B or E for a link, with mutual authentication not wanted, wanted or required. B answers up to two requests, of
A or of E. The attacker holds E's keys, and whatever else the case says was stolen. It may put any message that it can
make in place of any other.

*Set up well*, for an end that holds a link for up with an honest peer: the attacker doesn't know its key; the peer
has a session with the same transcript, and with this end; *required* was kept. A provisional link is one that its
signer asked for with these very fields.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    ssk,
)

FLAGS: Final = ("not wanted", "wanted", "required")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the exchange rests on; each may be taken away."""

    request_is_signed_for: bool = True
    """The I_MESSAGE holds H(T1), the hash of its request."""
    transcript_in_keys: bool = True
    """KD and KD-sess take the transcript; else SSVs and nonces only."""
    required_is_required: bool = True
    confirm_is_needed: bool = True
    """The responder's link is up at the Confirm; else at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """A DCR as its fields: who to whom, nonce, flags, and the encapsulated SSV."""

    sender: str
    target: str
    nonce: Term
    flags: str
    inner: Term


@dataclass(frozen=True, slots=True)
class Session:
    """A request and what came of it: the key once there is one, its transcript, and whether the link is up."""

    request: Request
    key: Term | None = None
    tx: Term | None = None
    mutual: bool = False
    up: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What the attacker knows, A's session, and those of B."""

    known: Known
    a: Session | None = None
    b: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class SetUp:
    """The exchange under rules, with keys stolen from the honest ends; B signs if `gives`."""

    rules: Rules
    stolen: tuple[Term, ...] = ()
    flags: tuple[str, ...] = FLAGS

    def start(self) -> State:
        """Nobody has sent anything."""
        return State(learn(frozenset({OWN_NONCE, OWN_SSV, rsk("E"), ssk("E")}), self.stolen))

    def steps(self, state: State) -> Iterable[Step[State]]:
        """A asks once; each end takes any message that the attacker can bring."""
        if state.a is None:
            for target in ("B", "E"):
                for flags in self.flags:
                    request = Request(
                        "A", target, secret("nonce of A"), flags, encapsulated(target, secret("SSV of A"))
                    )
                    known = learn(state.known, [self._wire(request)])
                    yield Step(f"A asks {target}, mutual {flags}", State(known, Session(request), state.b))
        else:
            yield from self._a_takes_accept(state, state.a)
        if len(state.b) < 2:
            yield from self._b_answers(state)
        for index, session in enumerate(state.b):
            if session.key and not session.up and derives(state.known, _confirm(session.key)):
                sessions = (*state.b[:index], replace(session, up=True), *state.b[index + 1 :])
                yield Step("B takes a Confirm", replace(state, b=sessions))

    def _t1(self, request: Request) -> Term:
        fields = (request.sender, request.target, request.flags)
        return digest("T1", *map(public, fields), request.nonce)

    def _signed_part(self, request: Request) -> Term:
        bound = self._t1(request) if self.rules.request_is_signed_for else NONE
        return message(public("kind 1"), public(request.sender), public(request.target), bound, request.inner)

    def _wire(self, request: Request) -> Term:
        fields = map(public, (request.sender, request.target, request.flags))
        return message(*fields, request.nonce, signed(request.sender, self._signed_part(request)))

    def _hr(self, request: Request) -> Term:
        return digest("HR", self._t1(request), self._signed_part(request))

    def _keys(self, request: Request, nonce_2: Term, inner_b: Term) -> tuple[Term, Term, Term]:
        """KD-sess, TX, and the signed part of B's I_MESSAGE (NONE without one)."""
        t1, t2 = self._t1(request), digest("T2", self._hr(request), nonce_2)
        body_b = NONE if inner_b is NONE else message(public("kind 2"), t2, inner_b)
        tx = digest("TX", t1, self._signed_part(request), t2, body_b)
        ssvs = (request.inner.parts[0], NONE if inner_b is NONE else inner_b.parts[0])
        if self.rules.transcript_in_keys:
            kd = digest("KD", *ssvs, t1, t2)
            return digest("KD-sess", kd, request.nonce, nonce_2, tx), tx, body_b
        return digest("KD-sess", digest("KD", *ssvs), request.nonce, nonce_2), tx, body_b

    def _b_answers(self, state: State) -> Iterable[Step[State]]:
        for request in self._requests(state.known):
            if any(session.request == request for session in state.b):
                continue
            nonce_2 = secret(f"nonce of B {len(state.b)}")
            mutual = request.flags != "not wanted"
            inner_b = encapsulated(request.sender, secret(f"SSV of B {len(state.b)}")) if mutual else NONE
            key, tx, body_b = self._keys(request, nonce_2, inner_b)
            sign_b = signed("B", body_b) if mutual else NONE
            accept = message(self._hr(request), nonce_2, sign_b, digest("conf-R", key))
            up = not self.rules.confirm_is_needed
            session = Session(request, key, tx, mutual, up)
            text = f"B answers {request.sender}, mutual {request.flags}, {request.nonce}"
            yield Step(text, State(learn(state.known, [accept]), state.a, (*state.b, session)))

    def _requests(self, known: Known) -> Iterable[Request]:
        """Every request to B that the attacker can bring."""
        for sender in ("A", "E"):
            for flags in FLAGS:
                for nonce in nonces_in(known):
                    for inner in encapsulations_in(known, "B"):
                        request = Request(sender, "B", nonce, flags, inner)
                        if derives(known, self._wire(request)):
                            yield request

    def _a_takes_accept(self, state: State, session: Session) -> Iterable[Step[State]]:
        if session.up:
            return
        request = session.request
        for nonce_2 in nonces_in(state.known):
            for inner_b in (NONE, *encapsulations_in(state.known, "A")):
                if inner_b is NONE and request.flags == "required" and self.rules.required_is_required:
                    continue
                key, tx, body_b = self._keys(request, nonce_2, inner_b)
                sign_b = NONE if inner_b is NONE else signed(request.target, body_b)
                accept = message(self._hr(request), nonce_2, sign_b, digest("conf-R", key))
                if derives(state.known, accept):
                    after = replace(session, key=key, tx=tx, mutual=inner_b is not NONE, up=True)
                    text = f"A takes an Accept with {nonce_2}{'' if inner_b is NONE else ' and I_MESSAGE'}"
                    yield Step(text, State(learn(state.known, [_confirm(key)]), after, state.b))


def _confirm(key: Term) -> Term:
    return sealed(key, digest("conf-I", key))


def not_well(state: State) -> str:
    """Whether an end is worse off than it believes."""
    a = state.a
    if a and a.up and a.key and a.request.target == "B":
        if derives(state.known, a.key):
            return "the attacker knows the key of A's link with B"
        if not any(session.tx is a.tx and session.request.sender == "A" for session in state.b):
            return "A's link with B is up, and B has none such with A"
        if a.request.flags == "required" and not a.mutual:
            return "A required mutual authentication and has a one-way link"
    for session in state.b:
        if session.request.sender != "A":
            continue
        if a is None or session.request != a.request:
            return "B answers a request in A's name that A didn't make so"
        if session.up and session.key and derives(state.known, session.key):
            return "the attacker knows the key of B's link with A"
        if session.up and not (a.tx is session.tx and a.up):
            return "B's link with A is up, and A has none such with B"
    return ""


WELL: Final = "who holds a link for up shares it with the peer named, under a key that nobody else knows"


def _case(
    name: str,
    kind: Kind,
    rule: str,
    rules: Rules,
    stolen: tuple[Term, ...] = (),
    flags: tuple[str, ...] = FLAGS,
    *,
    slow: bool = False,
) -> Case:
    return searched(f"set-up/{name}", "", kind, rule, WELL, SetUp(rules, stolen, flags), bad=not_well, slow=slow)


MUTUAL_ONLY: Final = ("required",)
CASES: Final = (
    _case("exchange", Kind.HOLDS, "none; E's keys are the attacker's", Rules(), slow=True),
    _case("rsk-of-b", Kind.HOLDS, "none; required, RSK of B stolen", Rules(), (rsk("B"),), MUTUAL_ONLY),
    _case("rsk-of-a", Kind.HOLDS, "none; RSK of A stolen", Rules(), (rsk("A"),), slow=True),
    _case("misbinding", Kind.FALLS, "keys without the transcript", Rules(transcript_in_keys=False)),
    _case("request-altered", Kind.FALLS, "the I_MESSAGE doesn't hold H(T1)", Rules(request_is_signed_for=False)),
    _case(
        "required-ignored",
        Kind.FALLS,
        "a one-way Accept is taken where mutual is required; RSK of B stolen",
        Rules(required_is_required=False),
        (rsk("B"),),
        MUTUAL_ONLY,
    ),
    _case("no-confirm", Kind.FALLS, "B's link is up without the Confirm", Rules(confirm_is_needed=False)),
    _case("one-way", Kind.LIMIT, "one-way, RSK of B stolen", Rules(), (rsk("B"),), ("not wanted",)),
    _case("both-rsks", Kind.LIMIT, "required, both RSKs stolen", Rules(), (rsk("A"), rsk("B")), MUTUAL_ONLY),
    _case("ssk-of-a", Kind.LIMIT, "SSK of A stolen", Rules(), (ssk("A"),)),
)
