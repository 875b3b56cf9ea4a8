"""PDCP of SLRBs: header octets, round trips, hostile octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.l2.pdcp import (
    OneToManyPdu,
    OneToOnePdu,
    PdcpPduError,
    SduType,
    decode_one_to_many,
    decode_one_to_one,
    encode_one_to_many,
    encode_one_to_one,
)

types = st.sampled_from(SduType)
u16 = st.integers(0, 0xFFFF)


def test_protected_octets() -> None:
    pdu = OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0x2107, sn=1, data=b"ab", mac_i=b"MACI")
    assert encode_one_to_one(pdu) == bytes.fromhex("40 2107 0001") + b"abMACI"


def test_unprotected_octets() -> None:
    pdu = OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=b"ab")
    assert encode_one_to_one(pdu) == bytes.fromhex("40 0000 0000") + b"ab"


def test_one_to_many_octets() -> None:
    pdu = OneToManyPdu(sdu_type=SduType.IP, pgk_index=17, ptk_id=0xBEEF, sn=2, data=b"ab")
    assert encode_one_to_many(pdu) == bytes.fromhex("11 beef 0002") + b"ab"


def test_reserved_bits_are_ignored() -> None:
    assert decode_one_to_one(bytes.fromhex("5f 0000 0000 61")).sdu_type is SduType.PC5_SIGNALLING


@given(types, st.integers(1, 0xFFFF), u16, st.binary(max_size=50), st.binary(min_size=4, max_size=4))
def test_one_to_one_round_trip(sdu_type: SduType, kd_sess_id: int, sn: int, data: bytes, mac_i: bytes) -> None:
    pdu = OneToOnePdu(sdu_type=sdu_type, kd_sess_id=kd_sess_id, sn=sn, data=data, mac_i=mac_i)
    assert decode_one_to_one(encode_one_to_one(pdu)) == pdu


@given(types, st.integers(0, 31), u16, u16, st.binary(max_size=50))
def test_one_to_many_round_trip(sdu_type: SduType, pgk_index: int, ptk_id: int, sn: int, data: bytes) -> None:
    pdu = OneToManyPdu(sdu_type=sdu_type, pgk_index=pgk_index, ptk_id=ptk_id, sn=sn, data=data)
    assert decode_one_to_many(encode_one_to_many(pdu)) == pdu


@pytest.mark.parametrize("octets", ["", "40 0000 00", "a0 0000 0000", "e0 2107 0001 61616161", "40 2107 0001 616161"])
def test_malformed_one_to_one(octets: str) -> None:
    with pytest.raises(PdcpPduError):
        decode_one_to_one(bytes.fromhex(octets))


def test_sequence_number_without_a_key_is_malformed() -> None:
    with pytest.raises(PdcpPduError):
        decode_one_to_one(bytes.fromhex("40 0000 0001 61"))


@pytest.mark.parametrize(("kd_sess_id", "mac_i"), [(0, b"MACI"), (1, b""), (1, b"MAC")])
def test_mac_i_stands_exactly_where_a_key_is(kd_sess_id: int, mac_i: bytes) -> None:
    with pytest.raises(PdcpPduError):
        encode_one_to_one(OneToOnePdu(sdu_type=SduType.IP, kd_sess_id=kd_sess_id, sn=0, data=b"", mac_i=mac_i))


@given(st.binary(max_size=40))
def test_any_octets_decode_or_raise_the_one_error(octets: bytes) -> None:
    for decode in (decode_one_to_one, decode_one_to_many):
        try:
            decode(octets)
        except PdcpPduError:
            continue
