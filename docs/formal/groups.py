"""Keys of a group with two keyers, one removal, restarts and messages that come late (PROFILE 11; G1 to G5, G7 to G9).

Members are numbers: 0 and 1 are keyers (and members), 2 is M, 3 is R, whom keyer 0 may remove. Keying messages can't be
forged (`group_terms` has who can make what); each goes to one recipient, and whoever isn't in `to` can't open it. A
message may arrive at any time, again, or never. Time is a small number, and W is one unit of it.

Four properties are searched.

* *Meets again*: honest steps (messages within W that arrive, a keyer that must key again, a member that asks) lead to
  one key that all who are in hold and speak under; R is not among its recipients once it is removed.
* *Removed reads nothing*: nobody who knows that R is out speaks under a key that R has; and W after the removal nobody
  begins to.
* *Right key*: whoever reads a PDU holds no other key of its index.
* *Once*: no member uses one key with one PTK ID twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from docs.formal.search import Step

W: Final = 1
KEYERS: Final = (0, 1)
M: Final = 2
R: Final = 3
NAMES: Final = ("K1", "K2", "M", "R")
LAST_EPOCH: Final = 20
INDICES: Final = 3
"""Indices of one keyer, taken in turn."""


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


@dataclass(frozen=True, slots=True)
class Key:
    """A group key: its SSV, who made it, epoch and tag, T, index, whom its list calls out, and its recipients."""

    ssv: int
    maker: int
    epoch: int
    tag: int
    made: int
    index: int
    out: frozenset[int]
    to: frozenset[int]


@dataclass(frozen=True, slots=True)
class Member:
    """On disk: mark, T of the last key, who is out, next PTK ID. In memory: key to speak under, keys to read by."""

    mark: tuple[int, int] = (0, 0)
    last_t: int = 0
    out: frozenset[int] = field(default_factory=frozenset)
    ptk: int = 0
    speaks: Key | None = None
    newest: Key | None = None
    reads: frozenset[Key] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class State:
    """All members, all keys ever made, the time, and what is left of each budget."""

    members: tuple[Member, ...]
    keys: tuple[Key, ...] = ()
    now: int = 1
    made: tuple[int, int] = (0, 0)
    renewals: int = 0
    ticks: int = 0
    restarts: int = 0
    losses: int = 0
    leaps: int = 0
    same_ssv: int = 0
    sends: int = 0
    removed_at: int = -1
    used: frozenset[tuple[int, object, int]] = field(default_factory=frozenset)
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
    ahead: int = 0
    """How far the clock of keyer 0 is ahead."""

    def start(self) -> State:
        """Nobody holds a key."""
        return State(
            members=(Member(),) * 4,
            renewals=self.renewals,
            ticks=self.ticks,
            restarts=self.restarts,
            losses=self.losses,
            leaps=self.leaps,
            same_ssv=self.same_ssv,
            sends=self.sends,
        )

    def steps(self, state: State) -> Iterable[Step[State]]:
        """All that can happen."""
        if state.broken:
            return
        for keyer in self.keyers:
            yield from self._keyer_steps(state, keyer)
        for key in state.keys:
            for who in sorted(key.to - {key.maker}):
                yield from self._arrives(state, key, who)
        for who in range(4):
            yield from self._member_steps(state, who)
        if state.ticks:
            yield Step("time passes", replace(state, now=state.now + 1, ticks=state.ticks - 1), honest=False)

    def _keyer_steps(self, state: State, keyer: int) -> Iterable[Step[State]]:
        name, member = NAMES[keyer], state.members[keyer]
        if state.renewals:
            for tag in (1, 2):
                after = replace(self._make(state, keyer, tag), renewals=state.renewals - 1)
                yield Step(f"{name} makes a key", after, honest=False)
        if keyer == 0 and self.removals and state.removed_at < 0 and member.newest:
            gone = replace(member, out=member.out | {R})
            after = self._make(replace(with_member(state, keyer, gone), removed_at=state.now), keyer, 1)
            yield Step(f"{name} removes R", after, honest=False)
        if member.newest and member.out & member.newest.to and self.rules.keys_again:
            yield Step(f"{name} keys again without R", self._make(state, keyer, 1))
        if state.keys and member.newest is None:
            yield Step(f"{name} has no key, and makes one when it is asked", self._make(state, keyer, 1))
        if state.leaps:
            epoch = LAST_EPOCH
            after = replace(self._make(state, keyer, 1, epoch=epoch), leaps=state.leaps - 1)
            yield Step(f"{name} makes a key of epoch {epoch}", after, honest=False)
        if state.same_ssv and state.keys:
            after = replace(self._make(state, keyer, 1, ssv=state.keys[-1].ssv), same_ssv=state.same_ssv - 1)
            yield Step(f"{name} makes a key with the SSV of the last one", after, honest=False)

    def _make(self, state: State, keyer: int, tag: int, *, ssv: int = 0, epoch: int = 0) -> State:
        member = state.members[keyer]
        now = state.now + (self.ahead if keyer == 0 else 0)
        counted = member.mark[0] + 1
        epoch = epoch or (max(counted, now) if self.rules.epoch_from_clock else counted)
        if epoch > LAST_EPOCH:
            return state
        turn = state.made[keyer] % INDICES
        key = Key(
            ssv=ssv or len(state.keys) + 1,
            maker=keyer,
            epoch=epoch,
            tag=tag * 10 + len(state.keys),
            made=now,
            index=turn + (INDICES * keyer if self.rules.indices_by_keyer else 0),
            out=member.out if self.rules.list_travels else frozenset(),
            to=frozenset(range(4)) - member.out,
        )
        made = (state.made[0] + (keyer == 0), state.made[1] + (keyer == 1))
        state = replace(state, keys=(*state.keys, key), made=made)
        return self._install(state, key, keyer, may_speak=True)

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

    def _arrives(self, state: State, key: Key, who: int) -> Iterable[Step[State]]:
        fresh = abs(state.now - key.made) <= W
        text = f"key {key.ssv} of {NAMES[key.maker]} (epoch {key.epoch}) arrives at {NAMES[who]}"
        if fresh or self.deferred:
            after = self._take(state, key, who, may_speak=fresh or not self.rules.held_back_reads_only)
            if after != state:
                yield Step(text + ("" if fresh else ", late"), after, honest=fresh)
        if not self.rules.answer_names_ask and not fresh:
            after = self._take(state, key, who, may_speak=True)
            if after != state:
                yield Step(text + ", as an answer", after, honest=False)

    def _take(self, state: State, key: Key, who: int, *, may_speak: bool) -> State:
        """A keying message in the checks of a member: merge its list, then judge its mark."""
        member, rules = state.members[who], self.rules
        if rules.epoch_bounded and key.epoch > state.now + W:
            return state
        if key.out - member.out:
            member = self._mind(replace(member, out=member.out | key.out))
            state = with_member(state, who, member)
        rank = self._rank(key, who)
        if rules.t_orders and key.made < member.last_t:
            return state
        again = rank == member.mark and member.newest is None and rules.equal_mark_again
        named_again = member.newest is key and may_speak and member.speaks is not key and not member.out & key.to
        if rank > member.mark or again or named_again:
            return self._install(state, key, who, may_speak=may_speak)
        return state

    def _install(self, state: State, key: Key, who: int, *, may_speak: bool) -> State:
        member = state.members[who]
        speaks = key if may_speak and not (member.out & key.to and self.rules.minds_list) else member.speaks
        ptk = member.ptk if self.rules.ptk_ids_go_on else 0
        held = {other for other in (member.newest, member.speaks) if other and other.index != key.index}
        after = replace(member, mark=self._rank(key, who), last_t=key.made, ptk=ptk)
        after = self._mind(replace(after, speaks=speaks, newest=key, reads=frozenset(held | {key})))
        stale = state.removed_at >= 0 and state.now - state.removed_at > W and speaks is key and R in key.to and who != R
        broken = f"{NAMES[who]} begins to speak under a key that R has, after W" if stale else ""
        return replace(with_member(state, who, after), broken=broken)

    def _mind(self, member: Member) -> Member:
        """A member falls silent where its key leaves out a removal that it has learnt."""
        silent = self.rules.minds_list and member.speaks and member.out & member.speaks.to
        return replace(member, speaks=None) if silent else member

    def _member_steps(self, state: State, who: int) -> Iterable[Step[State]]:
        member, name = state.members[who], NAMES[who]
        for keyer in () if self.rules.t_orders else self.keyers:
            key = state.members[keyer].newest
            if key and key.maker == keyer and who in key.to - {keyer} and who not in state.members[keyer].out:
                after = self._take(state, key, who, may_speak=True)
                if after != state:
                    yield Step(f"{name} asks {NAMES[keyer]}", after)
        if state.restarts and member.newest:
            gone = replace(member, speaks=None, newest=None, reads=frozenset())
            yield Step(f"{name} restarts", replace(with_member(state, who, gone), restarts=state.restarts - 1), honest=False)
        if state.losses and who in self.keyers and member.newest:
            lost = replace(state, losses=state.losses - 1)
            yield Step(f"{name} loses its record", with_member(lost, who, Member()), honest=False)
        if state.sends and member.speaks:
            key = member.speaks
            pgk: object = key if self.rules.pgk_takes_info else key.ssv
            use = (who, pgk, member.ptk)
            after = with_member(state, who, replace(member, ptk=member.ptk + 1))
            broken = f"{name} uses a key with PTK ID {member.ptk} twice" if use in state.used else ""
            after = replace(after, used=state.used | {use}, sends=state.sends - 1, broken=broken)
            yield Step(f"{name} sends", after, honest=False)


def with_member(state: State, who: int, member: Member) -> State:
    """The state with one member changed."""
    return replace(state, members=(*state.members[:who], member, *state.members[who + 1 :]))


def who_is_in(state: State) -> list[int]:
    """The members that nobody has removed."""
    return [who for who in range(4) if who != R or state.removed_at < 0]


def together(state: State) -> bool:
    """Whether all who are in speak under one key, which R hasn't once it is removed."""
    if state.broken:
        return True
    spoken = {state.members[who].speaks for who in who_is_in(state)}
    return len(spoken) == 1 and (not state.keys or None not in spoken) and all(
        key is None or state.removed_at < 0 or R not in key.to for key in spoken
    )


def wrong(state: State) -> str:
    """Whether R reads what it must not, a PDU is read by another key, or a key and PTK ID came twice."""
    if state.broken:
        return state.broken
    for who, member in enumerate(state.members):
        key = member.speaks
        if key is None:
            continue
        if R in member.out and R in key.to and who != R:
            return f"{NAMES[who]} knows that R is out, and speaks under a key that R has"
        for other, reader in enumerate(state.members):
            if any(held.index == key.index and held != key for held in reader.reads):
                return f"{NAMES[other]} reads {NAMES[who]} by another key of the same index"
    return ""
