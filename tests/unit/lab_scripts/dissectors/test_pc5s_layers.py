"""Layers of PC5 signalling, read from octets that were written out by hand: every message, every element."""

import pytest

from lab_scripts.dissectors import pc5s, pc5s_ies
from lab_scripts.dissectors.mikey import Mikey, MikeySign
from prose_link.pc5s.wire import codec
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import PROFILES
from tests.samples.pc5s_messages import I_MESSAGE, SAMPLES, named

by_name = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@by_name
def test_a_sample_is_dissected_to_the_last_octet_and_built_again(sample):
    packet = pc5s.Pc5S(sample.octets)
    assert (packet.message_type, packet.sequence_number) == (sample.message.TYPE, sample.message.sequence_number)
    assert not packet.haslayer("Raw")
    assert not any(isinstance(ie, pc5s_ies.UnknownIe) for ie in getattr(packet.payload, "ies", []))
    packet.clear_cache()
    assert bytes(packet) == sample.octets
    packet.show(dump=True)


@by_name
def test_the_elements_of_a_sample_stand_in_its_layers(sample):
    packet = pc5s.Pc5S(sample.octets)
    titles = [ie.name for ie in getattr(packet.payload, "ies", [])]
    form = PROFILES[sample.profile][sample.message.TYPE]
    given = [element for element in form if getattr(sample.message, element.name) is not None]
    assert titles == [element.title for element in given if element.format.has_identifier]
    shown = [part.name for element in given if not element.format.has_identifier for part in element.parts]
    assert set(shown) <= set(packet.payload.fields)


def test_every_message_type_and_identifier_has_a_layer_by_name():
    assert set(pc5s.BODIES) == set(MessageType)
    assert all(getattr(pc5s, layer.__name__) is layer for layer in pc5s.BODIES.values())
    assert all(getattr(pc5s_ies, layer.__name__) is layer for layer in pc5s_ies.IES.values())
    assert {"RekeyingTrigger", "Pc5S"} <= set(dir(pc5s))
    assert {"KdSessIdLsbIe", "UnknownIe"} <= set(dir(pc5s_ies))


@pytest.mark.parametrize("module", [pc5s, pc5s_ies])
def test_no_layer_of_another_name(module):
    with pytest.raises(AttributeError, match=r"no .* 'Nothing': there are"):
        _ = module.Nothing


def ies_of(packet):
    return {type(ie): ie for ie in packet.payload.ies}


def test_fields_of_a_request():
    packet = pc5s.Pc5S(named("request to a group").octets)
    body = packet[pc5s.DirectConnectionRequest]
    assert (body.user_info_type, body.user_info, body.kd_sess_id_msb) == (1, b"tel:+447700900001", 0x21)
    assert str(body.ue_security_capabilities) in ("EIA2+EEA3+EEA2+EEA1",)
    ies = ies_of(packet)
    assert ies[pc5s_ies.TargetUserInfoIe].user_info == b"tel:+447700900002"
    assert ies[pc5s_ies.LinkL2IdIe].l2_id == 0x5C1A01
    flags = ies[pc5s_ies.ProfileAndFlagsIe]
    assert (flags.kdf, flags.profile, flags.purpose, flags.mutual) == (0, 2, 1, 0)
    group = ies[pc5s_ies.GroupInfoIe]
    assert (group.group_l2_id, group.pgk_id, group.epoch, group.expiry_ntp_s, group.eea, group.mode) == (
        0x00C0DE,
        3,
        70000,
        0xEC8B9B88,
        2,
        1,
    )
    assert group.group_identity == b"sip:rescue@lab.example"
    i_message = ies[pc5s_ies.IMessageIe].i_message
    assert isinstance(i_message, Mikey)
    assert i_message[MikeySign].length == 129
    assert ies[pc5s_ies.IMessageIe].length == len(I_MESSAGE)


def test_fields_of_an_accept():
    packet = pc5s.Pc5S(named("accept").octets)
    assert packet[pc5s.DirectConnectionAccept].ip_address_config == 2
    ies = ies_of(packet)
    assert ies[pc5s_ies.LinkLocalIpv6AddressIe].address == "fe80::7"
    assert ies[pc5s_ies.UserInfoIe].user_info == b"tel:+447700900002"
    assert (ies[pc5s_ies.ProfileAndFlagsIe].kdf, ies[pc5s_ies.ProfileAndFlagsIe].mutual) == (1, 1)
    assert ies[pc5s_ies.RequestHashIe].hash == bytes(range(32))
    assert ies[pc5s_ies.Nonce2Ie].nonce_2 == bytes(range(16, 32))
    assert (ies[pc5s_ies.ChosenAlgorithmsIe].eea, ies[pc5s_ies.ChosenAlgorithmsIe].eia) == (2, 1)
    assert ies[pc5s_ies.KdSessIdLsbIe].kd_sess_id_lsb == 7
    assert ies[pc5s_ies.KeyConfirmationIe].confirmation == bytes(range(16))


def test_a_request_built_from_layers_is_the_codecs():
    packet = pc5s.Pc5S(sequence_number=1) / pc5s.DirectConnectionRequest(
        user_info=b"tel:+447700900001",
        nonce_1=bytes(range(16)),
        ue_security_capabilities="EEA1+EEA2+EEA3+EIA2",
        kd_sess_id_msb=0x21,
        ies=[
            pc5s_ies.LinkLocalIpv6AddressIe(address="fe80::7"),
            pc5s_ies.TargetUserInfoIe(user_info=b"tel:+447700900002"),
            pc5s_ies.LinkL2IdIe(l2_id=0x5C1A01),
            pc5s_ies.ProfileAndFlagsIe(mutual="required"),
            pc5s_ies.IMessageIe(i_message=Mikey(I_MESSAGE)),
        ],
    )
    assert codec.decode(bytes(packet)) == named("request").message


def test_relay_frame_holds_a_message():
    inner = named("request").octets
    packet = pc5s.Pc5S(
        bytes(pc5s.Pc5S(sequence_number=9) / pc5s.RelayFrame(hop_limit=2, origin_l2=0x5C1A01, pdu=pc5s.Pc5S(inner)))
    )
    assert packet.message_type == 0xF0
    assert bytes(packet[pc5s.RelayFrame].pdu) == inner


@pytest.mark.parametrize(
    ("iei", "octets"),
    [(7, 4), (8, 8), (9, 14), (10, 16), (15, 2), (16, 2), (17, 4), (18, 16), (21, 1), (22, 129), (25, 3)],
)
def test_ies_of_fixed_length(iei, octets):
    wire = b"\x0d\x00\x01" + bytes([iei]) + bytes(octets) + bytes.fromhex("490107")
    packet = pc5s.Pc5S(wire)
    first, second = packet.payload.ies
    assert len(first.value) == octets
    assert second.kd_sess_id_lsb == 7
    packet.clear_cache()
    assert bytes(packet) == wire


@by_name
def test_cut_short_anywhere_it_still_gives_back_its_octets(sample):
    octets = sample.octets
    for length in range(3, len(octets)):
        packet = pc5s.Pc5S(octets[:length])
        assert bytes(packet) == octets[:length]


def test_unknown_ies_and_types_are_kept():
    wire = bytes.fromhex("03000502") + bytes.fromhex("6f03aabbcc")
    packet = pc5s.Pc5S(wire)
    assert packet.payload.ies[0].value == bytes.fromhex("aabbcc")
    assert bytes(pc5s.Pc5S(b"\xee\x00\x01rest")) == b"\xee\x00\x01rest"
