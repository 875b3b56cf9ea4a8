"""The record in the UE's key store: replay entries, marks, and a time floor that the home KMS may move."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from security.device import record, record_state
from security.device.record import (
    REPLAY_ENTRIES_PER_SIGNER,
    WINDOW_S,
    RecordError,
    RecordFullError,
)
from security.device.store import RECORD_FILE
from security.identifiers import UidScheme
from security.kms.authority import Authority, MasterSecrets
from tests.benches.key_store_bench import ALICE, AUTHORITY, EXPIRES, NOW, PRESENT, create, digest, provisioning, reopen


def test_a_lost_or_altered_record_starts_with_the_floor_now(tmp_path: Path) -> None:
    entries = create(tmp_path).record
    path = tmp_path / RECORD_FILE
    for number in range(3):
        entries.remember(digest(number), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    whole = path.read_bytes()
    length = 4 + int.from_bytes(whole[:4])
    for damaged in (None, b"", whole[length:], bytes([whole[0] ^ 0x80]) + whole[1:], whole[:60] + b"\0" + whole[61:]):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        again = reopen(tmp_path, now_ntp_s=NOW + 1000).record
        assert again.was_lost
        assert again.time_floor_ntp_s == again.accept_after_ntp_s == NOW + 1000
        assert not reopen(tmp_path).record.was_lost


def test_the_floor_never_falls(tmp_path: Path) -> None:
    entries = create(tmp_path).record
    entries.raise_floor(NOW + 10)
    entries.raise_floor(NOW + 5)
    assert reopen(tmp_path, now_ntp_s=1).record.time_floor_ntp_s == NOW + 10


@pytest.mark.parametrize("ahead_s", [-60, 0, 60, 300])
def test_a_kms_within_the_window_leaves_the_floor_where_the_own_clock_put_it(tmp_path: Path, ahead_s: int) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT, time_ntp_s=NOW + ahead_s))
    assert (store.record.time_floor_ntp_s, store.record.accept_after_ntp_s) == (NOW, 0)


def test_a_kms_raises_the_floor_to_its_time_less_the_window_and_no_further_than_the_keys(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT, time_ntp_s=NOW + 1000))
    assert (store.record.time_floor_ntp_s, store.record.accept_after_ntp_s) == (NOW + 700, 0)
    _, end = AUTHORITY.domain.period_bounds(PRESENT)
    store.keep(provisioning(PRESENT, time_ntp_s=end + 10**7))
    assert reopen(tmp_path).record.time_floor_ntp_s == end


def test_a_kms_takes_a_spoilt_floor_back_and_that_counts_as_a_lost_record(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.record.raise_floor(NOW + WINDOW_S)
    store.keep(provisioning(PRESENT))
    assert store.record.time_floor_ntp_s == NOW + WINDOW_S, "a clock that agrees with the KMS is not below this floor"
    store.record.raise_floor(NOW + 86_400)
    contact = store.keep(provisioning(PRESENT))
    assert contact is not None and contact.lowered
    again = reopen(tmp_path).record
    assert (again.time_floor_ntp_s, again.accept_after_ntp_s) == (NOW - WINDOW_S, NOW)


def test_a_foreign_kms_never_moves_the_floor(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    secrets = MasterSecrets.from_demo_seed(9)
    for uri, namespace in (("kms.foreign.example", ("sip:*",)), ("kms.second.example", ("tel:*",))):
        foreign = Authority.found(
            secrets,
            uri=uri,
            uid_scheme=UidScheme.MONTHLY_TEL,
            key_period_s=0,
            key_period_offset_s=0,
            namespace=namespace,
        )
        for time_ntp_s in (NOW + 10**6, NOW - 10**6):
            assert store.keep(provisioning(PRESENT, kms=foreign, time_ntp_s=time_ntp_s)) is None
    assert (store.record.time_floor_ntp_s, store.record.accept_after_ntp_s) == (NOW, 0)
    store.keep(provisioning(PRESENT, time_ntp_s=NOW + 1000))
    assert store.record.time_floor_ntp_s == NOW + 700, "the home KMS is still the home KMS"


def test_a_lost_record_waits_for_the_home_kms_to_tell_the_time(tmp_path: Path) -> None:
    store = create(tmp_path / "ue")
    store.keep(provisioning(PRESENT))
    assert not store.record.time_unproven
    (tmp_path / "ue" / RECORD_FILE).unlink()
    for _ in range(2):
        store = reopen(tmp_path / "ue")
        assert store.record.time_unproven
    store.keep(provisioning(PRESENT))
    assert not store.record.time_unproven and not reopen(tmp_path / "ue").record.time_unproven
    store.record.compact(now_ntp_s=NOW)
    assert not reopen(tmp_path / "ue").record.time_unproven


def test_the_contact_after_a_loss_says_up_to_when_nothing_is_taken(tmp_path: Path) -> None:
    """The new record began by a clock that was set back: what was taken since that time must not be taken again."""
    create(tmp_path / "ue").keep(provisioning(PRESENT))
    (tmp_path / "ue" / RECORD_FILE).unlink()
    store = reopen(tmp_path / "ue", now_ntp_s=NOW - WINDOW_S)
    assert store.record.accept_after_ntp_s == NOW - WINDOW_S
    store.keep(provisioning(PRESENT))
    assert store.record.accept_after_ntp_s == reopen(tmp_path / "ue").record.accept_after_ntp_s == NOW
    store.keep(provisioning(PRESENT, time_ntp_s=NOW + 60))
    assert store.record.accept_after_ntp_s == NOW, "only the first contact after the loss"


def test_marks_only_rise(tmp_path: Path) -> None:
    entries = create(tmp_path).record
    entries.raise_mark("epoch", 3)
    for value in (3, 2):
        with pytest.raises(RecordError):
            entries.raise_mark("epoch", value)
    assert reopen(tmp_path).record.mark("epoch") == 3
    assert entries.mark("other") == 0


def test_a_signer_has_room_for_so_many_and_others_still_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    entries = create(tmp_path).record
    for number in range(REPLAY_ENTRIES_PER_SIGNER):
        assert entries.remember(digest(number), signer="tel:+1", expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert not entries.has_room("tel:+1", now_ntp_s=NOW)
    with pytest.raises(RecordFullError):
        entries.remember(digest(999), signer="tel:+1", expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert entries.has_room("tel:+2", now_ntp_s=NOW)
    passed = EXPIRES + WINDOW_S + 1
    assert not entries.has_room("tel:+1", now_ntp_s=passed)
    entries.raise_floor(passed)
    assert entries.has_room("tel:+1", now_ntp_s=passed)
    entries.compact(now_ntp_s=passed)
    assert not entries.contains(digest(0))


def test_the_whole_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(record_state, "REPLAY_ENTRIES", 8)
    monkeypatch.setattr(record, "COMPACT_ABOVE_ENTRIES", 16)
    entries = create(tmp_path).record
    for number in range(8):
        entries.remember(digest(number), signer=f"tel:+{number}", expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert not entries.has_room("tel:+9", now_ntp_s=NOW)
    for number in range(8, 24):
        now = EXPIRES + WINDOW_S + 1000 * number
        entries.raise_floor(now)
        entries.remember(digest(number), signer="tel:+9", expires_ntp_s=now, now_ntp_s=now)
    assert (tmp_path / RECORD_FILE).stat().st_size < 20 * 200


def test_processes_of_a_device_share_the_record(tmp_path: Path) -> None:
    one, other = create(tmp_path).record, reopen(tmp_path).record
    assert one.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert not other.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    other.compact(now_ntp_s=NOW)
    assert one.contains(digest(1))
    one.raise_floor(NOW + 7)
    assert other.time_floor_ntp_s == NOW + 7
