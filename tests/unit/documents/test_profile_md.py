"""Every section of the connection profile that the code cites stands in docs/profile.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
PAGE = (TOP / "docs/profile.md").read_text(encoding="utf-8")
SECTIONS = {int(number) for number in re.findall(r'<a id="profile-(\d+)"></a>\n\n## \1\. ', PAGE)}
STEPS = {int(number) for number in re.findall(r"^\| (\d+) \| ", PAGE.split("## 7. ")[0].split("## 6. ")[1], re.M)}
ROWS = {int(number) for number in re.findall(r"^\| (\d+) \| ", PAGE.split("## 13. ")[1], re.M)}
CITED = re.compile(r"PROFILE((?: \d+,?(?! step| row))+)")


def citations() -> Iterator[tuple[Path, int]]:
    for folder in ("radio", "security", "prose_link", "lab_scripts", "tests"):
        for path in (TOP / folder).rglob("*.py"):
            text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
            for found in CITED.finditer(text):
                for number in re.findall(r"\d+", found[1]):
                    yield path, int(number)


def test_every_section_cited_stands_in_the_page() -> None:
    cited = list(citations())
    assert len(cited) > 50
    wrong = [f"{path.relative_to(TOP)}: PROFILE {number}" for path, number in cited if number not in SECTIONS]
    assert not wrong


def test_every_citation_names_a_section() -> None:
    """`PROFILE: something` names none."""
    for folder in ("radio", "security", "prose_link", "lab_scripts"):
        for path in (TOP / folder).rglob("*.py"):
            assert not re.search(r"PROFILE: (?!Final)[a-z]", path.read_text(encoding="utf-8")), path


def test_sections_steps_and_rows_are_whole() -> None:
    assert sorted(SECTIONS) == list(range(1, 14))
    assert sorted(STEPS) == list(range(1, 15))
    assert sorted(ROWS)[:46] == list(range(1, 47))


@pytest.mark.parametrize("mark", ["S", "P", "U"])
def test_marks_are_explained(mark: str) -> None:
    assert f"**{mark}** is" in PAGE
