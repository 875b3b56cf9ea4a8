"""Messages as terms, and what an attacker that sees them can make: the rules of Dolev and Yao.

A term is a name or a constructor over terms. Cryptography is perfect: nothing is learnt from a hash, a sealed term
opens with its key alone, an encapsulation with the RSK of its receiver alone, and a signature is made with the SSK of
its signer alone. What an attacker knows is kept *analysed*: everything that can be taken apart has been. What it can
make is then asked of each message that an honest end would accept (`derives`), so the search needs no list of
forgeries: a model names the fields that are free, and every message over the known terms is tried.

Terms are interned: two equal terms are one object, so that sets of them are fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import ClassVar, Final, TypeAlias

PUBLIC: Final = "public"
SECRET: Final = "secret"
TUPLE: Final = "tuple"
HASH: Final = "hash"
SEALED: Final = "sealed"
ENCAPSULATED: Final = "encapsulated"
SIGNED: Final = "signed"
NONCE_OF: Final = "nonce of "
"""How the name of a nonce begins."""


class Term:
    """A name (`text`, no parts) or a constructor over parts; made by the functions below only."""

    __slots__ = ("head", "number", "parts", "text")
    _all: ClassVar[dict[tuple[str, str, tuple[Term, ...]], Term]] = {}

    head: str
    text: str
    parts: tuple[Term, ...]
    number: int

    def __new__(cls, head: str, text: str, parts: tuple[Term, ...] = ()) -> Term:
        """The one term of this shape."""
        found = cls._all.get((head, text, parts))
        if found is None:
            found = super().__new__(cls)
            found.head, found.text, found.parts, found.number = head, text, parts, len(cls._all)
            cls._all[head, text, parts] = found
        return found

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        inner = ", ".join(map(repr, self.parts))
        if self.head == TUPLE:
            return f"<{inner}>"
        if self.head == HASH:
            return f"{self.text}({inner})"
        return (
            self.text
            if not self.parts
            else f"{self.head}[{self.text}]({inner})"
            if self.text
            else f"{self.head}({inner})"
        )


Known: TypeAlias = frozenset[Term]
"""What an attacker knows, analysed."""


def public(text: str) -> Term:
    """A name that everybody knows: identities, labels, what a message says in clear."""
    return Term(PUBLIC, text)


def secret(text: str) -> Term:
    """A name that nobody knows by itself: nonces before they are sent, SSVs, private keys."""
    return Term(SECRET, text)


NONE: Final = public("none")
"""Stands where a message lacks a field."""
OWN_NONCE: Final = public(NONCE_OF + "X")
OWN_SSV: Final = public("SSV of X")
"""What the attacker makes up itself."""


def message(*parts: Term) -> Term:
    """Fields one after the other; whoever has them has the message, and the other way round."""
    return Term(TUPLE, "", parts)


def digest(label: str, *parts: Term) -> Term:
    """A hash or key derivation: made from all of its parts, gives none of them away."""
    return Term(HASH, label, parts)


def sealed(key: Term, body: Term) -> Term:
    """A PDU under a context: ciphered, with MAC-I."""
    return Term(SEALED, "", (key, body))


def encapsulated(identity: str, body: Term) -> Term:
    """A SAKKE payload to an identity."""
    return Term(ENCAPSULATED, identity, (body,))


def signed(identity: str, body: Term) -> Term:
    """An ECCSI signature with what it covers."""
    return Term(SIGNED, identity, (body,))


def rsk(identity: str) -> Term:
    """The key that opens what is encapsulated to an identity."""
    return secret(f"RSK of {identity}")


def ssk(identity: str) -> Term:
    """The key that signs as an identity."""
    return secret(f"SSK of {identity}")


def derives(known: Known, goal: Term) -> bool:
    """Whether a term can be made from what is known."""
    if goal in known or goal.head == PUBLIC:
        return True
    if goal.head == SECRET:
        return False
    if goal.head == SIGNED and ssk(goal.text) not in known:
        return False
    return all(derives(known, part) for part in goal.parts)


def learn(known: Known, new: Iterable[Term]) -> Known:
    """What is known after more terms were seen: taken apart as far as it goes."""
    terms = set(known) | set(new)
    while True:
        frozen = frozenset(terms)
        for term in frozen:
            terms.update(_opened(frozen, term))
        if len(terms) == len(frozen):
            return frozen


@cache
def subterms(term: Term) -> Known:
    """All terms inside of a term, itself included: an attacker may pass on what it can't open."""
    return frozenset({term}).union(*map(subterms, term.parts))


def inside(known: Known) -> Known:
    """All terms inside of what is known: the fields that a message which the attacker can bring may have."""
    return frozenset().union(*map(subterms, known))


def nonces_in(known: Known) -> list[Term]:
    """The nonces that a message which the attacker can bring may have, in a fixed order."""
    return sorted((term for term in inside(known) if term.text.startswith(NONCE_OF)), key=repr)


def encapsulations_in(known: Known, receiver: str) -> list[Term]:
    """What may stand encapsulated to a receiver in such a message: what was seen, or an SSV of the attacker's own."""
    found = {term for term in inside(known) if term.head == ENCAPSULATED and term.text == receiver}
    return sorted(found | {encapsulated(receiver, OWN_SSV)}, key=repr)


def _opened(known: Known, term: Term) -> tuple[Term, ...]:
    match term.head:
        case "tuple":
            return term.parts
        case "signed":
            return term.parts
        case "sealed":
            return (term.parts[1],) if derives(known, term.parts[0]) else ()
        case "encapsulated":
            return term.parts if rsk(term.text) in known else ()
        case _:
            return ()
