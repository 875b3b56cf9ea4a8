"""Octets built by the Scapy layers alone, as stock tshark reads them: MAC, RLC UM, MIB-SL, MIKEY."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from lab_scripts.capture.exported_pdu import MIB_SL, MIB_SL_V2X, MIKEY, exported_pdu, mac_lte_framed
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from lab_scripts.dissectors import mikey
from lab_scripts.dissectors.mib_sl import MibSl, MibSlV2x
from lab_scripts.dissectors.rlc_um import RlcSegment, RlcUm
from lab_scripts.dissectors.sl_sch import MacSubheader, SlSchMac
from tests.interop import tshark_json

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(tshark_json.TSHARK is None, reason="tshark is not installed"),
]
RLC_CONTEXT = b"rlc-lte" + bytes.fromhex("02 0205 0300 050001 060005 070001 01")
"""Wireshark's packet-rlc-lte.h: UM, 5-bit SN, uplink, UE 1, DRB 1, PDU."""


def dissect(tmp_path, frames, link_type=LINKTYPE_WIRESHARK_UPPER_PDU, options=()):
    path = tmp_path / "layers.pcapng"
    with PcapngWriter(path) as writer:
        for i, frame in enumerate(frames):
            writer.write(Interface(name="x", link_type=link_type), i, frame)
    return tshark_json.dissect(path, *options)


def test_mac(tmp_path):
    elements = [
        RlcUm(sn=sn, elements=[RlcSegment(bytes([sn]) * length)]) for sn, length in ((1, 10), (2, 300), (3, 50))
    ]
    lcids = (1, 10, 30)
    blocks = [
        SlSchMac(version=version, src=0x5C1A01, dst=dst, subheaders=subheaders, sdus=elements, padding=padding)
        for version, dst in ((1, 0xABCD), (2, 0x5C1B), (3, 0x5C1B02))
        for subheaders, padding in (
            ([MacSubheader(lcid=lcid) for lcid in lcids], b""),
            ([MacSubheader(lcid=31), *(MacSubheader(lcid=lcid) for lcid in lcids)], b""),
            ([*(MacSubheader(lcid=lcid) for lcid in lcids), MacSubheader(lcid=31)], bytes(7)),
        )
    ]
    frames = [mac_lte_framed(bytes(block), subframe=0, ue_number=1) for block in blocks]
    for block, layers in zip(blocks, dissect(tmp_path, frames), strict=True):
        mac = layers["mac-lte"]
        assert int(tshark_json.first(mac, "mac-lte.slsch.version")) == block.version
        assert int(tshark_json.first(mac, "mac-lte.slsch.src-l2-id"), 16) == block.src
        assert int(tshark_json.first(mac, "mac-lte.slsch.dst-l2-id"), 16) == block.dst
        shown = [int(lcid, 16) for lcid in tshark_json.find(mac, "mac-lte.slsch.lcid")]
        assert shown == [subheader.lcid for subheader in block.subheaders]
        sdus = [bytes.fromhex(sdu.replace(":", "")) for sdu in tshark_json.find(mac, "mac-lte.slsch.sdu")]
        assert sdus == [bytes(element) for element in elements]
        assert "_ws.malformed" not in layers


@pytest.mark.parametrize("n_elements", [1, 2, 3, 4])
def test_rlc_um(tmp_path, n_elements):
    lengths = [20 + i for i in range(n_elements)]
    pdus = [
        RlcUm(fi=fi, sn=sn, elements=[RlcSegment(bytes([sn]) * length) for length in lengths])
        for sn, fi in enumerate((0, 1, 3, 2))
    ]
    frames = [bytes(IP() / UDP(sport=9998, dport=9999) / Raw(RLC_CONTEXT + bytes(pdu))) for pdu in pdus]
    options = (
        "--enable-heuristic",
        "rlc_lte_udp",
        "-o",
        "rlc-lte.call_pdcp_for_drb:off",
        "-o",
        "rlc-lte.reassembly:FALSE",
    )
    for pdu, layers in zip(pdus, dissect(tmp_path, frames, LINKTYPE_RAW, options), strict=True):
        rlc = layers["rlc-lte"]
        assert int(tshark_json.first(rlc, "rlc-lte.um.fi"), 0) == pdu.fi
        assert int(tshark_json.first(rlc, "rlc-lte.um.sn")) == pdu.sn
        assert [int(li) for li in tshark_json.find(rlc, "rlc-lte.extension.li")] == lengths[:-1]
        data = [bytes.fromhex(part.replace(":", "")) for part in tshark_json.find(rlc, "rlc-lte.um.data")]
        assert data == [bytes(element) for element in pdu.elements]


def test_mib_sl(tmp_path):
    mibs = [
        MibSl(sl_bandwidth=bandwidth, direct_frame_number=frame, direct_subframe_number=subframe, in_coverage=coverage)
        for bandwidth, frame, subframe, coverage in ((0, 0, 0, 0), (2, 0x2A5, 7, 1), (5, 1023, 9, 0))
    ]
    frames = [exported_pdu(MIB_SL, bytes(mib)) for mib in mibs]
    for mib, seen in zip(mibs, tshark_json.mibs_of(dissect(tmp_path, frames)), strict=True):
        assert (seen.bandwidth, seen.frame_number, seen.subframe_number, seen.in_coverage) == (
            mib.sl_bandwidth,
            mib.direct_frame_number,
            mib.direct_subframe_number,
            bool(mib.in_coverage),
        )


def test_mib_sl_of_v2x(tmp_path):
    mib = MibSlV2x(sl_bandwidth=3, direct_frame_number=513, direct_subframe_number=4, in_coverage=1)
    (layers,) = dissect(tmp_path, [exported_pdu(MIB_SL_V2X, bytes(mib))])
    rrc = layers["lte_rrc"]
    assert int(tshark_json.first(rrc, "lte-rrc.directFrameNumber_r14").replace(":", ""), 16) >> 6 == 513
    assert tshark_json.first(rrc, "lte-rrc.directSubframeNumber_r14") == "4"
    assert "_ws.malformed" not in layers


SESSIONS = {
    0: [mikey.MikeySrtpId(policy_no=1, ssrc=0xAABBCCDD, roc=2), mikey.MikeySrtpId(policy_no=2, ssrc=7)],
    1: [],
}


@pytest.mark.parametrize("map_type", SESSIONS)
def test_mikey(tmp_path, map_type):
    message = (
        mikey.Mikey(csb_id=0xD0000001, map_type=map_type, crypto_sessions=SESSIONS[map_type])
        / mikey.MikeyT(ts=0xEC898DA8_40000000)
        / mikey.MikeyRand(rand=bytes(range(16)))
        / mikey.MikeyIdr(role=1, identity=b"tel:+447700900001")
        / mikey.MikeyIdr(role=7, identity=b"kms.lab.example")
        / mikey.MikeySp(parameters=[mikey.MikeyPolicyParameter(type=0, value=b"\x01")])
        / mikey.MikeyGeneralExtension(data=[mikey.MikeyBinding(kind=1, hash=bytes(32))])
        / mikey.MikeySakke(params=1, id_scheme=2, sed=bytes(273))
        / mikey.MikeySign(signature=bytes(129))
    )
    (layers,) = dissect(tmp_path, [exported_pdu(MIKEY, bytes(message))])
    shown = layers["mikey"]
    for field, value in {
        "csb_id": "0xd0000001",
        "cs_count": str(len(SESSIONS[map_type])),
        "cs_id_map_type": str(map_type),
        "rand.data": ":".join(f"{octet:02x}" for octet in range(16)),
        "ext.type": "245",
        "ext.len": "33",
        "sakke.idscheme": "2",
        "sakke.len": "273",
        "sign.type": "2",
        "sign.len": "129",
    }.items():
        assert tshark_json.first(shown, f"mikey.{field}") == value
    assert list(tshark_json.find(shown, "mikey.id.data")) == ["tel:+447700900001", "kms.lab.example"]
    assert list(tshark_json.find(shown, "mikey.id.role")) == ["1", "7"]
    if map_type == 0:
        assert list(tshark_json.find(shown, "mikey.srtp_id.ssrc")) == ["0xaabbccdd", "0x00000007"]
    assert "_ws.malformed" not in layers
