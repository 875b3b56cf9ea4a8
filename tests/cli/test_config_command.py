"""`pc5lab config`: every shipped file passes, what is shown reads back, and preconfigurations go to RRC and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab_scripts.cli.main import run
from prose_link.config.preconfiguration import load_preconfiguration
from prose_link.config.ue import load_ue_config, shipped_path

FOLDER = shipped_path("")
UE_FILES = sorted(path.name for path in FOLDER.glob("ue_*.toml"))
PRECONFIGURATIONS = sorted(f"preconfigurations/{path.name}" for path in (FOLDER / "preconfigurations").glob("*.toml"))
SCENARIOS = sorted(f"scenarios/{path.name}" for path in (FOLDER / "scenarios").glob("*.toml"))
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def has_pycrate() -> None:
    pytest.importorskip("pycrate_asn1dir.RRCLTE", reason="pycrate is not installed")


def test_every_shipped_file_passes(capsys: Capture) -> None:
    assert run(["config", "check", *UE_FILES, *PRECONFIGURATIONS, *SCENARIOS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kinds = [one["kind"] for one in told["files"]]
    names = (("ue", UE_FILES), ("preconfiguration", PRECONFIGURATIONS), ("scenario", SCENARIOS))
    assert told["ok"] and kinds == [kind for kind, files in names for _ in files]
    assert min(kinds.count(kind) for kind, _ in names) >= 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[general]\nsl-bandwidth = 26\n", "sl-bandwidth"),
        ('name = "UE"\n', "name"),
        ("ue = [1]\n", "ue"),
        ("= 5\n", "wrong.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, capsys: Capture, text: str, says: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    assert run(["config", "check", str(path)]) == 2
    said = capsys.readouterr()
    assert says in said.err and "bug" not in said.err and not said.out
    assert run(["config", "check", str(tmp_path / "none.toml")]) == 2


@pytest.mark.parametrize("name", UE_FILES)
def test_a_ues_file_that_is_shown_reads_back_as_the_same(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert run(["config", "show", name]) == 0
    shown = tmp_path / "shown.toml"
    shown.write_text(capsys.readouterr().out)
    assert load_ue_config(shown).model_dump() == load_ue_config(Path(name)).model_dump()
    assert run(["config", "show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stop_after_s"] == load_ue_config(Path(name)).stop_after_s


@pytest.mark.parametrize("name", PRECONFIGURATIONS)
def test_a_preconfiguration_that_is_shown_reads_back_as_the_same(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert run(["config", "show", name]) == 0
    shown = tmp_path / "shown.toml"
    shown.write_text(capsys.readouterr().out)
    assert load_preconfiguration(shown) == load_preconfiguration(Path(name))


def test_the_schema_knows_every_key_of_a_shipped_file(capsys: Capture) -> None:
    assert run(["config", "schema", "preconfiguration"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "sl-bandwidth" in schema["$defs"]["PreconfigGeneral"]["properties"]
    assert run(["config", "schema"]) == 0
    assert "identity" in json.loads(capsys.readouterr().out)["properties"]
    assert run(["config", "schema", "scenario"]) == 2


@pytest.mark.parametrize("form", ["uper", "hex", "json"])
@pytest.mark.parametrize("name", PRECONFIGURATIONS)
@pytest.mark.usefixtures("has_pycrate")
def test_a_preconfiguration_goes_to_rrc_and_back(name: str, form: str, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back.toml"
    assert run(["config", "export-rrc", name, "--form", form, "--out", str(there)]) == 0
    assert run(["config", "import-rrc", str(there), "--out", str(back)]) == 0
    assert load_preconfiguration(back) == load_preconfiguration(Path(name))


@pytest.mark.usefixtures("has_pycrate")
def test_the_octets_are_what_pycrate_reads(tmp_path: Path, capsys: Capture) -> None:
    from pycrate_asn1dir import RRCLTE

    assert run(["config", "export-rrc", PRECONFIGURATIONS[0]]) == 0
    octets = bytes.fromhex(capsys.readouterr().out)
    asn1 = RRCLTE.EUTRA_Sidelink_Preconf.SL_Preconfiguration_r12
    asn1.from_uper(octets)
    assert asn1.get_val()["preconfigGeneral-r12"]["sl-bandwidth-r12"] == "n50"


def test_the_value_form_needs_no_pycrate(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pycrate_asn1dir.RRCLTE", None)
    path, back = tmp_path / "value.json", tmp_path / "back.toml"
    assert run(["config", "export-rrc", PRECONFIGURATIONS[0], "--form", "json", "--out", str(path)]) == 0
    assert run(["config", "import-rrc", str(path), "--out", str(back)]) == 0
    assert load_preconfiguration(back) == load_preconfiguration(Path(PRECONFIGURATIONS[0]))
    assert run(["config", "export-rrc", PRECONFIGURATIONS[0]]) == 2
    assert "pip install pycrate" in capsys.readouterr().err


def _value(tmp_path: Path) -> dict:
    path = tmp_path / "value.json"
    assert run(["config", "export-rrc", PRECONFIGURATIONS[0], "--form", "json", "--out", str(path)]) == 0
    return json.loads(path.read_text())


@pytest.mark.parametrize("odd", [None, 5, "x", [], [10**30, 10**30], {"a": 1}])
def test_no_part_of_another_form_is_a_bug(odd: object, tmp_path: Path, capsys: Capture) -> None:
    """Every part of a value in turn is replaced or left out: an error in one line, or a preconfiguration."""
    whole = _value(tmp_path)
    path = tmp_path / "odd.json"

    def spoilt(value: object):
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, part in items:
            kept = value[key]
            value[key] = odd
            yield
            value[key] = kept
            yield from spoilt(part)

    for _ in spoilt(whole):
        path.write_text(json.dumps(whole))
        assert run(["config", "import-rrc", str(path)]) in (0, 2)
        assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\xff" * 40, b"{", b"{" * 5000, b"80" * 5000, b"\x80\x0b", b"zz"])
@pytest.mark.usefixtures("has_pycrate")
def test_octets_that_are_none_are_refused(octets: bytes, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "octets"
    path.write_bytes(octets)
    assert run(["config", "import-rrc", str(path)]) == 2
    said = capsys.readouterr()
    assert str(path) in said.err and not said.out


@pytest.mark.usefixtures("has_pycrate")
def test_octets_left_over_or_missing_are_refused(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "octets"
    assert run(["config", "export-rrc", PRECONFIGURATIONS[0], "--out", str(path)]) == 0
    good = path.read_bytes()
    for octets in (good + b"\0", good[:-3]):
        path.write_bytes(octets)
        assert run(["config", "import-rrc", str(path)]) == 2
        assert "no SL-Preconfiguration" in capsys.readouterr().err
