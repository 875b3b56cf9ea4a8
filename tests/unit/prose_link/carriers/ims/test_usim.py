"""A USIM in software: it knows its network, and answers a sequence number that was there by AUTS."""

from __future__ import annotations

import pytest

from prose_link.carriers.ims.usim import Usim
from prose_link.sip.digest import AuthenticationError
from security.ciphers.milenage import Milenage

K, OPC = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
RAND = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")


def autn(sqn: int, amf: bytes = b"\xb9\xb9") -> bytes:
    """As the home network makes it."""
    functions = Milenage(K, OPC)
    octets = sqn.to_bytes(6)
    concealed = bytes(a ^ b for a, b in zip(octets, functions.f2345(RAND).ak, strict=True))
    return concealed + amf + functions.f1(RAND, octets, amf).mac_a


def test_it_answers_the_network_of_ts_35_208() -> None:
    sqn = int.from_bytes(bytes.fromhex("ff9bb4d0b607"))
    assert autn(sqn).hex() == "55f328b43577b9b94a9ffac354dfafb3"
    assert Usim(K, OPC)(RAND, autn(sqn)).res.hex() == "a54211d5e3ba50bf"


def test_a_number_that_was_there_is_answered_by_auts_that_the_network_can_read() -> None:
    card, functions = Usim(K, OPC), Milenage(K, OPC)
    assert card(RAND, autn(7)).res
    for old in (7, 3):
        auts = card(RAND, autn(old)).auts
        sqn = bytes(a ^ b for a, b in zip(auts[:6], functions.f5_star(RAND), strict=True))
        assert int.from_bytes(sqn) == 7 and functions.f1(RAND, sqn, bytes(2)).mac_s == auts[6:]
    assert card(RAND, autn(8)).res


@pytest.mark.parametrize("at", range(16))
def test_a_changed_autn_is_not_answered(at: int) -> None:
    changed = bytearray(autn(7))
    changed[at] ^= 1
    with pytest.raises(AuthenticationError):
        Usim(K, OPC)(RAND, bytes(changed))
