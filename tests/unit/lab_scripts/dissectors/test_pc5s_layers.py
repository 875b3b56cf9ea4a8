"""Layers of PC5 signalling against the project's codec: every message and IE of the profile."""

import pytest

from lab_scripts.dissectors import pc5s, pc5s_ies
from lab_scripts.dissectors.mikey import Mikey, MikeySign
from prose_link.pc5s.wire import codec, messages
from security.mikey import codec as mikey_codec
from security.mikey import payloads

I_MESSAGE = mikey_codec.encode(
    mikey_codec.MikeyMessage(
        header=mikey_codec.Header(csb_id=0xD0000001),
        payloads=(payloads.Timestamp(value=1 << 60), payloads.Signature(signature=bytes(129))),
    )
)
CAPABILITIES = messages.SecurityCapabilities.of((1, 2, 3), (2,))
ALGORITHMS = messages.ChosenAlgorithms(eea=2, eia=1)
LINK_LOCAL = bytes.fromhex("fe80000000000000") + bytes(7) + b"\x07"
GROUP = messages.GroupInfo(
    group_l2_id=0x00C0DE,
    pgk_id=3,
    epoch=70000,
    expiry_ntp_s=0xEC8B9B88,
    eea=2,
    mode=1,
    group_identity="sip:rescue@lab.example",
)


def request(**changes):
    fields = {
        "sequence_number": 1,
        "user_info": "tel:+447700900001",
        "ip_address_config": messages.IpAddressConfig.NOT_SUPPORTED,
        "maximum_inactivity_period_s": 30,
        "nonce_1": bytes(range(16)),
        "capabilities": CAPABILITIES,
        "kd_sess_id_msb": 0x21,
        "link_local": LINK_LOCAL,
        "target_user_info": "tel:+447700900002",
        "link_l2_id": 0x5C1A01,
        "profile": messages.ProfileAndFlags(mutual=messages.Mutual.REQUIRED),
        "i_message": I_MESSAGE,
    }
    return messages.DirectRequest(**fields | changes)


ACCEPT = messages.DirectAccept(
    sequence_number=2,
    ip_address_config=messages.IpAddressConfig.IPV6_ROUTER,
    link_local=LINK_LOCAL,
    user_info="tel:+447700900002",
    link_l2_id=0x5C1B02,
    profile=messages.ProfileAndFlags(mutual=messages.Mutual.WANTED, kdf=messages.Kdf.FC33536),
    request_hash=bytes(range(32)),
    nonce_2=bytes(range(16, 32)),
    algorithms=ALGORITHMS,
    kd_sess_id_lsb=7,
    i_message=I_MESSAGE,
    confirmation=bytes(range(16)),
)
GROUP_REQUEST = request(
    group_info=GROUP,
    profile=messages.ProfileAndFlags(mutual=messages.Mutual.NOT_WANTED, purpose=messages.Purpose.GROUP),
)
ALL = [
    request(),
    request(link_local=None),
    GROUP_REQUEST,
    ACCEPT,
    messages.DirectReject(sequence_number=3, cause=0x80, request_hash=bytes(range(8))),
    messages.Keepalive(sequence_number=4, counter=0, confirmation=bytes(range(16))),
    messages.Keepalive(sequence_number=4, counter=5),
    messages.KeepaliveAck(sequence_number=5, counter=5),
    messages.Release(sequence_number=6, reason=messages.ReleaseReason.NO_LONGER_NEEDED),
    messages.ReleaseAccept(sequence_number=7),
    messages.RekeyingRequest(
        sequence_number=8, capabilities=CAPABILITIES, nonce_1=bytes(16), kd_sess_id_msb=9, i_message=I_MESSAGE
    ),
    messages.RekeyingResponse(
        sequence_number=9,
        request_hash=bytes(32),
        nonce_2=bytes(16),
        algorithms=ALGORITHMS,
        kd_sess_id_lsb=1,
        confirmation=bytes(16),
    ),
    messages.RekeyingTrigger(sequence_number=10),
]


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_every_message_agrees_with_the_codec(message):
    octets = codec.encode(message)
    packet = pc5s.Pc5S(octets)
    assert (packet.message_type, packet.sequence_number) == (message.TYPE, message.sequence_number)
    assert not packet.haslayer("Raw")
    assert not any(isinstance(ie, pc5s_ies.UnknownIe) for ie in getattr(packet.payload, "ies", []))
    packet.clear_cache()
    assert bytes(packet) == octets
    packet.show(dump=True)


def ies_of(packet):
    return {type(ie): ie for ie in packet.payload.ies}


def test_fields_of_a_request():
    packet = pc5s.Pc5S(codec.encode(GROUP_REQUEST))
    body = packet[pc5s.DirectConnectionRequest]
    assert (body.user_info_type, body.user_info, body.kd_sess_id_msb) == (1, b"tel:+447700900001", 0x21)
    assert str(body.ue_security_capabilities) in ("EIA2+EEA3+EEA2+EEA1",)
    ies = ies_of(packet)
    assert ies[pc5s_ies.LinkLocalIe].address == "fe80::7"
    assert ies[pc5s_ies.TargetUserInfoIe].user_info == b"tel:+447700900002"
    assert ies[pc5s_ies.LinkL2IdIe].l2_id == 0x5C1A01
    flags = ies[pc5s_ies.ProfileAndFlagsIe]
    assert (flags.kdf, flags.profile, flags.purpose, flags.mutual) == (0, 1, 1, 0)
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
    packet = pc5s.Pc5S(codec.encode(ACCEPT))
    assert packet[pc5s.DirectConnectionAccept].ip_address_config == 2
    ies = ies_of(packet)
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
            pc5s_ies.LinkLocalIe(address="fe80::7"),
            pc5s_ies.TargetUserInfoIe(user_info=b"tel:+447700900002"),
            pc5s_ies.LinkL2IdIe(l2_id=0x5C1A01),
            pc5s_ies.ProfileAndFlagsIe(mutual="required"),
            pc5s_ies.IMessageIe(i_message=Mikey(I_MESSAGE)),
        ],
    )
    assert codec.decode(bytes(packet)) == request()


def test_relay_frame_holds_a_message():
    inner = codec.encode(request())
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


@pytest.mark.parametrize("message", [GROUP_REQUEST, ACCEPT], ids=["request", "accept"])
def test_cut_short_anywhere_it_still_gives_back_its_octets(message):
    octets = codec.encode(message)
    for length in range(3, len(octets)):
        packet = pc5s.Pc5S(octets[:length])
        assert bytes(packet) == octets[:length]


def test_unknown_ies_and_types_are_kept():
    wire = bytes.fromhex("03000502") + bytes.fromhex("6f03aabbcc")
    packet = pc5s.Pc5S(wire)
    assert packet.payload.ies[0].value == bytes.fromhex("aabbcc")
    assert bytes(pc5s.Pc5S(b"\xee\x00\x01rest")) == b"\xee\x00\x01rest"
