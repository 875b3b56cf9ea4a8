"""The hand-over of a rekey over an air that loses, delays and repeats (PROFILE 9, R1): can a link split?

No keys here: contexts are numbers, and nobody forges. What is searched is the order of events. Everything that was
ever sent may arrive at any later time, again, or never, so retransmissions need no steps of their own. Both ends may
ask, up to `requests` times in all; a Request may be given up at any time.

*Split*: neither end waits for an Ack, and one sends on a context that the other doesn't read. *Stranded*: an end
waits for an Ack, and no message that was sent or can be repeated will bring one: only T4108 is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from docs.formal.case import Case, Kind, searched
from docs.formal.search import Step

REQUEST: Final = "Request"
RESPONSE: Final = "Response"
CONFIRM: Final = "Confirm"
ACK: Final = "Ack"


@dataclass(frozen=True, slots=True)
class Rules:
    """What R1 says; each may be taken away."""

    waits_for_ack: bool = True
    """The asking end sends on the new context from the Ack on; else from the Response on (first edition)."""
    keeps_unconfirmed: bool = True
    """The answering end keeps a context without Confirm; else T4111 drops it (first edition)."""
    never_goes_back: bool = True
    """An asking end that hears no Ack goes on repeating; else it takes the old context again."""
    higher_sn_only: bool = True
    """Only a later Request replaces an unconfirmed context."""
    refuses_while_confirming: bool = True
    """A Request is refused while the own Confirm has no Ack (R3)."""


@dataclass(frozen=True, slots=True)
class End:
    """One end: contexts it sends on, reads besides, keeps unconfirmed, or has confirmed without an Ack."""

    sends: int = 0
    old: int = -1
    asked: int = 0
    pending: int = 0
    confirming: int = 0
    answered: int = 0

    def takes(self, context: int) -> bool:
        """Whether user data under a context is read."""
        return context in (self.sends, self.old) or (context == self.confirming != 0)


@dataclass(frozen=True, slots=True)
class State:
    """Both ends (0 is the link's initiator) and all that was ever sent: (kind, number of the rekey, sender, under)."""

    ends: tuple[End, End] = (End(), End())
    sent: frozenset[tuple[str, int, int, int]] = field(default_factory=frozenset)
    asked: int = 0


@dataclass(frozen=True, slots=True)
class HandOver:
    """Two ends and the air between them."""

    rules: Rules = Rules()
    requests: int = 3

    def start(self) -> State:
        """Both on context 0."""
        return State()

    def steps(self, state: State) -> Iterable[Step[State]]:
        """All that can happen."""
        for who in (0, 1):
            yield from self._own(state, who)
        for kind, number, sender, under in sorted(state.sent):
            after = self._arrives(state, kind, number, sender, under)
            if after is not None and after != state:
                yield Step(f"{kind} {number} of {'AB'[sender]} arrives", after)
        for who in (0, 1):
            end, peer = state.ends[who], state.ends[1 - who]
            if end.confirming and peer.sends == end.confirming:
                yield Step(f"user data of {'BA'[who]} under {end.confirming} arrives", self._acked(state, who))

    def _own(self, state: State, who: int) -> Iterable[Step[State]]:
        end, name = state.ends[who], "AB"[who]
        if not end.asked and not end.confirming and state.asked < self.requests:
            number = state.asked + 1
            asked = put(state, who, replace(end, asked=number), (REQUEST, number, who, end.sends))
            yield Step(f"{name} sends Request {number}", replace(asked, asked=number), honest=False)
        if end.asked:
            yield Step(f"{name} gives Request {end.asked} up", put(state, who, replace(end, asked=0)), honest=False)
        if end.old >= 0:
            yield Step(f"{name}: T_old", put(state, who, replace(end, old=-1)), honest=False)
        if end.pending and not self.rules.keeps_unconfirmed:
            yield Step(f"{name}: T4111", put(state, who, replace(end, pending=0)), honest=False)
        if end.confirming and not self.rules.never_goes_back:
            back = replace(end, confirming=0, sends=end.old if end.sends == end.confirming else end.sends)
            yield Step(f"{name} goes back", put(state, who, back), honest=False)
        if end.confirming and end.sends == end.confirming and not self.rules.keeps_unconfirmed:
            yield Step(f"{name}: T4101, none left", put(state, who, replace(end, confirming=0)), honest=False)

    def _arrives(self, state: State, kind: str, number: int, sender: int, under: int) -> State | None:
        who = 1 - sender
        end = state.ends[who]
        match kind:
            case "Request":
                return self._on_request(state, who, number, under)
            case "Response" if end.asked == number:
                end = replace(end, asked=0, confirming=number, pending=0)
                if not self.rules.waits_for_ack:
                    end = replace(end, sends=number, old=end.sends)
                return put(state, who, end, (CONFIRM, number, who, number))
            case "Confirm" if end.pending == number:
                end = replace(end, pending=0, asked=0, sends=number, old=end.sends)
                return put(state, who, end, (ACK, number, who, number))
            case "Ack" if end.confirming == number:
                return self._acked(state, who)
        return None

    def _on_request(self, state: State, who: int, number: int, under: int) -> State | None:
        end = state.ends[who]
        if under != end.sends or number == end.pending:
            return None
        if end.asked and who == 0:
            return None
        if end.confirming and self.rules.refuses_while_confirming:
            return None
        if number <= end.answered and self.rules.higher_sn_only:
            return None
        end = replace(end, asked=0, pending=number, answered=max(number, end.answered))
        return put(state, who, end, (RESPONSE, number, who, end.sends))

    def _acked(self, state: State, who: int) -> State:
        end = state.ends[who]
        old = end.sends if end.sends != end.confirming else end.old
        return put(state, who, replace(end, sends=end.confirming, old=old, confirming=0))


def put(state: State, who: int, end: End, *sent: tuple[str, int, int, int]) -> State:
    """The state with one end changed and messages added to what was sent."""
    ends = (end, state.ends[1]) if who == 0 else (state.ends[0], end)
    return replace(state, ends=ends, sent=state.sent | set(sent))


def split(state: State) -> str:
    """Whether a link is in two."""
    a, b = state.ends
    if a.confirming or b.confirming or (b.takes(a.sends) and a.takes(b.sends)):
        return ""
    return f"A sends on {a.sends}, B on {b.sends}, and one of them doesn't read it"


def agree(state: State) -> bool:
    """Whether both ends send on one context, and nobody waits for an Ack."""
    a, b = state.ends
    return not a.confirming and not b.confirming and a.sends == b.sends


def _case(
    name: str, rule: str, rules: Rules, kind: Kind = Kind.FALLS, *, requests: int = 3, slow: bool = False
) -> Case:
    claim = "one context, read by both, and honest repetition always leads there"
    model = HandOver(rules, requests)
    return searched(f"rekey/{name}", "R1", kind, rule, claim, model, bad=split, goal=agree, slow=slow)


CASES: Final = (
    _case("hand-over", "none", Rules(), Kind.HOLDS),
    _case("hand-over-4", "none, four Requests", Rules(), Kind.HOLDS, requests=4, slow=True),
    _case(
        "split",
        "the requester sends on the new context from the Response on, T4111 drops it (first edition)",
        Rules(waits_for_ack=False, keeps_unconfirmed=False),
    ),
    _case("unconfirmed-dropped", "T4111 drops an unconfirmed context", Rules(keeps_unconfirmed=False)),
    _case("going-back", "a requester without Ack goes back", Rules(never_goes_back=False)),
    _case("delayed-request", "a Request with a lower SN replaces the context too", Rules(higher_sn_only=False)),
    _case(
        "answers-while-confirming",
        "a Request is answered while the own Confirm has no Ack",
        Rules(refuses_while_confirming=False),
    ),
)
