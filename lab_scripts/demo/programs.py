"""The unmodified programs of a run with TUN interfaces, one after the other, and their results."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab_scripts.demo.namespaces import Namespace
from lab_scripts.events.lab_events import ProgramEnded
from lab_scripts.exit_codes import ExitCode, LabError

CLIENT, SERVER = "ue-a", "ue-b"
INTERFACE = "pc5"
_STOP_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program run in UE-A's namespace, towards a server in UE-B's where it needs one.

    Words of both commands may hold {peer6}, {peer4} and {interface}; `summary` makes one line of the client's output;
    the server counts as ready after `server_head_start_s`.
    """

    name: str
    client: tuple[str, ...]
    summary: Callable[[str], str]
    server: tuple[str, ...] = ()
    server_head_start_s: float = 1.0
    limit_s: float = 120.0


def usual_programs() -> tuple[Program, ...]:
    """ping over IPv6 and IPv4, and iperf3 both ways where it is installed.

    Raises:
        LabError: there is no ping.
    """
    if shutil.which("ping") is None:
        raise LabError("--tun needs the `ping` command", code=ExitCode.USAGE, hint="Debian package iputils-ping")
    pings = (
        Program(name="ping", client=("ping", "-n", "-c", "10", "-i", "0.5", "-W", "10", "{peer6}"), summary=of_ping),
        Program(
            name="ping over IPv4", client=("ping", "-n", "-c", "5", "-i", "0.5", "-W", "10", "{peer4}"), summary=of_ping
        ),
    )
    if shutil.which("iperf3") is None:
        return pings
    client = ("iperf3", "--json", "--time", "5", "--client", "{peer6}")
    server = ("iperf3", "--server", "--one-off")
    return (
        *pings,
        Program(name="iperf3", client=client, server=server, summary=of_iperf3),
        Program(name="iperf3 --reverse", client=(*client, "--reverse"), server=server, summary=of_iperf3),
    )


def of_ping(output: str) -> str:
    """The closing lines of ping(8)."""
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    times = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/", output)
    if counts is None:
        return last_line(output)
    told = f"{counts[2]} of {counts[1]} answered"
    return told + (f", round trip {times[1]} / {times[2]} / {times[3]} ms (min / mean / max)" if times else "")


def of_iperf3(output: str) -> str:
    """Goodput and retransmissions of iperf3's JSON."""
    try:
        end = json.loads(output)["end"]
        received, sent = end["sum_received"], end["sum_sent"]
        rate_kbps, retransmits = received["bits_per_second"] / 1e3, sent.get("retransmits", 0)
    except (ValueError, KeyError):
        return last_line(output)
    return f"TCP {rate_kbps:.0f} kbit/s received in {received['seconds']:.1f} s, {retransmits} retransmissions"


def last_line(output: str) -> str:
    """The last line of a program's output."""
    lines = output.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


class ProgramRunner:
    """Runs programs one after the other without waiting: call `advance` from time to time.

    Use as a context manager: leaving it stops all programs that still run.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        namespaces: Mapping[str, Namespace],
        words: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._waiting = list(programs)
        self._namespaces = namespaces
        self._words = words
        self._folder = folder
        self._program: Program | None = None
        self._server: subprocess.Popen[str] | None = None
        self._client: subprocess.Popen[str] | None = None
        self._since_s = 0.0
        self._logs: list[IO[str]] = []

    @property
    def done(self) -> bool:
        """Whether all programs have ended."""
        return self._program is None and not self._waiting

    def advance(self) -> ProgramEnded | None:
        """Start what is due. Returns the result of a program that has ended since."""
        if self._program is None:
            self._start_next()
        elif self._client is None:
            self._start_client(self._program)
        elif self._client.poll() is not None or time.monotonic() - self._since_s > self._program.limit_s:
            return self._end(self._program, self._client)
        return None

    def __enter__(self) -> ProgramRunner:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop(self._client)
        self._stop(self._server)
        for log in self._logs:
            log.close()

    def _start_next(self) -> None:
        if not self._waiting:
            return
        self._program = self._waiting.pop(0)
        self._since_s = time.monotonic()
        if self._program.server:
            self._server = self._start(SERVER, self._program.server, f"{self._program.name} server")
        else:
            self._start_client(self._program)

    def _start_client(self, program: Program) -> None:
        if program.server and time.monotonic() - self._since_s < program.server_head_start_s:
            return
        self._since_s = time.monotonic()
        self._client = self._start(CLIENT, program.client, program.name)

    def _start(self, where: str, command: Sequence[str], log_name: str) -> subprocess.Popen[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._log(log_name).open("w", encoding="utf-8")
        self._logs.append(log)
        return self._namespaces[where].start(self._filled(command), log)

    def _end(self, program: Program, client: subprocess.Popen[str]) -> ProgramEnded:
        code = client.poll()
        self._stop(client)
        self._stop(self._server)
        self._program = self._client = self._server = None
        output = self._log(program.name).read_text(encoding="utf-8", errors="replace")
        summary = program.summary(output) if code is not None else f"stopped after {program.limit_s:.0f} s"
        command = " ".join(self._filled(program.client))
        return ProgramEnded(program=program.name, command=command, exit_code=code, summary=summary, ok=code == 0)

    def _filled(self, command: Sequence[str]) -> list[str]:
        return [word.format_map(self._words) for word in command]

    def _log(self, name: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.log"

    @staticmethod
    def _stop(process: subprocess.Popen[str] | None) -> None:
        if process is None or process.poll() is not None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_STOP_GRACE_S)
        if process.poll() is None:
            process.kill()
            process.wait()
