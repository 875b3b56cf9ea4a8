"""Requests that meet: those of both ends, and recorded ones that were never delivered (PROFILE 7; C1, C4, C6).

Messages can't be forged here, but for the Reject (`set_up` has the rest). Whatever was once sent may come later,
again, or never. An outsider only adds: it delivers what it has recorded, and sends Rejects. Honest steps are what the
ends and the air do by themselves. The property is that they still lead to one link, whatever was added before.

H of a request is its H(T1) as a number. `a1` and `b1` are the requests that A and B have open; `a0` and `b0` are
older ones that their makers have given up and that their targets have never heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from docs.formal.case import Case, Kind, searched
from docs.formal.search import Step


class AtReject(Enum):
    """What an end with the greater request does with the peer's, once a Reject of its own is remembered."""

    IGNORES = "goes on ignoring it (first edition)"
    BOTH_DROP = "serves it; either end drops its provisional link at a good DCA"
    TAKES_NO_ACCEPT = "serves it, and takes no DCA while that provisional link lives"
    LESSER_DROPS = (
        "serves it; at a good DCA the end with the lesser request drops its provisional link, the other keeps it"
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What section 7 says; each may be taken away."""

    later_t_stands: bool = True
    """C1: of two requests of one signer the later T stands; else the last to arrive."""
    keeps_own_request: bool = True
    """C4: the own, lesser request is kept until the other is confirmed."""
    at_reject: AtReject = AtReject.LESSER_DROPS
    ring_ends_with_request: bool = True
    """C4: the lesser request of the peer is ignored only while the own one is open."""
    reject_ends_ring: bool = True
    """C6: and only until a Reject of the own one is remembered, so that its next copy is judged anew."""


@dataclass(frozen=True, slots=True)
class End:
    """One end, by names of requests: open, provisional for, confirming, link; refused for now; in the replay cache."""

    open: str = ""
    provisional: str = ""
    confirming: str = ""
    link: str = ""
    ring: frozenset[str] = field(default_factory=frozenset)
    replays: frozenset[str] = field(default_factory=frozenset)
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A and B, the requests that were ever sent, and those that were ever answered."""

    ends: tuple[End, End]
    sent: frozenset[str]
    answered: frozenset[str] = frozenset()
    gave_up: bool = False


@dataclass(frozen=True, slots=True)
class Collisions:
    """Two ends. `rank`: H of each request; `refused`: requests that the target's policy refuses."""

    rules: Rules
    rank: tuple[tuple[str, int], ...]
    asking: tuple[str, str] = ("a1", "b1")
    recorded: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    gives_up: str = ""
    """A request that its maker may give up by itself."""

    def start(self) -> State:
        """The requests are open, and on the air."""
        a, b = self.asking
        return State((End(open=a), End(open=b)), frozenset({a, b} - {""}) | self.recorded)

    def steps(self, state: State) -> Iterable[Step[State]]:
        """All that can happen."""
        for name in sorted(state.sent):
            yield from self._request_arrives(state, name)
        for name in sorted(state.answered):
            yield from self._accept_arrives(state, name)
        for who in (0, 1):
            end, peer = state.ends[who], state.ends[1 - who]
            if end.provisional and peer.confirming == end.provisional:
                up = replace(end, link=end.provisional, provisional="", open="", confirming="")
                yield Step(f"Confirm of {end.provisional} arrives", put(state, who, up))
            if end.confirming and peer.link == end.confirming:
                up = replace(end, link=end.confirming, provisional="", open="", confirming="")
                yield Step(f"Ack of {end.confirming} arrives", put(state, who, up))
            if end.open and not end.rejected:
                ring = frozenset[str]() if self.rules.reject_ends_ring else end.ring
                refused = replace(end, rejected=True, ring=ring)
                honest = end.open in self.refused
                yield Step(f"{'' if honest else 'forged '}Reject of {end.open}", put(state, who, refused), honest)
            if end.provisional and end.provisional not in (peer.open, peer.confirming):
                yield Step(f"T4111 of {end.provisional}", put(state, who, replace(end, provisional="")), honest=False)
            if end.open and end.open == self.gives_up:
                ring = frozenset[str]() if self.rules.ring_ends_with_request else end.ring
                ended = replace(put(state, who, replace(end, open="", ring=ring)), gave_up=True)
                yield Step(f"T4100 of {end.open}, none left", ended)

    def _greater(self, one: str, other: str) -> bool:
        rank = dict(self.rank)
        return rank[one] > rank[other]

    def _request_arrives(self, state: State, name: str) -> Iterable[Step[State]]:
        who = 1 if name[0] == "a" else 0
        end, peer = state.ends[who], state.ends[1 - who]
        known = name == end.provisional or name in end.ring or name in end.replays
        if known or end.link or end.confirming or name in self.refused:
            return
        served = replace(end, provisional=name, replays=end.replays | {name})
        silent = replace(end, ring=end.ring | {name})
        if end.provisional and self.rules.later_t_stands and name[1] < end.provisional[1]:
            after = silent
        elif end.open and self._greater(end.open, name):
            after = served if end.rejected and self.rules.at_reject is not AtReject.IGNORES else silent
        elif end.open and not self.rules.keeps_own_request:
            after = replace(served, open="")
        else:
            after = served
        answered = state.answered | {name} if after is not silent else state.answered
        yield Step(f"{name} arrives", replace(put(state, who, after), answered=answered), honest=peer.open == name)

    def _accept_arrives(self, state: State, name: str) -> Iterable[Step[State]]:
        who = 0 if name[0] == "a" else 1
        end, peer = state.ends[who], state.ends[1 - who]
        if end.open != name:
            return
        provisional = end.provisional
        if provisional:
            greater = self._greater(name, provisional)
            if greater and end.rejected and self.rules.at_reject is AtReject.TAKES_NO_ACCEPT:
                return
            if not greater or self.rules.at_reject is not AtReject.LESSER_DROPS:
                provisional = ""
        taken = replace(end, open="", confirming=name, provisional=provisional)
        yield Step(f"Accept of {name} arrives", put(state, who, taken), honest=peer.provisional == name)


def put(state: State, who: int, end: End) -> State:
    """The state with one end changed."""
    return replace(state, ends=(end, state.ends[1]) if who == 0 else (state.ends[0], end))


def two_links(state: State) -> str:
    """Whether the ends hold different links for up."""
    a, b = state.ends
    return f"A holds {a.link} for up, B {b.link}" if a.link and b.link and a.link != b.link else ""


def one_link(state: State) -> bool:
    """Whether both hold the same link for up."""
    a, b = state.ends
    return a.link == b.link != ""


CLAIM: Final = "whatever an outsider adds, honest steps still lead to one link, and never to two"
A_GREATER: Final = (("a1", 3), ("b1", 2), ("a0", 1), ("b0", 1))
B0_GREATER: Final = (("a1", 3), ("b1", 2), ("a0", 1), ("b0", 4))


def _case(name: str, label: str, kind: Kind, rule: str, model: Collisions) -> Case:
    return searched(f"requests/{name}", label, kind, rule, CLAIM, model, bad=two_links, goal=one_link)


OLD: Final = frozenset({"a0", "b0"})
ONLY_A: Final = ("a1", "")
CASES: Final = (
    _case(
        "one-asks",
        "C1, C4, C6",
        Kind.HOLDS,
        "none; old requests of both recorded, H(b0) less",
        Collisions(Rules(), A_GREATER, ONLY_A, OLD),
    ),
    _case(
        "one-asks-b0-greater",
        "C1, C4, C6",
        Kind.HOLDS,
        "none; the same, H(b0) greater",
        Collisions(Rules(), B0_GREATER, ONLY_A, OLD),
    ),
    _case(
        "both-ask",
        "C4, C6",
        Kind.HOLDS,
        "none; both ask, old requests recorded",
        Collisions(Rules(), A_GREATER, recorded=OLD),
    ),
    _case(
        "both-ask-b0-greater",
        "C4, C6",
        Kind.HOLDS,
        "none; the same, H(b0) greater",
        Collisions(Rules(), B0_GREATER, recorded=OLD),
    ),
    _case(
        "winner-refused",
        "C6",
        Kind.HOLDS,
        "none; both ask, B's policy refuses A",
        Collisions(Rules(), A_GREATER, refused=frozenset({"a1"})),
    ),
    _case(
        "winner-gives-up",
        "C4",
        Kind.HOLDS,
        "none; both ask, the greater one is given up",
        Collisions(Rules(), A_GREATER, gives_up="a1"),
    ),
    _case(
        "earlier-never-heard",
        "C1",
        Kind.FALLS,
        "the last to arrive replaces",
        Collisions(Rules(later_t_stands=False), A_GREATER, ONLY_A, OLD),
    ),
    _case(
        "collision-with-earlier",
        "C4",
        Kind.FALLS,
        "a greater request wipes the own one",
        Collisions(Rules(keeps_own_request=False), B0_GREATER, ONLY_A, OLD),
    ),
    _case(
        "loser-ignored-for-good",
        "C4",
        Kind.FALLS,
        "the lesser request is ignored after the own one has ended too",
        Collisions(Rules(ring_ends_with_request=False), A_GREATER, gives_up="a1"),
    ),
    _case(
        "refused-winner-ignores",
        "C6",
        Kind.FALLS,
        AtReject.IGNORES.value,
        Collisions(Rules(at_reject=AtReject.IGNORES), A_GREATER, refused=frozenset({"a1"})),
    ),
    _case(
        "refused-winner-deaf",
        "C6",
        Kind.FALLS,
        "the peer's request that came before the Reject stays ignored",
        Collisions(Rules(reject_ends_ring=False), A_GREATER, refused=frozenset({"a1"})),
    ),
    _case(
        "forged-reject-both-drop",
        "C6",
        Kind.FALLS,
        AtReject.BOTH_DROP.value,
        Collisions(Rules(at_reject=AtReject.BOTH_DROP), A_GREATER),
    ),
    _case(
        "forged-reject-no-accept",
        "C6",
        Kind.FALLS,
        AtReject.TAKES_NO_ACCEPT.value,
        Collisions(Rules(at_reject=AtReject.TAKES_NO_ACCEPT), A_GREATER, ONLY_A, OLD),
    ),
)
