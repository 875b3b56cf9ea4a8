from __future__ import annotations

import base64

import pytest

from security import mikey
from security.eccsi.eccsi import SignatureError
from security.errors import SecurityError
from security.mikey import MikeyError
from security.mikey.codec import (
    GenericCryptoSession,
    Header,
    MapType,
    MikeyMessage,
    Prf,
    SrtpCryptoSession,
    annotate,
    decode,
    encode,
    purpose_of,
)
from security.mikey.errors import ErrorNumber
from security.mikey.i_message import ntp_timestamp, sign_message
from security.mikey.key_derivation import KeyConstant, derive_key, guk_id
from security.mikey.payloads import (
    Certificate,
    ErrorNotice,
    GeneralExtension,
    Identity,
    IdentityRole,
    Kemac,
    Rand,
    Sakke,
    SecurityPolicy,
    Signature,
    Timestamp,
    Verification,
)
from security.sakke import DecapsulationError

NOW_NTP_S = 3_968_437_672.25
SSV = bytes(range(16))


def _published(vectors):
    for case in vectors("streamwide_imessages.json")["cases"]:
        yield case, base64.b64decode(case["I-MESSAGE"].removeprefix("mikey "))


def make(world, random, **changes):
    arguments = {
        "keys": world.alice,
        "initiator_domain": world.domain,
        "responder_uri": world.bob.uri,
        "responder_domain": world.domain,
        "ntp_s": NOW_NTP_S,
        "ssv": SSV,
        "csb_id": 0x1234_5678,
        "random": random,
    }
    return mikey.create_i_message(**(arguments | changes))


def test_published_messages_decode_and_encode_again(vectors):
    for case, octets in _published(vectors):
        message = decode(octets)
        assert encode(message) == octets
        header = case["header"]
        assert message.header.csb_id == int(header["csb_id"], 16)
        assert (len(message.header.crypto_sessions), message.header.map_type) == (header["n_cs"], header["map_type"])
        kinds = [int(payload.TYPE) for payload in message.payloads]
        assert kinds == [kind for kind, _ in case["payload_types_and_lengths"]]


def test_annotations_of_published_messages_cover_every_octet_once(vectors):
    for _, octets in _published(vectors):
        fields, message, error = annotate(octets)
        assert message is not None
        assert error is None
        position = 0
        for field in fields:
            assert field.offset == position
            assert field.clause
            position += field.length
        assert position == len(octets)


def test_published_messages_verify_and_open(vectors):
    document = vectors("streamwide_imessages.json")
    kpak, z = (bytes.fromhex(document["kms"][name]) for name in ("PubAuthKey", "PubEncKey"))
    users = {user["UserUri"]: user for user in document["users"].values()}
    for case, octets in _published(vectors):
        i_message = mikey.parse_i_message(octets)
        assert i_message.timestamp.ntp_s == case["timestamp_ntp_seconds"]
        sender, receiver = users[case["Initiator URI"]], users[case["Responder URI"]]
        mikey.verify_i_message(i_message, uid=bytes.fromhex(sender["UserID"]), kpak=kpak)
        keys = {"rsk": bytes.fromhex(receiver["UserDecryptKey"]), "uid": bytes.fromhex(receiver["UserID"]), "z": z}
        assert mikey.extract_ssv(i_message, **keys).hex() == case["expected_key"]
        with pytest.raises(SignatureError):
            mikey.verify_i_message(i_message, uid=bytes.fromhex(receiver["UserID"]), kpak=kpak)


def test_sdp_examples_parse(vectors):
    for case in vectors("rfc4567_sdp_mikey.json")["cases"]:
        octets = bytes.fromhex(case["hex"])
        assert encode(decode(octets)) == octets
        with pytest.raises(MikeyError) as caught:
            mikey.parse_i_message(octets)
        assert caught.value.number == ErrorNumber.INVALID_DATA_TYPE


ALL_KINDS = MikeyMessage(
    header=Header(
        csb_id=0xDEADBEEF,
        v=True,
        prf=Prf.HMAC_SHA_1,
        map_type=MapType.GENERIC_ID,
        crypto_sessions=(
            GenericCryptoSession(cs_id=4, protocol=0, policies=b"\0\1", session_data=b"xyz", spi=b"12345678"),
            GenericCryptoSession(cs_id=5, protocol=0, session_specific=True),
        ),
    ),
    payloads=(
        Timestamp(kind=2, value=7),
        Timestamp(kind=1, value=1 << 63),
        Rand(rand=b""),
        Identity(kind=0, data=b"nai"),
        IdentityRole(role=200, data=b"\xff\0"),
        Certificate(kind=1, data=b"certificate"),
        SecurityPolicy(policy_no=1, protocol=0, parameters=((0, b"\1"), (9, b""))),
        GeneralExtension(kind=245, data=b"z" * 40),
        Sakke(scheme=2, data=b"sed"),
        ErrorNotice(error_number=13),
        Kemac(encryption=1, data=b"abc", mac_algorithm=1, mac=bytes(20)),
        Verification(mac_algorithm=0, mac=b""),
        Signature(signature=b"s" * 129),
    ),
)


def test_every_payload_survives():
    octets = encode(ALL_KINDS)
    assert decode(octets) == ALL_KINDS
    srtp = MikeyMessage(
        header=Header(
            csb_id=1, map_type=MapType.SRTP_ID, crypto_sessions=(SrtpCryptoSession(policy_no=1, ssrc=2, roc=3),)
        ),
        payloads=(),
    )
    assert decode(encode(srtp)) == srtp


def test_truncation_at_each_octet_is_refused(vectors):
    whole = [encode(ALL_KINDS), *(octets for _, octets in _published(vectors))]
    for octets in whole:
        for length in range(len(octets)):
            with pytest.raises(MikeyError):
                decode(octets[:length])
            assert annotate(octets[:length])[2] is not None
        with pytest.raises(MikeyError):
            decode(octets + b"\0")


def test_flipped_bits_are_refused_or_kept():
    octets = encode(ALL_KINDS)
    for position in range(len(octets)):
        for bit in range(8):
            altered = bytearray(octets)
            altered[position] ^= 1 << bit
            try:
                assert encode(decode(bytes(altered))) == altered
            except MikeyError:
                continue


def test_values_without_a_place_on_the_wire_are_refused():
    header = Header(csb_id=1)
    for message in (
        MikeyMessage(header=Header(csb_id=1 << 32), payloads=()),
        MikeyMessage(header=header, payloads=(Rand(rand=bytes(256)),)),
        MikeyMessage(header=header, payloads=(Timestamp(kind=3, value=0),)),
        MikeyMessage(header=header, payloads=(Signature(signature=bytes(4096)),)),
        MikeyMessage(header=header, payloads=(Signature(signature=b""), Rand(rand=b""))),
        MikeyMessage(
            header=Header(csb_id=1, map_type=9, crypto_sessions=ALL_KINDS.header.crypto_sessions), payloads=()
        ),
    ):
        with pytest.raises(MikeyError):
            encode(message)


def test_endless_chains_are_refused():
    chain = bytes.fromhex("011a0b01000000010001") + b"\x0b\x00" * 1000 + b"\x00\x00"
    with pytest.raises(MikeyError):
        decode(chain)


@pytest.mark.parametrize(
    ("octets", "number"),
    [
        (bytes.fromhex("011a0301000000010001"), ErrorNumber.UNSUPPORTED_TYPE),
        (bytes.fromhex("011a0507000000010001"), ErrorNumber.INVALID_PRF),
        (bytes.fromhex("011a0501000000010001") + b"\0\5" + bytes(8), ErrorNumber.INVALID_TIMESTAMP),
        (bytes.fromhex("011a0a01000000010001") + bytes.fromhex("000000000300ff01"), ErrorNumber.INVALID_SP_PARAMETER),
        (bytes.fromhex("011a0901000000010001") + b"\0\5", ErrorNumber.INVALID_MAC),
    ],
)
def test_errors_carry_the_rfcs_number(octets, number):
    with pytest.raises(MikeyError) as caught:
        decode(octets)
    assert caught.value.number == number


def test_created_message_verifies_and_opens(world, random):
    octets = make(world, random)
    i_message = mikey.parse_i_message(octets)
    assert i_message.timestamp.ntp_s == NOW_NTP_S
    assert mikey.signed_part(octets) == octets[:-129]
    assert i_message.role_uri(1) == world.alice.uri
    mikey.verify_i_message(i_message, uid=world.alice.uid, kpak=world.domain.kpak)
    assert mikey.extract_ssv(i_message, rsk=world.bob.rsk, uid=world.bob.uid, z=world.domain.z) == SSV


def test_message_across_two_kms(world, random):
    octets = make(world, random, responder_uri=world.carol.uri, responder_domain=world.hashed_domain)
    i_message = mikey.parse_i_message(octets)
    assert i_message.sakke.scheme == 2
    mikey.verify_i_message(i_message, uid=world.alice.uid, kpak=world.domain.kpak)
    keys = {"rsk": world.carol.rsk, "uid": world.carol.uid, "z": world.hashed_domain.z}
    assert mikey.extract_ssv(i_message, **keys) == SSV


def test_each_flipped_octet_is_caught(world, random):
    octets = make(world, random)
    for position in range(len(octets)):
        altered = bytearray(octets)
        altered[position] ^= 1 << position % 8
        with pytest.raises(SecurityError):
            i_message = mikey.parse_i_message(bytes(altered))
            mikey.verify_i_message(i_message, uid=world.alice.uid, kpak=world.domain.kpak)


def test_signature_without_sign_header_needs_the_deviation(world, random):
    message = mikey.parse_i_message(make(world, random)).message
    unsigned = MikeyMessage(header=message.header, payloads=message.payloads[:-1])
    octets = sign_message(unsigned, keys=world.alice, kpak=world.domain.kpak, entropy=bytes(32), with_sign_header=False)
    i_message = mikey.parse_i_message(octets)
    keys = {"uid": world.alice.uid, "kpak": world.domain.kpak}
    with pytest.raises(SignatureError):
        mikey.verify_i_message(i_message, **keys)
    mikey.verify_i_message(i_message, **keys, tolerate_unsigned_sign_header=True)


def test_unsigned_doubled_and_foreign_forms_are_refused(world, random):
    message = mikey.parse_i_message(make(world, random)).message
    for payloads in (
        message.payloads[:-1],
        message.payloads[1:],
        message.payloads[1:2] + message.payloads[:1] + message.payloads[2:],
        message.payloads[:-1] + message.payloads[-2:],
        (*message.payloads[:-1], Signature(kind=1, signature=bytes(129))),
        (*message.payloads[:-1], Signature(signature=bytes(128))),
        (),
    ):
        with pytest.raises(MikeyError):
            mikey.parse_i_message(encode(MikeyMessage(header=message.header, payloads=payloads)))


def test_other_parameter_set_is_refused(world, random):
    message = mikey.parse_i_message(make(world, random)).message
    payloads = [
        Sakke(parameters=2, scheme=1, data=payload.data) if isinstance(payload, Sakke) else payload
        for payload in message.payloads
    ]
    i_message = mikey.parse_i_message(encode(MikeyMessage(header=message.header, payloads=tuple(payloads))))
    with pytest.raises(MikeyError):
        mikey.extract_ssv(i_message, rsk=world.bob.rsk, uid=world.bob.uid, z=world.domain.z)


def test_wrong_receiver(world, random):
    i_message = mikey.parse_i_message(make(world, random))
    with pytest.raises(DecapsulationError):
        mikey.extract_ssv(i_message, rsk=world.alice.rsk, uid=world.alice.uid, z=world.domain.z)


@pytest.mark.parametrize("ntp_s", [-1.0, 2.0**32])
def test_times_out_of_the_ntp_era_are_refused(ntp_s):
    with pytest.raises(MikeyError):
        ntp_timestamp(ntp_s)


def test_prf_vectors(vectors):
    for case in vectors("mikey_prf_key_derivation.json")["cases"]:
        constant = KeyConstant.TEK if case["derive"].startswith("TEK") else KeyConstant.ENCRYPTION
        derived = b"".join(
            derive_key(
                bytes.fromhex(case["inkey"]),
                constant=kind,
                cs_id=case["cs_id"],
                csb_id=int(case["csb_id"], 16),
                rand=bytes.fromhex(case["rand"]),
                length=length,
                function=Prf.HMAC_SHA_256,
            )
            for kind, length in zip((constant, KeyConstant.SALT), case["lengths"], strict=True)
        )
        assert derived.hex() == case["out"]


def test_group_keys_of_etherstack(vectors):
    for case in vectors("etherstack_guk_tek_salt.json")["cases"]:
        gmk = bytes.fromhex(case["gmk"])
        user_key_id = guk_id(gmk, int(case["gmk_id"], 16), case["sender_uri"])
        assert f"{user_key_id:08x}" == case["guk_id_expected"]
        for constant, length, name in ((KeyConstant.TEK, 16, "master_key"), (KeyConstant.SALT, 12, "master_salt")):
            derived = derive_key(
                gmk,
                constant=constant,
                cs_id=case["cs_id"],
                csb_id=user_key_id,
                rand=bytes.fromhex(case["gmk_rand"]),
                length=length,
                function=Prf.HMAC_SHA_256,
            )
            assert derived.hex() == case[f"{name}_out_expected"]


def test_prf_of_long_keys_joins_its_parts():
    key, arguments = bytes(range(70)), {"cs_id": 0, "csb_id": 1, "rand": b"r", "length": 50, "function": 0}
    parts = [derive_key(part, constant=KeyConstant.TEK, **arguments) for part in (key[:32], key[32:64], key[64:])]
    joined = bytes(a ^ b ^ c for a, b, c in zip(*parts, strict=True))
    assert derive_key(key, constant=KeyConstant.TEK, **arguments) == joined


def test_purposes():
    assert "GMK" in purpose_of(0x06A12AEA)
    assert purpose_of(0xD0000001) == "pc5lab link request"
    assert "not known" in purpose_of(0xF0000000)
