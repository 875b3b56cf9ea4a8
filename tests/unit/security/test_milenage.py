"""Milenage: test set 1 of TS 35.208."""

from __future__ import annotations

import pytest

from security.ciphers.milenage import Milenage, opc_of

K, OP = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cdc202d5123e20f62b6d676ac72cb318")
RAND = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")
SQN, AMF = bytes.fromhex("ff9bb4d0b607"), bytes.fromhex("b9b9")


def test_set_1() -> None:
    opc = opc_of(K, OP)
    assert opc.hex() == "cd63cb71954a9f4e48a5994e37a02baf"
    functions = Milenage(K, opc)
    assert functions.f1(RAND, SQN, AMF).mac_a.hex() == "4a9ffac354dfafb3"
    made = functions.f2345(RAND)
    assert made.res.hex() == "a54211d5e3ba50bf" and made.ak.hex() == "aa689c648370"
    assert made.ck.hex() == "b40ba9a3c58b2a05bbf0d987b21bf8cb" and made.ik.hex() == "f769bcd751044604127672711c6d3441"
    assert functions.f5_star(RAND).hex() == "451e8beca43b"


def test_lengths_are_checked_and_nothing_is_shown() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        Milenage(K, OP[:15])
    functions = Milenage(K, OP)
    for wrong in (lambda: functions.f1(RAND, SQN[1:], AMF), lambda: functions.f2345(RAND[1:])):
        with pytest.raises(ValueError, match="octets"):
            wrong()
    assert "res" not in repr(functions.f2345(RAND))
