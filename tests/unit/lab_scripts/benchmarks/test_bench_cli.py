"""`pc5lab bench` as its user sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_scripts.benchmarks.measure import Result
from lab_scripts.benchmarks.registry import BENCHES, Bench
from lab_scripts.cli.main import run
from lab_scripts.exit_codes import ExitCode


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Benches give one figure each without measuring; the list says which were run, and whether quickly."""
    ran: list[tuple[str, bool]] = []

    def one_figure(self: Bench, *, quick: bool) -> Iterator[Result]:
        ran.append((self.module, quick))
        yield Result(name=self.module, value=1.23456, unit="ms", lower_is_better=True, runs=7, spread=0.1, aim=2.0)

    monkeypatch.setattr(Bench, "run", one_figure)
    return ran


def test_json_is_one_document_of_the_published_shape(
    asked: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "phy", "--json", "--quick"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"machine", "results", "quick"}
    assert document["results"] == [
        {
            "name": "phy",
            "value": 1.235,
            "unit": "ms",
            "lower_is_better": True,
            "runs": 7,
            "spread": 0.1,
            "aim": 2.0,
            "met": True,
        }
    ]
    assert asked == [("phy", True)]


def test_without_a_name_the_overview_is_run(asked: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench"]) == ExitCode.OK
    assert [name for name, _ in asked] == [bench.module for bench in BENCHES.values() if bench.in_overview]
    assert "1.235" in capsys.readouterr().out


def test_options_before_the_name_are_refused(asked: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--json", "phy"]) == ExitCode.USAGE
    assert "after the name" in capsys.readouterr().err
    assert asked == []


def test_an_interruption_keeps_the_figures_that_are_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_off(self: Bench, *, quick: bool) -> Iterator[Result]:
        yield Result(name="ready", value=3.0, unit="ms", lower_is_better=True, runs=1, spread=0.0, aim=2.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "run", broken_off)
    assert run(["bench", "phy", "--json"]) == ExitCode.INTERRUPTED
    document = json.loads(capsys.readouterr().out)
    assert document["interrupted"] is True
    assert [(result["name"], result["met"]) for result in document["results"]] == [("ready", False)]


def test_an_unknown_family_is_named_with_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "link", "--family", "weather"]) == ExitCode.USAGE
    assert "cells" in capsys.readouterr().err


def test_an_unknown_bench_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "speed"]) == ExitCode.USAGE
    assert "speed" in capsys.readouterr().err


def test_an_unknown_channel_is_named_with_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "bler", "--channel", "pusch"]) == ExitCode.USAGE
    assert "psbch" in capsys.readouterr().err


def test_bler_leaves_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--channel", "psbch", "--fading", "AWGN", "--trials", "16", "--runs", str(tmp_path), "--json"]
    assert run(["bench", "bler", *arguments]) == ExitCode.OK
    json.loads(capsys.readouterr().out)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"run.json", "bler.json", "bler-psbch.png"}


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_has_a_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", name, "--help"]) == ExitCode.OK
    assert "Example: pc5lab bench" in " ".join(capsys.readouterr().out.split())
