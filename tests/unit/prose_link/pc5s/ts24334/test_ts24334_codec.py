"""The `ts24334` codec against worked octets, and against the Scapy layers of the dissectors room."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_scripts.dissectors.pc5s import (
    DirectSecurityModeCommand,
    DirectSecurityModeComplete,
    DirectSecurityModeReject,
    Pc5S,
)
from lab_scripts.dissectors.pc5s_ies import EncryptedPayloadIe, UserInfoIe
from prose_link.pc5s.ts24334 import messages as m
from prose_link.pc5s.ts24334.codec import decode, encode, encode_unsigned
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import Cause, ChosenAlgorithms, IpAddressConfig, SecurityCapabilities

URI = "tel:+447700900002"
COMMAND = m.SecurityModeCommand(
    sequence_number=0x0102,
    capabilities=SecurityCapabilities.of((1, 2), (2, 3)),
    nonce_2=bytes(range(16)),
    algorithms=ChosenAlgorithms(eea=2, eia=3),
    kd_sess_id_lsb=0x77,
    kd_id_msb=0xBEEF,
    user_info=URI,
    signature=b"\x5a" * 129,
    encrypted_payload=b"\xc3" * 273,
)
REQUEST = m.SignedRequest(
    sequence_number=1,
    user_info=URI,
    ip_address_config=IpAddressConfig.NOT_SUPPORTED,
    maximum_inactivity_period_s=30,
    nonce_1=bytes(16),
    capabilities=SecurityCapabilities.of((1,), (1,)),
    kd_sess_id_msb=0x21,
    kd_id=0x01020304,
    relay_service_code=0x0A0B0C,
    signature=b"\x5a" * 129,
    link_local=bytes(16),
)


def test_command_stands_as_the_tables_list_it():
    user_info = bytes([1, 1 + len(URI), 1]) + URI.encode()
    expected = (
        bytes.fromhex("0c0102" + "6030" + bytes(range(16)).hex() + "23" + "77" + "10beef")
        + user_info
        + b"\x16"
        + b"\x5a" * 129
        + b"\x17\x01\x11"
        + b"\xc3" * 273
    )
    assert encode(COMMAND) == expected
    assert decode(expected) == COMMAND


def test_request_stands_as_the_tables_list_it():
    octets = encode(REQUEST)
    tail = "11" + "01020304" + "19" + "0a0b0c" + "16" + "5a" * 129 + "03" + "00" * 16
    assert octets.hex().endswith("4040" + "21" + tail)
    assert octets[:5] == bytes([1, 0, 1, 1 + len(URI), 1])
    assert encode_unsigned(REQUEST).hex().endswith("19" + "0a0b0c" + "03" + "00" * 16)


def test_dissector_reads_the_command_alike():
    packet = Pc5S(encode(COMMAND))
    command = packet[DirectSecurityModeCommand]
    assert (packet.message_type, packet.sequence_number) == (12, 0x0102)
    assert (command.eea, command.eia, command.kd_sess_id_lsb, command.nonce_2) == (2, 3, 0x77, bytes(range(16)))
    assert int(command.ue_security_capabilities) == 0x6030
    values = {ie.iei: ie for ie in command.ies}
    assert list(values) == [16, 1, 22, 23]
    assert values[1].user_info == URI.encode() and values[22].value == COMMAND.signature
    assert values[23].payload_octets == COMMAND.encrypted_payload


def test_dissector_builds_what_the_codec_reads():
    built = Pc5S(sequence_number=9) / DirectSecurityModeCommand(
        ue_security_capabilities=0x4040,
        nonce_2=bytes(16),
        eea=1,
        eia=1,
        kd_sess_id_lsb=5,
        ies=[UserInfoIe(user_info=URI.encode()), EncryptedPayloadIe(payload_octets=b"x" * 300)],
    )
    command = decode(bytes(built))
    assert (command.user_info, command.encrypted_payload, command.kd_sess_id_lsb) == (URI, b"x" * 300, 5)
    assert decode(bytes(Pc5S(sequence_number=2) / DirectSecurityModeComplete())).kd_id_lsb is None
    assert decode(bytes(Pc5S(sequence_number=2) / DirectSecurityModeReject(cause=9))).cause == 9


@pytest.mark.parametrize("cause", list(Cause))
def test_dissector_reads_causes_alike(cause):
    assert Pc5S(encode(m.SecurityModeReject(sequence_number=1, cause=cause))).cause == cause
    assert Pc5S(encode(m.PlainReject(sequence_number=1, cause=cause))).cause == cause


@pytest.mark.parametrize("octets", ["", "0c", "0c0000", "630000", "0e0000", "0d00000f01"])
def test_other_octets_are_malformed(octets):
    with pytest.raises(MalformedMessage):
        decode(bytes.fromhex(octets))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 2, 3, 12, 13, 14]), st.binary(max_size=200))
def test_any_octets_decode_or_are_malformed(kind, rest):
    octets = bytes([kind]) + rest
    with contextlib.suppress(MalformedMessage):
        assert encode(decode(octets)) == octets
