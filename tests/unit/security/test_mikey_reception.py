"""What receivers of plain MIKEY-SAKKE do: freshness, keys across KMSs, key derivation, error messages."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from security import mikey, sakke
from security.eccsi import eccsi
from security.eccsi.eccsi import SignatureError
from security.identifiers import NTP_EPOCH, KeyRing
from security.mikey.codec import Header, MikeyMessage, Prf, decode, encode
from security.mikey.error_message import (
    create_error_message,
    create_signed_error_message,
    error_number,
    parse_error_message,
    verify_error_message,
)
from security.mikey.errors import ErrorNumber, MikeyError
from security.mikey.freshness import WINDOW_S, Freshness, ReplayCache
from security.mikey.i_message import uri_identities
from security.mikey.key_derivation import KeyConstant, derive_key
from security.mikey.numbers import Role
from security.mikey.payloads import (
    Certificate,
    ErrorNotice,
    IdentityRole,
    Rand,
    Sakke,
    SecurityPolicy,
    Signature,
    Timestamp,
)
from security.mikey.responder import Responder

NOW_NTP_S = 3_968_437_672.25
SSV = bytes(range(16))
POLICY = SecurityPolicy(policy_no=0, protocol=0, parameters=((0, b"\1"), (1, b"\x10")))


def ntp(text: str) -> float:
    return (dt.datetime.fromisoformat(text) - NTP_EPOCH).total_seconds()


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


def refused(responder, octets, now=NOW_NTP_S):
    with pytest.raises(MikeyError) as caught:
        responder.receive(octets, now_ntp_s=now)
    return caught.value.number


@pytest.fixture
def responder(world):
    return Responder(world.ring, ReplayCache())


@pytest.mark.parametrize("function", [Prf.HMAC_SHA_1, Prf.HMAC_SHA_256])
def test_key_and_what_is_derived_from_it(world, random, responder, function):
    octets = make(world, random, prf=function)
    received = responder.receive(octets, now_ntp_s=NOW_NTP_S + 10)
    assert (received.initiator, received.responder, received.tgk) == (world.alice.uri, world.bob.uri, SSV)
    keys = {
        constant: received.derive(constant, cs_id=1, length=length)
        for constant, length in (
            (KeyConstant.TEK, 16),
            (KeyConstant.AUTHENTICATION, 20),
            (KeyConstant.ENCRYPTION, 16),
            (KeyConstant.SALT, 14),
        )
    }
    assert len(set(keys.values())) == 4
    rand = mikey.parse_i_message(octets).rand
    arguments = {"cs_id": 1, "csb_id": 0x1234_5678, "rand": rand, "length": 16, "function": function}
    assert keys[KeyConstant.TEK] == derive_key(SSV, constant=KeyConstant.TEK, **arguments)
    assert received.derive(KeyConstant.TEK, cs_id=2, length=16) != keys[KeyConstant.TEK]
    assert SSV.hex() not in repr(received)
    assert repr(SSV) not in repr(received)


def test_prfs_differ(world, random):
    made = [
        derive_key(SSV, constant=KeyConstant.TEK, cs_id=0, csb_id=1, rand=b"r" * 16, length=16, function=function)
        for function in Prf
    ]
    assert made[0] != made[1]


@pytest.mark.parametrize(("sender", "receiver"), [("alice", "carol"), ("carol", "alice")])
def test_ends_of_different_kms(world, random, responder, sender, receiver):
    ends = {"alice": (world.alice, world.domain), "carol": (world.carol, world.hashed_domain)}
    (keys, domain), (to, to_domain) = ends[sender], ends[receiver]
    changes = {"keys": keys, "initiator_domain": domain, "responder_uri": to.uri, "responder_domain": to_domain}
    received = responder.receive(make(world, random, **changes), now_ntp_s=NOW_NTP_S)
    assert (received.initiator, received.responder, received.tgk) == (keys.uri, to.uri, SSV)
    assert received.i_message.sakke.scheme == to_domain.uid_scheme


def test_keys_validate_only_under_their_own_kms(world):
    """Two KMSs with the same master secrets would still differ by identifier; here with different ones too."""
    for keys, domain, other in (
        (world.alice, world.domain, world.hashed_domain),
        (world.carol, world.hashed_domain, world.domain),
    ):
        sakke.validate_rsk(keys.rsk, keys.uid, domain.z)
        eccsi.validate_signing_keys(ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=domain.kpak)
        foreign_uid = other.uid("tel:+447700900001", NOW_NTP_S)
        with pytest.raises(sakke.ReceiverKeyError):
            sakke.validate_rsk(keys.rsk, keys.uid[:-1] + b"!", domain.z)
        with pytest.raises(eccsi.SigningKeyError):
            wrong = foreign_uid if foreign_uid != keys.uid else b"other"
            eccsi.validate_signing_keys(ssk=keys.ssk, pvt=keys.pvt, uid=wrong, kpak=domain.kpak)
    z = sakke.public_master_key((1234567).to_bytes(128, "big"))
    kpak = eccsi.public_authentication_key((7).to_bytes(32, "big"))
    with pytest.raises(sakke.ReceiverKeyError):
        sakke.validate_rsk(world.alice.rsk, world.alice.uid, z)
    with pytest.raises(eccsi.SigningKeyError):
        eccsi.validate_signing_keys(ssk=world.alice.ssk, pvt=world.alice.pvt, uid=world.alice.uid, kpak=kpak)


def test_certificates_and_policies_are_carried_and_signed(world, random, responder):
    certificate = Certificate(kind=1, data=b"\x30\x82 somebody's certificate")
    octets = make(world, random, certificates=(certificate,), policies=(POLICY,))
    payloads = responder.receive(octets, now_ntp_s=NOW_NTP_S).i_message.message.payloads
    assert [payload.NAME for payload in payloads] == ["T", "RAND", *["IDR"] * 4, "CERT", "SP", "SAKKE", "SIGN"]
    assert payloads[6] == certificate
    assert payloads[7] == POLICY
    assert refused(Responder(world.ring, ReplayCache()), octets.replace(b"somebody", b"anybody!")) == 0


@pytest.mark.parametrize(
    ("offset_s", "verdict"),
    [
        (0, Freshness.FRESH),
        (WINDOW_S, Freshness.FRESH),
        (-WINDOW_S, Freshness.FRESH),
        (WINDOW_S + 0.5, Freshness.TOO_OLD),
        (-WINDOW_S - 0.5, Freshness.TOO_NEW),
        (40 * 86_400, Freshness.OTHER_PERIOD),
        (-40 * 86_400, Freshness.OTHER_PERIOD),
    ],
)
def test_window(world, random, offset_s, verdict):
    i_message = mikey.parse_i_message(make(world, random))
    cache = ReplayCache()
    assert cache.judge(i_message, domains=(world.domain,), now_ntp_s=NOW_NTP_S + offset_s) == verdict


def test_a_message_is_taken_once_even_with_its_other_signature(world, random, responder):
    octets = make(world, random)
    responder.receive(octets, now_ntp_s=NOW_NTP_S)
    s = int.from_bytes(octets[-97:-65], "big")
    q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = octets[:-97] + (q - s).to_bytes(32, "big") + octets[-65:]
    i_message = mikey.parse_i_message(other)
    mikey.verify_i_message(i_message, uid=world.alice.uid, kpak=world.domain.kpak)
    for again in (octets, other):
        assert refused(responder, again, NOW_NTP_S + 299) == ErrorNumber.INVALID_TIMESTAMP
        assert refused(responder, again, NOW_NTP_S + 301) == ErrorNumber.INVALID_TIMESTAMP


def test_forgotten_messages_are_not_good_again_when_the_clock_is_turned_back(world, random):
    cache, domains = ReplayCache(), (world.domain,)
    i_message = mikey.parse_i_message(make(world, random))
    cache.remember(i_message, domains=domains)
    assert cache.judge(i_message, domains=domains, now_ntp_s=NOW_NTP_S) == Freshness.REPLAYED
    assert cache.judge(i_message, domains=domains, now_ntp_s=NOW_NTP_S + 301) == Freshness.TOO_OLD
    assert len(cache) == 0
    assert cache.judge(i_message, domains=domains, now_ntp_s=NOW_NTP_S) == Freshness.TOO_OLD


def test_unverified_messages_take_no_room_and_a_full_cache_evicts_nothing(world, random):
    cache = ReplayCache(capacity=2)
    responder = Responder(world.ring, cache)
    first, second, third = (make(world, random) for _ in range(3))
    bad = first[:-1] + bytes([first[-1] ^ 1])
    assert refused(responder, bad) == ErrorNumber.AUTHENTICATION_FAILURE
    assert len(cache) == 0
    for octets in (first, second):
        responder.receive(octets, now_ntp_s=NOW_NTP_S)
    assert refused(responder, third) == ErrorNumber.INVALID_TIMESTAMP
    assert len(cache) == 2
    later = make(world, random, ntp_s=NOW_NTP_S + 301)
    responder.receive(later, now_ntp_s=NOW_NTP_S + 301)
    assert len(cache) == 1


def test_a_signer_that_has_filled_its_share_keeps_nobody_else_out(world, random):
    responder = Responder(world.ring, ReplayCache(capacity_per_signer=2))
    for _ in range(2):
        responder.receive(make(world, random), now_ntp_s=NOW_NTP_S)
    assert refused(responder, make(world, random)) == ErrorNumber.INVALID_TIMESTAMP
    responder.receive(make(world, random, keys=world.bob), now_ntp_s=NOW_NTP_S)
    responder.receive(make(world, random, ntp_s=NOW_NTP_S + 301), now_ntp_s=NOW_NTP_S + 301)


def test_one_signer_fills_its_own_share_of_the_cache_only(world, random):
    """Messages of two signers whose signatures have verified; only who they are from counts here."""
    cache, domains = ReplayCache(capacity_per_signer=2), (world.domain,)
    own = [mikey.parse_i_message(make(world, random)) for _ in range(3)]
    for i_message in own[:2]:
        cache.remember(i_message, domains=domains)
        cache.remember(i_message, domains=domains)
    signer = own[0].role_uri(Role.INITIATOR)
    octets = make(world, random)
    other = mikey.parse_i_message(octets.replace(signer.encode(), signer[:-1].encode() + b"9"))
    assert cache.judge(own[2], domains=domains, now_ntp_s=NOW_NTP_S) == Freshness.OVERLOADED
    assert cache.judge(own[0], domains=domains, now_ntp_s=NOW_NTP_S) == Freshness.REPLAYED
    assert cache.judge(other, domains=domains, now_ntp_s=NOW_NTP_S) == Freshness.FRESH
    later = mikey.parse_i_message(make(world, random, ntp_s=NOW_NTP_S + 301))
    assert cache.judge(later, domains=domains, now_ntp_s=NOW_NTP_S + 301) == Freshness.FRESH
    assert len(cache) == 0


def test_lost_cache_refuses_all_for_a_window(world, random):
    cache, domains = ReplayCache(lost_at_ntp_s=NOW_NTP_S), (world.domain,)
    i_message = mikey.parse_i_message(make(world, random, ntp_s=NOW_NTP_S + 100))
    assert cache.judge(i_message, domains=domains, now_ntp_s=NOW_NTP_S + 300) == Freshness.OVERLOADED
    assert cache.judge(i_message, domains=domains, now_ntp_s=NOW_NTP_S + 301) == Freshness.FRESH


@pytest.mark.parametrize(
    ("made", "now", "verdict"),
    [
        ("2025-10-02T00:00:00Z", "2025-10-31T23:00:00Z", Freshness.FRESH),
        ("2025-10-02T00:00:00Z", "2025-11-02T23:59:59Z", Freshness.FRESH),
        ("2025-10-02T00:00:00Z", "2025-11-03T00:00:01Z", Freshness.OTHER_PERIOD),
        ("2025-11-01T00:00:00Z", "2025-10-30T00:00:01Z", Freshness.FRESH),
        ("2025-11-01T00:00:00Z", "2025-10-29T23:59:59Z", Freshness.OTHER_PERIOD),
    ],
)
def test_deferred_delivery_by_the_day_rules(world, random, made, now, verdict):
    i_message = mikey.parse_i_message(make(world, random, ntp_s=ntp(made)))
    cache, domains = ReplayCache(window_s=None), (world.domain,)
    assert cache.judge(i_message, domains=domains, now_ntp_s=ntp(now)) == verdict
    if verdict == Freshness.FRESH:
        cache.remember(i_message, domains=domains)
        assert cache.judge(i_message, domains=domains, now_ntp_s=ntp(now)) == Freshness.REPLAYED


def test_errors_carry_the_number_that_an_error_message_would(world, random, responder):
    good = make(world, random)
    message = mikey.parse_i_message(good).message
    assert refused(responder, b"") == ErrorNumber.UNSPECIFIED
    assert refused(responder, good[:1] + b"\0" + good[2:]) == ErrorNumber.INVALID_DATA_TYPE
    assert refused(responder, good[:-1] + bytes([good[-1] ^ 1])) == ErrorNumber.AUTHENTICATION_FAILURE
    assert refused(responder, make(world, random, ntp_s=NOW_NTP_S + 400)) == ErrorNumber.INVALID_TIMESTAMP
    without = encode(MikeyMessage(header=message.header, payloads=(*message.payloads[:2], *message.payloads[4:])))
    assert refused(responder, without) == ErrorNumber.INVALID_ID
    stranger = make(world, random, responder_uri="tel:+447700900077")
    assert refused(responder, stranger) == ErrorNumber.INVALID_ID
    other_kms = make(world, random, initiator_domain=replace(world.domain, uri="evil.example"))
    assert refused(responder, other_kms) == ErrorNumber.INVALID_ID
    nobody = Responder(KeyRing([], []), ReplayCache())
    assert refused(nobody, good) == ErrorNumber.INVALID_ID
    scheme = [
        Sakke(scheme=2, data=payload.data) if isinstance(payload, Sakke) else payload for payload in message.payloads
    ]
    assert refused(responder, encode(MikeyMessage(header=message.header, payloads=tuple(scheme)))) == 7
    counter = (Timestamp(kind=2, value=7), *message.payloads[1:])
    assert refused(responder, encode(MikeyMessage(header=message.header, payloads=counter))) == 1
    bad_sed = make(world, random, responder_domain=replace(world.domain, z=world.alice.rsk))
    assert refused(responder, bad_sed) == ErrorNumber.AUTHENTICATION_FAILURE
    assert responder.receive(good, now_ntp_s=NOW_NTP_S).tgk == SSV
    assert error_number(SignatureError("x")) == 0


@pytest.mark.parametrize("number", list(ErrorNumber))
def test_error_message(number):
    octets = create_error_message(number, csb_id=0x1234_5678, ntp_s=NOW_NTP_S, policies=(POLICY,))
    assert octets[:2] == b"\1\6"
    assert octets[20:25] == bytes([10, number, 0, 0, 0])
    error = parse_error_message(octets)
    assert (error.csb_id, error.number, error.policies) == (0x1234_5678, number, (POLICY,))
    assert error.timestamp.ntp_s == NOW_NTP_S
    assert not error.signature
    with pytest.raises(SignatureError):
        verify_error_message(error, uid=b"anybody", kpak=bytes(65))
    for length in range(len(octets)):
        with pytest.raises(MikeyError):
            parse_error_message(octets[:length])


def test_signed_error_message(world):
    octets = create_signed_error_message(
        ErrorNumber.INVALID_SP_PARAMETER,
        keys=world.bob,
        kpak=world.domain.kpak,
        entropy=bytes(32),
        csb_id=9,
        ntp_s=NOW_NTP_S,
        policies=(POLICY,),
    )
    error = parse_error_message(octets)
    verify_error_message(error, uid=world.bob.uid, kpak=world.domain.kpak)
    with pytest.raises(SignatureError):
        verify_error_message(error, uid=world.alice.uid, kpak=world.domain.kpak)
    altered = parse_error_message(octets[:21] + b"\0" + octets[22:])
    with pytest.raises(SignatureError):
        verify_error_message(altered, uid=world.bob.uid, kpak=world.domain.kpak)


def test_what_is_no_error_message_is_refused(world, random):
    header, time, notice = Header(data_type=6, csb_id=1), Timestamp(value=1), ErrorNotice(error_number=1)
    for payloads in (
        (),
        (time,),
        (notice, time),
        (time, notice, notice),
        (time, notice, Rand(rand=bytes(16))),
        (time, notice, Signature(kind=1, signature=bytes(129))),
        (time, notice, Signature(signature=bytes(128))),
    ):
        with pytest.raises(MikeyError):
            parse_error_message(encode(MikeyMessage(header=header, payloads=payloads)))
    with pytest.raises(MikeyError) as caught:
        parse_error_message(make(world, random))
    assert caught.value.number == ErrorNumber.INVALID_DATA_TYPE
    assert decode(create_error_message(ErrorNumber.UNSPECIFIED, csb_id=1, ntp_s=1.0)).header.data_type == 6


@pytest.mark.parametrize("role", [Role.INITIATOR_KMS, Role.RESPONDER_KMS])
def test_a_second_kms_named_for_one_end_is_refused(world, random, responder, role):
    named = uri_identities(world.alice.uri, world.bob.uri, world.domain, world.domain)
    other = IdentityRole(role=role, data=world.hashed_domain.uri.encode())
    assert responder.receive(make(world, random, identities=named), now_ntp_s=NOW_NTP_S)
    assert responder.receive(make(world, random, identities=named[:2]), now_ntp_s=NOW_NTP_S)
    for identities in ((*named, other), (other, *named), (*named[:2], other)):
        assert refused(responder, make(world, random, identities=identities)) == ErrorNumber.INVALID_ID
