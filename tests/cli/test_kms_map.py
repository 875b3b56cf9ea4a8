"""`pc5lab kms map` and `pc5lab ue numbers` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab_scripts.cli.main import run

NUMBER, BOB = "+447700900077", "sip:bob@lab.example"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = str(tmp_path / "kms")
    assert run(["kms", "init", made, "--namespace", "tel:+44*", "--namespace", "sip:*@lab.example"]) == 0
    return made


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capfd.readouterr()
    assert run(["kms", "map", *arguments, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_a_number_is_set_shown_listed_and_removed(folder: str, capfd: pytest.CaptureFixture[str]) -> None:
    row = {"number": NUMBER, "identity": BOB, "uses": ["call", "nas"], "state": "valid", "change": 1}
    assert said(capfd, "set", folder, NUMBER, BOB, "--use", "call", "--use", "nas") == row
    shown = said(capfd, "show", folder, NUMBER)
    assert {name: shown[name] for name in row} == row
    assert shown["signed_as"] == "sip:identity-map@kms.lab.invalid" and shown["serial"] >> 32 == 1
    assert bytes.fromhex(shown["signed_hex"]).startswith(b"pc5lab identity v1 map\x01")
    assert said(capfd, "list", folder) == {"numbers": [row]}
    gone = row | {"state": "nobody", "change": 2}
    assert said(capfd, "remove", folder, NUMBER) == gone
    assert said(capfd, "list", folder) == {"numbers": [gone]}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("set", NUMBER, "sip:bob@elsewhere.example"), "outside this KMS's namespace"),
        (("set", NUMBER, BOB, "--use", "fax"), "not a use"),
        (("set", "12", BOB), "no telephone number"),
        (("remove", NUMBER), "has no holder"),
        (("show", NUMBER), "never mapped"),
    ],
)
def test_what_cannot_be_ordered_says_why(
    folder: str, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str
) -> None:
    order, *rest = arguments
    assert run(["kms", "map", order, folder, *rest]) == 2
    assert why in capfd.readouterr().err
