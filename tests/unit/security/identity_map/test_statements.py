"""Statements of an identity map: the octets, whose signature they bear, and each check by itself (PROFILE 12)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from security.eccsi import eccsi
from security.eccsi.eccsi import SignatureError
from security.identifiers import IdentityError, KeyRing, UidScheme, is_map_signer
from security.identity_map.checks import (
    HeldNumber,
    IdentityMap,
    MapRefused,
    NumberNotResolved,
    contradicts,
    take_statement,
)
from security.identity_map.signature import map_signer, map_signer_uid, sign_statement, split_signed, verify_statement
from security.identity_map.statement import (
    ALL_MAP_USES,
    MapState,
    MapStatement,
    MapUse,
    NumberError,
    StatementError,
    telephone_number,
)
from security.kms.authority import Authority, MasterSecrets

NUMBER, OTHER_NUMBER = "+447700900077", "+447700900078"
BOB, MALLORY = "sip:bob@lab.example", "sip:mallory@lab.example"
NOW = 3_982_219_200
PERIOD_S = 2_592_000


def authority(uri: str = "sip:kms.lab.example", seed: int = 7, **more: Any) -> Authority:
    fields: dict[str, Any] = {
        "uid_scheme": UidScheme.HASHED_UID,
        "key_period_s": PERIOD_S,
        "key_period_offset_s": 0,
        "namespace": ("sip:*@lab.example", "tel:+447700*"),
    }
    return Authority.found(MasterSecrets.from_demo_seed(seed), uri=uri, **(fields | more))


KMS = authority()
FOREIGN = authority("sip:kms.other.example", 8, namespace=("sip:*@other.example", "tel:+49*"))
RING = KeyRing([KMS.domain, FOREIGN.domain], [])
STATEMENT = MapStatement(
    kms_uri=KMS.domain.uri,
    serial=5,
    issued_ntp_s=NOW - 100,
    not_before_ntp_s=NOW - 100,
    not_after_ntp_s=NOW + 1000,
    number=NUMBER,
    identity=BOB,
    scheme=2,
    uses=MapUse.CALL,
)


def signed(kms: Authority = KMS, base: MapStatement = STATEMENT, **changes: Any) -> bytes:
    statement = replace(base, **changes)
    keys = kms.map_signing_keys(kms.domain.period_of(statement.issued_ntp_s))
    entropy = hashlib.shake_256(statement.encode()).digest
    return sign_statement(statement, keys=keys, kpak=kms.domain.kpak, random=entropy)


def take(octets: bytes, held: HeldNumber | None = None, **more: Any) -> HeldNumber:
    return take_statement(octets, **({"asked": NUMBER, "ring": RING, "held": held, "now_ntp_s": NOW} | more))


def refused(octets: bytes, held: HeldNumber | None = None, **more: Any) -> str:
    with pytest.raises(MapRefused) as caught:
        take(octets, held, **more)
    return caught.value.check


def test_the_layout_is_that_of_the_profile() -> None:
    """Written down a second time, field by field."""

    def lp(text: bytes) -> bytes:
        return len(text).to_bytes(4, "big") + text

    def ntp(seconds: int) -> bytes:
        return seconds.to_bytes(4, "big") + b"\0\0\0\0"

    octets = (
        b"pc5lab identity v1 map\x01"
        + lp(b"sip:kms.lab.example")
        + bytes.fromhex("0000000000000005")
        + ntp(NOW - 100)
        + ntp(NOW - 100)
        + ntp(NOW + 1000)
        + lp(b"+447700900077")
        + lp(b"sip:bob@lab.example")
        + b"\x02\x01\x00"
    )
    assert STATEMENT.encode() == octets
    assert MapStatement.decode(octets) == STATEMENT


def test_only_the_one_encoding_is_read() -> None:
    octets = STATEMENT.encode()
    for cut in range(len(octets)):
        with pytest.raises(StatementError):
            MapStatement.decode(octets[:cut])
    with pytest.raises(StatementError):
        MapStatement.decode(octets + b"\0")
    read = 0
    for place in range(len(octets)):
        altered = octets[:place] + bytes([octets[place] ^ 0x81]) + octets[place + 1 :]
        try:
            assert MapStatement.decode(altered).encode() == altered
            read += 1
        except StatementError:
            continue
    assert read, "some octets may be others"


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "447700900077"},
        {"number": "+0447700900077"},
        {"number": "+4477009000771234"},
        {"identity": "sip:bob@Lab.example"},
        {"identity": "sip:b\0ob@lab.example"},
        {"kms_uri": ""},
        {"serial": 1 << 64},
        {"not_after_ntp_s": 1 << 32},
        {"scheme": 256},
    ],
)
def test_what_has_no_encoding_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StatementError):
        replace(STATEMENT, **changes).encode()


def test_unknown_uses_and_states_are_refused() -> None:
    octets = STATEMENT.encode()
    for ending in (b"\x02\x09\x00", b"\x02\x01\x02"):
        with pytest.raises(StatementError):
            MapStatement.decode(octets[:-3] + ending)
    with pytest.raises(NumberError):
        telephone_number("+44 7700")


@pytest.mark.parametrize(
    ("kms_uri", "host"),
    [
        ("kms.example", "kms.example"),
        ("sip:kms.example.org", "kms.example.org"),
        ("sip:kms@Kms.Example;x=y", "kms.example"),
        ("https://kms.lab:8443/keys", "kms.lab"),
        ("kms.lab.invalid:8443", "kms.lab.invalid"),
    ],
)
def test_the_signer_is_the_kms_hosts_own_identity(kms_uri: str, host: str) -> None:
    assert map_signer(kms_uri) == f"sip:identity-map@{host}"
    assert is_map_signer(map_signer(kms_uri))


def test_a_kms_without_a_host_signs_no_map() -> None:
    with pytest.raises(IdentityError):
        map_signer("sip:kms@")


@pytest.mark.parametrize("scheme", list(UidScheme))
def test_a_signature_is_good_for_one_kms_one_period_and_every_octet(scheme: UidScheme) -> None:
    kms = authority(uid_scheme=scheme)
    statement, signature = split_signed(signed(kms, identity=BOB, scheme=int(scheme)))
    verify_statement(statement, signature, kms.domain)
    other = authority(seed=9, uid_scheme=scheme)
    for domain, one in (
        (other.domain, statement),
        (kms.domain, replace(statement, issued_ntp_s=statement.issued_ntp_s - 2 * PERIOD_S)),
        (kms.domain, replace(statement, identity=MALLORY)),
        (kms.domain, replace(statement, state=MapState.NOBODY)),
        (kms.domain, replace(statement, uses=ALL_MAP_USES)),
    ):
        with pytest.raises(SignatureError):
            verify_statement(one, signature, domain)


@pytest.mark.parametrize("scheme", list(UidScheme))
def test_nobody_gets_the_signers_keys_and_no_message_is_taken_from_it(scheme: UidScheme) -> None:
    kms = authority(uid_scheme=scheme, namespace=("*",))
    signer = map_signer(kms.domain.uri)
    with pytest.raises(IdentityError, match="its keys are never issued"):
        kms.extract(signer, 5)
    assert not kms.domain.speaks_for(signer) and not kms.domain.speaks_for("sips:identity-map@elsewhere.example")
    assert kms.domain.speaks_for("sip:identity-mapper@lab.example")
    with pytest.raises(IdentityError):
        KeyRing([kms.domain], []).domain_of(signer)


def test_what_a_user_signs_is_no_statement() -> None:
    keys = KMS.extract(BOB, KMS.domain.period_of(NOW - 100))
    octets = STATEMENT.encode()
    forged = eccsi.sign(octets, ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=KMS.domain.kpak, entropy=bytes(32))
    assert refused(octets + forged) == "signature"


def test_the_signers_uid_is_the_hashed_one_whatever_the_scheme() -> None:
    monthly = authority(uid_scheme=UidScheme.MONTHLY_TEL, key_period_s=0).domain
    assert len(map_signer_uid(monthly, 1515)) == len(map_signer_uid(KMS.domain, 1536)) == 32
    assert map_signer_uid(monthly, 1515) != map_signer_uid(monthly, 1516)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"kms_uri": "sip:kms.nobody.example"}, "KMS"),
        ({"kms_uri": FOREIGN.domain.uri}, "KMS"),
        ({"identity": "sip:bob@other.example"}, "KMS"),
        ({"identity": "sip:bob@nowhere.example"}, "KMS"),
        ({"number": "+4930123456"}, "KMS"),
        ({"not_before_ntp_s": NOW + 1}, "dates"),
        ({"not_after_ntp_s": NOW}, "dates"),
        ({"not_after_ntp_s": NOW - 100 + PERIOD_S + 172_801}, "dates"),
        ({"number": OTHER_NUMBER}, "number"),
        ({"scheme": 1}, "scheme"),
    ],
)
def test_each_check_refuses_by_its_name(changes: dict[str, Any], check: str) -> None:
    held = take(signed())
    assert refused(signed(**changes, serial=9), held) == check
    assert take(signed(serial=6), held).serial == 6, "what was refused left nothing behind"


def test_a_statement_may_last_a_key_period_and_its_overlap() -> None:
    assert take(signed(not_after_ntp_s=NOW - 100 + PERIOD_S + 172_800)).serial == 5


def test_serials_only_rise_and_a_forged_one_shuts_nobody_out() -> None:
    held = take(signed(serial=7))
    assert refused(signed(serial=6), held) == "serial"
    forged = bytearray(signed(serial=1 << 63))
    forged[-70] ^= 1
    assert refused(bytes(forged), held) == "signature"
    assert take(signed(serial=7), held) == held
    gone = take(signed(serial=8, state=MapState.NOBODY), held)
    assert gone.serial == 8 and refused(signed(serial=7), gone) == "serial"


def test_of_two_statements_with_one_serial_neither_stands_until_there_is_a_higher_one() -> None:
    held = take(signed())
    neither = take(signed(identity=MALLORY), held)
    assert contradicts(held, neither) and not neither.signed
    for octets in (signed(), signed(identity=MALLORY)):
        again = take(octets, neither)
        assert not again.signed and not contradicts(neither, again)
    assert take(signed(serial=6), neither).signed
    forged = bytearray(signed(identity=MALLORY))
    forged[-1] ^= 1
    assert refused(bytes(forged), held) == "signature", "only a KMS contradicts itself"


def number_map(held: HeldNumber | None, **own: str) -> IdentityMap:
    return IdentityMap(own={NUMBER: own["own"]} if own else {}, held={NUMBER: held} if held else {}, ring=RING)


def test_a_number_leads_where_the_kms_says_or_the_own_file() -> None:
    resolved = number_map(take(signed())).resolve(NUMBER, MapUse.CALL, NOW)
    assert (resolved.identity, resolved.by) == (BOB, KMS.domain.uri)
    resolved = number_map(take(signed()), own=MALLORY).resolve(NUMBER, MapUse.CALL, NOW + 10 * PERIOD_S)
    assert (resolved.identity, resolved.by) == (MALLORY, "own")


@pytest.mark.parametrize(
    ("held", "use", "now_ntp_s", "why"),
    [
        (None, MapUse.CALL, NOW, "no KMS has said"),
        (take(signed()), MapUse.NAS, NOW, "use"),
        (take(signed()), MapUse.CALL, NOW + 1000, "dates"),
        (take(signed()), MapUse.CALL, NOW - 101, "dates"),
        (take(signed(state=MapState.NOBODY)), MapUse.CALL, NOW, "it has no holder"),
        (take(signed(identity=MALLORY), take(signed())), MapUse.CALL, NOW, "contradict"),
        (
            HeldNumber(number=NUMBER, serial=5, digest="", signed=signed(number=OTHER_NUMBER)),
            MapUse.CALL,
            NOW,
            "number",
        ),
        (HeldNumber(number=NUMBER, serial=5, digest="", signed=b"x" * 400), MapUse.CALL, NOW, "form"),
    ],
)
def test_a_number_that_leads_nowhere_says_why(held: HeldNumber | None, use: MapUse, now_ntp_s: int, why: str) -> None:
    with pytest.raises(NumberNotResolved, match=why):
        number_map(held).resolve(NUMBER, use, now_ntp_s)


def test_a_statement_of_a_kms_that_is_trusted_no_more_dies() -> None:
    gone = IdentityMap(own={}, held={NUMBER: take(signed())}, ring=KeyRing([FOREIGN.domain], []))
    with pytest.raises(NumberNotResolved, match="not trusted"):
        gone.resolve(NUMBER, MapUse.CALL, NOW)


def test_scheme_1_is_for_tel_identities() -> None:
    kms = authority(uid_scheme=UidScheme.MONTHLY_TEL, key_period_s=0)
    ring = KeyRing([kms.domain], [])
    assert refused(signed(kms, scheme=1), ring=ring) == "scheme"
    assert take(signed(kms, scheme=1, identity="tel:+447700900002"), ring=ring).serial == 5
