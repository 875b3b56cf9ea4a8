"""A lab run by hand: KMS, emulator and UEs as processes one by one, in network namespaces that have names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab_scripts.events.reading import read_line
from prose_link.config.ue import shipped_path
from prose_link.event_stream import event_name
from prose_link.pc5s.core.events import LinkEstablished, LinkReleased
from radio.emulator.events import RfServing
from security.kms.events import KmsServing

PC5LAB = (sys.executable, "-m", "lab_scripts.cli.main")
PATIENCE_S = 120.0
UES = ("ue-a", "ue-b")
LINK_LOCAL = {"ue-a": "fe80::200:ff:fe5c:1a01", "ue-b": "fe80::200:ff:fe5c:1b02"}
IPV4 = {"ue-a": "10.92.26.1", "ue-b": "10.92.27.2"}
_IDENTITIES = {"ue-a": "tel:+447700900001", "ue-b": "tel:+447700900002"}
Event = Any


def other(ue: str) -> str:
    """The other end of the link."""
    return UES[1 - UES.index(ue)]


class Lab:
    """The session of docs/by-hand.md, with the files that the lab ships; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.runs: dict[str, int] = dict.fromkeys(UES, 0)
        """How often each UE has been started."""
        self._netns = {ue: f"pc5lab-{os.getpid()}-{ue[-1]}" for ue in UES}
        self._air = f"ipc://{folder}/air"

    def __enter__(self) -> Lab:
        for name in self._netns.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.order("kms", "init", str(self._home), "--namespace", "tel:+4477009000*")
        url = self.start_kms()
        for ue in UES:
            grant = ("--identity", _IDENTITIES[ue], "--discovery-group", "0x0051AB")
            self.order("kms", "enrol", str(self._home), ue, *grant, "--out", str(self.folder / f"{ue}.ticket"))
            self._config(ue).write_text(self._as_shipped(ue, url))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for name in self._netns.values():
            left = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
            for pid in map(int, left.split()):
                os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=True)

    def order(self, *words: str) -> None:
        subprocess.run([*PC5LAB, *words], check=True, capture_output=True, timeout=PATIENCE_S)

    def start_kms(self) -> str:
        """Start the KMS; returns its URL."""
        self._start("kms", "kms", "serve", str(self._home))
        return str(self._first_word("kms", KmsServing).url)

    def start_air(self, **changes: float) -> None:
        """Start the emulator on the shipped scenario, with other values for some keys of its link."""
        text = shipped_path("scenarios/by_hand.toml").read_text()
        for key, value in changes.items():
            (line,) = [line for line in text.splitlines() if line.startswith(f"{key} =")]
            text = text.replace(line, f"{key} = {value}")
        scenario = self.folder / "scenario.toml"
        scenario.write_text(text)
        self._start("air", "rf", "serve", str(scenario), "--endpoint", self._air, "--json")
        self._first_word("air", RfServing)

    def start_ue(self, ue: str) -> None:
        self.runs[ue] += 1
        told = ("--events", str(self._events(ue)), "--capture", str(self.capture(ue)))
        self._start(ue, "ue", "run", str(self._config(ue)), "--keep-on", *told)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(timeout=PATIENCE_S)

    def events(self, ue: str, *kinds: type) -> list[Event]:
        """What a UE has told since it was last started: events of these classes."""
        return _read_events(self._events(ue), *kinds)

    def air_events(self, *kinds: type) -> list[Event]:
        """What the emulator has told since it was last started."""
        return _read_events(self._output("air"), *kinds)

    def capture(self, ue: str) -> Path:
        return self.folder / f"{ue}-{self.runs[ue]}.pcapng"

    def session(self, ue: str) -> int:
        """The KD-sess ID of the link a UE has; 0 while it has none."""
        told = self.events(ue, LinkEstablished, LinkReleased)
        return int(told[-1].kd_sess_id) if told and isinstance(told[-1], LinkEstablished) else 0

    def wait_for_link(self, but_not: int = 0) -> int:
        """Wait until both ends have the same link, a new one; returns its KD-sess ID."""

        def is_there() -> bool:
            sessions = {self.session(ue) for ue in UES}
            return len(sessions) == 1 and not sessions & {0, but_not}

        self.wait_until(is_there, "a link at both ends")
        return self.session("ue-a")

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"no {what} in {PATIENCE_S:.0f} s"
            time.sleep(0.1)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def command(self, ue: str, *words: str) -> list[str]:
        """A command line that runs in a UE's namespace."""
        return ["ip", "netns", "exec", self._netns[ue], *words]

    def run(self, ue: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program in a UE's namespace to its end, well or not."""
        command = self.command(ue, *words)
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def server(self, ue: str, *words: str) -> subprocess.Popen[str]:
        """Start a program in a UE's namespace; the caller ends it."""
        null = subprocess.DEVNULL
        return subprocess.Popen(self.command(ue, *words), stdin=null, stdout=null, stderr=null, text=True)

    def _start(self, name: str, *words: str) -> subprocess.Popen[str]:
        with (self.folder / f"{name}.log").open("a") as log, self._output(name).open("w") as output:
            process = subprocess.Popen([*PC5LAB, *words], stdout=output, stderr=log, text=True)
        self.processes[name] = process
        return process

    def _first_word(self, name: str, kind: type) -> Event:
        self.wait_until(lambda: bool(_read_events(self._output(name), kind)), f"{kind.__name__} of {name}")
        return _read_events(self._output(name), kind)[0]

    def _output(self, name: str) -> Path:
        return self.folder / f"{name}.out"

    def _as_shipped(self, ue: str, url: str) -> str:
        text = shipped_path(f"ue_emulated_{ue[-1]}.toml").read_text()
        for before, after in {
            "tcp://127.0.0.1:5505": self._air,
            "https://127.0.0.1:8443": url,
            f'"{ue}.ticket"': f'"{self.folder}/{ue}.ticket"',
            f'"stores/{ue}"': f'"{self.folder}/stores/{ue}"',
            f'netns = "{ue}"': f'netns = "{self._netns[ue]}"',
        }.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        return text

    def _config(self, ue: str) -> Path:
        return self.folder / f"{ue}.toml"

    def _events(self, ue: str) -> Path:
        return self.folder / f"{ue}-{self.runs[ue]}.jsonl"

    @property
    def _home(self) -> Path:
        return self.folder / "lab-kms"


def _read_events(path: Path, *kinds: type) -> list[Event]:
    """Events of these classes from a file of JSON lines that may still grow."""
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    marks = [f'"{event_name(kind)}"' for kind in kinds]
    lines = [line for line in whole.splitlines() if any(mark in line for mark in marks)]
    return [event for line in lines if isinstance(event := read_line(line).event, kinds)]


def running_lab(folder: Path) -> Iterator[Lab]:
    """A lab with the link up."""
    with Lab(folder) as lab:
        lab.start_air()
        for ue in UES:
            lab.start_ue(ue)
        lab.wait_for_link()
        yield lab
