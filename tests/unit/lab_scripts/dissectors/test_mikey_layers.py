"""MIKEY layers against the project's codec and messages of another implementation."""

import base64
import json
from pathlib import Path

import pytest

from lab_scripts.dissectors import mikey as layers
from security.mikey import codec, payloads
from security.mikey.numbers import TimestampType

VECTORS = Path(__file__).parents[3] / "vectors" / "security" / "streamwide_imessages.json"
CASES = json.loads(VECTORS.read_text())["cases"]


def rebuilt(packet):
    """The octets made from the fields alone, not from what was dissected."""
    packet.clear_cache()
    return bytes(packet)


def octets_of(case):
    return base64.b64decode(case["I-MESSAGE"].removeprefix("mikey "))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_message_of_another_implementation(case):
    octets = octets_of(case)
    packet = layers.Mikey(octets)
    header = case["header"]
    assert (packet.version, packet.data_type, packet.n_cs, packet.map_type) == (
        header["version"],
        header["data_type"],
        header["n_cs"],
        header["map_type"],
    )
    assert f"{packet.csb_id:08x}" == header["csb_id"]
    numbers = {kind: number for number, kind in layers.PAYLOADS.items()}
    found = [[numbers[type(layer)], len(layer.self_build())] for layer in list(payloads_of(packet))]
    assert found == case["payload_types_and_lengths"]
    assert packet[layers.MikeyT].ts >> 32 == case["timestamp_ntp_seconds"]
    assert rebuilt(packet) == octets


def payloads_of(packet):
    layer = packet.payload
    while layer:
        yield layer
        layer = layer.payload


EVERY_PAYLOAD = (
    payloads.Timestamp(value=0xEC8B9B88_40000000),
    payloads.Timestamp(kind=TimestampType.COUNTER, value=77),
    payloads.Rand(rand=bytes(range(16))),
    payloads.Identity(data=b"sip:a@lab.example"),
    payloads.IdentityRole(role=7, data=b"kms.lab.example"),
    payloads.Certificate(kind=1, data=b"https://lab.example/cert"),
    payloads.SecurityPolicy(policy_no=3, protocol=0, parameters=((0, b"\x01"), (13, b"\x02\x03"))),
    payloads.GeneralExtension(kind=245, data=b"\x02" + bytes(range(32))),
    payloads.GeneralExtension(kind=7, data=b"\x01\x02\x03"),
    payloads.Sakke(scheme=1, data=bytes([4]) + bytes(272)),
    payloads.ErrorNotice(error_number=5, reserved=7),
    payloads.Kemac(encryption=1, data=b"secret", mac_algorithm=1, mac=bytes(range(20))),
    payloads.Verification(mac_algorithm=1, mac=bytes(range(20))),
    payloads.Signature(signature=bytes(range(129))),
)
MAPS = {
    codec.MapType.EMPTY: (),
    codec.MapType.SRTP_ID: (
        codec.SrtpCryptoSession(policy_no=1, ssrc=0xAABBCCDD, roc=5),
        codec.SrtpCryptoSession(policy_no=2, ssrc=1, roc=0),
    ),
    codec.MapType.GENERIC_ID: (
        codec.GenericCryptoSession(
            cs_id=9, protocol=0, session_specific=True, policies=b"\x01\x02", session_data=b"xyz", spi=b"\x11\x22"
        ),
        codec.GenericCryptoSession(cs_id=10, protocol=0),
    ),
}


@pytest.mark.parametrize("map_type", MAPS)
def test_agrees_with_the_codec(map_type):
    header = codec.Header(csb_id=0xD1234567, map_type=map_type, crypto_sessions=MAPS[map_type])
    octets = codec.encode(codec.MikeyMessage(header=header, payloads=EVERY_PAYLOAD))
    packet = layers.Mikey(octets)
    assert len(packet.crypto_sessions) == len(MAPS[map_type])
    assert [type(layer) for layer in payloads_of(packet)] == [
        layers.PAYLOADS[int(payload.TYPE)] for payload in EVERY_PAYLOAD
    ]
    assert packet[layers.MikeyIdr].identity == b"kms.lab.example"
    assert packet[layers.MikeyGeneralExtension].data[0].kind == 2
    assert [(one.type, one.value) for one in packet[layers.MikeySp].parameters] == [(0, b"\x01"), (13, b"\x02\x03")]
    assert packet[layers.MikeySign].type == 2
    assert rebuilt(packet) == octets


def test_srtp_and_generic_sessions():
    for map_type in (codec.MapType.SRTP_ID, codec.MapType.GENERIC_ID):
        header = codec.Header(csb_id=1, map_type=map_type, crypto_sessions=MAPS[map_type])
        packet = layers.Mikey(codec.encode(codec.MikeyMessage(header=header, payloads=EVERY_PAYLOAD[-1:])))
        first = packet.crypto_sessions[0]
        if map_type == codec.MapType.SRTP_ID:
            assert (first.policy_no, first.ssrc, first.roc) == (1, 0xAABBCCDD, 5)
        else:
            assert (first.cs_id, first.s, first.policies, first.session_data, first.spi) == (
                9,
                1,
                b"\x01\x02",
                b"xyz",
                b"\x11\x22",
            )


def test_a_message_built_from_layers_reads_back_in_the_codec():
    packet = (
        layers.Mikey(csb_id=0xD0000001)
        / layers.MikeyT(ts=0xEC8B9B88_00000000)
        / layers.MikeyRand(rand=bytes(16))
        / layers.MikeyIdr(role=1, identity=b"tel:+447700900001")
        / layers.MikeyGeneralExtension(data=[layers.MikeyBinding(kind=1, hash=bytes(32))])
        / layers.MikeySakke(sed=bytes(273))
        / layers.MikeySign(signature=bytes(129))
    )
    message = codec.decode(bytes(packet))
    assert message.header.csb_id == 0xD0000001
    assert [payload.NAME for payload in message.payloads] == ["T", "RAND", "IDR", "General Extension", "SAKKE", "SIGN"]


def test_payloads_only_the_other_mikey_modes_have():
    layers_of_modes = (
        layers.MikeyPke(cache=1, data=b"envelope")
        / layers.MikeyDh(group=1, value=bytes(96), kv=1, spi_length=4, spi=b"\0\0\0\1")
        / layers.MikeyChash(hash_function=1, hash=bytes(16))
        / layers.MikeyKeyData(type=1, kv=2, key=bytes(16), salt=bytes(14), valid_from=b"ab", valid_to=b"cd")
    )
    packet = layers.Mikey(bytes(layers.Mikey(csb_id=1) / layers_of_modes))
    assert packet[layers.MikeyDh].spi == b"\0\0\0\1"
    assert packet[layers.MikeyKeyData].salt == bytes(14)
    assert packet[layers.MikeyKeyData].valid_to == b"cd"
    octets = bytes(packet)
    assert rebuilt(packet) == octets


@pytest.mark.parametrize("case", CASES[:1], ids=lambda case: case["name"])
def test_cut_short_anywhere_it_still_gives_back_its_octets(case):
    octets = octets_of(case)
    for length in range(11, len(octets)):
        assert bytes(layers.Mikey(octets[:length])) == octets[:length]
