"""Rows 24 and 45 of the profile's test matrix: purposes of I_MESSAGEs, and signatures of repeated randomness."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lab_scripts.cli.main import run
from security.eccsi import eccsi
from security.groups import GroupError, imported_gmk_id
from security.keyfile import parse_key_file
from security.mikey import ProfileFormError, parse_i_message, parse_profile_i_message
from security.mikey.codec import purpose_of
from security.mikey.opening import open_i_message

EXAMPLES = Path(__file__).parents[3] / "docs" / "mikey-examples"


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("profile-request", "pc5lab link request"),
        ("profile-accept", "pc5lab link accept"),
        ("profile-group", "pc5lab group keying"),
    ],
)
def test_row_24_messages_of_the_profile_have_no_purpose_elsewhere(name, purpose):
    i_message = parse_i_message((EXAMPLES / f"{name}.bin").read_bytes())
    assert i_message.csb_id >> 28 > 6
    assert purpose_of(i_message.csb_id) == purpose
    opened = open_i_message(i_message, parse_key_file((EXAMPLES / "keys.json").read_bytes()))
    with pytest.raises(GroupError):
        imported_gmk_id(i_message, opened.ssv, opened.responder)


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("profile-request", "pc5lab link request"),
        ("profile-accept", "pc5lab link accept"),
        ("profile-group", "pc5lab group keying"),
    ],
)
def test_row_24_mikey_open_says_the_purpose(name, purpose, capsys):
    command = ["mikey", "open", "--keys", str(EXAMPLES / "keys.json"), "--in", str(EXAMPLES / f"{name}.bin"), "--json"]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["purpose"] == purpose


@pytest.mark.parametrize("name", ["tel-monthly", "two-kms", "mcx-private-call", "mcx-group-dave", "mcx-client-server"])
def test_row_24_messages_from_elsewhere_make_no_link(name):
    with pytest.raises(ProfileFormError):
        parse_profile_i_message((EXAMPLES / f"{name}.bin").read_bytes())


def test_row_45_repeated_randomness_never_repeats_a_nonce():
    """Two runs with one seed: the same text gives the same signature, another text another r, so SSK stays secret."""
    user = parse_key_file((EXAMPLES / "keys.json").read_bytes()).users[0]
    ring = {"ssk": user.ssk, "pvt": user.pvt, "uid": user.uid, "kpak": bytes(65)}
    entropy = hashlib.sha256(b"one seed").digest()
    texts = [b"text %d" % number for number in range(200)]
    first, second = ([eccsi.sign(text, **ring, entropy=entropy) for text in texts] for _ in range(2))
    assert first == second
    assert len({signature[:32] for signature in first}) == len(texts)
