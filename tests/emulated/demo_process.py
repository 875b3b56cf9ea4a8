"""Runs `pc5lab demo` as a process of its own, and finds the processes it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_scripts.events.reading import read_file
from prose_link.event_stream import TimedEvent

COMMAND = (sys.executable, "-m", "lab_scripts.cli.main", "demo")
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """What one finished demo left."""

    exit_code: int
    document: dict[str, Any]
    folder: Path
    talk: str

    def events(self) -> list[TimedEvent[object]]:
        """What all said, in order of air time."""
        return read_file(self.folder / "events.jsonl")

    def packets(self, layer: str, direction: str = "") -> list[bytes]:
        """Octets of the capture's packets of one layer, both UEs'."""
        from lab_scripts.capture.capture_file import read_packets

        return [
            packet.data
            for packet in read_packets(self.folder / "capture.pcapng")
            if packet.interface.name.endswith(f".{layer}") and f" {direction}" in f" {packet.comment}"
        ]


def run_demo(runs: Path, *options: str, timeout_s: float = TIMEOUT_S) -> DemoRun:
    """Run the demo to its end with --json."""
    done = subprocess.run(
        [*COMMAND, "--json", "--runs", str(runs), *options],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    document = json.loads(done.stdout) if done.stdout else {}
    return DemoRun(exit_code=done.returncode, document=document, folder=max(runs.iterdir()), talk=done.stderr)


class LiveDemo:
    """A demo that is still running; use as a context manager."""

    def __init__(self, runs: Path, *options: str) -> None:
        command = [*COMMAND, "--seed", "7", "--runs", str(runs), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.talk = ""

    def __enter__(self) -> LiveDemo:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for(self, words: str) -> None:
        """Read what the demo says until it says `words`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.talk += line
            if words in line:
                return
        raise AssertionError(f"the demo never said {words!r}:\n{self.talk}")

    def child(self, command: str) -> int:
        """Process id of the demo's child whose command line contains `command`."""
        found = [pid for pid, line in self.children().items() if command in line]
        assert len(found) == 1, self.children()
        return found[0]

    def children(self) -> dict[int, str]:
        """Command lines of the processes whose parent is the demo."""
        result = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and parent_of(int(entry.name)) == self.process.pid:
                result[int(entry.name)] = command_line(int(entry.name))
        return result

    def end(self, timeout_s: float = 20.0) -> int:
        """Wait for the demo's own end; returns its exit code."""
        assert self.process.stdout is not None
        self.talk += self.process.stdout.read()
        return self.process.wait(timeout=timeout_s)


def parent_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def is_gone(pid: int, within_s: float = 5.0) -> bool:
    """Whether a process ends within a while."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def stop(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
