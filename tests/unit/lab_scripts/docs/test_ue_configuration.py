"""docs/ue-configuration.md says what the models say, and its example is a configuration."""

from pathlib import Path

from lab_scripts.doc_makers.ue_configuration import EXAMPLE, main, page
from prose_link.config.ue import load_ue_config

DOCUMENT = Path(__file__).parents[4] / "docs/ue-configuration.md"


def test_the_page_is_written_from_the_models_of_today():
    assert DOCUMENT.read_text() == page(), "run python -m lab_scripts.doc_makers.ue_configuration"


def test_the_example_is_read_as_the_page_says(tmp_path):
    (tmp_path / "ue.toml").write_text(EXAMPLE)
    config = load_ue_config(tmp_path / "ue.toml")
    assert EXAMPLE in DOCUMENT.read_text()
    assert [peer.traffic(config.traffic).release_when_done for peer in config.link.called] == [False, True]
    assert config.link.to_policy().towards("tel:+447700900002").ciphering == (2,)


def test_keys_have_their_units_bounds_and_defaults():
    rows = {line.split("|")[1].strip(): line for line in page().splitlines() if line.startswith("| `")}
    assert rows["`carrier_hz`"].startswith("| `carrier_hz` | number from 1000000 to 100000000000, Hz | required |")
    assert rows["`t4108_s`"].startswith("| `t4108_s` | integer from 1 to 86400, s | `30` |")
    assert rows["`peer_l2`"].startswith("| `peer_l2` | integer from 0 to 0xFFFFFE | `0` |")
    assert rows["`ticket`"].startswith("| `ticket` | path | required |")
    assert rows["`multicast`"].startswith("| `multicast` | IPv6 address |")


def test_the_script_writes_where_it_is_told(tmp_path):
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == page()
