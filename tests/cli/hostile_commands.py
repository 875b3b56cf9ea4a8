"""Calls every command of pc5lab with hostile values, one option or argument at a time; prints each result.

Run as a program: `python tests/cli/hostile_commands.py [--share N] [--only WORDS] [--workers N]`. It walks the command
line as it is mounted, so that it includes every new command or option. Every call is a forked process in a folder of
its own, bounded in time, memory and file size. A call is as it should be when it ends in time with an exit code that is
told in README.md and is not 70; a traceback is never as it should be.

Commands that serve, wait or measure for long are asked to stop (SIGTERM) after a short while: they have then taken the
value, which is an answer too.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from lab_scripts import named_pipes
from lab_scripts.cli.main import COMMANDS, build, run
from lab_scripts.exit_codes import ExitCode

TOP = Path(__file__).resolve().parents[2]
LIMIT_S = 20.0
STOP_AFTER_S = 0.4
MEMORY_OCTETS = 6 << 30
FILE_OCTETS = 64 << 20
GOOD_CODES = frozenset(int(code) for code in ExitCode if code is not ExitCode.BUG)
LONG_RUNNING = (
    ("demo",), ("kms", "serve"), ("ue", "run"), ("rf", "serve"), ("rf", "bridge"), ("bench",), ("warm-up",),
)  # fmt: skip

NUMBERS = (
    "nan", "inf", "-inf", "-1", "0", "1", "1e400", "1e-400", "-0.0", "0x10", "1_000", "٣", "1.5",
    "65535", "65536", "99999", "2147483648", "18446744073709551616", "9" * 40, "9" * 5000, "--1",
)  # fmt: skip
TEXTS = (
    "", " ", "-", "--", "x", "a" * 5000, "\udcff\udcfe", "é\U0001f4fb", "\x1b[31m", "a\nb", "%s%n", "{0}", "[/x]",
    "*", "'",
    "tel:+447700900001", "sip:a@b:99999", "tcp://127.0.0.1:99999", "tcp://*:-1", "ipc://", "inproc://x", "http://[::1",
    "2026-13-45T99:99", "0001-01-01", "9999-12-31T23:59:59", "2026-03-10T12:00:00+23:59", "sqlite:///no/such/dir/x",
    "postgresql://127.0.0.1:1/x", "00", "0g",
)  # fmt: skip
PATHS = (
    "/", "/dev/null", "/dev/full", "folder", "missing", "missing/missing", "locked", "empty", "noise", "../..", "pipe",
    "n" * 300, "n/" * 3000, "loop", "air.cf32", "air.sigmf-meta", "keys.json", "message.bin", "ue.toml",
    "capture.pcapng", "air.toml", "lab-kms", "lab-kms/kms.json", "text.txt", "zeros", "deep.json", "deep.toml",
    "big-number.json", "bom.txt", "utf16.txt", "noise.cf32", "noise.sigmf-meta", "list.json",
    "null.json", "noise.pcapng",
)  # fmt: skip
HOSTILE = (*NUMBERS, *TEXTS, *PATHS)

SOUND: dict[str, str] = {
    "folder": "lab-kms", "file": "capture.pcapng", "iq": "air.cf32", "prb": "6", "config_file": "ue.toml",
    "scenario": "air.toml", "source": "message.bin", "keys": "keys.json", "out": "out.cf32", "key_file": "carol.key",
    "threshold": "2", "shares": "3", "user": "dora", "identity": "tel:+447700900077", "name": "carol", "number": "1",
    "group_uri": "tel:+447700900099", "add": "tel:+447700900001", "parameters_file": "parameters.json",
    "warrant": "W1", "message": "message.bin", "at": "2026-03-10T12:00:00", "endpoint": "ipc://no-air", "ue": "ue-a",
    "sender": "tel:+447700900001", "receiver": "tel:+447700900002", "rate": "1.92e6", "keylog": "text.txt",
    "runs": "runs", "rx": "ipc://rx", "tx": "ipc://tx",
}  # fmt: skip
"""A value for each parameter that a call needs, by the parameter's name; "x" for those that are not named here."""
ALWAYS = {("phy", "decode"): ("rate",), ("rf", "bridge"): ("rx",), ("capture", "decrypt"): ("keylog",)}
"""Options that a call does not need by its declaration, but by its sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    command: tuple[str, ...]
    parameter: str
    arguments: tuple[str, ...]

    def words(self) -> str:
        shown = [repr(word if len(word) < 60 else f"{word[:20]}... ({len(word)})") for word in self.arguments]
        return f"{' '.join(self.command)} {self.parameter}: {' '.join(shown)}"


def all_calls() -> Iterator[Call]:
    """Every command, parameter and hostile value."""
    for name in COMMANDS:
        mounted: Any = typer.main.get_command(build(name))
        yield from _calls_of(mounted.commands[name], (name,))


def _calls_of(command: Any, path: tuple[str, ...]) -> Iterator[Call]:
    if hasattr(command, "commands"):
        for value in ("", "--", "x", "--x", "\udcff"):
            yield Call(command=path, parameter="(subcommand)", arguments=(*path, value))
        for name, inner in command.commands.items():
            yield from _calls_of(inner, (*path, name))
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if getattr(parameter, "is_flag", False):
            yield Call(command=path, parameter=parameter.name, arguments=_arguments(command, path, parameter, None))
            continue
        for value in HOSTILE:
            yield Call(command=path, parameter=parameter.name, arguments=_arguments(command, path, parameter, value))


def _arguments(command: Any, path: tuple[str, ...], hostile: Any, value: str | None) -> tuple[str, ...]:
    """The words of a call that is sound but for one parameter. `value` None stands for a flag."""
    words, places = list(path), []
    for parameter in command.params:
        is_option = parameter.opts[0].startswith("-")
        if parameter is hostile:
            mine = value
        elif parameter.required or parameter.name in ALWAYS.get(path, ()):
            mine = SOUND.get(parameter.name, "x")
        else:
            continue
        if not is_option:
            places.append(str(mine))
        elif mine is None:
            words.append(parameter.opts[0])
        else:
            words.append(f"{parameter.opts[0]}={mine}" if len(parameter.opts[0]) > 2 else parameter.opts[0] + mine)
    return tuple(words + (["--"] if any(place.startswith("-") for place in places) else []) + places)


def share_of(calls: list[Call], one_in: int) -> list[Call]:
    """A fixed choice of calls, one in so many, spread over all commands and parameters."""
    digests = (hashlib.sha256(repr(call.arguments).encode("utf-8", "surrogateescape")).digest() for call in calls)
    return [call for call, digest in zip(calls, digests, strict=True) if digest[0] % one_in == 0]


def make_workspace(folder: Path) -> None:
    """What calls find in their folder: one sound file of each format, and hostile ones."""
    os.chdir(folder)
    examples = TOP / "docs" / "mikey-examples"
    shutil.copy(examples / "keys.json", "keys.json")
    shutil.copy(min(examples.glob("*.bin")), "message.bin")
    shutil.copy(TOP / "hw_configs" / "ue_emulated_a.toml", "ue.toml")
    text = Path("ue.toml").read_text().replace("preconfigurations/", f"{TOP}/hw_configs/preconfigurations/")
    Path("ue.toml").write_text(text.split("[userplane]")[0])
    shutil.copy(TOP / "hw_configs" / "scenarios" / "first_light.toml", "air.toml")
    from lab_scripts.capture.sink import write_capture
    from prose_link.event_stream import PduSeen, TimedEvent

    pdu = PduSeen(layer="pc5s", direction="tx", subframe=1, data=b"\x06\0\x01\x01", src_l2=1, dst_l2=2, lcid=1)
    seen = TimedEvent(utc_ns=1, source="ue-a", seq=0, event=pdu)
    write_capture(Path("capture.pcapng"), [seen])
    with _silence():
        assert run(["kms", "init", "lab-kms", "--demo-seed", "1"]) == 0
        assert run(["kms", "operator", "add", "lab-kms", "carol", "--key", "carol.key"]) == 0
        assert run(["phy", "generate", "air.cf32", "--prb", "6"]) == 0
        assert run(["kms", "enrol", "lab-kms", "ann", "--identity", "tel:+447700900001", "--out", "ue-a.ticket"]) == 0
    Path("parameters.json").write_text("{}")
    shutil.copy("air.cf32", "air.sigmf-data")
    meta = {"global": {"core:datatype": "cf32_le", "core:sample_rate": 1.92e6, "core:version": "1.0.0"}}
    Path("air.sigmf-meta").write_text(json.dumps({**meta, "captures": [], "annotations": []}))
    noise = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(128))
    for name in ("noise", "noise.cf32", "noise.sigmf-meta", "noise.pcapng"):
        Path(name).write_bytes(noise)
    Path("empty").touch()
    Path("folder").mkdir()
    Path("zeros").write_bytes(bytes(70_000))
    Path("text.txt").write_text("some words\nand more\n")
    Path("deep.json").write_text("[" * 100_000)
    Path("deep.toml").write_text("a = " + "[" * 100_000)
    Path("big-number.json").write_text('{"v": ' + "9" * 10_000 + "}")
    Path("list.json").write_text("[1, [2], null]")
    Path("null.json").write_text("null")
    Path("bom.txt").write_bytes(b"\xef\xbb\xbfname = 1\n")
    Path("utf16.txt").write_bytes("name = 1\n".encode("utf-16"))
    Path("loop").symlink_to("loop")
    Path("locked").write_text("secret")
    Path("locked").chmod(0)
    os.mkfifo("pipe")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def outcome_of(call: Call, template: Path) -> str | None:
    """Make one call; returns what was wrong with it, None if nothing was."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-call-", dir=template.parent))
    said = folder / "said"
    child = os.fork()
    if child == 0:
        _be_the_call(call, template, folder, said)
    try:
        code = _awaited(child, STOP_AFTER_S if _is_long(call) else None)
        text = said.read_text(errors="replace") if said.exists() else ""
        if code is None:
            return f"still running after {LIMIT_S:.0f} s"
        if "Traceback (most recent" in text:
            return f"traceback, exit code {code}: {text[-600:]}"
        if "out of memory" in text:
            return f"took all memory: {text[-300:]}"
        if code not in GOOD_CODES:
            return f"exit code {code}: {text[-600:]}"
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_long(call: Call) -> bool:
    return any(call.command[: len(prefix)] == prefix for prefix in LONG_RUNNING)


def _be_the_call(call: Call, template: Path, folder: Path, said: Path) -> None:
    code = 99
    try:
        os.setpgid(0, 0)
        work = folder / "work"
        shutil.copytree(template, work, symlinks=True, ignore=shutil.ignore_patterns("pipe", "locked"))
        os.chdir(work)
        os.mkfifo("pipe")
        Path("locked").touch(mode=0)
        temporary = folder / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_OCTETS, MEMORY_OCTETS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_OCTETS, FILE_OCTETS))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        named_pipes.PATIENCE_S = 0.2
        out = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        code = run(list(call.arguments))
    except BaseException as error:
        os.write(2, f"Traceback (most recent call last): escaped {type(error).__name__}: {error}".encode())
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)


def _awaited(child: int, stop_after_s: float | None) -> int | None:
    """The exit code of a process and of nothing it leaves; None where it had to be killed."""
    began = time.monotonic()
    pause, asked = 0.002, False
    try:
        while (elapsed := time.monotonic() - began) < LIMIT_S:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if stop_after_s is not None and elapsed > stop_after_s and not asked:
                os.kill(child, signal.SIGTERM)
                asked = True
            time.sleep(pause)
            pause = min(0.02, pause * 1.5)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)


def _load_everything() -> None:
    """Import what commands import when they are called, so that a forked call does not."""
    for name in (
        "lab_scripts.benchmarks.bler",
        "lab_scripts.capture.decrypt",
        "lab_scripts.capture.show",
        "lab_scripts.demo.run",
        "lab_scripts.capture.mikey_dump",
        "prose_link.ue.build",
        "radio.phy.lte.ue_phy",
        "security.kms.server",
    ):
        importlib.import_module(name)
    with _silence():
        run(["phy", "decode", "air.cf32", "--rate", "1.92e6", "--prb", "6"])
        run(["capture", "show", "capture.pcapng"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--share", type=int, default=1, help="Make one call in so many.")
    options.add_argument("--only", default="", help="Only commands that begin with these words.")
    options.add_argument("--worker", default="0/1", help="Which worker of how many this is.")
    chosen = options.parse_args()
    words = tuple(chosen.only.split())
    calls = [call for call in all_calls() if call.command[: len(words)] == words]
    calls = share_of(calls, chosen.share)
    number, workers = map(int, chosen.worker.split("/"))
    failures, slow = [], []
    with tempfile.TemporaryDirectory(prefix="hostile-") as top:
        template = Path(top) / "template"
        template.mkdir()
        make_workspace(template)
        _load_everything()
        mine = calls[number::workers]
        for call in mine:
            began = time.monotonic()
            wrong = outcome_of(call, template)
            took = time.monotonic() - began
            if wrong is not None:
                failures.append({"call": call.words(), "command": " ".join(call.command), "wrong": wrong})
                print(f"{call.words()}\n    {wrong}", file=sys.stderr, flush=True)
            slow.append((round(took, 2), call.words()))
        os.chdir("/")
    print(json.dumps({"calls": len(mine), "failures": failures, "slow": sorted(slow, reverse=True)[:20]}))


if __name__ == "__main__":
    main()
