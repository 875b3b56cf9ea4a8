from __future__ import annotations

from dataclasses import replace

import pytest

from security import mikey, sakke
from security.eccsi.eccsi import SignatureError, extract_signing_keys
from security.errors import SecurityError
from security.identifiers import UserKeys
from security.keyfile import KeyFile, KeyFileUser
from security.mikey.codec import MikeyMessage
from security.mikey.i_message import sign_message, uid_identities
from security.mikey.opening import Deviation, OpeningError, open_i_message
from security.mikey.payloads import IdentityRole, Sakke
from security.sakke import DecapsulationError, kem
from security.sakke.hashing import hash_to_integer_range

NOW_NTP_S = 3_968_437_672.25
SSV = bytes(range(16))


def entry(keys: UserKeys) -> KeyFileUser:
    return KeyFileUser(
        uri=keys.uri,
        kms_uri=keys.kms_uri,
        uid=keys.uid,
        key_period_no=keys.key_period_no,
        rsk=keys.rsk,
        ssk=keys.ssk,
        pvt=keys.pvt,
    )


@pytest.fixture
def file(world):
    users = tuple(entry(keys) for keys in (world.alice, world.bob, world.carol))
    return KeyFile(domains=(world.domain, world.hashed_domain), users=users)


def make(world, random, **changes) -> bytes:
    arguments = {
        "keys": world.alice,
        "initiator_domain": world.domain,
        "responder_uri": world.bob.uri,
        "responder_domain": world.domain,
        "ntp_s": NOW_NTP_S,
        "ssv": SSV,
        "csb_id": 1,
        "random": random,
    }
    return mikey.create_i_message(**(arguments | changes))


def opened(octets: bytes, file: KeyFile, *tolerate: Deviation):
    return open_i_message(mikey.parse_i_message(octets), file, frozenset(tolerate))


def test_by_uri_across_two_kms(world, random, file):
    result = opened(make(world, random, responder_uri=world.carol.uri, responder_domain=world.hashed_domain), file)
    assert (result.initiator, result.responder, result.ssv) == (world.alice.uri, world.carol.uri, SSV)
    assert repr(SSV) not in repr(result)


def test_by_uid(world, random, file):
    identities = uid_identities(world.alice.uid, world.bob.uid, world.domain, world.domain)
    assert opened(make(world, random, identities=identities), file).responder == world.bob.uri


def test_without_identities(world, random, file):
    assert opened(make(world, random, identities=()), file).initiator == world.alice.uri
    bob_alone = replace(file, users=file.users[1:2])
    with pytest.raises(SignatureError):
        opened(make(world, random, identities=()), bob_alone)
    with pytest.raises(OpeningError):
        opened(make(world, random, identities=()), replace(file, users=()))


def test_uid_under_the_uri_role_is_understood(world, random, file):
    identities = (IdentityRole(role=1, data=world.alice.uid), IdentityRole(role=2, data=world.bob.uid))
    assert opened(make(world, random, identities=identities), file).responder == world.bob.uri


def test_wrong_claims_are_refused(world, random, file):
    for role, uri in ((1, world.bob.uri), (2, world.alice.uri), (6, "kms.other.example"), (7, world.hashed_domain.uri)):
        message = mikey.parse_i_message(make(world, random)).message
        payloads = tuple(
            replace(payload, data=uri.encode())
            if isinstance(payload, IdentityRole) and payload.role == role
            else payload
            for payload in message.payloads[:-1]
        )
        octets = sign_message(
            MikeyMessage(header=message.header, payloads=payloads),
            keys=world.alice,
            kpak=world.domain.kpak,
            entropy=bytes(32),
        )
        with pytest.raises(SecurityError):
            opened(octets, file)


def test_keys_of_another_period_do_not_open(world, random, file):
    with pytest.raises(SecurityError):
        opened(make(world, random, ntp_s=NOW_NTP_S + 40 * 86_400), file)


def test_unknown_period_number_with_the_right_uid_opens(world, random, file):
    users = tuple(replace(user, key_period_no=7) for user in file.users)
    assert opened(make(world, random), replace(file, users=users)).ssv == SSV


def test_scheme_must_be_the_receivers(world, random, file):
    octets = make(world, random, responder_domain=replace(world.domain, uid_scheme=2, key_period_s=1))
    with pytest.raises(SecurityError):
        opened(octets, file)


def test_short_values_need_their_name(world, random, file):
    for number in range(4000):
        ssv = number.to_bytes(16, "big")
        value = int(kem.powers_of_g().power(kem.sender_scalar(ssv, world.bob.uid)))
        if value < 1 << 1016:
            break
    sed = sakke.encapsulate(ssv, world.bob.uid, world.domain.z)
    mask = hash_to_integer_range(value.to_bytes(128, "big").lstrip(b"\0"), 1 << 128)
    message = mikey.parse_i_message(make(world, random)).message
    payloads = tuple(
        replace(payload, data=sed[:257] + (number ^ mask).to_bytes(16, "big").lstrip(b"\0"))
        if isinstance(payload, Sakke)
        else payload
        for payload in message.payloads[:-1]
    )
    octets = sign_message(
        MikeyMessage(header=message.header, payloads=payloads),
        keys=world.alice,
        kpak=world.domain.kpak,
        entropy=bytes(32),
    )
    with pytest.raises(DecapsulationError):
        opened(octets, file)
    assert opened(octets, file, Deviation.SHORT_VALUES).ssv == ssv


def test_period_with_the_offset_added_needs_its_name(world, random, file):
    domain = replace(world.hashed_domain, key_period_s=1000, key_period_offset_s=700)
    period = domain.period_of(NOW_NTP_S + 1400)
    assert period != domain.period_of(NOW_NTP_S)
    uid = domain.uid_for_period(world.carol.uri, period)
    ssk, pvt = extract_signing_keys(world.ksak, uid, b"\x01" * 32)
    carol = replace(
        world.carol,
        uid=uid,
        key_period_no=period,
        rsk=sakke.extract_rsk(world.z_secret, uid),
        ssk=ssk,
        pvt=pvt,
    )
    sent = make(
        world,
        random,
        keys=carol,
        initiator_domain=domain,
        responder_uri=carol.uri,
        responder_domain=domain,
        ntp_s=NOW_NTP_S + 1400,
    )
    message = mikey.parse_i_message(sent).message
    payloads = (replace(message.payloads[0], value=int(NOW_NTP_S * 2**32)), *message.payloads[1:-1])
    octets = sign_message(
        MikeyMessage(header=message.header, payloads=payloads), keys=carol, kpak=domain.kpak, entropy=bytes(32)
    )
    carols_file = KeyFile(domains=(domain,), users=(entry(carol),))
    with pytest.raises(SecurityError):
        opened(octets, carols_file)
    assert opened(octets, carols_file, Deviation.PERIOD_OFFSET_ADDED).ssv == SSV
