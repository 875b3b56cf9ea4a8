"""Every file of the corpus, and fixed alterations of each, through its target; a short run of atheris where it is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prose_link.pc5s.wire.table import PROFILES
from tests.fuzz import targets
from tests.samples.pc5s_messages import of_profile

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
ALTERATIONS = 24
MAX_SECONDS = 1.0
"""No input takes longer, with the tables built."""
SLOW = {"sakke_open": 4, "mikey_responder": 12, "map_signed": 12}
"""Targets with few alterations: each costs some ms."""


def altered(octets, count, seed):
    """The octets with bits flipped, cut, repeated, and spliced with extremes; the same in every run."""
    for number in range(count):
        draw = hashlib.sha256(f"{seed} {number}".encode()).digest()
        at = int.from_bytes(draw[:2], "big") % (len(octets) + 1)
        length = draw[2] % 9
        match number % 4:
            case 0:
                yield octets[:at] + bytes(byte ^ 1 << draw[3] % 8 for byte in octets[at : at + 1]) + octets[at + 1 :]
            case 1:
                yield octets[:at]
            case 2:
                yield octets[:at] + (b"\xff", b"\0", b"\x80")[draw[4] % 3] * length + octets[at + length :]
            case _:
                yield octets[:at] + octets[at : at + 40 * length] * 2 + octets[at + length :]


@pytest.mark.parametrize("name", list(targets.TARGETS))
def test_corpus_and_alterations(name):
    target = targets.TARGETS[name]
    files = sorted((CORPUS / name).iterdir())
    assert files
    for path in files:
        targets.attempt(target, path.read_bytes())
    for path in files:
        octets = path.read_bytes()
        for tried in (octets, *altered(octets, SLOW.get(name, ALTERATIONS), path.name)):
            start = time.process_time()
            targets.attempt(target, tried)
            assert time.process_time() - start < MAX_SECONDS


@pytest.mark.parametrize("profile", PROFILES)
def test_the_corpus_has_a_message_of_every_sample(profile):
    target = "pc5s" if profile == "identity" else f"pc5s_{profile}"
    octets = {path.read_bytes() for path in (CORPUS / target).iterdir()}
    missing = [sample.name for sample in of_profile(profile) if sample.octets not in octets]
    assert not missing, "run python tests/fuzz/make_corpus.py"


def test_a_finding_would_be_seen():
    def careless(octets):
        return octets[5]

    with pytest.raises(IndexError):
        targets.attempt(careless, b"")


def test_atheris_finds_nothing_at_once(tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed: the corpus is replayed, nothing new is looked for")
    command = [sys.executable, str(HERE / "run_fuzz.py"), "mikey", "-runs=3000", "-max_total_time=20"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
