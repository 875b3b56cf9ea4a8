"""Inputs of the key schedule with the wrong length: the error names the one that is wrong."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest

from security.link import key_ladder as ladder
from security.link.kdf import KdfError, kdf
from security.link.key_ladder import FC33303, KeyScheduleError

S16, H32, L2 = bytes(16), bytes(32), bytes(3)
DERIVE = {
    "HR of T2": lambda bad: ladder.transcript_t2(bad, b""),
    "TX of a rekey's T1": lambda bad: ladder.rekey_transcript_t1(bad, b""),
    "HR of a rekey's T2": lambda bad: ladder.rekey_transcript_t2(bad, b""),
    "SSV_A of KD": lambda bad: ladder.derive_kd(bad, S16, H32, H32),
    "SSV_B of KD": lambda bad: ladder.derive_kd(S16, bad, H32, H32),
    "TX of KD-next": lambda bad: ladder.derive_kd_next(H32, bad),
    "Nonce_1 of KD-sess": lambda bad: ladder.derive_kd_sess(H32, FC33303, bad, S16, H32),
    "Nonce_2 of KD-sess": lambda bad: ladder.derive_kd_sess(H32, FC33303, S16, bad, H32),
    "TX of KD-sess": lambda bad: ladder.derive_kd_sess(H32, FC33303, S16, S16, bad),
    "SSV_A of the key proof": lambda bad: ladder.key_proof(bad, H32, H32, H32),
    "hash of the key proof, HR": lambda bad: ladder.key_proof(S16, bad, H32, H32),
    "hash of the key proof, H(T2)": lambda bad: ladder.key_proof(S16, H32, bad, H32),
    "hash of the key proof, H(S(I_B))": lambda bad: ladder.key_proof(S16, H32, H32, bad),
    "SSV of PGK": lambda bad: ladder.derive_pgk(bad, keyer="tel:+44", group_info=b""),
    "SSV of the tag": lambda bad: ladder.derive_pgk_tag(bad, keyer="tel:+44", group_info=b""),
    "sender L2 ID of PTK": lambda bad: ladder.derive_ptk(H32, sender_l2=bad, ptk_id=1, group_l2=L2),
    "group L2 ID of PTK": lambda bad: ladder.derive_ptk(H32, sender_l2=L2, ptk_id=1, group_l2=bad),
}


@pytest.mark.parametrize(("name", "derive"), DERIVE.items(), ids=DERIVE)
def test_an_input_of_the_wrong_length_is_named(name: str, derive: Callable[[bytes], bytes]) -> None:
    word = name.partition(" of ")[0]
    length = 3 if "L2" in word else 16 if word.startswith(("SSV", "Nonce")) else 32
    for bad in (b"", bytes(length - 1), bytes(length + 1)):
        with pytest.raises(KeyScheduleError) as raised:
            derive(bad)
        assert str(raised.value) == f"{word} has {length} octets, got {len(bad)}"
    assert derive(bytes(length))


@pytest.mark.parametrize("fc", [0, 1, 0xFF])
def test_an_fc_is_one_octet(fc: int) -> None:
    assert kdf(b"key", fc) == hmac.digest(b"key", bytes((fc,)), "sha256")
    for bad in (-1, 0x100):
        with pytest.raises(KdfError, match=f"FC {bad} is no octet"):
            kdf(b"key", bad)


def test_the_longest_parameter_of_a_kdf() -> None:
    longest = bytes(0xFFFF)
    assert kdf(b"key", 1, b"a", longest) == hmac.digest(b"key", b"\1a\0\1" + longest + b"\xff\xff", "sha256")
    with pytest.raises(KdfError, match="P1 has 65536 octets"):
        kdf(b"key", 1, b"a", longest + b"\0")
