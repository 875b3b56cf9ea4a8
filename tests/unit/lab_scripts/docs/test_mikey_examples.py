from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lab_scripts.cli.main import run
from lab_scripts.doc_makers import mikey_examples
from lab_scripts.doc_makers.example_workings import ExampleError

FOLDER = Path(__file__).parents[4] / "docs" / "mikey-examples"


def test_files_are_as_made_and_every_message_verifies_by_the_definitions():
    assert mikey_examples.verify(FOLDER) == len(list(FOLDER.glob("*.bin"))) == 13


def test_texts_are_what_the_command_shows(capsys):
    for path in sorted(FOLDER.glob("*.bin")):
        assert run(["mikey", "show", str(path), "--keys", str(FOLDER / "keys.json")]) == 0
        assert capsys.readouterr().out == path.with_suffix(".txt").read_text()


def test_the_command_opens_each_to_the_listed_key(capsys):
    for entry in json.loads((FOLDER / "examples.json").read_text())["examples"]:
        if "error" in entry:
            continue
        path = FOLDER / f"{entry['name']}.bin"
        assert run(["mikey", "open", "--keys", str(FOLDER / "keys.json"), "--in", str(path), "--json"]) == 0
        opened = json.loads(capsys.readouterr().out)
        assert (opened["kd"], opened["csb_id"]) == (entry["values"]["SSV"], entry["csb_id"])
        assert (opened["initiator"], opened["responder"]) == (entry["initiator"], entry["responder"])


@pytest.mark.parametrize("name", ["two-kms.bin", "examples.json", "leading-zeros.txt"])
def test_an_altered_file_is_found(tmp_path, monkeypatch, name):
    made = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    monkeypatch.setattr(mikey_examples, "make_files", lambda: made)
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    octets = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(octets[:-2] + bytes([octets[-2] ^ 1]) + octets[-1:])
    with pytest.raises(ExampleError):
        mikey_examples.verify(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ExampleError):
        mikey_examples.verify(tmp_path)
