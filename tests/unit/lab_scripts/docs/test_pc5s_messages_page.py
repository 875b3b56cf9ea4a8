"""docs/pc5s-messages.md says what the table of messages says."""

from pathlib import Path

from lab_scripts.doc_makers.pc5s_messages import main, page
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import PROFILES, elements_by_iei

DOCUMENT = Path(__file__).parents[4] / "docs/pc5s-messages.md"


def test_the_page_is_written_from_the_table_of_today():
    assert DOCUMENT.read_text() == page(), "run python -m lab_scripts.doc_makers.pc5s_messages"


def test_every_message_has_its_section_and_every_element_its_row():
    text = page()
    assert text.count("\n### ") == sum(len(forms) for forms in PROFILES.values())
    assert all(f" {kind.words} | " in text for kind in MessageType)
    assert all(f"| {iei:#04x} | {element.title}" in text for iei, element in elements_by_iei().items())
    assert "| [I_MESSAGE] | `i_message` | TLV-E | 0x78 | 1 to 65535 |" in text
    assert "| Request hash | `request_hash` | TLV | 0x43 | 8 |" in text
    assert "0x81 mutual authentication policy" in text


def test_the_script_writes_where_it_is_told(tmp_path, capsys):
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == page()
    assert f"{len(MessageType)} messages" in capsys.readouterr().out
