"""The limits of layer 2's fields and settings, each met from both sides."""

from __future__ import annotations

import pytest

from radio.l2.config import L2Config, L2ConfigError
from radio.l2.logical_channels import AddressError, check_l2_id, check_lcid, group_destination_id
from radio.l2.mac_pdu import (
    MacPdu,
    MacPduError,
    MacSdu,
    MacVersion,
    decode_mac_pdu,
    encode_mac_pdu,
    sl_sch_subheader_octets,
    subheader_octets,
)
from radio.l2.pdcp import (
    MAX_PDU_OCTETS,
    MAX_SDU_OCTETS,
    OneToManyPdu,
    OneToOnePdu,
    PdcpPduError,
    SduType,
    decode_one_to_many,
    decode_one_to_one,
    encode_one_to_many,
    encode_one_to_one,
    one_to_one_header,
)
from radio.l2.rlc_um import LEAST_SN_CYCLE_SUBFRAMES
from radio.l2.rlc_um_pdu import MAX_LI, RlcPduError, UmdPdu, decode_umd, encode_umd, umd_header_octets

COUNTS = ("max_destinations", "max_queue_sdus", "max_wait_turns", "max_receivers", "t_reordering_subframes")


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_of_one_is_the_least(name: str) -> None:
    assert getattr(L2Config(**{name: 1}), name) == 1
    with pytest.raises(L2ConfigError, match=f"{name} 0 is below 1"):
        L2Config(**{name: 0})


@pytest.mark.parametrize(
    ("name", "least"), [("max_queue_octets", MAX_PDU_OCTETS), ("sn_cycle_subframes", LEAST_SN_CYCLE_SUBFRAMES)]
)
def test_least_sizes(name: str, least: int) -> None:
    assert (MAX_PDU_OCTETS, LEAST_SN_CYCLE_SUBFRAMES) == (8188 + 9, 128)
    assert getattr(L2Config(**{name: least}), name) == least
    with pytest.raises(L2ConfigError, match=f"{name} {least - 1} is below"):
        L2Config(**{name: least - 1})


def test_windows_are_0_and_16() -> None:
    assert [L2Config(um_window_size=size).um_window_size for size in (0, 16)] == [0, 16]
    for size in (-1, 1, 15, 17):
        with pytest.raises(L2ConfigError, match=f"um_window_size {size} is neither"):
            L2Config(um_window_size=size)


def test_layer_2_ids() -> None:
    for l2_id in (1, 2, 0xFFFFFE):
        check_l2_id(l2_id)
    for l2_id in (-1, 0, 0xFFFFFF, 0x1000000):
        with pytest.raises(AddressError):
            check_l2_id(l2_id)
    assert [group_destination_id(dst) for dst in (0x123456, 0xFFFF00, 0x0000FF)] == [0x56, 0, 0xFF]


def test_logical_channels_that_carry_sdus() -> None:
    carrying = {*range(1, 11), 28, 29, 30}
    for lcid in range(-1, 33):
        if lcid in carrying:
            check_lcid(lcid)
        else:
            with pytest.raises(AddressError, match=f"LCID {lcid} is none of"):
                check_lcid(lcid)


def mac_pdu(*sdus: tuple[int, bytes], src: int = 1, dst: int = 1, version: MacVersion = MacVersion.UNICAST) -> MacPdu:
    return MacPdu(version=version, src=src, dst=dst, sdus=tuple(MacSdu(lcid=lcid, data=data) for lcid, data in sdus))


def test_subheaders_grow_with_128_octets() -> None:
    assert [subheader_octets(n) for n in (1, 127, 128, 0x7FFF)] == [2, 2, 3, 3]
    assert [sl_sch_subheader_octets(version) for version in MacVersion] == [6, 6, 7]
    for n_octets, subheader in ((127, "21 7f"), (128, "21 8080")):
        octets = encode_mac_pdu(mac_pdu((1, bytes(n_octets)), (2, b"z")), 500)
        assert octets[6:].startswith(bytes.fromhex(subheader))


@pytest.mark.parametrize("src", [0, 0xFFFFFF])
@pytest.mark.parametrize("dst", [0, 0xFFFF])
def test_addresses_of_the_whole_range(src: int, dst: int) -> None:
    pdu = mac_pdu((1, b"a"), src=src, dst=dst)
    octets = encode_mac_pdu(pdu, 8)
    assert octets[1:6] == src.to_bytes(3, "big") + dst.to_bytes(2, "big")
    assert decode_mac_pdu(octets) == pdu


@pytest.mark.parametrize(
    "pdu",
    [
        mac_pdu((1, b"a"), src=-1),
        mac_pdu((1, b"a"), src=0x1000000),
        mac_pdu((1, b"a"), dst=-1),
        mac_pdu((1, b"a"), dst=0x10000),
        mac_pdu((1, b"a"), dst=0x1000000, version=MacVersion.DST_24_BITS),
        mac_pdu((1, b"a"), (31, b"a")),
        mac_pdu((1, b"a"), (0, b"a")),
        mac_pdu((1, bytes(0x8000))),
        mac_pdu((1, b"")),
    ],
)
def test_what_fits_no_field_of_mac_is_refused(pdu: MacPdu) -> None:
    with pytest.raises(MacPduError, match=r"SRC|no subheader"):
        encode_mac_pdu(pdu, 40000)


def test_the_longest_sdu_and_the_least_and_greatest_lcid() -> None:
    pdu = mac_pdu((1, bytes(0x7FFF)), (30, b"last"))
    assert decode_mac_pdu(encode_mac_pdu(pdu, 33000)) == pdu
    whole = mac_pdu((30, b"x" * 0x7FFF))
    assert decode_mac_pdu(encode_mac_pdu(whole, 6 + 1 + 0x7FFF)) == whole


def test_a_pdu_that_just_fits_and_one_that_does_not() -> None:
    pdu = mac_pdu((1, b"ab"), (2, b"c"))
    assert len(encode_mac_pdu(pdu, 12)) == 12
    with pytest.raises(MacPduError, match="a MAC PDU of 12 octets does not fit in 11"):
        encode_mac_pdu(pdu, 11)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("", "no SL-SCH subheader"),
        ("00 000001 0001 01 61", "no SL-SCH subheader"),
        ("40 000001 0001 01 61", "no SL-SCH subheader"),
        ("20 000001 0001", "6 octets end inside"),
        ("20 000001", "4 octets end inside"),
        ("30 000001 000102", "7 octets end inside"),
        ("20 000001 0001 21", "run past the end"),
        ("20 000001 0001 21 05", "run past the end"),
        ("20 000001 0001 21 05 01 61", "an SDU of 5 octets runs past the end"),
        ("20 000001 0001 21 02 01 6162", "an empty SDU on LCID 1"),
        ("20 000001 0001 21 00 02 6162", "an empty SDU on LCID 1"),
        ("20 000001 0001 01", "an empty SDU on LCID 1"),
        ("20 000001 0001 21 80", "run past the end"),
    ],
)
def test_mac_pdus_that_are_cut_short(octets: str, message: str) -> None:
    with pytest.raises(MacPduError, match=message):
        decode_mac_pdu(bytes.fromhex(octets))


def test_what_a_sender_may_write_otherwise_is_read() -> None:
    """Reserved bits, a short SDU with a long length, reserved LCIDs, and an SDU that ends with the block."""
    pdu = decode_mac_pdu(bytes.fromhex("2f ffffff 0001 e1 8002 cb 6162 63"))
    assert pdu == MacPdu(
        version=MacVersion.UNICAST, src=0xFFFFFF, dst=1, sdus=(MacSdu(lcid=1, data=b"ab"), MacSdu(lcid=11, data=b"c"))
    )
    padded = decode_mac_pdu(bytes.fromhex("20 000001 0001 3f 3f 01 61"))
    assert padded.sdus == (MacSdu(lcid=1, data=b"a"),)
    assert decode_mac_pdu(bytes.fromhex("20 000001 0001 21 01 1f 61")).sdus == padded.sdus


def umd(*elements: bytes, sn: int = 0) -> UmdPdu:
    return UmdPdu(sn=sn, starts=True, ends=True, elements=elements)


def test_umd_header_sizes() -> None:
    assert [umd_header_octets(n) for n in range(1, 8)] == [1, 3, 4, 6, 7, 9, 10]


def test_the_longest_element_that_may_have_another_after_it() -> None:
    pdu = umd(bytes(MAX_LI), b"x")
    assert decode_umd(encode_umd(pdu)) == pdu
    with pytest.raises(RlcPduError, match="2048 octets can't have another after it"):
        encode_umd(umd(b"a", bytes(MAX_LI + 1), b"x"))


@pytest.mark.parametrize("sn", [-1, 32])
def test_sns_of_rlc_out_of_range(sn: int) -> None:
    with pytest.raises(RlcPduError, match=f"no UMD PDU has SN {sn}"):
        encode_umd(umd(b"a", sn=sn))


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        ("", "an empty UMD PDU"),
        ("00", "run past its end"),
        ("20 00", "length indicators run past"),
        ("20 8010", "length indicators run past"),
        ("20 0000 61", "length indicator of 0"),
        ("20 8010 00 6162", "length indicator of 0"),
        ("20 0010 61", "3 octets run|4 octets run past its end"),
        ("20 0020 61 62", "5 octets run past its end"),
    ],
)
def test_umd_pdus_that_are_cut_short(octets: str, message: str) -> None:
    with pytest.raises(RlcPduError, match=message):
        decode_umd(bytes.fromhex(octets))


@pytest.mark.parametrize("value", [0, 0xFFFF])
def test_pdcp_numbers_of_the_whole_range(value: int) -> None:
    many = OneToManyPdu(sdu_type=SduType.NON_IP, pgk_index=31 if value else 0, ptk_id=value, sn=value, data=b"")
    octets = encode_one_to_many(many)
    assert octets == bytes((0x60 | many.pgk_index,)) + value.to_bytes(2, "big") * 2
    assert decode_one_to_many(octets) == many


@pytest.mark.parametrize(
    "change", [{"pgk_index": -1}, {"pgk_index": 32}, {"ptk_id": -1}, {"ptk_id": 0x10000}, {"sn": -1}, {"sn": 0x10000}]
)
def test_what_no_pdcp_header_holds(change: dict[str, int]) -> None:
    fields = {"pgk_index": 1, "ptk_id": 1, "sn": 1} | change
    with pytest.raises(PdcpPduError, match="no PDCP header holds"):
        encode_one_to_many(OneToManyPdu(sdu_type=SduType.IP, data=b"", **fields))
    if "pgk_index" not in change:
        with pytest.raises(PdcpPduError, match="no PDCP header holds"):
            one_to_one_header(SduType.IP, fields["ptk_id"], fields["sn"])


def test_an_sdu_type_out_of_range_is_not_written() -> None:
    with pytest.raises(PdcpPduError, match="SDU type 5"):
        one_to_one_header(5, 1, 1)


def test_pdcp_pdus_without_data() -> None:
    keyed = OneToOnePdu(sdu_type=SduType.ARP, kd_sess_id=1, sn=0xFFFF, data=b"", mac_i=b"MACI")
    plain = OneToOnePdu(sdu_type=SduType.IP, kd_sess_id=0, sn=0, data=b"")
    for pdu, octets in ((keyed, bytes.fromhex("20 0001 ffff") + b"MACI"), (plain, bytes(5))):
        assert encode_one_to_one(pdu) == octets
        assert decode_one_to_one(octets) == pdu
    assert decode_one_to_one(bytes(5)).mac_i == b""
    for octets, message in (
        (bytes(4), "4 octets hold no PDCP header"),
        (bytes.fromhex("00 0001 0000 616161"), "8 octets hold no header and MAC-I"),
        (bytes.fromhex("a0 0000 0000"), "SDU type 5 is reserved"),
    ):
        with pytest.raises(PdcpPduError, match=message):
            decode_one_to_one(octets)
    assert MAX_SDU_OCTETS == 8188
