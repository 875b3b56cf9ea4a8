"""The catalogue has every event of every room, and each of them is told or silent, and documented."""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

import lab_scripts
from lab_scripts.console.sentences import SILENT, told_classes
from lab_scripts.doc_makers.events import meanings_of
from lab_scripts.doc_makers.field_docstrings import field_docstrings
from lab_scripts.events.catalogue import CATALOGUE, CHAPTERS
from lab_scripts.events.json_forms import fields_in_json, form_of
from lab_scripts.events.lab_events import LabEvent
from lab_scripts.events.shared_fields import SHARED_FIELDS
from prose_link.sync.events import BecomeReference, Follow, Scan
from prose_link.ue.events import UeEvent
from radio.emulator.events import HubEvent
from security.kms.events import FromWorker, KmsEvent

TOP = Path(lab_scripts.__file__).resolve().parents[1]
NO_EVENTS = {
    Follow: "the PHY is asked for it",
    BecomeReference: "the PHY is asked for it",
    Scan: "the PHY is asked for it",
    FromWorker: "an event and the worker that tells it",
}
"""Dataclasses in the rooms' files of events that are none."""


def modules_of_events() -> list[str]:
    """The files in which rooms keep their events, as modules."""
    found = [path for room in ("radio", "security", "prose_link", "lab_scripts") for path in (TOP / room).rglob("*.py")]
    named = [path for path in found if path.stem.endswith("events")]
    return sorted(".".join(path.relative_to(TOP).with_suffix("").parts) for path in named)


def classes_in_rooms() -> set[type]:
    classes: set[type] = set()
    for name in modules_of_events():
        own = (one for one in vars(importlib.import_module(name)).values() if isinstance(one, type))
        classes |= {one for one in own if one.__module__ == name and dataclasses.is_dataclass(one)}
    return classes


def test_the_files_of_events_are_found() -> None:
    assert {
        "prose_link.discovery.events",
        "prose_link.pc5s.core.events",
        "prose_link.pc5s.core.group_events",
        "prose_link.sync.events",
        "prose_link.ue.events",
        "prose_link.userplane.events",
        "radio.emulator.events",
        "security.kms.events",
        "lab_scripts.events.lab_events",
    } <= set(modules_of_events())


def test_every_event_of_a_room_is_in_the_union_of_its_file() -> None:
    left_out = classes_in_rooms() - set(CATALOGUE.values()) - NO_EVENTS.keys()
    assert not left_out, "add it to the union at the end of its file"
    assert not NO_EVENTS.keys() & set(CATALOGUE.values())


def test_a_class_stands_in_one_chapter() -> None:
    counted = Counter(kind for chapter in CHAPTERS for kind in chapter.classes)
    assert set(counted) == set(CATALOGUE.values()) and set(counted.values()) == {1}


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_an_event_has_a_sentence_or_is_silent_on_purpose(kind: type) -> None:
    assert (kind in told_classes()) != (kind in SILENT), "lab_scripts/console/sentences.py: a sentence, or SILENT"


def test_only_events_are_told_or_silent() -> None:
    assert told_classes() | SILENT.keys() == set(CATALOGUE.values())
    assert all(SILENT.values())


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_an_event_is_documented(kind: type) -> None:
    assert kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}("), "a docstring that says what happened"
    missing = [field for field, meaning in meanings_of(kind).items() if not meaning]
    assert not missing, "a string under the field, or its name in lab_scripts/events/shared_fields.py"


def test_a_shared_meaning_is_that_of_some_field() -> None:
    relied_on = {
        field for kind in CATALOGUE.values() for field in fields_in_json(kind) if field not in field_docstrings(kind)
    }
    assert relied_on == SHARED_FIELDS.keys()


def test_every_event_is_frozen_and_of_keywords_only() -> None:
    loose = [
        name
        for name, kind in CATALOGUE.items()
        if not kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        or not all(field.kw_only for field in dataclasses.fields(kind))
    ]
    assert not loose


@pytest.mark.parametrize("annotation", [object, complex, dict[int, str], int | str, tuple[int, int]])
def test_a_type_without_a_json_form_is_refused(annotation: object) -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        form_of(annotation)


def test_what_a_ue_tells_is_what_is_told_by_nobody_else() -> None:
    others = {*get_args(HubEvent), *get_args(KmsEvent), *get_args(LabEvent)}
    assert set(get_args(UeEvent)) == set(CATALOGUE.values()) - others
