"""Every error class of every package carries an exit code of README's table, and a command ends with it."""

from __future__ import annotations

import errno
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import typer

import lab_scripts.cli.main as command_line
import prose_link.errors
import radio.errors
import security.errors
from lab_scripts.exit_codes import ExitCode, LabError
from radio.devices.protocol import DeviceLost, DeviceNotFound, DeviceTimeout
from radio.emulator.hub import JoinTimeout
from security.kms_wire.errors import KmsRefusal, KmsTimeout, KmsUnreachable
from security.mikey.errors import MikeyError

PACKAGES = ("radio", "security", "prose_link", "lab_scripts")
BASES = (radio.errors.RadioError, security.errors.SecurityError, prose_link.errors.ProseLinkError, LabError)
FOR_ERRORS = {ExitCode.FAILED, ExitCode.USAGE, ExitCode.HARDWARE, ExitCode.TIMEOUT, ExitCode.SECURITY}
_LOADS_A_DRIVER = {"radio.devices.uhd_usrp", "radio.devices.soapy"}
"""Their errors are those of `radio.devices.protocol`; what they import is not on every machine."""


def _error_classes() -> list[type[Exception]]:
    found: dict[str, type[Exception]] = {}
    for package in PACKAGES:
        root = importlib.import_module(package)
        for info in pkgutil.walk_packages(root.__path__, package + "."):
            if info.name in _LOADS_A_DRIVER:
                continue
            module = importlib.import_module(info.name)
            for one in vars(module).values():
                if inspect.isclass(one) and issubclass(one, Exception) and one.__module__.split(".")[0] in PACKAGES:
                    found[f"{one.__module__}.{one.__qualname__}"] = one
    return [found[name] for name in sorted(found)]


CLASSES = _error_classes()


def _ended_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """What `pc5lab doctor` returns when its command raises this."""
    app = typer.Typer()

    @app.command()
    def doctor() -> None:
        raise error

    monkeypatch.setattr(command_line, "build", lambda _called: app)
    return command_line.run([])


def test_the_walk_finds_the_errors_of_every_package() -> None:
    packages = {one.__module__.split(".")[0] for one in CLASSES}
    assert packages == set(PACKAGES)
    assert {DeviceLost, JoinTimeout, KmsRefusal, MikeyError} <= set(CLASSES)


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: f"{one.__module__}.{one.__qualname__}")
def test_a_command_ends_with_the_code_its_error_carries(
    one: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert issubclass(one, BASES), f"{one} has no base that carries an exit code"
    error = one.__new__(one, "what went wrong")
    if issubclass(one, LabError):
        error.hint = ""
    code = getattr(error, "exit_code", None)
    assert code in FOR_ERRORS
    assert _ended_with(monkeypatch, error) == code
    said = capsys.readouterr().err
    assert "pc5lab: what went wrong" in said and "bug" not in said and "Traceback" not in said


def test_packages_and_command_line_agree_on_the_table() -> None:
    for module in (radio.errors, security.errors, prose_link.errors):
        own = {name: value for name, value in vars(module).items() if isinstance(value, int) and name.isupper()}
        assert own and own == {name: int(ExitCode[name]) for name in own}


def test_the_readme_lists_the_table() -> None:
    text = " ".join(Path("README.md").read_text(encoding="utf-8").split())
    sentence = re.search(r"Exit codes: (.*?)\.", text)
    assert sentence is not None
    told = {int(number) for number in re.findall(r"\b(\d+) [a-z]", sentence.group(1))}
    assert told == {int(code) for code in ExitCode}


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (DeviceNotFound, 3),
        (DeviceLost, 3),
        (DeviceTimeout, 4),
        (KmsRefusal, 5),
        (KmsUnreachable, 1),
        (KmsTimeout, 4),
        (radio.errors.RadioError, 2),
        (prose_link.errors.ProseLinkError, 2),
        (security.errors.SecurityError, 5),
    ],
)
def test_codes_that_scripts_go_by(one: type[Exception], code: int) -> None:
    assert one.exit_code == code  # type: ignore[attr-defined]


def test_a_full_disk_is_a_failed_run_whatever_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    error = radio.errors.RadioError("a.cf32: No space left on device")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert _ended_with(monkeypatch, error) == ExitCode.FAILED


@pytest.mark.parametrize("error", [TypeError("open() got an unexpected keyword"), KeyError("x"), RecursionError()])
def test_an_error_of_no_class_of_the_labs_is_a_bug(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ended_with(monkeypatch, error) == ExitCode.BUG


def test_an_abort_ends_with_what_it_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ended_with(monkeypatch, typer.Abort()) == ExitCode.INTERRUPTED
    assert _ended_with(monkeypatch, EOFError()) == ExitCode.BUG
