"""Keys of a group with two keyers, one removal, restarts and messages that come late (PROFILE 11; G1 to G5, G7 to G9).

Members are numbers: 0 and 1 are keyers (and members), 2 is M, 3 is R, whom keyer 0 may remove. Keying messages can't
be forged (`group_terms` has who can make what); each goes to one recipient, and whoever isn't in `to` can't open it.
A message may arrive at any time, again, or never. Time is a small number, and W is one unit of it.

Four properties are searched.

* *Meets again*: honest steps (messages within W that arrive, a keyer that must key again, a member that asks) lead to
  one key that all who are in hold and speak under; R is not among its recipients once it is removed.
* *Removed reads nothing*: nobody who knows that R is out speaks under a key that R has; and W after the removal
  nobody begins to.
* *Right key*: whoever reads a PDU holds no other key of its index.
* *Once*: no member uses one key with one PTK ID twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from docs.formal.search import Step

W: Final = 1
KEYERS: Final = (0, 1)
M: Final = 2
R: Final = 3
NAMES: Final = ("K1", "K2", "M", "R")
AHEAD: Final = 8
"""How far an epoch may be above the clock: W in seconds, which many keys don't reach."""
LAST_EPOCH: Final = 20


class Order(Enum):
    """Which of two keys is current."""

    MARK = "epoch, then tag"
    EPOCH = "epoch; of equal ones the first to come (first edition)"
    KEYER = "epoch, then keyer"
    SIGNED_PART = "epoch, then H(S(I)), which differs from member to member"


@dataclass(frozen=True, slots=True)
class Rules:
    """What section 11 says; each may be taken away."""

    order: Order = Order.MARK
    epoch_from_clock: bool = True
    ask_raises: bool = True
    """An ask with a mark above the keyer's own, and not too far ahead, raises its next epoch (G9)."""
    epoch_bounded: bool = True
    list_travels: bool = True
    keys_again: bool = True
    minds_list: bool = True
    """A member speaks under no key that leaves out a removal it has learnt."""
    equal_mark_again: bool = True
    t_orders: bool = False
    """First edition: T of a key is not below that of the one before."""
    held_back_reads_only: bool = True
    indices_by_keyer: bool = True
    pgk_takes_info: bool = True
    ptk_ids_go_on: bool = True
    answer_names_ask: bool = True


class Key(NamedTuple):
    """A group key: its SSV, who made it, epoch and tag, T, PGK index; `to`: the bits of its recipients."""

    ssv: int
    maker: int
    epoch: int
    tag: int
    made: int
    pgk_index: int
    to: int


class Member(NamedTuple):
    """On disk: mark, T of the last key, the bits of those out, next PTK ID.

    In memory, as numbers of keys or -1: the key it speaks under, the newest it has, and the bits of those it reads by.
    """

    mark: tuple[int, int] = (0, 0)
    last_t: int = 0
    out: int = 0
    ptk: int = 0
    speaks: int = -1
    newest: int = -1
    reads: int = 0


class Left(NamedTuple):
    """How often each may still happen."""

    renewals: int
    ticks: int
    restarts: int
    losses: int
    leaps: int
    same_ssv: int
    sends: int


class State(NamedTuple):
    """All members, all keys ever made, the time, and what is left of each budget."""

    members: tuple[Member, ...]
    left: Left
    keys: tuple[Key, ...] = ()
    now: int = 1
    removed_at: int = -1
    used: frozenset[tuple[int, int, int]] = frozenset()
    broken: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group under rules. The numbers say how often each may happen; `keyers` which keyers make keys."""

    rules: Rules = Rules()
    keyers: tuple[int, ...] = KEYERS
    renewals: int = 2
    removals: int = 1
    ticks: int = 0
    restarts: int = 0
    losses: int = 0
    leaps: int = 0
    """Keys of a keyer with the last epoch there is, or one far ahead of the clock."""
    same_ssv: int = 0
    sends: int = 0
    deferred: bool = False
    indices: int = 4
    """Indices of one keyer, taken in turn."""
    ahead: int = 0
    """How far the clock of keyer 0 is ahead."""

    def start(self) -> State:
        """All hold the first key, of keyer 0."""
        budgets = (self.renewals, self.ticks, self.restarts, self.losses, self.leaps, self.same_ssv, self.sends)
        state = self._make(State((Member(),) * 4, Left(*budgets)), 0, 1)
        for who in (1, 2, 3):
            state = self._install(state, 0, who, may_speak=True)
        return state

    def steps(self, state: State) -> Iterable[Step[State]]:
        """All that can happen."""
        if state.broken:
            return
        for keyer in self.keyers:
            yield from self._keyer_steps(state, keyer)
        for number, key in enumerate(state.keys):
            for who in range(4):
                if key.to >> who & 1 and who != key.maker:
                    yield from self._arrives(state, number, who)
        for who in range(4):
            yield from self._member_steps(state, who)
        if state.left.ticks:
            yield Step("time passes", spend(state, "ticks")._replace(now=state.now + 1), honest=False)

    def _keyer_steps(self, state: State, keyer: int) -> Iterable[Step[State]]:
        name, member, left = NAMES[keyer], state.members[keyer], state.left
        if left.renewals:
            for tag in (1, 2):
                yield Step(f"{name} makes a key", self._make(spend(state, "renewals"), keyer, tag), honest=False)
        if keyer == 0 and self.removals and state.removed_at < 0 and member.newest >= 0:
            gone = with_member(state, keyer, member._replace(out=member.out | 1 << R))
            yield Step(f"{name} removes R", self._make(gone._replace(removed_at=state.now), keyer, 1), honest=False)
        if member.newest >= 0 and member.out & state.keys[member.newest].to and self.rules.keys_again:
            yield Step(f"{name} keys again without R", self._make(state, keyer, 1))
        above = max((other.mark for other in state.members), default=(0, 0))
        nobody_has = all(state.members[other].mark < above for other in self.keyers)
        if member.newest < 0 or (nobody_has and self.rules.ask_raises):
            epoch = above[0] + 1 if self.rules.ask_raises and above[0] <= state.now + AHEAD else 0
            yield Step(f"{name} is asked, and makes a key", self._make(state, keyer, 1, epoch=epoch))
        if left.leaps and keyer == 1:
            after = self._make(spend(state, "leaps"), keyer, 1, epoch=LAST_EPOCH)
            yield Step(f"{name} makes a key of epoch {LAST_EPOCH}", after, honest=False)
        if left.same_ssv and state.keys:
            after = self._make(spend(state, "same_ssv"), keyer, 1, ssv=state.keys[-1].ssv)
            yield Step(f"{name} makes a key with the SSV of the last one", after, honest=False)

    def _make(self, state: State, keyer: int, tag: int, *, ssv: int = 0, epoch: int = 0) -> State:
        member = state.members[keyer]
        now = state.now + (self.ahead if keyer == 0 else 0)
        counted = member.mark[0] + 1
        epoch = epoch or (max(counted, now) if self.rules.epoch_from_clock else counted)
        if epoch > LAST_EPOCH:
            return state
        number = len(state.keys)
        turn = sum(key.maker == keyer for key in state.keys) % self.indices
        index = turn + (self.indices * keyer if self.rules.indices_by_keyer else 0)
        to = 0b1111 & ~member.out
        key = Key(ssv or number + 1, keyer, epoch, tag * 10 + number, now, index, to)
        after = self._install(state._replace(keys=(*state.keys, key)), number, keyer, may_speak=True)
        if member.newest >= 0 and to & ~state.keys[member.newest].to & 1 << R:
            return after._replace(broken=f"{NAMES[keyer]} has a key without R, and makes one with R")
        return after

    def _rank(self, key: Key, who: int) -> tuple[int, int]:
        match self.rules.order:
            case Order.MARK:
                return key.epoch, key.tag
            case Order.EPOCH:
                return key.epoch, 0
            case Order.KEYER:
                return key.epoch, key.maker
            case Order.SIGNED_PART:
                return key.epoch, key.tag if who % 2 else 100 - key.tag

    def _arrives(self, state: State, number: int, who: int) -> Iterable[Step[State]]:
        key = state.keys[number]
        fresh = abs(state.now - key.made) <= W
        text = f"key {number} of {NAMES[key.maker]} (epoch {key.epoch}) arrives at {NAMES[who]}"
        if fresh or self.deferred:
            after = self._take(state, number, who, may_speak=fresh or not self.rules.held_back_reads_only)
            if after is not state:
                yield Step(text + ("" if fresh else ", late"), after, honest=fresh)
        if not self.rules.answer_names_ask and not fresh:
            after = self._take(state, number, who, may_speak=True)
            if after is not state:
                yield Step(text + ", as an answer", after, honest=False)

    def _take(self, state: State, number: int, who: int, *, may_speak: bool) -> State:
        """A keying message in the checks of a member: merge its list, then judge its mark."""
        key, member, rules = state.keys[number], state.members[who], self.rules
        if rules.epoch_bounded and key.epoch > state.now + AHEAD:
            return state
        out = ~key.to & 0b1111 if rules.list_travels else 0
        if out & ~member.out:
            member = self._mind(state.keys, member._replace(out=member.out | out))
            state = with_member(state, who, member)
        rank = self._rank(key, who)
        if rules.t_orders and key.made < member.last_t:
            return state
        again = rank == member.mark and member.newest < 0 and rules.equal_mark_again
        named_again = member.newest == number != member.speaks and may_speak and not member.out & key.to
        if rank > member.mark or again or named_again:
            return self._install(state, number, who, may_speak=may_speak)
        return state

    def _install(self, state: State, number: int, who: int, *, may_speak: bool) -> State:
        key, member = state.keys[number], state.members[who]
        speaks = number if may_speak and not (member.out & key.to and self.rules.minds_list) else member.speaks
        ptk = member.ptk if self.rules.ptk_ids_go_on else 0
        held = {other for other in (member.newest, member.speaks) if other >= 0}
        reads = sum(1 << other for other in held if state.keys[other].pgk_index != key.pgk_index and other != number)
        after = member._replace(mark=self._rank(key, who), last_t=key.made, ptk=ptk)
        after = self._mind(state.keys, after._replace(speaks=speaks, newest=number, reads=reads | 1 << number))
        late = state.removed_at >= 0 and state.now - state.removed_at > W
        begins = after.speaks == number and key.to >> R & 1 and who != R
        broken = f"{NAMES[who]} begins to speak under a key that R has, after W" if late and begins else ""
        return with_member(state, who, after)._replace(broken=broken)

    def _mind(self, keys: tuple[Key, ...], member: Member) -> Member:
        """A member falls silent where its key leaves out a removal that it has learnt."""
        silent = self.rules.minds_list and member.speaks >= 0 and member.out & keys[member.speaks].to
        return member._replace(speaks=-1) if silent else member

    def _member_steps(self, state: State, who: int) -> Iterable[Step[State]]:
        member, name, left = state.members[who], NAMES[who], state.left
        for keyer in () if self.rules.t_orders else self.keyers:
            number = state.members[keyer].newest
            mine = number >= 0 and state.keys[number].maker == keyer != who
            if mine and state.keys[number].to & ~state.members[keyer].out & 1 << who:
                after = self._take(state, number, who, may_speak=True)
                if after is not state:
                    yield Step(f"{name} asks {NAMES[keyer]}", after)
        if left.restarts and member.newest >= 0:
            gone = member._replace(speaks=-1, newest=-1, reads=0)
            yield Step(f"{name} restarts", with_member(spend(state, "restarts"), who, gone), honest=False)
        if left.losses and who in self.keyers and member.newest >= 0:
            yield Step(f"{name} loses its record", with_member(spend(state, "losses"), who, Member()), honest=False)
        if left.sends and member.speaks >= 0:
            pgk = member.speaks if self.rules.pgk_takes_info else state.keys[member.speaks].ssv
            use = (who, pgk, member.ptk)
            broken = f"{name} uses a key with PTK ID {member.ptk} twice" if use in state.used else ""
            after = with_member(spend(state, "sends"), who, member._replace(ptk=member.ptk + 1))
            yield Step(f"{name} sends", after._replace(used=state.used | {use}, broken=broken), honest=False)


def spend(state: State, budget: str) -> State:
    """The state with one less of a budget."""
    return state._replace(left=state.left._replace(**{budget: getattr(state.left, budget) - 1}))


def with_member(state: State, who: int, member: Member) -> State:
    """The state with one member changed."""
    return state._replace(members=(*state.members[:who], member, *state.members[who + 1 :]))


def together(state: State) -> bool:
    """Whether all who are in speak under one key, which R hasn't once it is removed."""
    if not state.keys or state.broken:
        return True
    inside = state.members if state.removed_at < 0 else state.members[:R]
    key = inside[0].speaks
    if key < 0 or any(member.speaks != key for member in inside):
        return False
    return state.removed_at < 0 or not state.keys[key].to >> R & 1


def wrong(state: State) -> str:
    """Whether R reads what it must not, a PDU is read by another key, or a key and PTK ID came twice."""
    if state.broken:
        return state.broken
    for who, member in enumerate(state.members):
        if member.speaks < 0:
            continue
        key = state.keys[member.speaks]
        if member.out & key.to and who != R:
            return f"{NAMES[who]} knows that R is out, and speaks under a key that R has"
        for other, reader in enumerate(state.members):
            for number, held in enumerate(state.keys):
                if reader.reads >> number & 1 and held.pgk_index == key.pgk_index and number != member.speaks:
                    return f"{NAMES[other]} reads {NAMES[who]} by another key of the same index"
    return ""
