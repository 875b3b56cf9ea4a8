"""A responder's clock, its record, and old requests and keys (PROFILE 6 step 6, 10; T1 to T5).

Time is a small number: W is one unit, the key period that is stolen later ends at `PERIOD_ENDS`. A makes a request at
each time, and its clock is right. The attacker records one of them (each in a search of its own), may set B's clock
forward or back, and once the period is over has the keys of that period. It acts up to `LAST`; the time after it
serves to see whether B comes back.

*Worked on once*: B takes no request twice (the record is whole). *No stale key*: B takes no request under keys of a
period whose grace is over. *Comes back*: whatever was done to the clock, B still takes a request made now, once its
source is right and the home KMS is heard.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from docs.formal.case import Case, Kind
from docs.formal.search import Result, Step, search

W: Final = 1
PERIOD_ENDS: Final = 2
GRACE: Final = 1
NEWEST_PERIOD_ENDS: Final = 6
LAST: Final = 5
AFTER: Final = 2


class Rules(NamedTuple):
    """What section 10 says; each may be taken away."""

    floor_judges_clock_only: bool = True
    """T1; else T > time_floor, which is the newest own clock (first edition)."""
    entries_wait_for_floor: bool = True
    """T2; else an entry ends at T + W by the own clock (first edition)."""
    jumps_are_seen: bool = True
    """T3: a jump by more than W against the monotonic counter closes set-ups, and doesn't raise the floor."""
    raise_is_bounded: bool = True
    """T3: the own clock raises the floor no further than the newest key period's end."""
    kms_lowers: bool = True
    """T3: a contact sets the floor, up or down; else up only (first edition)."""
    floor_runs: bool = True
    """T4: the floor grows by the monotonic counter too."""
    kms_first: bool = False
    """T5, after-start: after a start nothing is taken before a contact."""
    kms_after_loss: bool = True
    """T5, after-loss: after the loss of the record nothing is taken before a contact."""
    loss_ends_at_contact: bool = True
    """T5: that contact puts accept_after at the KMS's time; else it stays at the clock of the new record's start."""


class State(NamedTuple):
    """Where the search is: time, B's clock, its floors, and what became of two requests.

    `steady` is what the clock should be by the monotonic counter. The recorded request has a replay entry, and was
    taken, or not; a request made now was taken or not; so many jumps are left.
    """

    real: int = 0
    clock: int = 0
    steady: int = 0
    floor: int = -W
    accept_after: int = -9
    entry: bool = False
    taken: bool = False
    jumps: int = 3
    fresh: bool = False
    running: bool = True
    proven: bool = True
    starts: int = 0
    losses: int = 0
    lost: bool = False
    kms_wrong: int = 0
    broken: str = ""


class Clock(NamedTuple):
    """B under rules; how often it may be off or its KMS be `W + 2` ahead; how far its clock may be set."""

    rules: Rules = Rules()
    starts: int = 0
    losses: int = 0
    kms_wrong: int = 0
    jumps: tuple[int, ...] = (-3, -1, 1, 3)
    kms: bool = True
    recorded: int = 0

    def start(self) -> State:
        """B runs, its clock is right."""
        return State(starts=self.starts, losses=self.losses, kms_wrong=self.kms_wrong)

    def steps(self, state: State) -> Iterable[Step[State]]:
        """All that can happen."""
        if state.broken:
            return
        if state.real < LAST + AFTER:
            yield Step("time passes", self._passes(state))
        if not state.running:
            yield Step("B starts", self._started(state))
        else:
            yield from self._running(state)
        if state.real <= LAST:
            yield from self._attacks(state)

    def _running(self, state: State) -> Iterable[Step[State]]:
        if state.real >= self.recorded and self._takes(state, self.recorded) and not state.entry:
            now = self.recorded == state.real
            twice = f"B works on the request of {self.recorded} twice" if state.taken else ""
            after = state._replace(entry=True, taken=True, fresh=state.fresh or now, broken=twice)
            yield Step(f"the request of {self.recorded} arrives", self._forget(after), honest=now)
        if not state.fresh and state.real != self.recorded and self._takes(state, state.real):
            yield Step("a request made now arrives", state._replace(fresh=True))
        if self.kms:
            yield Step("home KMS", self._contact(state, state.real))
        if state.clock != state.real:
            yield Step("the source is right again", self._set(state, state.real))

    def _attacks(self, state: State) -> Iterable[Step[State]]:
        for jump in self.jumps if state.jumps else ():
            if state.clock + jump >= 0:
                after = self._set(state._replace(jumps=state.jumps - 1), state.clock + jump)
                yield Step(f"the clock is set by {jump}", after, honest=False)
        if state.running and state.kms_wrong:
            after = self._contact(state, state.real + W + 2)._replace(kms_wrong=state.kms_wrong - 1)
            yield Step("home KMS, ahead", after, honest=False)
        if state.running and state.starts:
            after = state._replace(running=False, starts=state.starts - 1, proven=False)
            yield Step("B is switched off", after, honest=False)
        if state.running and state.losses:
            after = state._replace(running=False, losses=state.losses - 1, proven=False, lost=True, entry=False)
            yield Step("B is switched off, and its record is lost", after, honest=False)
        over = state.real >= PERIOD_ENDS + GRACE + W
        for t in range(PERIOD_ENDS) if over and state.running else ():
            usable = not self.rules.floor_runs or state.floor < PERIOD_ENDS + GRACE
            if usable and self._takes(state, t):
                after = state._replace(broken=f"B takes a request of {t} under the stolen keys, at {state.real}")
                yield Step("a request under stolen keys", after, honest=False)

    def _takes(self, state: State, t: int) -> bool:
        """Step 6, and whether the clock is believed."""
        rules = self.rules
        if rules.jumps_are_seen and abs(state.clock - state.steady) > W:
            return False
        if not state.proven and (rules.kms_first or (rules.kms_after_loss and state.lost)):
            return False
        if not rules.floor_judges_clock_only:
            return abs(state.clock - t) <= W and t > max(state.floor, state.clock)
        return abs(state.clock - t) <= W and state.clock >= state.floor - W and t > state.accept_after

    def _passes(self, state: State) -> State:
        after = state._replace(real=state.real + 1, clock=state.clock + 1, fresh=False)
        if not state.running:
            return after
        floor = state.floor + 1 if self.rules.floor_runs else state.floor
        return self._raise(after._replace(steady=state.steady + 1, floor=floor))

    def _set(self, state: State, clock: int) -> State:
        """A source says another time. A step of up to W is taken for drift."""
        small = abs(clock - state.steady) <= W
        if not state.running:
            return state._replace(clock=clock)
        return self._raise(state._replace(clock=clock, steady=clock if small else state.steady))

    def _raise(self, state: State) -> State:
        """The own clock raises the floor, if it is believed."""
        if self.rules.jumps_are_seen and abs(state.clock - state.steady) > W:
            return self._forget(state)
        highest = NEWEST_PERIOD_ENDS if self.rules.raise_is_bounded else state.clock
        return self._forget(state._replace(floor=max(state.floor, min(state.clock - W, highest))))

    def _forget(self, state: State) -> State:
        """The entry ends."""
        if self.rules.entries_wait_for_floor:
            return state._replace(entry=state.entry and state.floor <= self.recorded + 2 * W)
        return state._replace(entry=state.entry and state.clock <= self.recorded + W)

    def _contact(self, state: State, kms: int) -> State:
        floor = kms - W
        after = state._replace(proven=True, steady=state.clock if abs(state.clock - kms) <= W else kms)
        if floor < state.floor:
            after = after._replace(floor=floor, accept_after=kms) if self.rules.kms_lowers else after
        else:
            after = after._replace(floor=floor)
        if state.lost and not state.proven and self.rules.loss_ends_at_contact:
            after = after._replace(accept_after=max(after.accept_after, kms))
        return self._forget(after._replace(lost=False))

    def _started(self, state: State) -> State:
        """The counter knows nothing of the time before; the record on disk does."""
        if state.lost and state.accept_after < state.clock:
            state = state._replace(floor=state.clock - W, accept_after=state.clock)
        return self._raise(state._replace(running=True, steady=state.clock))


def broken(state: State) -> str:
    """What B took that it must not."""
    return state.broken


def takes_now(state: State) -> bool:
    """Whether B has taken a request made now."""
    return state.fresh


def _case(
    name: str, label: str, kind: Kind, rule: str, model: Clock, *, back: bool = False, slow: bool = False
) -> Case:
    def run() -> Result:
        states = 0
        for recorded in range(LAST):
            goal = takes_now if back else None
            one = model._replace(recorded=recorded)
            result = search(one, bad=broken, goal=goal, within=lambda state: state.real <= LAST)
            states += result.states
            if not result.holds:
                break
        return Result(states, result.broken, result.trace)

    claim = "no request twice, none under keys of a period that is over"
    if back:
        claim += "; B comes back once its source is right and the KMS is heard"
    return Case(name=f"clock/{name}", label=label, kind=kind, rule=rule, claim=claim, run=run, slow=slow)


def _without(**rules: bool) -> Clock:
    return Clock(Rules(**rules))


CASES: Final = (
    _case(
        "jumps",
        "T1 to T4",
        Kind.HOLDS,
        "none; the clock is set forward and back while B runs",
        Clock(),
        back=True,
        slow=True,
    ),
    _case("kms-ahead", "T3", Kind.HOLDS, "none; the home KMS is ahead once", Clock(kms_wrong=1), back=True, slow=True),
    _case(
        "kms-first",
        "T5",
        Kind.HOLDS,
        "none; B is off for a while, and asks its KMS first",
        Clock(Rules(kms_first=True), starts=1),
        back=True,
        slow=True,
    ),
    _case(
        "kms-after-loss",
        "T5",
        Kind.HOLDS,
        "none; B is off for a while, its record is lost, and its clock may be set meanwhile",
        Clock(losses=1),
        back=True,
        slow=True,
    ),
    _case(
        "lost-record-believed",
        "T5",
        Kind.FALLS,
        "after the loss of the record B trusts its clock alone",
        Clock(Rules(kms_after_loss=False), losses=1),
    ),
    _case(
        "loss-forgotten-at-contact",
        "T5",
        Kind.FALLS,
        "the contact after a loss leaves accept_after at the clock of the new record's start",
        Clock(Rules(loss_ends_at_contact=False), losses=1),
    ),
    _case(
        "every-request-refused",
        "T1",
        Kind.FALLS,
        "T is judged by the floor",
        _without(floor_judges_clock_only=False),
        back=True,
    ),
    _case(
        "double-work",
        "T2",
        Kind.FALLS,
        "entries end at T + W by the own clock; jumps aren't seen",
        _without(entries_wait_for_floor=False, jumps_are_seen=False),
    ),
    _case(
        "double-work-by-drift",
        "T2",
        Kind.FALLS,
        "entries end at T + W by the own clock",
        _without(entries_wait_for_floor=False),
    ),
    _case(
        "poisoned-by-jump",
        "T3",
        Kind.FALLS,
        "jumps aren't seen, raise the floor without bound, and the KMS doesn't lower it",
        _without(jumps_are_seen=False, raise_is_bounded=False, kms_lowers=False),
        back=True,
    ),
    _case(
        "poisoned-by-kms",
        "T3",
        Kind.FALLS,
        "a KMS that was ahead can't lower the floor",
        Clock(Rules(kms_lowers=False), kms_wrong=1),
        back=True,
    ),
    _case("stale-key", "T4", Kind.FALLS, "the floor stands while the clock is set back", _without(floor_runs=False)),
    _case(
        "stale-key-after-off", "T5", Kind.LIMIT, "B is off for a while, and hears no KMS", Clock(starts=1, kms=False)
    ),
)
