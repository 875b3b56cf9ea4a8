"""docs/events.md and docs/events.schema.json say what the catalogue says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from lab_scripts.console.sentences import SILENT
from lab_scripts.doc_makers.events import main, page, schema
from lab_scripts.events.catalogue import CATALOGUE
from prose_link.pc5s.core.events import LinkEstablished
from tests.samples.events import an_event, at

DOCS = Path(__file__).parents[4] / "docs"


def test_page_and_schema_are_written_from_the_catalogue_of_today() -> None:
    hint = "run python -m lab_scripts.doc_makers.events"
    assert (DOCS / "events.md").read_text() == page(), hint
    assert (DOCS / "events.schema.json").read_text() == schema(), hint


def test_every_event_has_its_section() -> None:
    text = page()
    assert all(text.count(f"\n### `{name}`\n") == 1 for name in CATALOGUE)
    assert text.count("No sentence of the console tells it") == len(SILENT)
    assert "| `ip_versions` | list of integer | Versions of IP that both ends offered. |" in text


def test_the_schema_is_one_and_tells_events_apart() -> None:
    document = json.loads(schema())
    Draft202012Validator.check_schema(document)
    validator = Draft202012Validator(document)
    line = at(an_event(LinkEstablished)).record()
    validator.validate(line)
    for spoilt in (line | {"event": "link-failed"}, line | {"eea": "1"}, line | {"more": 1}, {"event": "x"}):
        with pytest.raises(ValidationError):
            validator.validate(spoilt)
    del line["seq"]
    with pytest.raises(ValidationError):
        validator.validate(line)


def test_the_script_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path)])
    assert (tmp_path / "events.md").read_text() == page()
    assert (tmp_path / "events.schema.json").read_text() == schema()
    assert f"{len(CATALOGUE)} events" in capsys.readouterr().out
