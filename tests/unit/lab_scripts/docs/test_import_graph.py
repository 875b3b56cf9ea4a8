"""docs/architecture.md draws the imports of today, and the drawing can tell when one comes."""

from __future__ import annotations

import pytest

from lab_scripts.doc_makers import import_graph


def test_the_page_shows_the_imports_of_today() -> None:
    text = import_graph.FILE.read_text(encoding="utf-8")
    assert text == import_graph.page(text), "run python -m lab_scripts.doc_makers.import_graph"


def test_the_storeys_are_those_of_the_house() -> None:
    assert import_graph.arrows() == [
        ("lab_scripts", "prose_link"),
        ("lab_scripts", "radio"),
        ("lab_scripts", "security"),
        ("prose_link", "radio"),
        ("prose_link", "security"),
    ]


def test_a_place_shows_what_is_directly_in_it() -> None:
    rooms = {room for pair in import_graph.arrows("radio.phy.lte") for room in pair}
    assert {"radio.phy.lte.grid", "radio.phy.lte.ue_phy"} <= rooms
    assert all(room.count(".") == 3 for room in rooms)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="import graph: begin"):
        import_graph.page("nothing here")
