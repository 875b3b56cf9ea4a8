"""Set-up through gaps of 10 ms in which nothing comes through, such as somebody else's transmissions make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import GOOD_SNR_DB, SET_UP_WITHIN_S, set_up_s

_SEEDS, _QUICK_SEEDS = range(1, 21), range(1, 2)
_GAP_MS: Final = 10
_WITHIN_S: Final = 7.0
_THREE_IN_TEN: Final = Figure(name="set-up, 3 in 10 gaps of 10 ms lost: time", unit="s", aim=0.7)
_HALF: Final = Figure(
    name="set-up, half of the gaps of 10 ms lost: came up within 7 s",
    unit="%",
    of="share",
    lower_is_better=False,
    aim=90.0,
)
_HALF_TOOK: Final = Figure(name="set-up, half of the gaps of 10 ms lost: time", unit="s")


def _measure(quick: bool) -> Iterator[Result]:
    seeds = _QUICK_SEEDS if quick else _SEEDS
    yield _THREE_IN_TEN.result([_took_s(seed, 0.3) for seed in seeds], seeds=seeds)
    through_half_s = [_took_s(seed, 0.5) for seed in seeds]
    yield _HALF.result([float(time_s <= _WITHIN_S) for time_s in through_half_s], seeds=seeds)
    yield _HALF_TOOK.result(through_half_s, seeds=seeds)


def _took_s(seed: int, loss: float) -> float:
    time_s = set_up_s(seed, snr_db=GOOD_SNR_DB, loss=loss, loss_ms=_GAP_MS)
    return SET_UP_WITHIN_S if time_s is None else time_s


FAMILY: Final = Family(
    name="gaps",
    title="Set-up through gaps",
    method=(
        "Two whole UEs over emulated samples at 20 dB. Time is cut into stretches of 10 ms, and each direction loses "
        "each stretch with the chance told, whole. From the decision to connect until both ends have the link; one "
        "that does not come up counts as 12 s in the time."
    ),
    full_minutes=5,
    figures=(_THREE_IN_TEN, _HALF, _HALF_TOOK),
    measure=_measure,
)
