"""Commands on the cases of users (tests/vectors/cases): what they say and find."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab_scripts.cli.main import run

CASES = Path(__file__).parents[1] / "vectors" / "cases"
Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, code: int, *arguments: object) -> str:
    """What a command says that ends with an exit code."""
    capsys.readouterr()
    assert run(list(map(str, arguments))) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "this is a bug" not in captured.err
    return captured.out + captured.err
