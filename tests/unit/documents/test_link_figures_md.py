"""docs/link-figures.md is what docs/link-figures.json says, and names every figure of the link bench."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab_scripts.benchmarks.link import families
from lab_scripts.doc_makers import link_figures

REMAKE = "run python -m lab_scripts.doc_makers.link_figures"
MACHINE = {"processor": "a processor", "python": "3.11", "versions": {"numpy": "2.0"}}
PING = "ping on a free pool"


def found(name: str, value: float, *, met: bool | None) -> dict[str, Any]:
    return {"name": name, "value": value, "met": met, "runs": 3, "spread": 1.0, "seeds": "1 to 3", "family": "latency"}


def document(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"machine": MACHINE, "results": list(results), **more}


def test_page_is_made_of_its_document() -> None:
    kept = json.loads(link_figures.FOUND.read_text(encoding="utf-8"))
    assert link_figures.PAGE.read_text(encoding="utf-8") == link_figures.page(kept), REMAKE


def test_aims_in_the_document_are_those_of_the_bench() -> None:
    kept = json.loads(link_figures.FOUND.read_text(encoding="utf-8"))
    aims = {figure.name: figure.aim for family in families() for figure in family.figures}
    assert all(result["aim"] == aims[result["name"]] for result in kept["results"]), REMAKE
    for result in kept["results"]:
        value, aim, lower = result["value"], result["aim"], result["lower_is_better"]
        reaches = None if aim is None else value <= aim if lower else value >= aim
        assert result["met"] is reaches, result["name"]


def test_every_figure_has_a_row() -> None:
    page = link_figures.page(document())
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for family in families():
        assert f"`--family {family.name}`" in page
        for figure in family.figures:
            assert any(row.startswith(f"| {figure.name} | not run |") for row in rows), figure.name


def test_a_missed_aim_is_shown_and_named_at_the_top() -> None:
    page = link_figures.page(document(found(PING, 44.0, met=False)))
    assert f"| {PING} | 44 ms | ≤ 30 ms | **no** | 3 | 1 | 1 to 3 |" in page
    assert f"Missed: {PING}." in page


def test_a_fast_look_is_called_one() -> None:
    merged = link_figures.merged([document(found(PING, 20.0, met=True), quick=True)])
    assert f"| {PING} | 20 ms (fast look) | ≤ 30 ms | yes |" in link_figures.page(merged)


def test_of_several_runs_the_last_one_counts() -> None:
    answered = "pings answered on a free pool"
    runs = [
        document(found(PING, 44.0, met=False), found(answered, 99.0, met=None)),
        document(found(PING, 20, met=True)),
    ]
    merged = link_figures.merged(runs)
    assert {one["name"]: one["value"] for one in merged["results"]} == {PING: 20, answered: 99.0}


def test_a_figure_that_no_family_gives_is_refused() -> None:
    with pytest.raises(link_figures.UnknownFigure, match="weather"):
        link_figures.merged([document(found("weather", 1.0, met=None))])
