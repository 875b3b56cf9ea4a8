"""A UE keeps itself provisioned: ahead of the change, spread over its users, patient when the KMS is away."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from security.device.provisioning import NumbersFetched, Provisioning, check_provisioning
from security.device.renewal import FIRST_RETRY_S, LONGEST_RETRY_S, LONGEST_WAIT_S, RenewalWaits, renewal_due_ntp_s
from security.device.store import KeyStore
from security.identifiers import KmsDomain, UidScheme
from security.kms.authority import issue_window, next_issue_s
from security.kms_wire.errors import KmsRefusal, KmsUnreachable
from security.kms_wire.protocol import KeysRequest, Refusal

ALICE = "tel:+447700900001"
MakeKms = Callable[..., Any]


def domain(scheme: UidScheme, key_period_s: int = 7 * 86_400) -> KmsDomain:
    return KmsDomain(
        uri="kms.example",
        z=bytes(257),
        kpak=bytes(65),
        uid_scheme=scheme,
        key_period_s=key_period_s,
        key_period_offset_s=5,
        namespace=("tel:*",),
    )


@pytest.mark.parametrize("scheme", list(UidScheme))
def test_users_come_while_keys_are_handed_out_and_before_they_may_be_needed(scheme: UidScheme) -> None:
    kms = domain(scheme)
    next_issue = next_issue_s(kms, 3_982_000_000)
    period = kms.period_of(next_issue) + 1
    opening, _ = issue_window(kms, period)
    start, _ = kms.period_bounds(period)
    dues = [renewal_due_ntp_s(kms, f"tel:+{number}", next_issue) for number in range(1000)]
    needed = start - kms.overlap_s()
    assert opening <= min(dues) < max(dues) < needed
    quarters = [sum(due < next_issue + (needed - next_issue) * part * 0.75 / 4 for due in dues) for part in range(1, 5)]
    assert all(abs(count - 250 * number) < 60 for number, count in enumerate(quarters, 1))
    assert dues[0] == renewal_due_ntp_s(kms, "tel:+0", next_issue)


def contact(kms: Any, alice: Any, store: KeyStore) -> Provisioning:
    """One contact with a KMS without a network."""
    parameters = kms.service.parameters(alice.fingerprint)
    got = check_provisioning(parameters, kms.service.keys(alice.fingerprint, KeysRequest(uri=ALICE)), uri=ALICE)
    store.keep(got)
    return got


def test_a_ue_left_alone_for_two_months_always_holds_the_keys_it_may_need(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = make_kms(at=dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC))
    alice = kms.enrol("alice", ALICE)
    store = KeyStore.create(
        tmp_path / "ue", identity=ALICE, passphrase=b"correct horse", now_ntp_s=kms.ntp_s(), log2_n=4
    )
    waits = RenewalWaits(ALICE, kms.service.authority.domain)
    periods: set[int] = set()
    while kms.at < dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC):
        got = contact(kms, alice, store)
        periods |= {keys.key_period_no for keys in got.key_sets}
        assert store.key_ring().keys_at(ALICE, kms.ntp_s())
        wait_s = waits.after_contact(got)
        assert FIRST_RETRY_S <= wait_s <= LONGEST_WAIT_S
        kms.at += dt.timedelta(seconds=wait_s)
        assert store.key_ring().keys_at(ALICE, kms.ntp_s()), "held before it is needed"
    assert periods >= {1514, 1515, 1516}


def test_who_holds_statements_of_numbers_comes_again_before_they_end() -> None:
    one = domain(UidScheme.HASHED_UID, 1000)
    start, _ = one.period_bounds(5)
    got = Provisioning(
        uri=ALICE,
        domain=one,
        lab_deterministic=True,
        time_ntp_s=start,
        next_issue_ntp_s=start + 950,
        key_sets=(),
        discovery_keys=(),
        peers=None,
        deny_list=(),
    )
    waits = RenewalWaits(ALICE, one)
    asked = replace(got, numbers=NumbersFetched(asked=("+447700900077",)))
    assert waits.after_contact(got) >= 950 and waits.after_contact(asked) == 900


def test_a_kms_that_is_away_is_asked_again_ever_more_slowly(make_kms: MakeKms, tmp_path: Path) -> None:
    waits = RenewalWaits(ALICE, domain(UidScheme.MONTHLY_TEL))
    slept = [waits.after_failure(KmsUnreachable("away")) for _ in range(12)]
    assert slept[:3] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert slept[11] == LONGEST_RETRY_S
    kms = make_kms()
    alice = kms.enrol("alice", ALICE)
    store = KeyStore.create(
        tmp_path / "ue", identity=ALICE, passphrase=b"correct horse", now_ntp_s=kms.ntp_s(), log2_n=4
    )
    waits.after_contact(contact(kms, alice, store))
    assert waits.after_failure(KmsUnreachable("away")) == FIRST_RETRY_S


def test_only_a_final_refusal_ends_it() -> None:
    waits = RenewalWaits(ALICE, domain(UidScheme.MONTHLY_TEL))
    assert waits.after_failure(KmsRefusal(Refusal.BUSY, "busy")) == FIRST_RETRY_S
    for refusal in (Refusal.USER_REVOKED, Refusal.IDENTITY_REVOKED, Refusal.CERTIFICATE_UNKNOWN):
        assert waits.after_failure(KmsRefusal(refusal, "no more")) == math.inf


@pytest.mark.parametrize("key_period_s", [60, 600, 3600])
def test_where_key_periods_are_short_so_are_the_waits(key_period_s: int) -> None:
    kms = domain(UidScheme.HASHED_UID, key_period_s)
    waits = RenewalWaits(ALICE, kms)
    total = sum(waits.after_failure(KmsUnreachable("away")) for _ in range(3))
    start, _ = kms.period_bounds(kms.period_of(3_982_000_000))
    opening, _ = issue_window(kms, kms.period_of(start) + 1)
    assert total < start + key_period_s - opening, "three attempts fit between the issue of keys and their need"
