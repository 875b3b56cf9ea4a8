"""`pc5lab phy` from outside: documents, files, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab_scripts.cli.main import run

GENERATE = ["phy", "generate", "--prb", "15", "--slss-id", "99", "--cfo", "1500", "--delay", "300", "--snr", "15"]


def generated(path: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    assert run([*GENERATE, str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_generated_is_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.cf32"
    written = generated(path, capsys)
    assert run(["phy", "decode", str(path), "--rate", "3.84e6", "--prb", "15", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["slss", "mib_sl", "sci", "transport_blocks", "discovery"]
    for kind, items in found.items():
        assert [{key: item[key] for key in want} for want, item in zip(written[kind], items, strict=True)] == written[
            kind
        ]
    figures = ("snr_db", "evm_db", "cfo_hz", "timing_samples")
    for item in (item for kind, items in found.items() if kind != "slss" for item in items):
        assert all(isinstance(item[figure], float) for figure in figures)


ROUND_TRIPS = [
    ["--prb", "6", "--mode", "1", "--timing-advance", "21"],
    ["--prb", "6", "--mode", "4", "--mcs", "7"],
    ["--prb", "25", "--mode", "2", "--cp", "extended", "--mcs", "12", "--width", "5"],
    ["--prb", "25", "--mode", "4", "--transmission-format", "1", "--mcs", "23", "--snr", "25"],
    ["--prb", "50", "--mode", "1", "--cp", "extended", "--timing-advance", "300"],
    ["--prb", "50", "--mode", "2", "--rate", "11.52e6", "--width", "10"],
    ["--prb", "50", "--mode", "3", "--rate", "11.52e6", "--width", "3", "--mcs", "11"],
    ["--prb", "50", "--mode", "4", "--subchannel-size", "5", "--subchannels", "8", "--width", "1"],
    ["--prb", "100", "--mode", "2", "--rate", "23.04e6", "--width", "40", "--mcs", "20", "--snr", "25"],
    ["--prb", "100", "--mode", "4", "--rate", "23.04e6", "--transmission-format", "1"],
    ["--prb", "100", "--mode", "3", "--mcs", "3"],
]


@pytest.mark.parametrize("options", ROUND_TRIPS, ids=" ".join)
def test_every_mode_and_grid_comes_back(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.cf32"
    impairments = ["--cfo", "-2100", "--delay", "411", "--snr", "16", "--slss-id", "201", "--dfn", "700"]
    assert run(["phy", "generate", str(path), *impairments, *options, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    prb = options[options.index("--prb") + 1]
    assert run(["phy", "decode", str(path), "--rate", str(written["rate_hz"]), "--prb", prb, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["slss"][0]["cfo_hz"] == pytest.approx(-2100, abs=100)
    for kind, items in found.items():
        assert [{key: item[key] for key in want} for want, item in zip(written[kind], items, strict=True)] == written[
            kind
        ]
        assert all(item.get("crc_ok", True) for item in items)


def test_sigmf_knows_its_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generated(tmp_path / "out.cf32", capsys)
    (tmp_path / "out.cf32").rename(tmp_path / "out.sigmf-data")
    metadata = {"global": {"core:datatype": "cf32_le", "core:sample_rate": 3.84e6, "core:version": "1.0.0"}}
    (tmp_path / "out.sigmf-meta").write_text(json.dumps({**metadata, "captures": [], "annotations": []}))
    assert run(["phy", "decode", str(tmp_path / "out.sigmf-meta"), "--prb", "15", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["slss"][0]["id"] == 99


def test_tables_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generated(tmp_path / "out.cf32", capsys)
    pictures = tmp_path / "pictures"
    options = ["--rate", "3.84e6", "--prb", "15", "--plot", str(pictures)]
    assert run(["phy", "decode", str(tmp_path / "out.cf32"), *options]) == 0
    assert "transport blocks" in capsys.readouterr().out
    assert {path.name for path in pictures.iterdir()} == {"spectrogram.png", "grid.png", "constellation.png"}


@pytest.mark.parametrize(
    ("file", "options", "says"),
    [
        ("absent.cf32", ["--rate", "1.92e6", "--prb", "6"], "No such file"),
        ("empty.cf32", ["--rate", "1.92e6", "--prb", "6"], "empty"),
        ("silent.cf32", ["--rate", "1.92e6", "--prb", "6"], "zeros"),
        ("silent.cf32", ["--rate", "1.92e6", "--prb", "50"], "too few for 50 PRB"),
        ("silent.cf32", ["--rate", "1.93000017e6", "--prb", "6"], "no ratio"),
        ("silent.cf32", ["--rate", "1.92e6", "--prb", "7"], "not one of"),
        ("silent.cf32", ["--prb", "6"], "sample rate"),
        ("silent.cf32", ["--rate", "1.92e6", "--prb", "6", "--subchannels", "3"], "go together"),
        ("notes.txt", ["--rate", "1.92e6", "--prb", "6"], "IQ files end in"),
        ("odd.cf32", ["--rate", "1.92e6", "--prb", "6"], "whole number"),
        ("nan.cf32", ["--rate", "1.92e6", "--prb", "6"], "finite"),
    ],
)
def test_bad_input_is_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, options: list[str], says: str
) -> None:
    (tmp_path / "empty.cf32").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "odd.cf32").write_bytes(bytes(17))
    np.zeros(4000, dtype=np.complex64).tofile(tmp_path / "silent.cf32")
    np.full(4000, np.nan, dtype=np.complex64).tofile(tmp_path / "nan.cf32")
    assert run(["phy", "decode", str(tmp_path / file), *options, "--json"]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert not captured.out
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "options",
    [
        ["--width", "7"],
        ["--mcs", "29"],
        ["--mode", "4", "--mcs", "29"],
        ["--mode", "4", "--cp", "extended"],
        ["--mode", "4", "--width", "6"],
        ["--mode", "4", "--subchannel-size", "7", "--subchannels", "3"],
        ["--mode", "4", "--subchannel-size", "5"],
        ["--block", "xyz"],
        ["--message", "00" * 30],
        ["--block", "00" * 999],
        ["--rate", "1e6"],
    ],
)
def test_impossible_waveforms_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["phy", "generate", str(tmp_path / "out.cf32"), *options]) == 2
    assert "pc5lab:" in capsys.readouterr().err
    assert not (tmp_path / "out.cf32").exists()
