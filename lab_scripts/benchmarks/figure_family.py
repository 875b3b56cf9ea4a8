"""Figures of a link, in families: what each is, what it is meant to reach, and how many trials made it.

A family is a file `link_*.py` with a `FAMILY`. It says beforehand which figures it gives, so that a page can name those
that were not run. A figure is made of one value for each trial:

* a *middle* is the median of the values, and its spread their interquartile range;
* a *mean* is the mean of the values, for trials that are parts of one count. Its spread is the interquartile range;
* a *share* is the per cent of trials that got there. Its spread is the width of Wilson's interval of 95 %: with 20
  trials of which 18 got there it is 28 points wide, and says how little 20 trials can tell;
* a *worst* is the worst value, for what must hold in each trial. Its spread is the interquartile range too.

Virtual time and seeds make a figure the same on every machine.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lab_scripts.benchmarks.measure import Result, interquartile_range

_Z_95: Final = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure that a family gives, and its aim where it has one; `of` says what is made of the trials' values."""

    name: str
    unit: str
    of: Literal["middle", "mean", "share", "worst"] = "middle"
    lower_is_better: bool = True
    aim: float | None = None

    def result(self, values: Sequence[float], *, seeds: Iterable[int]) -> Result:
        """The figure of one value for each trial; of a share: 1 for each that got there, 0 for others.

        Raises ValueError: no trial.
        """
        if not values:
            raise ValueError(f"{self.name}: no trial")
        if self.of == "share":
            value, spread = 100 * sum(values) / len(values), 100 * wilson_width(sum(values), len(values))
        elif self.of == "worst":
            value = max(values) if self.lower_is_better else min(values)
            spread = interquartile_range(list(values))
        elif self.of == "mean":
            value, spread = statistics.fmean(values), interquartile_range(list(values))
        else:
            value, spread = statistics.median(values), interquartile_range(list(values))
        return Result(
            name=self.name,
            value=value,
            unit=self.unit,
            lower_is_better=self.lower_is_better,
            runs=len(values),
            spread=spread,
            aim=self.aim,
            seeds=seeds_in_words(seeds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Figures that are measured together."""

    name: str
    """What `--family` takes."""
    title: str
    method: str
    """How they are measured: the air, the traffic, what counts. Markdown, for the page; not wrapped."""
    full_minutes: float
    """What the full measurement takes on one core of 2026, about."""
    figures: tuple[Figure, ...]
    measure: Callable[[bool], Iterator[Result]]
    """Takes whether a fast look is enough; yields results as they are ready. A fast look may leave figures out."""

    def figure(self, name: str) -> Figure:
        """One of the figures. Raises KeyError."""
        return {figure.name: figure for figure in self.figures}[name]


def wilson_width(hits: float, trials: int) -> float:
    """Width of Wilson's score interval (95 %) of a share of `hits` in `trials`, 0 to 1."""
    share, z = hits / trials, _Z_95
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return 2 * half


def seeds_in_words(seeds: Iterable[int]) -> str:
    """`1 to 20` for seeds without a hole, else each: `3, 7, 9`."""
    known = sorted(set(seeds))
    if len(known) > 2 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    return ", ".join(str(seed) for seed in known)
