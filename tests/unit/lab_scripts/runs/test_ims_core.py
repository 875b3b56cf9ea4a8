"""The IMS core of a run: its files, and what is said where Kamailio is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab_scripts.cli.demo import app
from lab_scripts.demo.ims_session import ims_session, subscribers
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs import ims_core
from lab_scripts.runs.ims_core import ImsCore, Subscriber


def test_without_kamailio_the_command_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(LabError) as caught, ims_session(tmp_path / "ims", tmp_path / "logs"):
        pass
    assert caught.value.exit_code == ExitCode.HARDWARE and "make interop" in str(caught.value.hint)


@pytest.mark.parametrize("options", [["--fault", "replayed"], ["--ues", "4"], ["--group"]])
def test_a_carrier_goes_with_no_fault_and_no_crowd(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["--carrier", "ims", *options])
    assert isinstance(result.exception, LabError) and "--carrier" in str(result.exception)


def test_files_of_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ims_core, "kamailio", lambda: "/nonexistent/kamailio")
    core = ImsCore(tmp_path, tmp_path / "logs", [Subscriber(number="+4477", password="x")], block=9)
    assert (core.proxy, core.registrar, core.ue_address(1)) == ("127.53.9.20", "127.53.9.30", "127.53.9.101")
    site = (tmp_path / "site.cfg").read_text()
    assert "!PCSCF_IP!127.53.9.20!" in site and f"!RUN_DIR!{tmp_path}!" in site
    assert (
        '$sht(impu=>+4477@ims.test) = "<tel:+4477>, <sip:+4477@ims.test>";'
        in (tmp_path / "subscribers.cfg").read_text()
    )
    assert "RUN_DIR" not in (tmp_path / "tls.cfg").read_text() and "WORKERS" in (tmp_path / "pcscf.cfg").read_text()


def test_passwords_are_not_shown() -> None:
    assert all("lab-ue" not in repr(one) for one in subscribers().values())
