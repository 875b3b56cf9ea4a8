"""The UE's key store: what is on disk after a crash at every point, and whose it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security.at_rest import atomic_file
from security.at_rest.sealing import SealError
from security.device import record, record_state
from security.device import store as store_module
from security.device.provisioning import Provisioning
from security.device.record import (
    REPLAY_ENTRIES_PER_SIGNER,
    WINDOW_S,
    RecordError,
    RecordFullError,
)
from security.device.store import KEYS_FILE, RECORD_FILE, KeyStore, StoreError
from security.identifiers import UidScheme
from security.kms.authority import Authority, MasterSecrets
from security.kms_wire.protocol import encode
from security.kms_wire.tls import TlsIdentity

ALICE = "tel:+447700900001"
PASSPHRASE = b"correct horse battery"
NOW = 3_982_000_000
EXPIRES = NOW + 300


class PowerCut(BaseException):
    """The machine stops here."""


def authority(seed: int = 7) -> Authority:
    return Authority.found(
        MasterSecrets.from_demo_seed(seed),
        uri="kms.example",
        uid_scheme=UidScheme.MONTHLY_TEL,
        key_period_s=0,
        key_period_offset_s=0,
        namespace=("tel:*",),
    )


AUTHORITY = authority()
PRESENT = AUTHORITY.domain.period_of(NOW)


def provisioning(*periods: int, kms: Authority = AUTHORITY, uri: str = ALICE, **more: Any) -> Provisioning:
    fields: dict[str, Any] = {
        "uri": uri,
        "domain": kms.domain,
        "lab_deterministic": True,
        "time_ntp_s": NOW,
        "next_issue_ntp_s": NOW + 1,
        "key_sets": tuple(kms.extract(uri, period) for period in periods),
        "discovery_keys": tuple(kms.discovery_keys("1", period) for period in periods),
        "peers": None,
        "deny_list": (),
    }
    return Provisioning(**(fields | more))


def create(folder: Path) -> KeyStore:
    return KeyStore.create(folder, identity=ALICE, passphrase=PASSPHRASE, now_ntp_s=NOW, log2_n=4)


def reopen(folder: Path, now_ntp_s: int = NOW) -> KeyStore:
    return KeyStore.open(folder, identity=ALICE, passphrase=PASSPHRASE, now_ntp_s=now_ntp_s)


def periods_held(store: KeyStore) -> list[int]:
    return [keys.key_period_no for keys in store.key_ring().users]


def digest(number: int) -> bytes:
    return number.to_bytes(32)


def test_two_periods_lie_side_by_side_and_older_ones_go(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    store.keep(provisioning(PRESENT + 1))
    assert periods_held(reopen(tmp_path)) == [PRESENT, PRESENT + 1]
    store.keep(provisioning(PRESENT + 2))
    again = reopen(tmp_path)
    assert periods_held(again) == [PRESENT + 1, PRESENT + 2]
    assert [key.key_period_no for key in again.discovery_keys()] == [PRESENT + 1, PRESENT + 2]
    assert again.discovery_keys() == tuple(AUTHORITY.discovery_keys("1", PRESENT + 1 + i) for i in range(2))
    assert again.key_ring().keys_for(ALICE, PRESENT + 1) == AUTHORITY.extract(ALICE, PRESENT + 1)


def test_a_store_of_version_1_opens_without_its_discovery_keys_and_gets_them_anew(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    content = json.loads(encode(store._content)) | {"version": 1}
    for entry in content["kms"]:
        entry["discovery_keys"] = [{"group": "1", "key_period_no": PRESENT, "duik": "12" * 32}]
    sealed = store._seal.seal(json.dumps(content).encode(), purpose=store_module.PURPOSE)
    (tmp_path / KEYS_FILE).write_bytes(sealed)
    again = reopen(tmp_path)
    assert (periods_held(again), again.discovery_keys()) == ([PRESENT], ())
    again.keep(provisioning(PRESENT))
    assert reopen(tmp_path).discovery_keys() == (AUTHORITY.discovery_keys("1", PRESENT),)


@pytest.mark.parametrize(
    "octets", [b"[]", b"null", b'{"version":3}', b'{"version":1,"kms":[1]}', b"\xff", b'{"kms":5}']
)
def test_a_store_of_no_known_version_is_refused(tmp_path: Path, octets: bytes) -> None:
    store = create(tmp_path)
    (tmp_path / KEYS_FILE).write_bytes(store._seal.seal(octets, purpose=store_module.PURPOSE))
    with pytest.raises(StoreError):
        reopen(tmp_path)


def test_files_are_private_and_hold_nothing_readable(tmp_path: Path) -> None:
    store = create(tmp_path / "store")
    store.keep(provisioning(PRESENT))
    store.keep_certificate(TlsIdentity(certificate_pem=b"-" * 64, key_pem=b"private"))
    store.record.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    for path in (tmp_path / "store").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        discovery = store.discovery_keys()[0]
        secrets = [store.key_ring().users[0].rsk[:16], discovery.duik, discovery.dusk, discovery.duck]
        secrets += [secret.hex().encode() for secret in secrets]
        assert not any(secret in content for secret in (b"private", ALICE.encode(), *secrets))


def test_another_identitys_store_is_refused(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(StoreError, match=r"of tel:\+447700900001, not of tel:\+447700900002"):
        KeyStore.open(tmp_path, identity="tel:+447700900002", passphrase=PASSPHRASE, now_ntp_s=NOW)


def test_another_identitys_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"tel:\+447700900002"):
        create(tmp_path).keep(provisioning(PRESENT, uri="tel:+447700900002"))


def test_a_kms_that_shows_other_master_keys_is_refused(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    with pytest.raises(StoreError, match="other parameters"):
        store.keep(provisioning(PRESENT + 1, kms=authority(8)))
    assert periods_held(reopen(tmp_path)) == [PRESENT]


@pytest.mark.parametrize(
    "damage",
    [lambda octets: octets[:-1], lambda octets: b"", lambda octets: octets[:-1] + bytes([octets[-1] ^ 1])],
    ids=["cut", "empty", "flipped"],
)
def test_a_damaged_store_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    create(tmp_path)
    (tmp_path / KEYS_FILE).write_bytes(damage((tmp_path / KEYS_FILE).read_bytes()))
    with pytest.raises(SealError):
        reopen(tmp_path)


def test_wrong_passphrase_missing_and_existing_stores_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no key store"):
        reopen(tmp_path / "nowhere")
    create(tmp_path)
    with pytest.raises(StoreError, match="already"):
        create(tmp_path)
    with pytest.raises(SealError, match="wrong passphrase"):
        KeyStore.open(tmp_path, identity=ALICE, passphrase=b"wrong horse battery", now_ntp_s=NOW)


def test_deny_list_and_peers_are_kept(tmp_path: Path) -> None:
    store = create(tmp_path)
    assert store.peers is None
    store.keep(provisioning(PRESENT, peers=("tel:+1",), deny_list=("tel:+2",)))
    again = reopen(tmp_path)
    assert again.peers == frozenset({"tel:+1"})
    assert again.deny_list == {"tel:+2"}
    assert again.lab_deterministic


SYSTEM_CALLS = ["open", "write", "fsync", "replace", "ftruncate"]


def cut_power_at(monkeypatch: pytest.MonkeyPatch, call: str, nth: int) -> None:
    """Stop at the nth use of a system call; a write puts half of its octets on the disk first."""
    count = 0
    owner: Any = Path if call == "replace" else os
    real = getattr(owner, call)

    def cut(*arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        count += 1
        if count < nth:
            return real(*arguments, **keywords)
        if call == "write":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        raise PowerCut

    monkeypatch.setattr(owner, call, cut)


@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_keeping_keys_survives_a_power_cut_at_any_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    with monkeypatch.context() as patch:
        cut_power_at(patch, call, nth)
        try:
            store.keep(provisioning(PRESENT + 1, time_ntp_s=NOW + 50))
            finished = True
        except PowerCut:
            finished = False
    again = reopen(tmp_path)
    assert periods_held(again) in ([[PRESENT, PRESENT + 1]] if finished else [[PRESENT], [PRESENT, PRESENT + 1]])
    assert not again.record.was_lost
    assert again.record.time_floor_ntp_s in (NOW, NOW + 50)
    again.keep(provisioning(PRESENT + 1, time_ntp_s=NOW + 50))
    assert periods_held(reopen(tmp_path)) == [PRESENT, PRESENT + 1]


@pytest.mark.parametrize("nth", range(1, 8))
@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_creation_survives_a_power_cut_at_any_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    with monkeypatch.context() as patch:
        cut_power_at(patch, call, nth)
        try:
            create(tmp_path)
        except PowerCut:
            if not (tmp_path / KEYS_FILE).exists():
                patch.undo()
                create(tmp_path)
    assert not reopen(tmp_path).record.was_lost


@pytest.mark.parametrize("nth", range(1, 4))
@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_a_replay_entry_is_on_disk_before_anyone_may_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    entries = create(tmp_path).record
    entries.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    with monkeypatch.context() as patch:
        cut_power_at(patch, call, nth)
        try:
            acted = entries.remember(digest(2), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
        except PowerCut:
            acted = False
    again = reopen(tmp_path).record
    assert not again.was_lost
    assert again.contains(digest(1))
    assert again.contains(digest(2)) or not acted
    assert again.remember(digest(3), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    assert reopen(tmp_path).record.contains(digest(3))


@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_compaction_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    for nth in range(1, 4):
        folder = tmp_path / str(nth)
        entries = create(folder).record
        entries.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
        entries.raise_mark("group epoch", 9)
        with monkeypatch.context() as patch:
            cut_power_at(patch, call, nth)
            with contextlib.suppress(PowerCut):
                entries.compact(now_ntp_s=NOW)
        again = reopen(folder).record
        assert not again.was_lost
        assert again.contains(digest(1))
        assert again.mark("group epoch") == 9


def test_an_append_cut_at_any_octet_costs_only_itself(tmp_path: Path) -> None:
    entries = create(tmp_path).record
    path = tmp_path / RECORD_FILE
    entries.remember(digest(1), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    first = path.stat().st_size
    entries.remember(digest(2), signer=ALICE, expires_ntp_s=EXPIRES, now_ntp_s=NOW)
    whole = path.read_bytes()
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        again = reopen(tmp_path).record
        assert (again.was_lost, again.contains(digest(1)), again.contains(digest(2))) == (False, True, False)


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


def test_keys_of_a_period_that_a_home_contact_shows_to_be_over_leave_the_disk(tmp_path: Path) -> None:
    store = create(tmp_path / "ue")
    store.keep(provisioning(PRESENT))
    over = int(AUTHORITY.domain.period_bounds(PRESENT)[1] + AUTHORITY.domain.overlap_s()) + WINDOW_S
    store.keep(provisioning(PRESENT + 1, time_ntp_s=over - 1))
    assert periods_held(store) == [PRESENT, PRESENT + 1]
    store.keep(provisioning(PRESENT + 1, time_ntp_s=over))
    assert periods_held(reopen(tmp_path / "ue")) == [PRESENT + 1]
    assert {keys.key_period_no for keys in reopen(tmp_path / "ue").discovery_keys()} == {PRESENT + 1}


def test_a_period_is_wiped_from_the_disk_on_demand_and_the_rest_stays(tmp_path: Path) -> None:
    store = create(tmp_path / "ue")
    store.keep(provisioning(PRESENT, PRESENT + 1))
    store.wipe_period("another.example", PRESENT)
    assert periods_held(store) == [PRESENT, PRESENT + 1]
    store.wipe_period(AUTHORITY.domain.uri, PRESENT)
    assert periods_held(store) == periods_held(reopen(tmp_path / "ue")) == [PRESENT + 1]


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


def test_a_full_disk_is_an_error_and_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space"):
            store.keep(provisioning(PRESENT + 1))
        with pytest.raises(RecordError, match="No space"):
            store.record.raise_floor(NOW + 99)
    assert periods_held(reopen(tmp_path)) == [PRESENT]
    assert not list(tmp_path.glob("*.new"))


def test_a_process_killed_while_it_writes_leaves_a_good_store(tmp_path: Path) -> None:
    store = create(tmp_path)
    store.keep(provisioning(PRESENT))
    script = textwrap.dedent(f"""
        from pathlib import Path
        from security.device.store import KeyStore
        from security.kms_wire.tls import TlsIdentity
        store = KeyStore.open(Path({str(tmp_path)!r}), identity={ALICE!r}, passphrase={PASSPHRASE!r}, now_ntp_s={NOW})
        number = 0
        while True:
            number += 1
            store.keep_certificate(TlsIdentity(certificate_pem=b"%064d" % number, key_pem=b"k" * 2000))
            store.record.remember(number.to_bytes(32), signer=str(number), expires_ntp_s={EXPIRES}, now_ntp_s={NOW})
            print(number, flush=True)
    """)
    for lines_to_wait_for in (1, 3, 6):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            last = [int(process.stdout.readline()) for _ in range(lines_to_wait_for)][-1]
            process.send_signal(signal.SIGKILL)
        again = reopen(tmp_path)
        assert not again.record.was_lost
        assert periods_held(again) == [PRESENT]
        assert again.record.contains(digest(last))
        assert again.tls_identity is not None


def test_atomic_replacement_syncs_file_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        order.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    atomic_file.replace_file(tmp_path / "file", b"content")
    assert order == ["sync file", "rename", "sync folder"]
