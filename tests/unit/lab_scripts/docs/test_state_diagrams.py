"""docs/state-machines.md says what the tables say."""

import re
from pathlib import Path

from lab_scripts.doc_makers.state_diagrams import TABLES, main, page

DOCUMENT = Path(__file__).parents[4] / "docs/state-machines.md"


def test_the_page_is_drawn_from_the_tables_of_today():
    assert DOCUMENT.read_text() == page(), "run python -m lab_scripts.doc_makers.state_diagrams"


def test_every_transition_has_its_row_and_every_arrow_its_transition():
    text = DOCUMENT.read_text()
    assert len(re.findall(r"^\| (?!state |---)", text, re.MULTILINE)) == sum(len(table) for table in TABLES.values())
    arrows = {
        (name, state.name, transition.next_state.name)
        for name, table in TABLES.items()
        for (state, _), transition in table.items()
    }
    assert len(re.findall(r"^    [A-Z_]+ --> [A-Z_]+: ", text, re.MULTILINE)) == len(arrows)


def test_the_script_writes_where_it_is_told(tmp_path, capsys):
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == page()
    assert "7 tables" in capsys.readouterr().out
