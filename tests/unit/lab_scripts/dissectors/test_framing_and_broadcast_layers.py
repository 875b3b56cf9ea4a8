"""Layers of exported PDUs, MIB-SL and discovery, and what becomes of octets that are none of them."""

import numpy as np
import pytest
from scapy.packet import Raw

from lab_scripts.capture import exported_pdu
from lab_scripts.dissectors.discovery import Pc5Discovery
from lab_scripts.dissectors.exported import LAYERS, ExportedPdu, ExportedTag, MacLteContext, layer_of
from lab_scripts.dissectors.mib_sl import MibSl, MibSlV2x
from lab_scripts.dissectors.sl_sch import SlSchMac
from lab_scripts.dissectors.summary import one_line, pdu_of, tree
from prose_link.discovery import codec, messages
from radio.phy.lte.channels import mib

MAC_PDU = bytes.fromhex("205c1a015c1b 1c 00abcdef")


def rebuilt(packet):
    packet.clear_cache()
    return bytes(packet)


def test_mac_frame_with_its_context():
    frame = exported_pdu.mac_lte_framed(MAC_PDU, subframe=6777, ue_number=2)
    packet = layer_of(252, frame)
    assert packet.dissector == "mac-lte-framed"
    context = packet[MacLteContext]
    assert (context.radio_type, context.rnti_type) == (1, 8)
    assert [(tag.tag, tag.value if tag.tag != 7 else tag.octet) for tag in context.tags] == [
        (3, 2),
        (4, 677 << 4 | 7),
        (7, 1),
    ]
    assert bytes(packet[SlSchMac]) == MAC_PDU
    assert rebuilt(packet) == frame


def test_a_frame_built_from_layers():
    packet = ExportedPdu(tags=[ExportedTag(value=b"prose.pc5s\0\0"), ExportedTag(tag=0)]) / Raw(b"\x07\0\1")
    assert bytes(packet) == exported_pdu.exported_pdu("prose.pc5s", b"\x07\0\1")


def test_every_name_the_sink_uses_has_a_layer():
    names = {
        exported_pdu.MIB_SL,
        exported_pdu.MIB_SL_V2X,
        exported_pdu.MIKEY,
        exported_pdu.MAC,
        exported_pdu.PC5_S,
        exported_pdu.SL_PDCP,
        exported_pdu.PC5_D,
    }
    assert names == set(LAYERS)


@pytest.mark.parametrize("bandwidth", [6, 15, 25, 50, 75, 100])
def test_mib_agrees_with_the_codec(bandwidth):
    coded = mib.MibSl(bandwidth_prb=bandwidth, tdd_config=3, dfn=0x2A5, subframe=7, in_coverage=True, reserved=5)
    octets = np.packbits(coded.to_bits()).tobytes()
    packet = MibSl(octets)
    assert packet.sprintf("%sl_bandwidth% %tdd_config_sl%") == f"n{bandwidth} sa2"
    assert (packet.direct_frame_number, packet.direct_subframe_number, packet.in_coverage) == (0x2A5, 7, 1)
    assert packet.reserved == 5
    assert rebuilt(packet) == octets


def test_mib_of_v2x_agrees_with_the_codec():
    coded = mib.MibSlV2x(bandwidth_prb=50, dfn=1023, subframe=9, in_coverage=False)
    octets = np.packbits(coded.to_bits()).tobytes()
    packet = MibSlV2x(octets)
    assert (packet.direct_frame_number, packet.direct_subframe_number) == (1023, 9)
    assert rebuilt(packet) == octets


CODE = bytes(range(0x80, 0x80 + 23))
DISCOVERY = [
    messages.OpenAnnouncement(code=CODE),
    messages.RestrictedAnnouncement(code=CODE),
    messages.RestrictedQuery(code=CODE),
    messages.RestrictedResponse(code=CODE),
    messages.GroupMemberAnnouncement(discovery_group_id=0xABCDEF, user_info_id=0x112233445566, prose_ue_id=0x5C1A01),
    messages.GroupMemberResponse(discovery_group_id=0xABCDEF, user_info_id=0x112233445566, prose_ue_id=0x5C1A01),
    messages.GroupMemberSolicitation(
        discovery_group_id=0xABCDEF, user_info_id=0x112233445566, target_user_info_id=9, prose_ue_id=0x5C1A01
    ),
    messages.RelayAnnouncement(
        relay_service_code=0xABCDEF, user_info_id=0x112233445566, prose_ue_id=0x5C1A01, status=0x80
    ),
    messages.RelaySolicitation(relay_service_code=0xABCDEF, user_info_id=0x112233445566, prose_ue_id=0x5C1A01),
    messages.RelayResponse(relay_service_code=0xABCDEF, user_info_id=0x112233445566, prose_ue_id=0x5C1A01, status=1),
]


@pytest.mark.parametrize("message", DISCOVERY, ids=lambda message: type(message).__name__)
def test_discovery_agrees_with_the_codec(message):
    octets = codec.encode(message, mic=b"\x01\x02\x03\x04", counter=0x12345678)
    packet = Pc5Discovery(octets)
    restricted = isinstance(
        message, messages.RestrictedAnnouncement | messages.RestrictedQuery | messages.RestrictedResponse
    )
    assert (packet.fields["mic_on_air" if restricted else "mic"], packet.utc_counter_lsb) == (0x01020304, 0x78)
    assert (packet.fields.get("code_on_air"), "mic" in packet.fields) == (CODE if restricted else None, not restricted)
    for name in (
        "discovery_group_id",
        "relay_service_code",
        "user_info_id",
        "target_user_info_id",
        "prose_ue_id",
        "status",
    ):
        assert packet.fields.get(name) == getattr(message, name, None)
    if hasattr(message, "code"):
        assert bytes(packet)[1:24] == CODE
    assert rebuilt(packet) == octets
    assert one_line(packet).startswith("PC5_DISCOVERY ")
    assert ("scrambled: 80818283..." in one_line(packet)) is restricted


def test_open_code_names_the_network():
    packet = Pc5Discovery(
        discovery_type=1, content_type=0, scope=2, e=1, mcc=234, mnc=15, temporary_identity=bytes(20), mic=0
    )
    assert len(bytes(packet)) == 29
    assert bytes(packet)[:5] == bytes([0x41, 0b10010011, 0b10101000, 0b00001111, 0])


@pytest.mark.parametrize("name", [*LAYERS, "unknown.name"])
def test_any_octets_are_shown(name):
    for octets in (b"", b"\0", b"\xff" * 3, b"\xff" * 7, bytes(range(256)), bytes(40), b"\x45" * 30):
        frame = exported_pdu.exported_pdu(name, octets)
        packet = layer_of(252, frame)
        assert bytes(packet) == frame
        assert one_line(packet)
        assert tree(packet)
        packet.show(dump=True)


def test_frames_that_are_no_exported_pdu_are_shown():
    for octets in (b"", b"\0", b"\0\x0c\0\xffmikey", bytes(8), b"\xff" * 40):
        for link_type in (252, 101, 1):
            packet = layer_of(link_type, octets)
            assert bytes(packet) == octets
            assert one_line(packet)
            assert pdu_of(packet) is not None
