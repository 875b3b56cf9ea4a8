"""The progress of a survey, printed on stderr if it takes long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

_SILENT_S = 3.0
"""A survey that takes less prints nothing."""
_EVERY_S = 2.0


@dataclass(slots=True, kw_only=True)
class SurveyProgress:
    """Call it with the number of samples done; `n_samples` is None if their total is not known.

    `now_s` is a clock that only goes forward, `n_found` returns the number of findings so far. On a terminal the line
    is written over the last one.
    """

    rate_hz: float
    n_samples: int | None
    out: IO[str]
    now_s: Callable[[], float]
    n_found: Callable[[], int]
    _began_s: float = field(init=False)
    _told_s: float = field(init=False)
    _has_told: bool = False

    def __post_init__(self) -> None:
        self._began_s = self.now_s()
        self._told_s = self._began_s + _SILENT_S - _EVERY_S

    def __call__(self, n_done: int) -> None:
        """Tell how far it is, if some time has passed since the last word."""
        now_s = self.now_s()
        if now_s - self._told_s < _EVERY_S:
            return
        self._told_s = now_s
        done_s = n_done / self.rate_hz
        speed = done_s / max(now_s - self._began_s, 1e-9)
        if self.n_samples:
            whole = f" of {self.n_samples / self.rate_hz:.3f} s ({100 * n_done // self.n_samples} %)"
        else:
            whole = " s"
        line = f"{done_s:.3f}{whole}, {speed:.2f} times real time, {self.n_found()} found"
        if self.out.isatty():
            self.out.write(f"\r{line}\x1b[K")
        else:
            self.out.write(f"{line}\n")
        self.out.flush()
        self._has_told = True

    def finish(self) -> None:
        """End the line on a terminal."""
        if self._has_told and self.out.isatty():
            self.out.write("\n")
            self.out.flush()
