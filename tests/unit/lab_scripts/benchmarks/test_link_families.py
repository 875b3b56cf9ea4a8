"""The families of the link bench: what is made of trials, and that each family keeps to what it says beforehand."""

from __future__ import annotations

import pytest

from lab_scripts.benchmarks.figure_family import Figure, seeds_in_words, wilson_width
from lab_scripts.benchmarks.link import chosen_families, families
from lab_scripts.exit_codes import LabError


def test_no_name_is_used_twice() -> None:
    names = [family.name for family in families()]
    figures = [figure.name for family in families() for figure in family.figures]
    assert len(set(names)) == len(names)
    assert len(set(figures)) == len(figures)


def test_families_are_chosen_by_name() -> None:
    assert [family.name for family in chosen_families(["cells"])] == ["cells"]
    assert chosen_families([]) == families()
    with pytest.raises(LabError, match="weather"):
        chosen_families(["weather"])


def test_a_middle_is_the_median() -> None:
    result = Figure(name="x", unit="s", aim=2.0).result([1.0, 9.0, 2.0], seeds=range(1, 4))
    assert (result.value, result.spread, result.runs, result.seeds) == (2.0, 4.0, 3, "1 to 3")
    assert result.reaches_aim is True


def test_a_share_is_told_in_per_cent_with_its_interval() -> None:
    figure = Figure(name="x", unit="%", of="share", lower_is_better=False, aim=90.0)
    result = figure.result([1.0] * 18 + [0.0] * 2, seeds=range(20))
    assert (result.value, result.reaches_aim) == (90.0, True)
    # Wilson's interval of 18 in 20: 0.699 to 0.972
    assert result.spread == pytest.approx(27.3, abs=0.1)
    assert figure.result([1.0, 0.0], seeds=[1, 2]).reaches_aim is False


@pytest.mark.parametrize(("lower_is_better", "worst"), [(True, 5.0), (False, 1.0)])
def test_a_worst_is_the_worst_trial(lower_is_better: bool, worst: float) -> None:
    figure = Figure(name="x", unit="s", of="worst", lower_is_better=lower_is_better)
    assert figure.result([1.0, 5.0, 2.0], seeds=[1, 2, 3]).value == worst


def test_no_trial_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no trial"):
        Figure(name="x", unit="s").result([], seeds=[])


def test_wilson_width_never_vanishes() -> None:
    assert 0 < wilson_width(20, 20) < wilson_width(10, 20) < 1


def test_seeds_in_words() -> None:
    assert seeds_in_words(range(1, 21)) == "1 to 20"
    assert seeds_in_words([7, 3, 9]) == "3, 7, 9"
    assert seeds_in_words([1, 2]) == "1, 2"
    assert seeds_in_words([4]) == "4"
