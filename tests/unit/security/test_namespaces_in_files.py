"""Opening with a key file of several KMSs: only the KMS that speaks for an identity vouches for it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lab_scripts.cli.mikey import app
from security import mikey, sakke
from security.eccsi import eccsi
from security.identifiers import KmsDomain, UserKeys
from security.keyfile import KeyFile, KeyFileError, KeyFileUser, parse_key_file
from security.mikey.codec import MikeyMessage
from security.mikey.i_message import sign_message, uid_identities
from security.mikey.numbers import Role
from security.mikey.opening import OpeningError, open_i_message
from security.mikey.payloads import IdentityRole

NTP_S = 3_968_437_672.25
SSV = bytes(range(16))
SPELLINGS = ["sip:alice@a.example", "sip:alice@A.example", "SIP:alice@a.example", "sip:%61lice@a.example:5060"]
ALICE, BOB = "sip:alice@a.example", "sip:bob@a.example"


class Kms:
    """A KMS with master keys of its own."""

    def __init__(self, uri: str, random) -> None:
        self.ksak, kpak = eccsi.generate_master_keys(random)
        self.z_secret, z = sakke.generate_master_secret(random)
        self.domain = KmsDomain(
            uri=uri, z=z, kpak=kpak, uid_scheme=2, key_period_s=2_592_000, key_period_offset_s=0, namespace=("*",)
        )

    def keys(self, uri: str, uid: bytes | None = None) -> UserKeys:
        uid = uid or self.domain.uid(uri, NTP_S)
        ssk, pvt = eccsi.extract_signing_keys(self.ksak, uid, b"\x01" * 32)
        return UserKeys(
            uri=uri,
            kms_uri=self.domain.uri,
            uid=uid,
            key_period_no=self.domain.period_of(NTP_S),
            rsk=sakke.extract_rsk(self.z_secret, uid),
            ssk=ssk,
            pvt=pvt,
        )

    def user(self, uri: str, *, keys: bool = False) -> KeyFileUser:
        if not keys:
            return KeyFileUser(uri=uri, kms_uri=self.domain.uri)
        held = self.keys(uri)
        return KeyFileUser(
            uri=uri,
            kms_uri=self.domain.uri,
            uid=held.uid,
            key_period_no=held.key_period_no,
            rsk=held.rsk,
            ssk=held.ssk,
            pvt=held.pvt,
        )


@pytest.fixture(scope="module")
def kmss():
    from hashlib import shake_256

    count = iter(range(10_000))

    def random(n: int) -> bytes:
        return shake_256(b"namespaces %d" % next(count)).digest(n)

    return Kms("kms.a.example", random), Kms("kms.evil.example", random)


@pytest.fixture
def file(kmss):
    a, evil = kmss
    return KeyFile(domains=(a.domain, evil.domain), users=(a.user(BOB, keys=True), a.user(ALICE)))


def message(signer: UserKeys, signer_kms: Kms, receiver_kms: Kms, random, *, receiver: str = BOB, identities=None):
    return mikey.create_i_message(
        keys=signer,
        initiator_domain=signer_kms.domain,
        responder_uri=receiver,
        responder_domain=receiver_kms.domain,
        ntp_s=NTP_S,
        ssv=SSV,
        csb_id=1,
        random=random,
        identities=identities,
    )


def with_roles(octets: bytes, signer: UserKeys, kms: Kms, **roles: str | None) -> bytes:
    """The message with IDRs changed (None: left out), signed again."""
    parsed = mikey.parse_i_message(octets).message
    changed = {Role[name.upper()]: value for name, value in roles.items()}
    payloads = []
    for payload in parsed.payloads[:-1]:
        if isinstance(payload, IdentityRole) and payload.role in changed:
            value = changed[Role(payload.role)]
            if value is None:
                continue
            payloads.append(replace(payload, data=value.encode()))
        else:
            payloads.append(payload)
    unsigned = MikeyMessage(header=parsed.header, payloads=tuple(payloads))
    return sign_message(unsigned, keys=signer, kpak=kms.domain.kpak, entropy=bytes(32))


def opened(octets: bytes, file: KeyFile):
    return open_i_message(mikey.parse_i_message(octets), file)


def test_the_kms_that_speaks_for_both_ends_is_named(kmss, file, random):
    a, _ = kmss
    result = opened(message(a.keys(ALICE), a, a, random), file)
    assert (result.initiator, result.initiator_kms) == (ALICE, "kms.a.example")
    assert (result.responder, result.responder_kms, result.ssv) == (BOB, "kms.a.example", SSV)


@pytest.mark.parametrize("kms_named", ["as signed", "left out", "as listed"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_kms_can_not_vouch_for_somebody_under_any_spelling(kmss, file, random, kms_named, spelling):
    a, evil = kmss
    forger = evil.keys(spelling)
    octets = message(forger, evil, a, random)
    named = {"as signed": {}, "left out": {"initiator_kms": None}, "as listed": {"initiator_kms": a.domain.uri}}
    octets = with_roles(octets, forger, evil, **named[kms_named])
    with pytest.raises((OpeningError, eccsi.SignatureError)):
        opened(octets, file)


def test_another_kms_can_not_vouch_for_a_uid(kmss, file, random):
    """Neither for the UID that the listed user has, nor for one that hides who it is."""
    a, evil = kmss
    receiver_uid = a.domain.uid(BOB, NTP_S)
    for uid in (a.domain.uid(ALICE, NTP_S), evil.domain.uid(ALICE, NTP_S), bytes(range(32))):
        forger = evil.keys(ALICE, uid)
        identities = uid_identities(uid, receiver_uid, evil.domain, a.domain)
        octets = message(forger, evil, a, random, identities=identities)
        for named in ({}, {"initiator_kms": None}, {"initiator_kms": a.domain.uri}):
            with pytest.raises((OpeningError, eccsi.SignatureError)):
                opened(with_roles(octets, forger, evil, **named), file)


def test_somebody_the_file_does_not_list_needs_a_kms_that_speaks_for_them(kmss, file, random):
    a, evil = kmss
    stranger = "sip:carol@a.example"
    octets = message(a.keys(stranger), a, a, random)
    with pytest.raises(KeyFileError, match=r"no KMS of the key file speaks for sip:carol@a\.example"):
        opened(octets, file)
    alone = KeyFile(domains=(a.domain,), users=file.users)
    assert opened(octets, alone).initiator_kms == a.domain.uri
    named = KeyFile(
        domains=(
            replace(a.domain, namespace=("sip:*@a.example",)),
            replace(evil.domain, namespace=("sip:*@evil.example",)),
        ),
        users=file.users,
    )
    assert opened(octets, named).initiator == stranger
    with pytest.raises(OpeningError, match=r"kms\.evil\.example does not speak for sip:carol"):
        opened(message(evil.keys(stranger), evil, a, random), named)


def test_a_user_under_two_kmss_has_none(kmss, file, random):
    a, evil = kmss
    twice = replace(file, users=(*file.users, evil.user(ALICE)))
    respelled = replace(file, users=(*file.users, evil.user("sip:alice@A.EXAMPLE")))
    for signer, kms in ((a.keys(ALICE), a), (evil.keys(ALICE), evil)):
        for contradictory in (twice, respelled):
            with pytest.raises(KeyFileError, match="more than one KMS"):
                opened(message(signer, kms, a, random), contradictory)
    bob_twice = replace(file, users=(*file.users, evil.user(BOB, keys=True)))
    for kms in (a, evil):
        with pytest.raises(KeyFileError, match="more than one KMS"):
            opened(message(a.keys(ALICE), a, kms, random), bob_twice)


def test_namespaces_that_overlap_speak_for_nobody_in_both(kmss, file, random):
    a, evil = kmss
    overlapping = replace(
        file,
        domains=(replace(a.domain, namespace=("sip:*@a.example",)), replace(evil.domain, namespace=("sip:*",))),
    )
    with pytest.raises(KeyFileError, match="more than one KMS"):
        opened(message(a.keys(ALICE), a, a, random), overlapping)
    outside = replace(file, domains=(replace(a.domain, namespace=("tel:*",)), evil.domain))
    with pytest.raises(KeyFileError, match="out of its namespace"):
        opened(message(a.keys(ALICE), a, a, random), outside)


def test_the_receiving_end_is_held_to_the_same(kmss, file, random):
    a, evil = kmss
    octets = message(a.keys(ALICE), a, a, random)
    wrong = with_roles(octets, a.keys(ALICE), a, responder_kms=evil.domain.uri)
    with pytest.raises(OpeningError, match=r"kms\.evil\.example does not speak for sip:bob"):
        opened(wrong, file)
    missing = with_roles(octets, a.keys(ALICE), a, initiator_kms=None, responder_kms=None)
    assert opened(missing, file).responder_kms == a.domain.uri
    unknown = with_roles(octets, a.keys(ALICE), a, responder_kms="kms.unknown.example")
    with pytest.raises(KeyFileError, match=r"kms\.unknown\.example"):
        opened(unknown, file)


def test_two_kmss_named_for_one_end_are_refused(kmss, file, random):
    a, evil = kmss
    parsed = mikey.parse_i_message(message(a.keys(ALICE), a, a, random)).message
    extra = IdentityRole(role=Role.INITIATOR_KMS, data=evil.domain.uri.encode())
    payloads = (*parsed.payloads[:2], extra, *parsed.payloads[2:-1])
    unsigned = MikeyMessage(header=parsed.header, payloads=payloads)
    octets = sign_message(unsigned, keys=a.keys(ALICE), kpak=a.domain.kpak, entropy=bytes(32))
    with pytest.raises(OpeningError, match="two KMSs"):
        opened(octets, file)


def document(*domains: KmsDomain, **more: object) -> bytes:
    entries = [
        {"uri": one.uri, "z": one.z.hex(), "kpak": one.kpak.hex(), "uid_format": 2, "key_period_s": 2_592_000} | more
        for one in domains
    ]
    return json.dumps({"kms": entries, "users": []}).encode()


def test_a_kms_listed_twice_must_say_the_same(kmss):
    a, evil = kmss
    assert len(parse_key_file(document(a.domain, a.domain)).domains) == 1
    for uri in (a.domain.uri, a.domain.uri.upper()):
        with pytest.raises(KeyFileError, match=r"kms\[1\]: .*listed twice"):
            parse_key_file(document(a.domain, replace(evil.domain, uri=uri)))


@pytest.mark.parametrize("namespace", ["sip:*", [], [1], [""], ["a b"], ["a" * 253], ["*"] * 65])
def test_a_namespace_is_a_bounded_list_of_patterns(kmss, namespace):
    with pytest.raises(KeyFileError, match="namespace"):
        parse_key_file(document(kmss[0].domain, namespace=namespace))


def test_a_namespace_is_read(kmss):
    file = parse_key_file(document(kmss[0].domain, namespace=["sip:*@a.example"]))
    assert file.speaker_of(ALICE).uri == "kms.a.example"
    with pytest.raises(KeyFileError):
        file.speaker_of("sip:alice@b.example")


def test_the_command_refuses_the_forgery_that_was_collected(vectors_folder):
    keys, forged = (str(vectors_folder / name) for name in ("two-kms-keys.json", "two-kms-evil.bin"))
    result = CliRunner().invoke(app, ["open", "--keys", keys, "--in", forged, "--json"])
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], answer["kd"], answer["initiator_kms"]) == (5, False, None, None)
    assert answer["error"] == "KMS kms.evil.example does not speak for sip:alice@a.example: KMS kms.a.example does"
