from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest

from security.identifiers import (
    NTP_EPOCH,
    IdentityError,
    KeyRing,
    NoKeysError,
    canonical_identity,
    hashed_uid,
    month_of,
    monthly_identifier,
)


def ntp(*moment: int) -> float:
    return (dt.datetime(*moment, tzinfo=dt.UTC) - NTP_EPOCH).total_seconds()


@pytest.mark.parametrize(
    "uri",
    [
        "tel:+447700900001",
        "tel:+1",
        "tel:+123456789012345",
        "sip:alice@example.org",
        "sip:Alice@example.org",
        "sips:alice@example.org",
        "sip:example.org",
        "sip:a@b",
        "sip:a@xn--bcher-kva.example",
        "sips:a@[2001:db8::1]:5060",
        "sip:a@[2001:db8::1]:5061",
        "sip:a@[::]",
        "sip:a@[1:0:2:3:4:5:6:7]",
        "sip:a@[1:0:0:2::3]",
        "sip:a@192.0.2.10:65535",
        "sip:a@0.0.0.0:1",
        "sip:+447700900001@example.org",
        "sip:a&b=c+d$e,f/g(h)~i'j*k!@b.example",
    ],
)
def test_canonical_identities(uri):
    assert canonical_identity(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "te",
        "tel:+44 7700",
        "tel:+44-7700",
        "tel:07700900001",
        "tel:+447700900001;ext=1",
        "TEL:+447700900001",
        "tel:+447700900001\0",
        "sip:alice@Example.org",
        "sip:alice@example.org;transport=tcp",
        "sip:alice@example.org?x=1",
        "sip:%61lice@example.org",
        "sip:alice@example.org\n",
        "sip:älice@example.org",
        "sip:alice:secret@example.org",
        "http://example.org",
        "SIP:alice@example.org",
        "Sips:alice@example.org",
        "tel:+0447700900001",
        "tel:+0",
        "tel:+",
        "tel:+1234567890123456",
        "tel:+44(7700)900001",
        "tel:447700900001",
        "sip:alice@example.org:99999",
        "sip:alice@example.org:65536",
        "sip:alice@example.org:0",
        "sip:alice@example.org:05070",
        "sip:alice@example.org:5060",
        "sips:alice@example.org:5061",
        "sip:alice@example.org:",
        "sip:alice@example.org:+5",
        "sip:alice@example.org:5 060",
        "sip:alice@a..b",
        "sip:alice@.b",
        "sip:alice@b.",
        "sip:alice@-b",
        "sip:alice@b-",
        "sip:alice@a.-b.c",
        "sip:alice@a_b.c",
        "sip:alice@a.1",
        "sip:alice@1",
        "sip:alice@" + "a" * 64 + ".org",
        "sip:@example.org",
        "sip:alice@",
        "sip:",
        "sip:a@b@c",
        "sip:alice@192.0.2.010",
        "sip:alice@192.0.2.256",
        "sip:alice@192.0.2",
        "sip:alice@192.0.2.1.1",
        "sip:alice@0192.0.2.1",
        "sip:alice@0xc0.0.2.1",
        "sip:alice@3221225994",
        "sip:alice@[2001:DB8::1]",
        "sip:alice@[2001:0db8::1]",
        "sip:alice@[2001:db8:0:0:0:0:0:1]",
        "sip:alice@[2001:db8::0:1]",
        "sip:alice@[1::2:3:4:5:6:7]",
        "sip:alice@[1::2:0:0:0:3]",
        "sip:alice@[::ffff:192.0.2.1]",
        "sip:alice@[::ffff:c000:201]",
        "sip:alice@[::192.0.2.1]",
        "sip:alice@[fe80::1%25eth0]",
        "sip:alice@[fe80::1%eth0]",
        "sip:alice@[fe80::1",
        "sip:alice@[]",
        "sip:alice@[fe80::1]5070",
        "sip:alice@fe80::1",
        "sip:ali%63e@example.org",
        "sip:ali%2fce@example.org",
        "sip:ali%2Fce@example.org",
        "sip:al;day=tuesday@example.org",
        "sip:" + "a" * 249 + "@b",
    ],
)
def test_other_spellings_are_refused(uri):
    with pytest.raises(IdentityError):
        canonical_identity(uri)


@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("SIP:Alice@Example.ORG.:5060", "sip:Alice@example.org"),
        ("sip:%61lice@192.000.02.1:07000", "sip:alice@192.0.2.1:7000"),
        ("sips:a@[2001:DB8:0:0::1]:5061", "sips:a@[2001:db8::1]"),
        ("TEL:+44-7700.(900)001", "tel:+447700900001"),
    ],
)
def test_the_refusal_names_the_canonical_form(uri, canonical):
    with pytest.raises(IdentityError, match=f"write it as {re.escape(canonical)}$"):
        canonical_identity(uri)
    assert canonical_identity(canonical) == canonical


def test_longest_identity():
    assert canonical_identity("sip:" + "a" * 246 + "@b")
    host = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 54])
    assert canonical_identity(f"sip:{host}")
    with pytest.raises(IdentityError):
        canonical_identity(f"sip:{host}ddd")


def test_monthly_identifier_of_the_rfc(vectors):
    expected = bytes.fromhex(vectors("rfc6508_appendix_a.json")["values"]["b"])
    assert monthly_identifier("tel:+447700900123", month_of(ntp(2011, 2, 28, 23, 59, 59))) == expected


@pytest.mark.parametrize("uri", ["sip:a@b", "tel:+44\x007700", "tel:+44;x=1"])
def test_monthly_identifier_takes_tel_uris_only(uri):
    with pytest.raises(IdentityError):
        monthly_identifier(uri, 0)


def test_hashed_uids_of_streamwide(vectors):
    for case in vectors("streamwide_uid.json")["cases"]:
        uid = hashed_uid(
            case["uri"], case["kms_uri"], case["key_period"], case["key_period_offset"], case["key_period_no"]
        )
        assert uid.hex() == case["uid"]


def test_uids_of_streamwide_users(vectors, world):
    document = vectors("streamwide_imessages.json")
    domain = replace(
        world.hashed_domain, uri=document["kms"]["KmsUri"], key_period_s=int(document["kms"]["UserKeyPeriod"])
    )
    for user in document["users"].values():
        assert domain.uid(user["UserUri"], 3_968_437_672).hex() == user["UserID"]
        assert domain.period_of(3_968_437_672) == int(user["KeyPeriodNo"])


@pytest.mark.parametrize("uri", ["", "a\0b", "a b", "ü"])
def test_hashed_uid_refuses_what_is_not_visible_ascii(uri):
    with pytest.raises(IdentityError):
        hashed_uid(uri, "kms", 1, 0, 1)


def test_period_counts_from_the_offset(world):
    domain = replace(world.hashed_domain, key_period_s=100, key_period_offset_s=30)
    assert [domain.period_of(t) for t in (30, 129.9, 130)] == [0, 0, 1]
    assert domain.period_bounds(1) == (130, 230)


def test_month_bounds(world):
    period = world.domain.period_of(ntp(2024, 2, 10))
    assert world.domain.period_bounds(period) == (ntp(2024, 2, 1), ntp(2024, 3, 1))


@pytest.mark.parametrize(
    ("now", "t", "accepted"),
    [
        ((2025, 10, 15), (2025, 10, 1), True),
        ((2025, 10, 1), (2025, 9, 30), True),
        ((2025, 10, 2, 23, 59, 59), (2025, 9, 1), True),
        ((2025, 10, 3), (2025, 9, 30), False),
        ((2025, 9, 28, 23, 59, 59), (2025, 10, 1), False),
        ((2025, 9, 29), (2025, 10, 1), True),
        ((2025, 10, 1), (2025, 11, 1), False),
        ((2025, 10, 1), (2025, 8, 31), False),
        ((2024, 12, 31), (2025, 1, 5), True),
        ((2025, 1, 2), (2024, 12, 31), True),
    ],
)
def test_day_rules_of_months(world, now, t, accepted):
    assert world.domain.accepts_period(ntp(*now), ntp(*t)) is accepted


def test_day_rules_of_short_periods(world):
    domain = replace(world.hashed_domain, key_period_s=1000)
    assert domain.overlap_s() == 100
    assert domain.accepts_period(10_099, 9_999)
    assert not domain.accepts_period(10_100, 9_999)
    assert domain.accepts_period(9_900, 10_000)
    assert not domain.accepts_period(9_899, 10_000)


def test_key_ring(world):
    ring = world.ring
    assert ring.domain_of(world.alice.uri) is world.domain
    assert ring.domain_of(world.carol.uri) is world.hashed_domain
    assert ring.keys_for(world.alice.uri, world.alice.key_period_no) is world.alice
    with pytest.raises(NoKeysError):
        ring.keys_for(world.alice.uri, world.alice.key_period_no + 1)
    with pytest.raises(IdentityError):
        ring.domain_of("sips:nobody@example.org")
    with pytest.raises(IdentityError):
        ring.domain("kms.other.example")


def test_a_uri_of_two_namespaces_has_no_kms(world):
    with pytest.raises(IdentityError):
        KeyRing([world.domain, replace(world.domain, uri="kms.twin.example")], []).domain_of(world.alice.uri)


def test_secrets_do_not_show(world):
    text = repr(world.alice) + repr(world.ring)
    assert world.alice.ssk.hex() not in text
    assert repr(world.alice.ssk) not in text
    assert repr(world.alice.rsk) not in text


@pytest.mark.parametrize(
    "change", [{"uid_scheme": 3}, {"uid_scheme": 2, "key_period_s": 0}, {"z": b""}, {"kpak": b""}, {"uri": "a b"}]
)
def test_bad_domains_are_refused(world, change):
    with pytest.raises(IdentityError):
        replace(world.domain, **change)


def test_times_out_of_the_calendar(world):
    for t in (1e18, -1e18, float("inf")):
        with pytest.raises(IdentityError):
            world.domain.period_of(t)
