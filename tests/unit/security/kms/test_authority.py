"""Key extraction as a pure function, and when a period's keys are handed out."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os

import pytest

from security import sakke
from security.eccsi import eccsi
from security.held_keys import Grant
from security.identifiers import NTP_EPOCH, IdentityError, UidScheme
from security.kms.authority import (
    Authority,
    MasterSecrets,
    NotAuthorisedError,
    issue_window,
    last_keys_dead_s,
    next_issue_s,
    periods_granted,
    periods_open,
)

ALICE = "tel:+447700900001"
DAY_S = 86_400


def authority(scheme: UidScheme = UidScheme.HASHED_UID, seed: int = 7) -> Authority:
    return Authority.found(
        MasterSecrets.from_demo_seed(seed),
        uri="kms.example",
        uid_scheme=scheme,
        key_period_s=30 * DAY_S,
        key_period_offset_s=DAY_S,
        namespace=("tel:*", "sip:*"),
    )


def ntp_s(text: str) -> int:
    return int((dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) - NTP_EPOCH).total_seconds())


@pytest.mark.parametrize("scheme", list(UidScheme))
def test_extracted_keys_pass_the_users_checks(scheme: UidScheme) -> None:
    kms = authority(scheme)
    keys = kms.extract(ALICE, 1500)
    eccsi.validate_signing_keys(ssk=keys.ssk, pvt=keys.pvt, uid=keys.uid, kpak=kms.domain.kpak)
    sakke.validate_rsk(keys.rsk, keys.uid, kms.domain.z)


def test_keys_are_a_pure_function_of_seed_identity_and_period() -> None:
    base = authority().extract(ALICE, 1500)
    assert authority().extract(ALICE, 1500) == base
    others = [
        authority(seed=8).extract(ALICE, 1500),
        authority().extract("tel:+447700900002", 1500),
        authority().extract(ALICE, 1501),
    ]
    for attribute in ("rsk", "ssk", "pvt"):
        assert len({getattr(keys, attribute) for keys in (base, *others)}) == 4


def test_fresh_secrets_differ_and_do_not_show() -> None:
    one, two = MasterSecrets.generate(os.urandom), MasterSecrets.generate(os.urandom)
    assert one.ksak != two.ksak
    assert one.root != two.root
    assert one.ksak.hex() not in repr(one)
    assert repr(one.ksak) not in repr(one)


def test_discovery_keys_differ_by_kind_group_period_and_kms() -> None:
    places = [("1", 1), ("1", 2), ("11", 1), ("2", 1)]
    sets = [authority(seed=seed).discovery_keys(*place) for seed in (7, 8) for place in places]
    keys = {key for one in sets for key in (one.duik, one.dusk, one.duck)}
    assert len(keys) == 3 * len(sets)
    assert {len(key) for key in keys} == {32}
    assert authority().discovery_keys("1", 1) == sets[0]
    assert not any(key.hex() in repr(sets) or repr(key) in repr(sets) for key in keys)


@pytest.mark.parametrize("kind", ["duik", "dusk", "duck"])
def test_discovery_keys_are_what_a_second_writing_of_their_derivation_says(kind: str) -> None:
    kms = authority()
    parts = (kind.encode(), b"chess-club", (1516).to_bytes(4, "big"))
    text = b"pc5lab kms v1 " + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    derived = hmac.new(kms.secrets.root, text, hashlib.sha512).digest()
    assert getattr(kms.discovery_keys("chess-club", 1516), kind) == derived[:32]


def test_only_canonical_identities_get_keys() -> None:
    with pytest.raises(IdentityError):
        authority().extract("tel:+44 7700", 1500)
    with pytest.raises(IdentityError):
        authority(UidScheme.MONTHLY_TEL).extract("sip:alice@example.org", 1500)


@pytest.mark.parametrize(
    ("now", "months"),
    [
        ("2026-03-15", [2]),
        ("2026-03-21T23:59:59", [2]),
        ("2026-03-22", [2, 3]),
        ("2026-03-31T23:59:59", [2, 3]),
        ("2026-04-01", [2, 3]),
        ("2026-04-02T23:59:59", [2, 3]),
        ("2026-04-03", [3]),
    ],
)
def test_months_are_issued_ahead_and_until_the_day_rule_ends_them(now: str, months: list[int]) -> None:
    domain = authority(UidScheme.MONTHLY_TEL).domain
    assert [period - 126 * 12 for period in periods_open(domain, ntp_s(now))] == months


def test_next_issue_is_when_a_further_period_opens() -> None:
    for scheme in UidScheme:
        domain = authority(scheme).domain
        now = ntp_s("2026-03-15")
        moment = next_issue_s(domain, now)
        assert max(periods_open(domain, moment)) == max(periods_open(domain, moment - 1)) + 1


def test_windows_of_hashed_periods_overlap_their_neighbours() -> None:
    domain = authority().domain
    opening, closing = issue_window(domain, 1500)
    start, end = domain.period_bounds(1500)
    assert (start - opening, closing - end) == (10 * DAY_S, 2 * DAY_S)


def test_a_grant_covers_present_and_coming_periods() -> None:
    domain = authority(UidScheme.MONTHLY_TEL).domain
    now, april = ntp_s("2026-03-30"), ntp_s("2026-04-01")
    assert len(periods_granted(domain, Grant(uri=ALICE), now)) == 2
    assert len(periods_granted(domain, Grant(uri=ALICE, not_after_ntp_s=april), now)) == 1
    for grant in (Grant(uri=ALICE, not_after_ntp_s=now), Grant(uri=ALICE, not_before_ntp_s=april)):
        with pytest.raises(NotAuthorisedError):
            periods_granted(domain, grant, now)


def test_keys_handed_out_up_to_now_are_dead_when_the_day_rule_ends_their_period() -> None:
    domain = authority(UidScheme.MONTHLY_TEL).domain
    assert last_keys_dead_s(domain, ntp_s("2026-03-15")) == ntp_s("2026-04-03")
    assert last_keys_dead_s(domain, ntp_s("2026-03-25")) == ntp_s("2026-05-03")


def test_a_group_key_is_an_rsk_and_nothing_to_sign_with() -> None:
    kms = authority()
    key = kms.group_key("sip:team@example.org", 1500)
    sakke.validate_rsk(key.rsk, key.uid, kms.domain.z)
    assert not hasattr(key, "ssk")
    assert key.rsk.hex() not in repr(key)
