"""Layers of MAC, RLC UM and PDCP against the project's codecs."""

import pytest
from scapy.layers.inet import ICMP, IP

from lab_scripts.dissectors.pc5s import Pc5S
from lab_scripts.dissectors.pdcp import SlrbPdcp, SlrbPdcpGroup
from lab_scripts.dissectors.rlc_um import RlcSegment, RlcUm
from lab_scripts.dissectors.sl_sch import MacSubheader, SlSchMac
from radio.l2 import mac_pdu, pdcp, rlc_um_pdu


def rebuilt(packet):
    packet.clear_cache()
    return bytes(packet)


def umd(sn, *elements, starts=True, ends=True):
    return rlc_um_pdu.encode_umd(rlc_um_pdu.UmdPdu(sn=sn, starts=starts, ends=ends, elements=elements))


@pytest.mark.parametrize("version", list(mac_pdu.MacVersion))
@pytest.mark.parametrize(
    ("lengths", "padding"), [((20,), 0), ((20,), 1), ((20,), 2), ((127, 128), 0), ((300, 5, 700), 40), ((1000,), 500)]
)
def test_mac_agrees_with_the_codec(version, lengths, padding):
    dst = 0x5C1B02 if version == mac_pdu.MacVersion.DST_24_BITS else 0x5C1B
    sdus = tuple(
        mac_pdu.MacSdu(lcid=lcid, data=umd(lcid % 32, bytes(length - 1)))
        for lcid, length in zip((28, 1, 30), lengths, strict=False)
    )
    pdu = mac_pdu.MacPdu(version=version, src=0x5C1A01, dst=dst, sdus=sdus)
    least = mac_pdu.sl_sch_subheader_octets(version) + 1 + sum(lengths)
    least += sum(mac_pdu.subheader_octets(length) for length in lengths[:-1])
    extra = padding and padding + (padding > 2) * mac_pdu.subheader_octets(lengths[-1])
    octets = mac_pdu.encode_mac_pdu(pdu, least + extra)
    packet = SlSchMac(octets)
    assert (packet.version, packet.src, packet.dst) == (version, 0x5C1A01, dst)
    assert [sub.lcid for sub in packet.subheaders if sub.lcid != 31] == [sdu.lcid for sdu in sdus]
    assert [bytes(sdu) for sdu in packet.sdus] == [sdu.data for sdu in sdus]
    assert all(isinstance(sdu, RlcUm) for sdu in packet.sdus)
    assert rebuilt(packet) == octets


def test_a_mac_pdu_built_from_layers_reads_back_in_the_codec():
    sdus = [RlcUm(sn=3, elements=[RlcSegment(bytes(200))]), RlcUm(sn=4, elements=[RlcSegment(b"abc")])]
    packet = SlSchMac(src=1, dst=2, subheaders=[MacSubheader(lcid=28), MacSubheader(lcid=1)], sdus=sdus)
    decoded = mac_pdu.decode_mac_pdu(bytes(packet))
    assert [(sdu.lcid, sdu.data) for sdu in decoded.sdus] == [(28, b"\x03" + bytes(200)), (1, b"\x04abc")]


@pytest.mark.parametrize("n_elements", [1, 2, 3, 4])
@pytest.mark.parametrize(("starts", "ends"), [(True, True), (False, True), (True, False), (False, False)])
def test_rlc_agrees_with_the_codec(n_elements, starts, ends):
    elements = tuple(bytes([0x40, 0, 0, 0, 0]) + bytes([i] * (10 + i)) for i in range(n_elements))
    octets = umd(17, *elements, starts=starts, ends=ends)
    packet = RlcUm(octets)
    assert (packet.fi, packet.sn) == ((not starts) << 1 | (not ends), 17)
    assert packet.li == [len(element) for element in elements[:-1]]
    assert [bytes(element) for element in packet.elements] == list(elements)
    whole = [isinstance(element, SlrbPdcp) for element in packet.elements]
    assert whole == [(starts or i > 0) and (ends or i < n_elements - 1) for i in range(n_elements)]
    assert rebuilt(packet) == octets
    assert bytes(RlcUm(fi=packet.fi, sn=17, elements=packet.elements)) == octets


def test_protected_one_to_one_pdu():
    pdu = pdcp.OneToOnePdu(
        sdu_type=pdcp.SduType.IP, kd_sess_id=0x2107, sn=9, data=b"ciphered", mac_i=b"\x01\x02\x03\x04"
    )
    octets = pdcp.encode_one_to_one(pdu)
    packet = SlrbPdcp(octets)
    assert (packet.sdu_type, packet.kd_sess_id, packet.sn) == (0, 0x2107, 9)
    assert (packet.data, packet.mac_i) == (b"ciphered", 0x01020304)
    assert rebuilt(packet) == octets


def test_pdu_in_the_clear_holds_its_sdu():
    pdu = pdcp.OneToOnePdu(sdu_type=pdcp.SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=b"\x07\x00\x02")
    packet = SlrbPdcp(pdcp.encode_one_to_one(pdu))
    assert packet[Pc5S].message_type == 7
    ip = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / ICMP())
    packet = SlrbPdcp(b"\0\0\0\0\0" + ip)
    assert packet[IP].dst == "10.0.0.2"
    assert rebuilt(packet) == b"\0\0\0\0\0" + ip


def test_one_to_many_pdu():
    pdu = pdcp.OneToManyPdu(sdu_type=pdcp.SduType.IP, pgk_index=5, ptk_id=0x1234, sn=77, data=b"ciphered")
    octets = pdcp.encode_one_to_many(pdu)
    packet = SlrbPdcp(octets)
    assert isinstance(packet, SlrbPdcpGroup)
    assert (packet.pgk_index, packet.ptk_id, packet.sn, packet.data) == (5, 0x1234, 77, b"ciphered")
    assert rebuilt(packet) == octets


def test_cut_short_anywhere_it_still_gives_back_its_octets():
    pdu = mac_pdu.MacPdu(
        version=mac_pdu.MacVersion.UNICAST,
        src=0x5C1A01,
        dst=0x5C1B,
        sdus=(mac_pdu.MacSdu(lcid=28, data=umd(1, b"one", b"two")), mac_pdu.MacSdu(lcid=1, data=umd(2, bytes(150)))),
    )
    octets = mac_pdu.encode_mac_pdu(pdu, 200)
    for length in range(6, len(octets)):
        packet = SlSchMac(octets[:length])
        assert bytes(packet) == octets[:length]
        packet.show(dump=True)
