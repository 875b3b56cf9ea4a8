"""Every figure of the link bench that has an aim reaches it: `pc5lab bench link`, full, in the slow tier.

One figure is looked at in every run of the tests: a ping finds a grant without waiting for an SC period to begin.
"""

from __future__ import annotations

import statistics

import pytest

from lab_scripts.benchmarks.figure_family import Family
from lab_scripts.benchmarks.link import families
from lab_scripts.benchmarks.pair_trials import round_trips_ms


def test_a_ping_does_not_wait_for_sc_periods_to_begin() -> None:
    """The first finds no grant; those that follow do, in a pool that no other UE claims."""
    times_ms = round_trips_ms(1, 12)
    assert len(times_ms) == 12
    assert statistics.median(times_ms) <= 30


@pytest.mark.slow
@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_figures_reach_their_aims(family: Family) -> None:
    results = list(family.measure(False))
    assert {result.name for result in results} == {figure.name for figure in family.figures}
    missed = [f"{one.name}: {one.value:g} {one.unit}, aim {one.aim:g}" for one in results if one.reaches_aim is False]
    assert not missed
