"""The tables inside the Wireshark plug-in are those of the table of messages."""

import dataclasses

import pytest

from lab_scripts.doc_makers import wireshark_tables
from lab_scripts.doc_makers.wireshark_tables import FIRST, LAST, PluginError, tables, with_tables
from prose_link.pc5s.wire import elements, table
from prose_link.pc5s.wire.messages import MessageType


def test_the_plugin_holds_the_tables_of_today():
    text = wireshark_tables.FILE.read_text()
    assert with_tables(text) == text, "run python -m lab_scripts.doc_makers.wireshark_tables"


def test_everything_of_the_table_stands_in_the_lua_tables():
    lua = tables()
    for kind in MessageType:
        assert f'  [{int(kind)}] = "{kind.words}",' in lua
    for iei, element in table.elements_by_iei().items():
        assert f'  [{iei:#04x}] = {{ title = "{element.title}", ' in lua
    assert 'ProtoField.uint8("prose.pc5s.mutual", "Mutual authentication", base.DEC, WORDS["mutual"], 0x03)' in lua
    assert 'ProtoField.uint8("prose.pc5s.eea", "Chosen EEA", base.DEC, nil, 0x70)' in lua


def test_a_plugin_without_marks_is_refused():
    with pytest.raises(PluginError, match="has no line"):
        with_tables(FIRST + "local x = 1\n")
    with pytest.raises(PluginError, match="has no line"):
        with_tables(LAST)


def test_one_filter_for_two_fields_is_refused(monkeypatch):
    (part,) = elements.REASON.parts
    other = dataclasses.replace(elements.REASON, parts=(dataclasses.replace(part, filter="cause"),))
    monkeypatch.setattr(wireshark_tables, "heading_of", lambda kind: (elements.CAUSE, other))
    with pytest.raises(PluginError, match=r"prose\.pc5s\.cause names"):
        tables()


def test_the_script_rewrites_the_plugin(tmp_path, monkeypatch, capsys):
    copy = tmp_path / "copy.lua"
    copy.write_text(f"-- before\n{FIRST}local OLD = 1\n{LAST}-- after\n")
    monkeypatch.setattr(wireshark_tables, "FILE", copy)
    wireshark_tables.main()
    assert copy.read_text() == f"-- before\n{FIRST}{tables()}{LAST}-- after\n"
    assert f"{len(MessageType)} messages" in capsys.readouterr().out
