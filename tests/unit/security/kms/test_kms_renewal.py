"""A UE keeps itself provisioned: ahead of the change, spread over its users, patient when the KMS is away."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from security.device.provisioning import check_provisioning
from security.device.renewal import FIRST_RETRY_S, LONGEST_RETRY_S, LONGEST_SLEEP_S, keep_provisioned, renewal_due_ntp_s
from security.device.store import KeyStore
from security.identifiers import KmsDomain, UidScheme
from security.kms.authority import issue_window, next_issue_s
from security.kms_wire.errors import KmsRefusal, KmsUnreachable
from security.kms_wire.protocol import KeysRequest, Refusal

ALICE = "tel:+447700900001"
MakeKms = Callable[..., Any]


class Enough(BaseException):
    """The test has seen enough."""


def domain(scheme: UidScheme) -> KmsDomain:
    return KmsDomain(
        uri="kms.example",
        z=bytes(257),
        kpak=bytes(65),
        uid_scheme=scheme,
        key_period_s=7 * 86_400,
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


def renewing(
    make_kms: MakeKms,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: list[Exception],
    *,
    until: int,
    ahead_s: int = 0,
) -> tuple[Any, KeyStore, list[Mapping[str, Any]], list[float]]:
    """Run `keep_provisioned` against a KMS without a network; sleeping moves its time, `until` sleeps end the trial."""
    kms = make_kms(at=dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC))
    alice = kms.enrol("alice", ALICE)
    store = KeyStore.create(
        tmp_path / "ue", identity=ALICE, passphrase=b"correct horse", now_ntp_s=kms.ntp_s(), log2_n=4
    )
    slept: list[float] = []
    events: list[Mapping[str, Any]] = []

    async def contact(store: KeyStore, **_: Any) -> Any:
        if failures:
            raise failures.pop(0)
        parameters = kms.service.parameters(alice.fingerprint)
        got = check_provisioning(parameters, kms.service.keys(alice.fingerprint, KeysRequest(uri=ALICE)), uri=ALICE)
        store.keep(got)
        return got

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == until:
            raise Enough
        kms.at += dt.timedelta(seconds=seconds)

    monkeypatch.setattr("security.device.renewal.provision", contact)
    coroutine = keep_provisioned(
        store,
        url="",
        ca_pem=b"",
        now_ntp_s=lambda: kms.ntp_s() + ahead_s,
        sleep=sleep,
        emit=lambda event: events.append(dict(event)),
    )
    with contextlib.suppress(Enough):
        asyncio.run(coroutine)
    return kms, store, events, slept


def test_a_ue_left_alone_for_two_months_always_holds_the_keys_it_may_need(
    make_kms: MakeKms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kms, store, events, slept = renewing(make_kms, tmp_path, monkeypatch, [], until=62)
    assert max(slept) <= LONGEST_SLEEP_S
    assert kms.at > dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    assert all(event["event"] == "keys-renewed" for event in events)
    domain = kms.service.authority.domain
    assert store.key_ring().keys_at(ALICE, kms.ntp_s()).key_period_no == domain.period_of(kms.ntp_s())
    assert {period for event in events for period in event["periods"]} >= {1514, 1515, 1516}


def test_a_kms_that_is_away_is_asked_again_ever_more_slowly(
    make_kms: MakeKms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [KmsUnreachable("away") for _ in range(12)]
    _, _, events, slept = renewing(make_kms, tmp_path, monkeypatch, away, until=13)
    assert slept[:3] == [FIRST_RETRY_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S]
    assert slept[11] == LONGEST_RETRY_S
    assert [event["event"] for event in events] == ["keys-not-renewed"] * 12 + ["keys-renewed"]


def test_a_final_refusal_ends_it(make_kms: MakeKms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [KmsRefusal(Refusal.BUSY, "busy"), KmsRefusal(Refusal.IDENTITY_REVOKED, "revoked")]
    _, _, events, slept = renewing(make_kms, tmp_path, monkeypatch, refusals, until=9)
    assert [event["why"] for event in events] == ["busy", "revoked"]
    assert slept == [FIRST_RETRY_S]


@pytest.mark.parametrize(("ahead_s", "told"), [(0, 0), (60, 0), (-300, 0), (301, 1), (-301, 1)])
def test_a_clock_and_a_kms_that_disagree_are_told(
    make_kms: MakeKms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int, told: int
) -> None:
    kms, store, events, _ = renewing(make_kms, tmp_path, monkeypatch, [], until=1, ahead_s=ahead_s)
    apart = [event for event in events if event["event"] == "clock-apart-from-kms"]
    assert [event["own_ntp_s"] - event["kms_ntp_s"] for event in apart] == [ahead_s] * told
    assert store.record.time_floor_ntp_s == kms.ntp_s()
