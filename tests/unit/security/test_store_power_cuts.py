"""The UE's key store after a power cut, a kill or a full disk at every point of a write."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from security.at_rest import atomic_file
from security.device.record import (
    RecordError,
)
from security.device.store import KEYS_FILE, RECORD_FILE, StoreError
from tests.benches.key_store_bench import (
    ALICE,
    EXPIRES,
    NOW,
    PASSPHRASE,
    PRESENT,
    create,
    digest,
    periods_held,
    provisioning,
    reopen,
)


class PowerCut(BaseException):
    """The machine stops here."""


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
