"""The audit log against its own KMS: a pinned key, exported checkpoints, countersigned heads, read-only copies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab_scripts.cli.main import run
from security.kms.audit import AuditEntry, AuditHead, next_line
from security.kms.audit_checkpoint import Checkpoint, read_checkpoint
from security.kms.audit_verification import checkpoint_of
from security.kms.home import KmsHome
from security.kms.intercept import Operator, add_operator, approve_intercept, request_intercept
from security.kms.operator_orders import EnrolmentOrder, enrol, revoke_identity
from security.kms.seen_state import SEEN_FILE
from security.kms.service import KeyOrder
from security.kms_wire.errors import AuditError, InterceptError, RowsAlteredError
from security.kms_wire.protocol import encode
from security.mikey import create_i_message

ALICE, BOB = "tel:+447700900001", "tel:+447700900002"
MakeKms = Callable[..., Any]


@pytest.fixture
def kms(make_kms: MakeKms) -> Any:
    made = make_kms()
    made.enrol("alice", ALICE)
    worker = made.home.unseal(passphrase_file=None, clocks=made.clocks(), stream="serve-1")
    worker.issue([KeyOrder(fingerprint=made.users["alice"].fingerprint, uri=ALICE)] * 3)
    return made


def operator(name: str) -> Operator:
    return Operator(name=name, key=Ed25519PrivateKey.generate())


@contextlib.contextmanager
def sql(kms: Any) -> Iterator[sqlite3.Connection]:
    with sqlite3.connect(kms.home.folder / "kms.sqlite") as connection:
        yield connection
    connection.close()


def verify(kms: Any, **options: Any) -> Any:
    return KmsHome.open(kms.home.folder, read_only=True).verify_audit(**options)


def rewrite(kms: Any, key: Ed25519PrivateKey, *, without: str) -> None:
    """Make the whole log anew without one action's lines, with good chains and counts, signed with `key`."""
    with kms.service.database.read() as records:
        told = [line.fields for line in records.audit_lines()]
    heads: dict[str, AuditHead] = {}
    rows = []
    for fields in told:
        stream = str(fields["stream"])
        if fields["action"] == without:
            continue
        names = ("at", "actor", "action", "subject", "detail")
        entry = AuditEntry(**{name: fields[name] for name in names})
        line, heads[stream] = next_line(heads.get(stream, AuditHead(stream=stream)), entry, key=key)
        rows.append((stream, heads[stream].count, line.text, line.signature_hex))
    with sql(kms) as connection:
        connection.execute("DELETE FROM audit")
        connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?)", rows)
        for head in heads.values():
            connection.execute(
                "UPDATE audit_streams SET lines = ?, hash = ? WHERE stream = ?",
                (head.count, head.hash_hex, head.stream),
            )


def test_the_verifying_key_is_pinned_outside_of_the_rows_it_verifies(kms: Any) -> None:
    noted = kms.home.row.audit_key_hex
    opened = kms.home.opened(None).secrets
    assert [verify(kms).key_from, verify(kms, opened=opened).key_from, verify(kms, key_hex=noted).key_from] == [
        "kms.json",
        "the sealed part",
        "--key",
    ]
    forger = Ed25519PrivateKey.generate()
    rewrite(kms, forger, without="grant")
    with sql(kms) as connection:
        connection.execute("UPDATE kms SET audit_key = ?", (forger.public_key().public_bytes_raw().hex(),))
    for options in ({}, {"key_hex": noted}):
        with pytest.raises(AuditError, match="exchanged"):
            verify(kms, **options)
    with pytest.raises((AuditError, RowsAlteredError), match="exchanged"):
        verify(kms, opened=opened)
    with pytest.raises(AuditError, match="exchanged"):
        KmsHome.open(kms.home.folder).unseal(passphrase_file=None, clocks=kms.clocks())


def test_a_log_rewritten_with_the_right_key_is_found_against_a_checkpoint_only(kms: Any, tmp_path: Path) -> None:
    noted = checkpoint_of(kms.service)
    revoke_identity(kms.service, BOB)
    verify(kms, checkpoints=[noted])
    rewrite(kms, kms.service.audit_key, without="grant")
    verify(kms)
    with pytest.raises(AuditError, match="is not the line its checkpoint names"):
        verify(kms, checkpoints=[noted])


@pytest.mark.parametrize("stream", ["main", "serve-1"])
def test_a_log_cut_at_its_end_is_found_against_a_checkpoint(kms: Any, stream: str) -> None:
    noted = checkpoint_of(kms.service)
    (kms.home.folder / SEEN_FILE).unlink()
    with kms.service.database.read() as records:
        *_, before, _ = records.audit_lines(stream)
    with sql(kms) as connection:
        cut = (before.fields["seq"], stream)
        connection.execute("DELETE FROM audit WHERE seq > ? AND stream = ?", cut)
        connection.execute(
            "UPDATE audit_streams SET lines = ?, hash = ? WHERE stream = ?", (cut[0], before.hash_hex, stream)
        )
    if stream == "serve-1":
        verify(kms)
    with pytest.raises(AuditError, match=r"cut|gone"):
        verify(kms, checkpoints=[noted])


def test_a_stream_that_vanished_with_its_opening_is_found_against_a_checkpoint(kms: Any) -> None:
    noted = checkpoint_of(kms.service)
    rewrite(kms, kms.service.audit_key, without="open-stream")
    with sql(kms) as connection:
        connection.execute("DELETE FROM audit WHERE stream = 'serve-1'")
        connection.execute("DELETE FROM audit_streams WHERE stream = 'serve-1'")
    verify(kms)
    with pytest.raises(AuditError):
        verify(kms, checkpoints=[noted])


def test_rows_of_before_a_checkpoint_are_found_even_where_the_folder_was_rolled_back_too(
    kms: Any, tmp_path: Path
) -> None:
    kms.home.database.close()
    shutil.copytree(kms.home.folder, tmp_path / "then")
    revoke_identity(kms.service, BOB)
    noted = checkpoint_of(kms.service)
    kms.home.database.close()
    for name in ("kms.sqlite", SEEN_FILE):
        shutil.copy(tmp_path / "then" / name, kms.home.folder / name)
    opened = kms.home.opened(None).secrets
    verify(kms, opened=opened)
    with pytest.raises((AuditError, RowsAlteredError)):
        verify(kms, opened=opened, checkpoints=[noted])


def test_a_checkpoint_is_signed_and_names_its_kms(kms: Any, make_kms: MakeKms, tmp_path: Path) -> None:
    noted = checkpoint_of(kms.service)
    path = tmp_path / "file"
    path.write_bytes(encode(noted))
    assert read_checkpoint(path) == noted
    for edit in (
        {"body": noted.body.model_copy(update={"rows_version": 1})},
        {"body": noted.body.model_copy(update={"streams": noted.body.streams[:1]})},
        {"signature": "0" * 128},
    ):
        with pytest.raises(AuditError, match="altered"):
            verify(kms, checkpoints=[noted.model_copy(update=edit)])
    with pytest.raises(AuditError, match="another audit key"):
        verify(make_kms("other", uri="kms.other", seed=8), checkpoints=[noted])
    for content in (b"", b"{}", b"\xff", encode(noted)[:-9]):
        path.write_bytes(content)
        with pytest.raises(AuditError, match="checkpoint"):
            read_checkpoint(path)
    with pytest.raises(AuditError, match="No such file"):
        read_checkpoint(tmp_path / "none")


def test_countersignatures_are_of_registered_operators(kms: Any) -> None:
    carol, stranger = operator("carol"), operator("carol")
    add_operator(kms.service, "carol", carol.key.public_key())
    noted = checkpoint_of(kms.service, carol)
    assert [one.operator for one in noted.countersignatures] == ["carol"]
    verify(kms, checkpoints=[noted])
    with pytest.raises(InterceptError, match="not the key of operator carol"):
        checkpoint_of(kms.service, stranger)
    with pytest.raises(AuditError, match="not of operator carol as registered"):
        verify(kms, checkpoints=[noted.countersigned("carol", stranger.key)])
    forged = noted.countersignatures[0].model_copy(update={"signature": "1" * 128})
    with pytest.raises(AuditError, match="signature of carol does not verify"):
        verify(kms, checkpoints=[noted.model_copy(update={"countersignatures": (forged,)})])


def ordered(kms: Any) -> tuple[Operator, Operator]:
    """An order that two operators signed, and with it the log's head at that time."""
    erin, frank = operator("erin"), operator("frank")
    for one in (erin, frank):
        add_operator(kms.service, one.name, one.key.public_key())
    domain = kms.service.authority.domain
    period = domain.period_of(kms.ntp_s())
    message = create_i_message(
        keys=kms.service.authority.extract(ALICE, period),
        initiator_domain=domain,
        responder_uri=BOB,
        responder_domain=domain,
        ntp_s=kms.ntp_s(),
        ssv=bytes(16),
        csb_id=1,
        random=os.urandom,
    )
    request_intercept(kms.service, erin, warrant="W", identities=(BOB,), key_period_no=period, messages=(message,))
    approve_intercept(kms.service, frank, 1)
    return erin, frank


def test_a_log_rewritten_with_the_right_key_is_found_by_what_operators_countersigned(kms: Any) -> None:
    ordered(kms)
    verify(kms)
    rewrite(kms, kms.service.audit_key, without="grant")
    with pytest.raises(AuditError, match=r"is not the line its checkpoint names|two different"):
        verify(kms)


def test_a_countersigned_head_can_not_be_made_by_others(kms: Any) -> None:
    ordered(kms)
    with sql(kms) as connection:
        connection.execute("UPDATE countersignatures SET lines = 1 WHERE step = 'request'")
    with pytest.raises(AuditError, match=r"operator erin countersigned was altered"):
        verify(kms)


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("log", ["none", "left by a killed writer", "in use"])
def test_verify_and_show_write_nothing_and_see_the_last_commit(
    kms: Any, tmp_path: Path, log: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where the write-ahead log holds commits that are not in the file, and there is no index of it."""
    revoke_identity(kms.service, BOB)
    if log == "none":
        kms.home.database.close()
    folder = kms.home.folder
    if log != "in use":
        shutil.copytree(kms.home.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
        folder = tmp_path / "copy"
        (folder / "kms.json").write_text((folder / "kms.json").read_text().replace(str(kms.home.folder), str(folder)))
    assert (folder / "kms.sqlite-wal").exists() == (log != "none")
    before = listing(folder)
    for command in (["verify"], ["verify", "--key", kms.home.row.audit_key_hex], ["show"]):
        assert run(["kms", "audit", command[0], str(folder), *command[1:], "--json"]) == 0
        said = json.loads(capfd.readouterr().out)
    assert "revoke-identity" in [line["action"] for line in said]
    assert listing(folder) == before


def test_verify_and_show_need_no_room_on_the_disk_and_no_right_to_write(
    kms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every opening of a file for writing fails, as on a read-only file system, for every user."""
    real_open = os.open

    def read_only_open(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system", str(path))
        return real_open(path, flags, *more, **options)

    home = KmsHome.open(kms.home.folder, read_only=True)
    monkeypatch.setattr(os, "open", read_only_open)
    for name in ("home", "temp"):
        (tmp_path / name).mkdir(mode=0o500)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temp"))
    report = home.verify_audit(opened=home.opened(None).secrets)
    assert report.rows
    assert run(["kms", "audit", "verify", str(kms.home.folder)]) == 0
    assert run(["kms", "audit", "show", str(kms.home.folder)]) == 0


def test_a_copy_of_the_folder_is_checked_and_not_what_it_was_copied_from(kms: Any, tmp_path: Path) -> None:
    kms.home.database.close()
    copy = tmp_path / "copy"
    shutil.copytree(kms.home.folder, copy)
    with sqlite3.connect(copy / "kms.sqlite") as connection:
        connection.execute("DELETE FROM grants")
    connection.close()
    assert run(["kms", "audit", "verify", str(copy)]) == 5
    assert run(["kms", "audit", "verify", str(kms.home.folder)]) == 0


def test_checkpoints_from_the_command_line(kms: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder, file = str(kms.home.folder), tmp_path / "march.checkpoint"
    for name in ("carol", "dave"):
        assert run(["kms", "operator", "add", folder, name, "--key", str(tmp_path / name)]) == 0
    carol = ["--operator", "carol", "--key", str(tmp_path / "carol")]
    dave = ["--operator", "dave", "--key", str(tmp_path / "dave")]
    assert run(["kms", "audit", "checkpoint", folder, "--out", str(file), *carol]) == 0
    assert file.stat().st_mode & 0o077 == 0
    assert run(["kms", "audit", "countersign", folder, str(file), *dave]) == 0
    assert run(["kms", "audit", "countersign", folder, str(file), "--operator", "dave", "--key", carol[-1]]) == 5
    capfd.readouterr()
    assert run(["kms", "audit", "verify", folder, "--checkpoint", str(file), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["checkpoints"][0]["countersigned_by"] == ["carol", "dave"]
    assert (said["rows_not_checked"], said["key_from"]) == (None, "the sealed part")
    assert said["rows"] > 5
    (kms.home.folder / "seal.key").rename(tmp_path / "seal.key")
    assert run(["kms", "audit", "verify", folder, "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["rows"], "sealed" in said["rows_not_checked"]) == (None, True)
    assert run(["kms", "audit", "verify", folder, "--passphrase-file", str(tmp_path / "seal.key")]) == 0
    assert "rows are as they were written" in capfd.readouterr().out
    assert run(["kms", "audit", "verify", folder, "--key", "f" * 64]) == 5
    assert run(["kms", "audit", "verify", folder, "--key", "beef"]) == 2
    assert run(["kms", "audit", "verify", folder, "--checkpoint", str(tmp_path / "none")]) == 5
    assert run(["kms", "audit", "checkpoint", folder, "--out", str(file), *carol[:2]]) == 2
    rewrite(kms, kms.service.audit_key, without="grant")
    assert run(["kms", "audit", "verify", folder, "--checkpoint", str(file)]) == 5


def test_an_enrolment_between_does_not_disturb_a_checkpoint(kms: Any) -> None:
    noted: Checkpoint = checkpoint_of(kms.service)
    enrol(kms.service, EnrolmentOrder(user="bob", identities=(BOB,)))
    later = checkpoint_of(kms.service)
    assert later.body.rows_version > noted.body.rows_version
    verify(kms, checkpoints=[noted, later], opened=kms.home.opened(None).secrets)
