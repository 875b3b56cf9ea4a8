"""The folder of a run's results: `runs/<UTC time>-<name>/`."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_scripts.capture.sink import write_capture
from lab_scripts.events.selection import AnyEvent
from lab_scripts.exit_codes import LabError
from lab_scripts.runs.software_versions import software_versions
from lab_scripts.system_errors import writing
from prose_link.carriers.ims.events import SipMessageSeen
from prose_link.event_stream import PduSeen, to_line

_REPORTED_PACKAGES = ("pc5lab", "numpy", "numba", "scipy", "pyfftw", "pyzmq", "cryptography", "gmpy2", "aiohttp")


class RunFolder:
    """The folder of one run: `path` and the files in it."""

    def __init__(self, root: Path, name: str) -> None:
        started = datetime.now(UTC)
        stem = f"{started:%Y%m%dT%H%M%SZ}-{name}"
        self.path = root / stem
        attempt = 2
        try:
            while self.path.exists():
                self.path = root / f"{stem}-{attempt}"
                attempt += 1
            self.path.mkdir(parents=True)
        except OSError as error:
            raise LabError(
                f"cannot make the run folder {self.path}: {error.strerror}", hint="name another place with --runs"
            ) from error
        self._started = started

    @property
    def logs(self) -> Path:
        """Folder for the output of the run's processes."""
        return self.path / "logs"

    def write_run(self, **facts: Any) -> None:
        """`run.json`: the run's name, seed, versions and commit."""
        document = {
            "started_utc": self._started.isoformat(timespec="seconds"),
            "git_commit": _git_commit(),
            "python": sys.version.split()[0],
            "machine": {"system": platform.platform(), "processor": platform.machine()},
            "versions": software_versions(_REPORTED_PACKAGES),
            **facts,
        }
        self._write("run.json", json.dumps(document, indent=2) + "\n")

    def write_events(self, events: Iterable[AnyEvent]) -> None:
        """`events.jsonl` without the octets of PDUs and SIP messages, and `capture.pcapng` with them."""
        events = list(events)
        lines = [to_line(timed.record()) for timed in events if not isinstance(timed.event, PduSeen | SipMessageSeen)]
        self._write("events.jsonl", "\n".join(lines) + "\n")
        capture = self.path / "capture.pcapng"
        with writing(capture):
            write_capture(capture, events)

    def log_line(self, name: str, line: str) -> None:
        """Add a line to the log of a process behind the run."""
        self.logs.mkdir(exist_ok=True)
        path = self.logs / f"{name}.jsonl"
        with writing(path), path.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _write(self, name: str, text: str) -> None:
        path = self.path / name
        with writing(path):
            path.write_text(text, encoding="utf-8")


def _git_commit() -> str | None:
    """The commit the code was taken from; None where it runs from an installed wheel."""
    here = Path(__file__).resolve().parent
    try:
        command = ["git", "-C", str(here), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
