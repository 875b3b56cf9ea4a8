"""Round trips of pings in a pool that nobody else uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lab_scripts.benchmarks.figure_family import Family, Figure
from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.pair_trials import round_trips_ms

_SEEDS, _QUICK_SEEDS = range(1, 5), range(1, 2)
_PINGS, _QUICK_PINGS = 40, 12
_PING: Final = Figure(name="ping on a free pool", unit="ms", aim=30.0)
_ANSWERED: Final = Figure(name="pings answered on a free pool", unit="%", of="share", lower_is_better=False)


def _measure(quick: bool) -> Iterator[Result]:
    seeds, n_pings = (_QUICK_SEEDS, _QUICK_PINGS) if quick else (_SEEDS, _PINGS)
    times_ms = [time_ms for seed in seeds for time_ms in round_trips_ms(seed, n_pings)]
    lost = len(seeds) * n_pings - len(times_ms)
    yield _PING.result(times_ms, seeds=seeds)
    yield _ANSWERED.result([1.0] * len(times_ms) + [0.0] * lost, seeds=seeds)


FAMILY: Final = Family(
    name="latency",
    title="Latency",
    method=(
        "Two whole UEs over emulated samples at 20 dB, an SC period of 40 ms. 40 pings of 56 octets, each as soon as "
        "the one before is answered, so that they come at any place of the period."
    ),
    full_minutes=3,
    figures=(_PING, _ANSWERED),
    measure=_measure,
)
