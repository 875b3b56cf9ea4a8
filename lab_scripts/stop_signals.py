"""SIGTERM and SIGINT as a question a loop asks, so that it ends where nothing is left half done."""

from __future__ import annotations

import signal

from lab_scripts.exit_codes import ExitCode


class StopSignals:
    """Answers whether SIGTERM or SIGINT has come; takes both over when made."""

    def __init__(self) -> None:
        self._by: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def __call__(self) -> bool:
        return self._by is not None

    @property
    def exit_code(self) -> ExitCode:
        """130 after Ctrl-C, 0 otherwise: SIGTERM is how a supervisor ends a run."""
        return ExitCode.INTERRUPTED if self._by is signal.SIGINT else ExitCode.OK

    def _note(self, number: int, _frame: object) -> None:
        self._by = signal.Signals(number)
