"""Packet comments and key logs: what is written is read, anything else is told apart."""

import stat

import pytest

from lab_scripts.capture.comment import PacketComment, read_comment
from lab_scripts.capture.errors import KeyLogError
from lab_scripts.capture.keylog import ContextKeys, KeyLog, append_to_key_log, read_contexts

KEYS = ContextKeys(
    src_l2=0x5C1A01,
    dst_l2=0x5C1B02,
    kd_sess_id=0x2107,
    eea=2,
    eia=1,
    direction=0,
    pek=bytes(range(16)),
    pik=bytes(range(16, 32)),
)


@pytest.mark.parametrize(
    "comment",
    [
        PacketComment(source="ue-a", direction="tx", layer="mib_sl", subframe=0),
        PacketComment(
            source="ue-b",
            direction="rx",
            layer="ip-decrypted",
            subframe=123456,
            src_l2=1,
            dst_l2=0xFFFFFF,
            lcid=30,
            note="a note, with a comma",
        ),
        PacketComment(source="ue-a", direction="tx", layer="mac", subframe=7, note="only a note"),
    ],
)
def test_comments_read_back(comment):
    assert read_comment(comment.text()) == comment


@pytest.mark.parametrize("text", ["", "look at this one", "ue-a sideways mac, subframe 1", "ue-a tx mac"])
def test_a_persons_comment_is_none(text):
    assert read_comment(text) is None


def test_key_log_reads_back(tmp_path):
    path = tmp_path / "keylog.txt"
    append_to_key_log(path, KEYS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open("a") as file:
        file.write("\n# a remark\n")
    assert path.read_text().splitlines()[0] == (
        "PC5LAB-CONTEXT 5c1a01 5c1b02 2107 2 1 0 000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f"
    )
    log = KeyLog(read_contexts(path))
    assert len(log) == 1
    assert log.find(0x5C1A01, 0x5C1B02, 0x2107).direction == 0
    assert log.find(0x5C1B02, 0x5C1A01, 0x2107).direction == 1
    assert log.find(0x5C1B02, 0x5C1A01, 0x2108) is None


def test_keys_are_not_in_their_repr():
    assert KEYS.pek.hex() not in repr(KEYS)
    assert str(KEYS.pik) not in repr(KEYS)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hello", "fields"),
        (KEYS.line().replace("PC5LAB-CONTEXT", "OTHER"), "PC5LAB-CONTEXT"),
        (KEYS.line().replace("5c1a01", "zz"), "no number"),
        (KEYS.line().replace("2107", "0"), "out of range"),
        (KEYS.line().replace(" 0 ", " 2 "), "out of range"),
        (KEYS.line()[:-2], "octets"),
        (KEYS.line().replace(" 2 1 ", " 7 1 "), "128-EEA7"),
        ("PC5LAB-CONTEXT -1 5c1b02 2107 2 1 0 " + "00" * 16 + " " + "00" * 16, "out of range"),
    ],
)
def test_bad_lines_are_named_without_keys(tmp_path, line, words):
    path = tmp_path / "keylog.txt"
    path.write_text("# first line\n" + line + "\n")
    with pytest.raises(KeyLogError, match=words) as caught:
        KeyLog(read_contexts(path))
    assert KEYS.pek.hex() not in str(caught.value)


def test_the_later_of_two_lines_holds():
    log = KeyLog([KEYS, ContextKeys.parse(KEYS.line().replace(" 2 1 0 ", " 2 1 1 "))])
    assert log.find(0x5C1A01, 0x5C1B02, 0x2107).direction == 1
