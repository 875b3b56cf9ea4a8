"""SL-SCH MAC PDU: known octets, padding rules, round trips, hostile octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.l2.mac_pdu import MacPdu, MacPduError, MacSdu, MacVersion, decode_mac_pdu, encode_mac_pdu

HEADER = bytes.fromhex("20 abcdef 1234")


def pdu_of(*sdus: tuple[int, bytes], version: MacVersion = MacVersion.UNICAST, dst: int = 0x1234) -> MacPdu:
    return MacPdu(version=version, src=0xABCDEF, dst=dst, sdus=tuple(MacSdu(lcid=lcid, data=d) for lcid, d in sdus))


def test_octets_without_padding() -> None:
    assert encode_mac_pdu(pdu_of((1, b"hello")), 12) == HEADER + b"\x01hello"


@pytest.mark.parametrize(("size", "subheaders"), [(13, "3f 01"), (14, "3f 3f 01")])
def test_one_or_two_octets_of_padding_are_subheaders_in_front(size: int, subheaders: str) -> None:
    assert encode_mac_pdu(pdu_of((1, b"hello")), size) == HEADER + bytes.fromhex(subheaders) + b"hello"


@pytest.mark.parametrize(("size", "zeros"), [(15, 1), (20, 6)])
def test_more_padding_stands_at_the_end(size: int, zeros: int) -> None:
    assert encode_mac_pdu(pdu_of((1, b"hello")), size) == HEADER + bytes.fromhex("21 05 1f") + b"hello" + bytes(zeros)


def test_long_sdu_has_a_15_bit_length() -> None:
    octets = encode_mac_pdu(pdu_of((30, b"x" * 300), (2, b"y")), 6 + 3 + 1 + 301)
    assert octets[6:10] == bytes.fromhex("3e 812c 02")


def test_long_sdu_with_three_octets_left_ends_in_no_padding_octet() -> None:
    octets = encode_mac_pdu(pdu_of((1, b"x" * 128)), 6 + 1 + 128 + 3)
    assert octets == HEADER + bytes.fromhex("21 8080 1f") + b"x" * 128


def test_24_bit_destination() -> None:
    pdu = pdu_of((1, b"a"), version=MacVersion.DST_24_BITS, dst=0x123456)
    octets = encode_mac_pdu(pdu, 9)
    assert octets == bytes.fromhex("30 abcdef 123456 01 61")
    assert decode_mac_pdu(octets) == pdu


@given(
    st.sampled_from([MacVersion.GROUP, MacVersion.UNICAST]),
    st.integers(0, 0xFFFFFF),
    st.integers(0, 0xFFFF),
    st.lists(st.tuples(st.integers(1, 30), st.binary(min_size=1, max_size=300)), min_size=1, max_size=6),
    st.integers(0, 20),
)
def test_round_trip(version: MacVersion, src: int, dst: int, sdus: list[tuple[int, bytes]], padding: int) -> None:
    pdu = MacPdu(version=version, src=src, dst=dst, sdus=tuple(MacSdu(lcid=lcid, data=d) for lcid, d in sdus))
    least = 6 + 1 + sum(len(d) for _, d in sdus) + sum(2 + (len(d) >= 128) for _, d in sdus[:-1])
    octets = encode_mac_pdu(pdu, least + padding)
    assert len(octets) == least + padding
    assert decode_mac_pdu(octets) == pdu
    with pytest.raises(MacPduError):
        encode_mac_pdu(pdu, least - 1)


@pytest.mark.parametrize(
    "pdu",
    [
        pdu_of(),
        pdu_of((0, b"a")),
        pdu_of((31, b"a")),
        pdu_of((1, b"")),
        pdu_of((1, bytes(0x8000))),
        pdu_of((1, b"a"), dst=0x10000),
    ],
)
def test_what_fits_no_field_is_refused(pdu: MacPdu) -> None:
    with pytest.raises(MacPduError):
        encode_mac_pdu(pdu, 40000)


def test_truncations_never_pass_for_the_whole() -> None:
    octets = encode_mac_pdu(pdu_of((28, b"one" * 50), (1, b"two"), (2, b"three")), 200)
    whole = decode_mac_pdu(octets)
    for length in range(len(octets) - 20):
        try:
            assert decode_mac_pdu(octets[:length]) != whole or length >= 6 + 3 + 2 + 2 + 1 + 158
        except MacPduError:
            continue


@given(st.binary(max_size=80))
def test_any_octets_decode_or_raise_the_one_error(octets: bytes) -> None:
    try:
        pdu = decode_mac_pdu(octets)
    except MacPduError:
        return
    assert sum(len(sdu.data) for sdu in pdu.sdus) < len(octets)
    assert all(sdu.data for sdu in pdu.sdus)
