"""CONTRIBUTING.md names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
PLACEHOLDERS = ("*", "{", "NAME", "SECTION")
PATHS = sorted(
    path for path in set(re.findall(r"`((?:\w+/)+[\w.]*)`", PAGE)) if not any(mark in path for mark in PLACEHOLDERS)
)
MAKERS = sorted(set(re.findall(r"lab_scripts\.doc_makers\.(\w+)", PAGE)))


def test_the_page_names_files() -> None:
    assert len(PATHS) > 40
    assert len(MAKERS) > 5


@pytest.mark.parametrize("path", PATHS)
def test_every_path_it_names_is_there(path: str) -> None:
    folders = (ROOT, ROOT / "prose_link/pc5s", ROOT / "tests/unit/prose_link/pc5s")  # a list goes on in its folder
    assert any((folder / path).exists() for folder in folders), path


@pytest.mark.parametrize("maker", MAKERS)
def test_every_maker_of_pages_it_names_is_there(maker: str) -> None:
    assert (ROOT / f"lab_scripts/doc_makers/{maker}.py").exists(), maker
