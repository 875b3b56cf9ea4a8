"""How speed is measured: warm-up, many short runs on one thread, median and interquartile range; machine facts.

A machine that others use makes single timings wrong in one direction: they only get longer. So a measurement consists
of many short runs, after kernels are compiled and caches filled. The result is their median and spread. Figures of two
machines, or of two days, are to be compared as ratios of two measurements made in the same process.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lab_scripts.runs.software_versions import software_versions

Unit = Literal["us", "ms", "Mbit/s", "1/s"]
_PER_SECOND: Final[dict[Unit, float]] = {"us": 1e6, "ms": 1e3, "Mbit/s": 1e-6, "1/s": 1.0}
_RATES: Final = ("Mbit/s", "1/s")

_RUN_S: Final = 100e-6
"""Shorter calls are repeated within a run until it lasts this long: the clock and the loop then cost under 1 %."""
_BUDGET_S: Final = 1.0
_QUICK_BUDGET_S: Final = 0.2
_MIN_RUNS: Final = 15
_MAX_RUNS: Final = 2000
_WARM_UP_CALLS: Final = 3
_SIGNIFICANT_DIGITS: Final = 4
_THREAD_SETTINGS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_REPORTED_PACKAGES: Final = ("pc5lab", "numpy", "numba", "llvmlite", "scipy", "pyfftw", "cryptography", "gmpy2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One figure of `runs` trials. `spread` is their interquartile range, of a share the width of its 95 % interval.

    `aim` is what the figure is meant to reach, if anything.
    """

    name: str
    value: float
    unit: str
    lower_is_better: bool
    runs: int
    spread: float
    aim: float | None = None
    family: str = ""
    """Of the bench's figures, where it has them in families."""
    seeds: str = ""
    """What chance depended on in the trials, where there was chance."""

    @property
    def reaches_aim(self) -> bool | None:
        """Whether the figure is as good as its aim; None without one."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.lower_is_better else self.value >= self.aim

    def to_json(self) -> dict[str, Any]:
        """The result as `pc5lab bench --json` prints it; `met` tells whether `aim` is reached, null without one."""
        about = {"family": self.family, "seeds": self.seeds}
        return {
            "name": self.name,
            "value": significant(self.value),
            "unit": self.unit,
            "lower_is_better": self.lower_is_better,
            "runs": self.runs,
            "spread": significant(self.spread),
            "aim": self.aim,
            "met": self.reaches_aim,
            **{key: value for key, value in about.items() if value},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time. `prepare` sets it up, checks that it works, and returns the call.

    `work` is the work of one call: bits for Mbit/s, pieces for 1/s or for the time of each.
    """

    name: str
    unit: Unit
    prepare: Callable[[], Callable[[], object]]
    work: float = 1.0
    aim: float | None = None


def run_cases(cases: Iterable[Case], *, quick: bool) -> Iterator[Result]:
    """Prepare and time one case after another."""
    for case in cases:
        runs_s = time_call(case.prepare(), budget_s=_QUICK_BUDGET_S if quick else _BUDGET_S)
        yield result_of_times(case, runs_s)


def result_of_times(case: Case, runs_s: list[float]) -> Result:
    """The figure of a case from the seconds a call took in each run."""
    is_rate = case.unit in _RATES
    scale = _PER_SECOND[case.unit]
    values = [case.work / run_s * scale if is_rate else run_s / case.work * scale for run_s in runs_s]
    return Result(
        name=case.name,
        value=statistics.median(values),
        unit=case.unit,
        lower_is_better=not is_rate,
        runs=len(values),
        spread=interquartile_range(values),
        aim=case.aim,
    )


def time_call(call: Callable[[], object], *, budget_s: float) -> list[float]:
    """Seconds that `call` took, run by run, until the budget is used up.

    A run in which the system took the core away is left out.
    """
    for _ in range(_WARM_UP_CALLS):
        once_s = _time_run(call, 1)
    calls = max(1, math.ceil(_RUN_S / once_s))
    undisturbed: list[float] = []
    everything: list[float] = []
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        end_s = time.perf_counter() + budget_s
        while len(everything) < _MIN_RUNS or (time.perf_counter() < end_s and len(everything) < _MAX_RUNS):
            before = _times_pushed_aside()
            run_s = _time_run(call, calls)
            everything.append(run_s)
            if _times_pushed_aside() == before:
                undisturbed.append(run_s)
    finally:
        if was_collecting:
            gc.enable()
    return undisturbed if len(undisturbed) >= _MIN_RUNS // 2 else everything


def interquartile_range(values: list[float]) -> float:
    """Distance between the first and the third quartile; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def significant(value: float) -> float:
    """The value without the digits that no measurement supports."""
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def stay_on_one_core() -> None:
    """Keep numerical libraries from starting threads; has effect before numpy is imported."""
    for setting in _THREAD_SETTINGS:
        os.environ[setting] = "1"


def machine_facts() -> dict[str, Any]:
    """Facts about the machine of the figures."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": software_versions(_REPORTED_PACKAGES),
    }


def _time_run(call: Callable[[], object], calls: int) -> float:
    began_s = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began_s) / calls


def _times_pushed_aside() -> int:
    """Involuntary context switches of this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
