"""The timing method, the shape of what it yields, and the list of benches; no figure is judged."""

from __future__ import annotations

import importlib

import pytest

from lab_scripts.benchmarks.measure import (
    Case,
    Result,
    interquartile_range,
    machine_facts,
    result_of_times,
    run_cases,
    significant,
    time_call,
)
from lab_scripts.benchmarks.registry import BENCHES


def result(value: float, *, lower_is_better: bool, aim: float | None) -> Result:
    return Result(
        name="thing", value=value, unit="ms", lower_is_better=lower_is_better, runs=3, spread=0.123456, aim=aim
    )


def test_json_has_exactly_the_published_keys() -> None:
    assert result(1.234567, lower_is_better=True, aim=2.0).to_json() == {
        "name": "thing",
        "value": 1.235,
        "unit": "ms",
        "lower_is_better": True,
        "runs": 3,
        "spread": 0.1235,
        "aim": 2.0,
        "met": True,
    }


def test_durations_are_judged_from_below_and_rates_from_above() -> None:
    assert result(1.0, lower_is_better=True, aim=2.0).reaches_aim is True
    assert result(3.0, lower_is_better=True, aim=2.0).reaches_aim is False
    assert result(3.0, lower_is_better=False, aim=2.0).reaches_aim is True
    assert result(1.0, lower_is_better=False, aim=2.0).reaches_aim is False
    assert result(1.0, lower_is_better=False, aim=None).reaches_aim is None


def test_times_become_durations() -> None:
    found = result_of_times(Case(name="x", unit="us", prepare=lambda: int, work=4), [8e-6, 4e-6, 40e-6])
    assert found.value == pytest.approx(2.0)
    assert (found.unit, found.lower_is_better, found.runs) == ("us", True, 3)
    assert found.spread == pytest.approx(4.5)


def test_times_become_rates() -> None:
    found = result_of_times(Case(name="x", unit="Mbit/s", prepare=lambda: int, work=2e6), [1.0, 2.0, 0.5])
    assert found.value == pytest.approx(2.0)
    assert not found.lower_is_better


def test_interquartile_range() -> None:
    assert interquartile_range([5.0]) == 0
    assert interquartile_range([1.0, 2.0, 3.0, 4.0, 5.0]) == 2


def test_digits_that_mean_nothing_are_dropped() -> None:
    assert significant(123456.0) == 123500.0
    assert significant(0.00012345678) == 0.0001235
    assert significant(0.0) == 0.0


def test_a_call_is_warmed_up_and_run_often() -> None:
    calls: list[None] = []
    runs_s = time_call(lambda: calls.append(None), budget_s=0.0)
    assert len(runs_s) >= 7
    assert all(run_s > 0 for run_s in runs_s)
    assert len(calls) > len(runs_s)


def test_cases_are_prepared_one_by_one() -> None:
    order: list[str] = []

    def case(name: str) -> Case:
        def prepare() -> object:
            order.append(name)
            return lambda: None

        return Case(name=name, unit="us", prepare=prepare)

    results = run_cases([case("first"), case("second")], quick=True)
    assert next(results).name == "first"
    assert order == ["first"]


def test_machine_facts_name_processor_and_versions() -> None:
    facts = machine_facts()
    assert {"processor", "cores", "load_1_min", "system", "python", "versions"} == set(facts)
    assert "numpy" in facts["versions"]


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_can_be_loaded(name: str) -> None:
    assert callable(importlib.import_module(f"lab_scripts.benchmarks.{BENCHES[name].module}").run)
