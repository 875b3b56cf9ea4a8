"""The signals that end a command: SIGINT (Ctrl-C), SIGTERM (a supervisor) and SIGHUP (the terminal was closed).

A command that works in rounds asks `StopSignals` between them, so that it ends without half-done work. All others run
under `interrupts`, which raises KeyboardInterrupt at any place of the command and remembers that it did: native code (a
compiled kernel, the compiler itself) may turn a KeyboardInterrupt into another exception, or drop it, and the end must
still be reported as an interruption.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lab_scripts.exit_codes import ExitCode

_AGAIN_S = 0.05
"""How long after a dropped KeyboardInterrupt it is raised again."""


def ending_signals() -> tuple[signal.Signals, ...]:
    """The signals that end a command here. SIGHUP is not among them under nohup(1), which has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if ignored else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopSignals:
    """Answers whether SIGTERM, SIGINT or SIGHUP has come; takes them over when made."""

    def __init__(self) -> None:
        self._by: signal.Signals | None = None
        self._is_urgent = False
        for number in ending_signals():
            signal.signal(number, self._note)

    def __call__(self) -> bool:
        """Whether one has come."""
        return self._by is not None

    def is_urgent(self) -> bool:
        """Whether a person has pressed Ctrl-C after that: nothing more is to be waited for."""
        return self._is_urgent

    @property
    def exit_code(self) -> ExitCode:
        """130 after Ctrl-C, 0 otherwise: SIGTERM is how a supervisor ends a run, SIGHUP how a terminal does."""
        return ExitCode.INTERRUPTED if self._by is signal.SIGINT else ExitCode.OK

    def _note(self, number: int, _frame: object) -> None:
        self._is_urgent |= self._by is not None and number == signal.SIGINT
        self._by = signal.Signals(number)


class Interrupts:
    """Raises KeyboardInterrupt for each Ctrl-C, and for the first SIGTERM or SIGHUP if no signal came before it.

    A terminal that closes sends SIGHUP more than once, and a supervisor adds SIGTERM: the second signal must not break
    off the clearing up that the first one began. A second Ctrl-C of a user does break it off.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        """The signal that came first."""
        self._process = os.getpid()

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler of all ending signals."""
        if os.getpid() != self._process:  # a forked child: the signal does there what it would have done anyway
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        first = self.by is None
        if first:
            self.by = signal.Signals(number)
        if first or number == signal.SIGINT:
            raise KeyboardInterrupt

    def take_dropped(self, unraisable: Any) -> None:
        """`sys.unraisablehook`: raise a KeyboardInterrupt again that was dropped in a callback of native code.

        Other unraisable errors are reported as usual, but not after an interruption: native code that was interrupted
        may report errors when it is cleared up.
        """
        if unraisable.exc_type is KeyboardInterrupt:
            timer = threading.Timer(_AGAIN_S, signal.raise_signal, (signal.SIGINT,))
            timer.daemon = True
            timer.start()
        elif self.by is None:
            sys.__unraisablehook__(unraisable)


def forget_handled_interruptions() -> None:
    """Let the process end with the exit code it was given, and not by SIGINT.

    CPython notes a KeyboardInterrupt that leaves source text under `exec` (dataclasses run some while they are made),
    and at its end sends itself SIGINT for it, though the exception was caught further out. The next text that it runs
    clears the note (`run_eval_code_obj` in Python/pythonrun.c).
    """
    exec("")


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Let the ending signals raise KeyboardInterrupt while the context lasts; does nothing off the main thread."""
    state = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in ending_signals()}
    ignored = {number for number, handler in before.items() if handler is signal.SIG_IGN}
    for number in before.keys() - ignored:
        signal.signal(number, state.handle)
    sys.unraisablehook = state.take_dropped
    try:
        yield state
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
