"""Ctrl-C, SIGTERM and SIGHUP at any moment end a command with its exit code for that, never as a bug."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from lab_scripts.cli.main import run
from prose_link.config.ue import shipped_path

COMMAND = (sys.executable, "-m", "lab_scripts.cli.main")
DECODE = ("phy", "decode", "--prb", "25", "--rate", "7.68e6", "--json")


@pytest.fixture(autouse=True)
def _signals_of_a_terminal() -> Iterator[None]:
    """Commands start with the signals of a terminal, whatever this run was started with (nohup, a job of a shell)."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    ignored = [number for number, handler in before.items() if handler is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "air.cf32"
    assert run(["phy", "generate", str(path), "--prb", "25", "--snr", "10"]) == 0
    return path


def ended(arguments: tuple[str, ...], number: signal.Signals, after_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command and send it a signal so long after its start."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(after_s)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_ctrl_c_at_any_moment_is_an_interruption(recording: Path) -> None:
    """The moments are spread over the command's run: imports, loading kernels, running them, printing."""
    began = time.monotonic()
    subprocess.run([*COMMAND, *DECODE, str(recording)], check=True, capture_output=True)
    whole_s = time.monotonic() - began
    rng = random.Random(9)
    moments = int(os.environ.get("PC5LAB_INTERRUPTIONS", "8"))
    for n in range(moments):
        after_s = whole_s * (n + rng.random()) / moments
        done = ended((*DECODE, str(recording)), signal.SIGINT, after_s)
        if done.returncode == -signal.SIGINT or "site.py" in done.stderr or "runpy" in done.stderr:
            continue  # Python itself was starting: nothing of the lab ran yet
        assert done.returncode in (0, 130), (after_s, done)
        assert "bug" not in done.stderr and "Traceback" not in done.stderr, (after_s, done.stderr)
        if done.returncode == 130:
            assert done.stderr.strip().endswith("interrupted"), (after_s, done.stderr)


@pytest.mark.parametrize("error", ["SystemError", "RuntimeError", "TypeError", "SystemExit"])
def test_what_native_code_makes_of_an_interruption_is_one(error: str) -> None:
    """A KeyboardInterrupt inside native code comes out as whatever that code makes of it."""
    script = (
        "import os, signal, sys, lab_scripts.cli.main as main\n"
        "def build(called):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(1000): pass\n"
        "    except KeyboardInterrupt as cause:\n"
        f"        raise {error}('returned a result with an exception set') from cause\n"
        "main.build = build\n"
        "main.main(['capture', 'show', 'x'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr.strip() == "pc5lab: interrupted"


def test_an_interruption_that_is_dropped_comes_again() -> None:
    """An exception in a finaliser goes nowhere: the Ctrl-C that met it must not be lost."""
    script = (
        "import os, signal, time, lab_scripts.cli.main as main\n"
        "class Fragile:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(1000): pass\n"
        "def build(called):\n"
        "    Fragile()\n"
        "    deadline = time.monotonic() + 20\n"
        "    while time.monotonic() < deadline: pass\n"
        "    raise AssertionError('the interruption was lost')\n"
        "main.build = build\n"
        "main.main(['capture', 'show', 'x'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "pc5lab: interrupted")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interruption_of_text_that_is_executed_ends_with_130(number: str, tmp_path: Path) -> None:
    """Dataclasses execute source text while they are imported; CPython notes an interruption of such text."""
    script = (
        "import lab_scripts.cli.main as main\n"
        "def build(called):\n"
        f"    exec('import os, signal; os.kill(os.getpid(), signal.{number}); [0 for _ in range(1000)]')\n"
        "main.build = build\n"
        "main.main(['capture', 'show', 'x'])\n"
    )
    (tmp_path / "interrupted.py").write_text(script)
    command = [sys.executable, "-m", "interrupted"]  # with -c, CPython doesn't look at its note
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=paths)
    assert (done.returncode, done.stderr.strip()) == (130, "pc5lab: interrupted")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_ends_with_130(number: signal.Signals, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # waits for a writer, so that the signal finds it at work
    process = subprocess.Popen([*COMMAND, "capture", "show", str(pipe)], stderr=subprocess.PIPE, text=True)
    _wait_until_it_catches(process.pid, signal.SIGHUP)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (130, "pc5lab: interrupted")


def test_nohup_keeps_a_command_alive(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = ["nohup", *COMMAND, "capture", "show", str(pipe)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    _wait_until_it_catches(process.pid, signal.SIGTERM)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


def _wait_until_it_catches(pid: int, number: signal.Signals, within_s: float = 30.0) -> None:
    """Wait until a process has a handler for a signal (/proc: SigCgt)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        if caught >> (number - 1) & 1:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} never caught {number.name}")


def _served(arguments: list[str], ready: str, number: signal.Signals) -> int:
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if ready in line:
                process.send_signal(number)
                break
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_the_emulator_ends_in_order(number: signal.Signals, code: int, tmp_path: Path) -> None:
    arguments = ["rf", "serve", "first_light", "--endpoint", f"ipc://{tmp_path / 'air'}", "--json"]
    assert _served(arguments, "rf-serving", number) == code


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_kms_ends_in_order_when_its_terminal_closes(workers: str, tmp_path: Path) -> None:
    assert run(["kms", "init", str(tmp_path / "kms"), "--demo-seed", "1"]) == 0
    arguments = ["kms", "serve", str(tmp_path / "kms"), "--workers", workers]
    assert _served(arguments, "kms-serving", signal.SIGHUP) == 0


@pytest.fixture
def still_air(tmp_path: Path) -> Iterator[tuple[str, IO[str]]]:
    """An air that stands still, since one of its UEs never joins: its endpoint, and what it tells."""
    endpoint = f"ipc://{tmp_path / 'air'}"
    arguments = ["rf", "serve", "first_light", "--endpoint", endpoint, "--json"]
    hub = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert hub.stdout is not None
    try:
        assert any("rf-serving" in line for line in hub.stdout)
        yield endpoint, hub.stdout
    finally:
        hub.kill()
        hub.communicate()


def _ended_after_joining(arguments: list[str], told: IO[str], number: signal.Signals) -> int:
    """The exit code of a program that gets a signal while it waits for samples of the air."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert any("ue-joined" in line for line in told)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode


WAITING_ENDS = [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)]


@pytest.mark.parametrize(("number", "code"), WAITING_ENDS)
def test_a_bridge_that_waits_ends_in_order(
    number: signal.Signals, code: int, still_air: tuple[str, IO[str]], tmp_path: Path
) -> None:
    endpoint, told = still_air
    program = ["--rx", f"ipc://{tmp_path / 'rx'}", "--tx", f"ipc://{tmp_path / 'tx'}"]
    assert _ended_after_joining(["rf", "bridge", endpoint, "ue-a", *program], told, number) == code


@pytest.mark.parametrize(("number", "code"), WAITING_ENDS)
def test_a_ue_that_waits_ends_in_order(
    number: signal.Signals, code: int, still_air: tuple[str, IO[str]], tmp_path: Path
) -> None:
    endpoint, told = still_air
    home, ticket = tmp_path / "kms", tmp_path / "ue-a.ticket"
    assert run(["kms", "init", str(home), "--namespace", "tel:+4477009000*"]) == 0
    grant = ["--identity", "tel:+447700900001", "--discovery-group", "0x0051AB"]
    assert run(["kms", "enrol", str(home), "ue-a", *grant, "--out", str(ticket)]) == 0
    kms = subprocess.Popen([*COMMAND, "kms", "serve", str(home)], stdout=subprocess.PIPE, text=True)
    assert kms.stdout is not None
    try:
        url = next(json.loads(line)["url"] for line in kms.stdout if "kms-serving" in line)
        config = tmp_path / "ue.toml"
        shipped = shipped_path("ue_emulated_a.toml").read_text()
        for key, value in {
            "url": url,
            "address": endpoint,
            "ticket": str(ticket),
            "store": str(tmp_path / "keys"),
        }.items():
            shipped = re.sub(rf"(?m)^{key} = .*$", f'{key} = "{value}"', shipped)
        config.write_text(shipped[: shipped.index("[userplane]")])
        assert _ended_after_joining(["ue", "run", str(config)], told, number) == code
    finally:
        kms.kill()
        kms.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_bench_ends_with_130(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "bench", "security"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_until_it_catches(process.pid, signal.SIGHUP)
    time.sleep(1.0)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.strip().endswith("interrupted")
