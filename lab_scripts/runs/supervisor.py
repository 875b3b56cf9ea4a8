"""Starts the processes of a run, collects their JSON lines, and leaves no process behind.

A thread for each process reads its standard output and puts lines into one queue, so that the run has a single place to
wait. A JSON line that is no event of the catalogue is an error. If no process makes progress for the given time, the
run counts as stuck, and the error names the processes that are waited for. A process that ends with an error ends the
run. At the end every process is asked to stop and killed if it does not. A process also dies with its parent, by order
of the kernel, so that a killed run leaves none behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from lab_scripts.events.json_forms import EventFormatError
from lab_scripts.events.reading import read_record
from lab_scripts.events.undated import UndatedEvent
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.foreign_packages import HOME
from prose_link.event_stream import TimedEvent
from radio.emulator.events import WaitingFor

SILENCE_LIMIT_S = 10.0
"""Longest wait without progress of the process that is waited for."""
NO_PROGRESS: Final = (WaitingFor,)
"""Events that report a standstill."""
_STOP_GRACE_S = 3.0
_QUEUE_LINES = 100_000
_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal a child gets when its parent dies."""


SaidEvent: TypeAlias = TimedEvent[object] | UndatedEvent
"""The event of one line: a UE dates its events, the KMS and the emulator do not."""
Take: TypeAlias = Callable[[str, SaidEvent | None], None]
"""Called with the events of a named process; with None once, when its output ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An event of a process; `event` is None once, when its output ends."""

    name: str
    event: SaidEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One JSON line of a process, not decoded yet; `record` is None once, when its output ends."""

    name: str
    record: Any | None


class Supervisor:
    """The processes of one run.

    Use as a context manager: leaving it, for any reason, stops all processes that still run.
    """

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._lines: queue.Queue[_Line] = queue.Queue(maxsize=_QUEUE_LINES)
        self._logs: list[IO[str]] = []
        self._dismissed: set[str] = set()

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start `pc5lab <arguments>` as a process called `name`; its stderr goes to a log of that name."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log = (self._log_folder / f"{name}.log").open("w", encoding="utf-8")
        self._logs.append(log)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lab_scripts.cli.main", *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self._processes[name] = process
        threading.Thread(target=self._read, args=(name, process), daemon=True).start()

    def lines(self, waiting_for: str | Callable[[], str], patience_s: float = SILENCE_LIMIT_S) -> Iterator[Said]:
        """The events of the processes, as they come.

        Args:
            waiting_for: names the processes that are waited for, for the error.
            patience_s: longest silence of all of them.

        Raises:
            LabError: a process ended with an error, or all were silent for too long.
            EventFormatError: a process printed an event that is not in the catalogue.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                whom = waiting_for if isinstance(waiting_for, str) else waiting_for()
                raise LabError(
                    f"no progress for {patience_s:.0f} s while waiting for {whom}",
                    code=ExitCode.TIMEOUT,
                    hint=f"logs are in {self._log_folder}",
                ) from None
            if line.record is None:
                self._check_end(line.name)
            event = None if line.record is None else _read(line)
            if event is None or not isinstance(event.event, NO_PROGRESS):
                deadline = time.monotonic() + patience_s
            yield Said(name=line.name, event=event)

    def end(self, name: str) -> None:
        """Stop one process that is no longer needed; how it ends does not matter."""
        self._dismissed.add(name)
        self._processes[name].terminate()
        self._processes[name].wait()

    def stop(self) -> None:
        """Ask every process to stop, then make it."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_GRACE_S
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
        for log in self._logs:
            log.close()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                self._lines.put(_Line(name=name, record=json.loads(line)))
        process.wait()
        self._lines.put(_Line(name=name, record=None))

    def _check_end(self, name: str) -> None:
        code = self._processes[name].returncode
        if code == 0 or name in self._dismissed:
            return
        raise LabError(
            f"process {name} ended with {_describe(code)}: {self._last_words(name)}",
            code=_exit_code(code),
            hint=f"its log is {self._log_folder / (name + '.log')}",
        )

    def _last_words(self, name: str) -> str:
        lines = (self._log_folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = [line.removeprefix("pc5lab: ") for line in lines if line.startswith("pc5lab: ")]
        return said[-1] if said else (lines[-1] if lines else "it said nothing")


def _read(line: _Line) -> SaidEvent:
    try:
        return read_record(line.record)
    except EventFormatError as error:
        raise EventFormatError(f"process {line.name}: {error}", code=ExitCode.FAILED) from error


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends; a child calls it before its program runs."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment() -> dict[str, str]:
    """The environment of a process of the lab.

    It finds the lab where this process found it, and imports no module from its working folder (Python's -P).
    """
    if HOME.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    path = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def _describe(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _exit_code(code: int) -> ExitCode:
    return ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED
