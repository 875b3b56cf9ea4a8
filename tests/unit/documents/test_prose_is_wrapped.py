"""Prose of the pages is wrapped, so that a change of one sentence is a small difference to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
WIDTH = 100
PAGES = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").rglob("*.md"))]


def lines_of_prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines that Markdown would fold: no code, no row of a table, no heading."""
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = line.lstrip()
        if fence:
            fence = "" if start.startswith(fence) else fence
        elif start.startswith(("```", "~~~")):
            fence = start[:3]
        elif not start.startswith(("|", "#")):
            yield number, line


def has_place_to_fold(line: str) -> bool:
    """A lone link or address of more than the width may stand."""
    words = line.lstrip(" *->").split()
    return len(words) > 1


def too_long(text: str) -> list[int]:
    return [number for number, line in lines_of_prose(text) if len(line) > WIDTH and has_place_to_fold(line)]


def test_pages_are_found() -> None:
    names = {str(page.relative_to(TOP)) for page in PAGES}
    assert {"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/profile.md"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_prose_is_wrapped(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


def test_only_prose_counts() -> None:
    long = "word " * 30
    assert too_long(f"{long}\n* {long}\n  {long}\n") == [1, 2, 3]
    assert too_long(f"```\n{long}\n```\n| {long} |\n# {long}\n{'x' * 120}\n") == []
    assert too_long(f"```\n{long}\n```\n{long}\n") == [4]
