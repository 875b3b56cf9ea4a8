from __future__ import annotations

from dataclasses import replace

import pytest

from security import mikey
from security.errors import SecurityError
from security.mikey import ProfileFormError, build_profile_i_message, check_profile_i_message, parse_profile_i_message
from security.mikey.codec import MapType, MikeyMessage, Prf
from security.mikey.i_message import create_i_message, sign_message
from security.mikey.payloads import GeneralExtension, IdentityRole, Rand, Sakke, SecurityPolicy, Timestamp

NOW_NTP_S = 3_968_437_672.25
HASH = bytes(range(32))
TAGS = {1: 0xD, 2: 0xE, 3: 0xC, 4: 0xD, 5: 0xE}


def build(world, random, kind=1, **changes):
    arguments = {
        "keys": world.alice,
        "initiator_domain": world.domain,
        "responder_uri": world.bob.uri,
        "responder_domain": world.domain,
        "ntp_s": NOW_NTP_S,
        "ssv": bytes(range(16)),
        "random": random,
    }
    return build_profile_i_message(kind, HASH, **(arguments | changes))


def check(world, octets, **changes):
    arguments = {
        "kind": 1,
        "binding_hash": HASH,
        "initiator_uri": world.alice.uri,
        "responder_uri": world.bob.uri,
        "initiator_domain": world.domain,
        "responder_domain": world.domain,
    }
    return check_profile_i_message(octets, **(arguments | changes))


@pytest.mark.parametrize("kind", TAGS)
def test_built_messages_pass(world, random, kind):
    octets = build(world, random, kind)
    checked = check(world, octets, kind=kind)
    assert (checked.kind, checked.binding_hash, checked.ntp_s) == (kind, HASH, NOW_NTP_S)
    assert checked.i_message.csb_id >> 28 == TAGS[kind]
    assert checked.signed_part == octets[:-129]
    mikey.verify_i_message(checked.i_message, uid=world.alice.uid, kpak=world.domain.kpak)
    keys = {"rsk": world.bob.rsk, "uid": world.bob.uid, "z": world.domain.z}
    assert mikey.extract_ssv(checked.i_message, **keys) == bytes(range(16))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"kind": 2}, "kind"),
        ({"binding_hash": bytes(32)}, "binding-hash"),
        ({"initiator_uri": "tel:+1"}, "identities"),
        ({"responder_uri": "tel:+1"}, "identities"),
    ],
)
def test_message_of_another_place_is_refused(world, random, changes, name):
    with pytest.raises(ProfileFormError) as caught:
        check(world, build(world, random), **changes)
    assert caught.value.check == name


def test_other_kms_and_scheme_are_refused(world, random):
    octets = build(world, random)
    for end in ("initiator_domain", "responder_domain"):
        with pytest.raises(ProfileFormError) as caught:
            check(world, octets, **{end: replace(world.domain, uri="kms.other.example")})
        assert caught.value.check == "kms"
    with pytest.raises(ProfileFormError) as caught:
        check(world, octets, responder_domain=replace(world.domain, uid_scheme=2, key_period_s=1))
    assert caught.value.check == "scheme"


def _altered(world, octets, **changes) -> bytes:
    """The message with payloads of a type replaced or its header changed, signed again by Alice."""
    message = mikey.parse_i_message(octets).message
    header = replace(message.header, **changes.pop("header", {}))
    payloads = [changes.get(type(payload).__name__, lambda same: same)(payload) for payload in message.payloads[:-1]]
    altered = MikeyMessage(header=header, payloads=tuple(payload for payload in payloads if payload is not None))
    return sign_message(altered, keys=world.alice, kpak=world.domain.kpak, entropy=bytes(32))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"header": {"prf": Prf.HMAC_SHA_1}}, "header"),
        ({"header": {"v": True}}, "header"),
        ({"header": {"map_type": MapType.SRTP_ID}}, "header"),
        ({"header": {"csb_id": 0x1000_0000}}, "tag"),
        ({"header": {"csb_id": 0xE000_0000}}, "tag"),
        ({"Timestamp": lambda t: replace(t, kind=1)}, "time"),
        ({"Timestamp": lambda t: Timestamp(kind=2, value=1)}, "time"),
        ({"Rand": lambda r: Rand(rand=r.rand + b"\0")}, "payloads"),
        ({"IdentityRole": lambda i: replace(i, role=i.role % 2 + 1)}, "identities"),
        ({"IdentityRole": lambda i: replace(i, kind=0)}, "identities"),
        ({"IdentityRole": lambda i: replace(i, data=i.data + b"\0")}, "identities"),
        ({"IdentityRole": lambda i: replace(i, data=b"")}, "identities"),
        ({"GeneralExtension": lambda g: replace(g, kind=244)}, "extension"),
        ({"GeneralExtension": lambda g: replace(g, data=g.data[:-1])}, "extension"),
        ({"GeneralExtension": lambda g: replace(g, data=b"\x07" + g.data[1:])}, "kind"),
        ({"GeneralExtension": lambda g: None}, "payloads"),
        ({"GeneralExtension": lambda g: SecurityPolicy(policy_no=0, protocol=0, parameters=())}, "payloads"),
        ({"Sakke": lambda s: replace(s, parameters=2)}, "sakke"),
        ({"Sakke": lambda s: replace(s, data=s.data[:-1])}, "sakke"),
    ],
)
def test_other_forms_are_refused_by_name(world, random, changes, name):
    with pytest.raises(ProfileFormError) as caught:
        parse_profile_i_message(_altered(world, build(world, random), **changes))
    assert caught.value.check == name


def test_plain_mikey_sakke_message_is_refused(world, random):
    octets = create_i_message(
        keys=world.alice,
        initiator_domain=world.domain,
        responder_uri=world.bob.uri,
        responder_domain=world.domain,
        ntp_s=NOW_NTP_S,
        ssv=bytes(16),
        csb_id=0x1000_0001,
        random=random,
    )
    with pytest.raises(ProfileFormError) as caught:
        parse_profile_i_message(octets)
    assert caught.value.check == "payloads"


def test_truncations_and_flips_raise_package_errors_only(world, random):
    octets = build(world, random)
    for length in range(len(octets)):
        with pytest.raises(ProfileFormError):
            check(world, octets[:length])
    for position in range(len(octets) * 8):
        altered = bytearray(octets)
        altered[position // 8] ^= 1 << position % 8
        try:
            checked = check(world, bytes(altered))
        except ProfileFormError:
            continue
        if position % 8 == 0:
            with pytest.raises(SecurityError):
                mikey.verify_i_message(checked.i_message, uid=world.alice.uid, kpak=world.domain.kpak)


@pytest.mark.parametrize(("kind", "binding"), [(0, HASH), (7, HASH), (1, HASH[:-1])])
def test_builder_refuses_what_can_not_be(world, random, kind, binding):
    with pytest.raises(ProfileFormError):
        build_profile_i_message(
            kind,
            binding,
            keys=world.alice,
            initiator_domain=world.domain,
            responder_uri=world.bob.uri,
            responder_domain=world.domain,
            ntp_s=NOW_NTP_S,
            ssv=bytes(16),
            random=random,
        )


def test_extra_payloads_are_refused(world, random):
    message = mikey.parse_i_message(build(world, random)).message
    for extra in (GeneralExtension(kind=1, data=b""), IdentityRole(role=1, data=b"x"), Sakke(scheme=1, data=b"")):
        payloads = (*message.payloads[:-1], extra)
        octets = sign_message(
            MikeyMessage(header=message.header, payloads=payloads),
            keys=world.alice,
            kpak=world.domain.kpak,
            entropy=bytes(32),
        )
        with pytest.raises(ProfileFormError):
            parse_profile_i_message(octets)
