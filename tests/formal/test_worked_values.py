"""The worked values of the profile's page (PROFILE 12), by a second writing of its formulas.

Nothing of the project's code is used: HMAC and SHA-256 of the standard library, and the formulas of sections 5 and 11.
H(T1), HR, H(T2) and TX hang on stand-in I_MESSAGEs that are not given; they come from the vectors, whole.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SECTION = (
    (TOP / "docs/profile.md").read_text(encoding="utf-8").partition("**Worked values.**")[2].partition("## 13. ")[0]
)
VECTORS = (
    (TOP / "tests/vectors/security/profile_worked_numbers.txt").read_text(encoding="utf-8").partition("profile 11")[0]
)
LINK = {
    cells[1]: cells[2:4]
    for line in SECTION.splitlines()
    if len(cells := [cell.strip() for cell in line.split("|")]) == 5
}
GROUP = {
    cells[1]: cells[2] for line in SECTION.splitlines() if len(cells := [cell.strip() for cell in line.split("|")]) == 4
}
SSV_A = bytes.fromhex("00112233445566778899aabbccddeeff")
SSV_B = SSV_A[::-1]
NONCE_1, NONCE_2 = bytes(range(0x10)), bytes(range(0x10, 0x20))


def label(text: str) -> bytes:
    """L(s) of section 1."""
    return b"pc5lab identity v1 " + text.encode()


def kdf(key: bytes, fc: int, *parameters: bytes) -> bytes:
    """KDF of section 1: FC, then each parameter with its length behind it."""
    text = bytes([fc]) + b"".join(parameter + len(parameter).to_bytes(2, "big") for parameter in parameters)
    return hmac.new(key, text, hashlib.sha256).digest()


def vector(name: str) -> bytes:
    found = re.search(rf"^{re.escape(name)} ([0-9a-f]+)", VECTORS, re.MULTILINE)
    assert found
    return bytes.fromhex(found[1])


def is_shown(value: bytes, shown: str) -> bool:
    """Whether the page shows a value, whole or by its first and last four octets."""
    return value.hex() == shown or f"{value.hex()[:8]}..{value.hex()[-8:]}" == shown


@pytest.mark.parametrize(("form", "column"), [("one-way", 0), ("mutual", 1)])
def test_keys_of_a_link(form: str, column: int) -> None:
    given = re.search(rf"^{form} (.*)$", VECTORS, re.MULTILINE)
    assert given
    tx = bytes.fromhex(ast.literal_eval(given[1])["TX"])
    h_t1, h_t2 = vector("H(T1)"), vector("H(T2)")
    other = (SSV_B, b"\x01") if column else (bytes(16), b"\x00")
    kd = kdf(SSV_A + other[0], 0xF0, label("KD"), other[1], h_t1, h_t2, b"")
    kd_sess = kdf(kd, 0x5E, NONCE_1, NONCE_2, tx)
    values = {
        "TX": tx,
        "KD": kd,
        "KD-sess": kd_sess,
        "KD-next (R4)": kdf(kd, 0xF0, label("KD-next"), tx),
        "PEK (EEA2)": kdf(kd_sess, 0x4B, b"\x00", b"\x02")[16:],
        "PIK (EIA2)": kdf(kd_sess, 0x4B, b"\x01", b"\x02")[16:],
        "conf_R": kdf(kd_sess, 0xF0, label("conf-R"), tx)[:16],
        "conf_I": kdf(kd_sess, 0xF0, label("conf-I"), tx)[:16],
    }
    for name, value in values.items():
        assert is_shown(value, LINK[name][column]), name
    for name, value in (("H(T1)", h_t1), ("HR", vector("HR")), ("H(T2)", h_t2)):
        assert is_shown(value, LINK[name][0]), name


def test_key_of_a_group() -> None:
    keyer, identity = b"tel:+447700900001", b"sip:group1@example.org"
    head = bytes.fromhex("0c0003 01 0d022d00 eeb9de00 02 01 0000")
    tag = kdf(SSV_A, 0xF0, label("PGK-tag"), keyer, head + bytes(8) + identity)[:8]
    assert is_shown(tag, GROUP["tag"])
    assert is_shown(kdf(SSV_A, 0xF0, label("PGK"), keyer, head + tag + identity), GROUP["PGK"])
    assert len(head + tag) == 24
