"""Texts and command lines that users have trouble with (tests/vectors/cases), each with its right answer."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pytest

from tests.benches.cases_of_users import CASES, Capture, said


def test_captures_of_the_table(tmp_path: Path, capsys: Capture) -> None:
    lines = said(capsys, 0, "capture", "show", CASES / "obsolete-pb.pcapng").splitlines()
    assert len(lines) == 34
    packed = (CASES / "compressed.pcapng.gz").read_bytes()
    unpacked = said(capsys, 0, "capture", "show", CASES / "compressed.pcapng.gz").splitlines()
    assert [line.split()[:3] for line in unpacked] == [line.split()[:3] for line in lines]
    (tmp_path / "x.xz").write_bytes(lzma.compress(gzip.decompress(packed)))
    assert said(capsys, 0, "capture", "show", tmp_path / "x.xz").splitlines() == unpacked
    (tmp_path / "cut.gz").write_bytes(packed[:-400])
    assert "cut short" in said(capsys, 2, "capture", "show", tmp_path / "cut.gz")
    for name in ("eth-mikey", "sip-mikey"):
        told = json.loads(said(capsys, 0, "capture", "i-messages", CASES / f"{name}.pcapng", "--json"))
        assert [(one["responder"], one["octets"]) for one in told] == [("tel:+447700900002", 568)]
    told = said(capsys, 2, "capture", "i-messages", CASES / "sip-mikey.pcapng", "--to", "tel:+1")
    assert "it holds 1 to tel:+447700900002" in told


@pytest.mark.parametrize(
    "name", ["mikey-hex-stream.txt", "mikey-in-sdp.txt", "mikey-without-padding.txt", "mikey-bom.txt"]
)
def test_mikey_texts_of_the_table(name: str, capsys: Capture) -> None:
    assert json.loads(said(capsys, 0, "mikey", "show", CASES / name, "--json"))["octets"] == 568


def test_texts_of_the_table(tmp_path: Path, capsys: Capture) -> None:
    assert "ue-a.ticket" in said(capsys, 2, "ue", "provision", CASES / "bom.toml")
    wide = tmp_path / "wide.toml"
    wide.write_bytes((CASES / "bom.toml").read_text(encoding="utf-8-sig").replace("\n", "\r\n").encode("utf-16"))
    assert "ue-a.ticket" in said(capsys, 2, "ue", "provision", wide)
    out = tmp_path / "o.pcapng"
    options = ["--keylog", CASES / "keylog-bom.txt", "--out", out]
    said(capsys, 0, "capture", "decrypt", CASES / "compressed.pcapng.gz", *options)
    assert out.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scenario-path-loss-nan", "path_loss_db: Input should be a finite number"),
        ("scenario-20-ms-s", "no sidelink carrier"),
    ],
)
def test_scenarios_of_the_table(name: str, words: str, capsys: Capture) -> None:
    assert words in said(capsys, 2, "rf", "serve", CASES / f"{name}.toml")


@pytest.mark.parametrize("port", ["99999", "65536", "0", "05060", "5060"])
def test_an_identity_with_a_port_that_is_none_or_not_the_canonical_form(
    port: str, capsys: Capture, tmp_path: Path
) -> None:
    text = (CASES / "sip-port-99999.toml").read_text(encoding="utf-8")
    assert ":99999" in text
    (tmp_path / "ue.toml").write_text(text.replace(":99999", f":{port}"), encoding="utf-8")
    assert "identity" in said(capsys, 2, "ue", "provision", tmp_path / "ue.toml")


@pytest.mark.parametrize(
    "text",
    ["a." * 20_000 + "a = 1", "a = " + "[" * 20_000, "a = " + "9" * 5_000, "name = 9223372036854775808", "\0"],
    ids=["dotted", "deep", "integer", "beyond 64 bits", "nul"],
)
@pytest.mark.parametrize("command", [("rf", "serve"), ("ue", "provision")], ids=" ".join)
def test_hostile_toml_is_an_error(command: tuple[str, str], text: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert "x.toml" in said(capsys, 2, *command, path)
