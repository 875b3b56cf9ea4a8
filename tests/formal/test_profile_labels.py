"""Labels of the changes of the second edition: each has its place in the page, and code cites it where it stands."""

from __future__ import annotations

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/profile.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Edition, and what changed")[2].partition("## 1. ")[0]
CHANGES = {
    label: {int(number) for number in re.findall(r"\d+", sections)}
    for label, sections in re.findall(r"^\| ([RCGT]\d+) \| \w+ \| ([\d, ]+) \|", TABLE, re.MULTILINE)
}
ANCHORS = re.findall(r'<a id="profile-([rcgt]\d+)"></a>', PAGE)
CITED = re.compile(r"PROFILE (\d+)[^().]{0,40}\(([RCGT]\d+)\)")


def section_of(label: str) -> int:
    """The section in which a label's anchor stands."""
    before = PAGE.partition(f'<a id="profile-{label.lower()}"></a>')[0]
    return int(re.findall(r"^## (\d+)\. ", before, re.MULTILINE)[-1])


def test_each_change_has_one_place() -> None:
    assert len(CHANGES) == 5 + 8 + 11 + 5
    assert sorted(ANCHORS) == sorted(label.lower() for label in CHANGES)


def test_the_place_is_in_a_section_that_the_table_names() -> None:
    for label, sections in CHANGES.items():
        assert section_of(label) in sections, label


def test_citations_name_a_section_of_the_change() -> None:
    for folder in ("radio", "security", "prose_link", "lab_scripts", "tests"):
        for path in (TOP / folder).rglob("*.py"):
            text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
            for number, label in CITED.findall(text):
                assert int(number) in CHANGES.get(label, set()), f"{path.relative_to(TOP)}: PROFILE {number} ({label})"
