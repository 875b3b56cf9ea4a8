"""Groups that are torn apart, lose a keyer or a member for a while, or are large on a bad air (PROFILE 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.group_trials import GroupTrial, GroupTrialPlan
from lab_scripts.benchmarks.measure import Result
from prose_link.randomness import generator

_QUICK_SEEDS: Final = range(1, 2)
_SPLIT_SEEDS: Final = range(1, 6)
_SPLIT_UNTIL_S: Final = 12.0
"""By then both halves have a key of their own: the second keyer waits 6 s for one."""
_DEAF_SEEDS: Final = range(1, 4)
_DEAF_FROM_S, _DEAF_FOR_S, _DEAF_SPREAD_S = 5.0, 60.0, 3.0
_KEY_LIFE_S: Final = 60
"""The shortest there is: the keyer makes the next key while the member is deaf."""
_DEAD_SEEDS: Final = range(1, 6)
_MANY_SEEDS: Final = range(1, 4)
_MANY: Final = 32
_MANY_LOSS: Final = 0.3
_PATIENCE_S: Final = 20.0
"""What takes longer is not waited for, and counts as this."""
_CONVERGED: Final = {
    talks: Figure(
        name=f"a split group whose members {'speak' if talks else 'are silent'} is one again after",
        unit="s",
        of="worst",
        aim=2.0,
    )
    for talks in (True, False)
}
_BACK: Final = Figure(name="a member deaf for a minute has the new key after", unit="s", of="worst", aim=2.0)
_TAKEN_OVER: Final = Figure(
    name="a keyer that dies in mid-keying is taken over: all have one key",
    unit="%",
    of="share",
    lower_is_better=False,
    aim=100.0,
)
_TAKEN_OVER_AFTER: Final = Figure(name="a keyer that dies in mid-keying is taken over after", unit="s", of="worst")
_ALL_KEYED: Final = Figure(name="32 members, 3 in 10 subframes lost: all keyed after", unit="s", of="worst", aim=3.0)
_ALL_KEYED_GAPS: Final = Figure(name="32 members, 3 in 10 gaps of 10 ms lost: all keyed after", unit="s", of="worst")


def converged_after_s(seed: int, *, talks: bool) -> float:
    """From the moment at which two halves of a group, each with a keyer, hear each other until all hold one key."""
    plan = GroupTrialPlan(seed=seed, n_ues=4, n_keyers=2, talks=talks)
    half = {name: place % 2 for place, name in enumerate(plan.names)}
    trial = GroupTrial(plan, lambda to, of, at_s: at_s < _SPLIT_UNTIL_S and half[to] != half[of])
    reached_s = trial.run(_SPLIT_UNTIL_S + _PATIENCE_S, lambda: trial.now_s > _SPLIT_UNTIL_S and trial.is_one_group)
    return _since(_SPLIT_UNTIL_S, reached_s)


def back_after_s(seed: int) -> float:
    """From the return of a member that was deaf for a minute until it has the key that was made meanwhile."""
    plan = GroupTrialPlan(seed=seed, n_ues=4, section={"lifetime_s": _KEY_LIFE_S})
    deaf = plan.names[-1]
    until_s = _DEAF_FROM_S + _DEAF_FOR_S + generator(seed, "deaf").uniform(0, _DEAF_SPREAD_S)
    trial = GroupTrial(plan, lambda to, of, at_s: deaf in (to, of) and _DEAF_FROM_S <= at_s < until_s)
    reached_s = trial.run(until_s + _PATIENCE_S, lambda: trial.now_s > until_s and trial.is_one_group)
    return _since(until_s, reached_s)


def taken_over_after_s(seed: int) -> float | None:
    """From the death of a keyer, when 0 to 3 of 5 members have its key, until all others hold one key; or None."""
    plan = GroupTrialPlan(seed=seed, n_ues=6, n_keyers=2)
    n_keyed = (seed - 1) % 4
    died_s: list[float] = []

    def is_over() -> bool:
        if not died_s and trial.held and len(trial.held) - 1 >= n_keyed:
            trial.dead.add(plan.keyer)
            died_s.append(trial.now_s)
        return bool(died_s) and trial.is_one_group

    trial = GroupTrial(plan)
    reached_s = trial.run(_PATIENCE_S, is_over)
    return None if reached_s is None else reached_s - died_s[0]


def all_keyed_after_s(seed: int, loss_ms: int) -> float:
    """From the first key of a keyer until each of 32 members has it, where 0.3 of the air is lost."""
    trial = GroupTrial(GroupTrialPlan(seed=seed, n_ues=_MANY + 1, loss=_MANY_LOSS, loss_ms=loss_ms))
    began_s: list[float] = []

    def is_over() -> bool:
        if not began_s and trial.held:
            began_s.append(trial.now_s)
        return trial.is_one_group

    reached_s = trial.run(_PATIENCE_S, is_over)
    return _since(began_s[0] if began_s else 0.0, reached_s)


def _since(start_s: float, reached_s: float | None) -> float:
    return _PATIENCE_S if reached_s is None else reached_s - start_s


def _measure(quick: bool) -> Iterator[Result]:
    for talks, figure in _CONVERGED.items():
        seeds = _QUICK_SEEDS if quick else _SPLIT_SEEDS
        yield figure.result([converged_after_s(seed, talks=talks) for seed in seeds], seeds=seeds)
    seeds = _QUICK_SEEDS if quick else _DEAD_SEEDS
    times_s = [taken_over_after_s(seed) for seed in seeds]
    yield _TAKEN_OVER.result([float(time_s is not None) for time_s in times_s], seeds=seeds)
    yield _TAKEN_OVER_AFTER.result([_since(0.0, time_s) for time_s in times_s], seeds=seeds)
    if not quick:
        yield _BACK.result([back_after_s(seed) for seed in _DEAF_SEEDS], seeds=_DEAF_SEEDS)
        many: tuple[tuple[Figure, Callable[[int], float]], ...] = (
            (_ALL_KEYED, lambda seed: all_keyed_after_s(seed, 1)),
            (_ALL_KEYED_GAPS, lambda seed: all_keyed_after_s(seed, 10)),
        )
        for figure, time_s in many:
            yield figure.result([time_s(seed) for seed in _MANY_SEEDS], seeds=_MANY_SEEDS)


FAMILY: Final = Family(
    name="groups",
    title="Groups",
    method=(
        "Whole UEs on an air of subframes: scheduler, layer 2 and all above run as they are, the PHY is a model. Every "
        "key goes to one member at a time. Split: two keyers and two members, each half with a key of its own, hear "
        "each other after 12 s. Deaf: a member hears nobody and is heard by nobody for 60 to 63 s, in which the key "
        "is replaced. Dead: one of two keyers is gone when 0 to 3 of 5 members have its key. Large: 32 members; from "
        "the making of the key until the last member has it. What is not reached in 20 s counts as 20 s. A fast look "
        "leaves the deaf member and the large group out."
    ),
    full_minutes=12,
    figures=(*_CONVERGED.values(), _TAKEN_OVER, _TAKEN_OVER_AFTER, _BACK, _ALL_KEYED, _ALL_KEYED_GAPS),
    measure=_measure,
)
