"""The drill: a KMS is lost and comes back from its backup; and a KMS that opens only with m of n shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security.at_rest.sealing import SealError
from security.kms.backup import restore_backup, write_backup
from security.kms.home import KmsHome
from security.kms.home_files import PASSPHRASE_FILE
from security.kms.operator_orders import EnrolmentOrder, add_to_group, enrol, revoke_identity
from security.kms.resealing import split_secrets
from security.kms_wire.errors import BackupError, KmsConfigError, KmsRefusal, SecretShareError
from security.kms_wire.protocol import EnrolRequest, KeysRequest
from security.kms_wire.tls import ClientRequest

ALICE, BOB, TEAM = "tel:+447700900001", "tel:+447700900002", "tel:+447700909999"
MakeKms = Callable[..., Any]


def furnished(make_kms: MakeKms, **options: Any) -> Any:
    kms = make_kms(**options)
    kms.enrol("alice", ALICE, discovery_groups=("1",), peers=(BOB,))
    kms.enrol("bob", BOB)
    add_to_group(kms.service, TEAM, (ALICE,))
    revoke_identity(kms.service, BOB)
    return kms


def restored(kms: Any, backup: Path, folder: Path, **options: Any) -> Any:
    fields = {"database_url": None, "passphrase_file": kms.home.folder / PASSPHRASE_FILE, "clocks": kms.clocks()}
    home, _ = restore_backup(backup, folder, **(fields | options))
    return home


def test_a_lost_kms_comes_back_with_users_groups_revocations_and_its_whole_audit_log(
    make_kms: MakeKms, tmp_path: Path
) -> None:
    kms = furnished(make_kms)
    before = kms.keys("alice", ALICE)
    ticket = enrol(kms.service, EnrolmentOrder(user="late", identities=("tel:+447700900004",)))
    report = write_backup(kms.service, tmp_path / "kms.backup")
    assert (tmp_path / "kms.backup").stat().st_mode & 0o077 == 0
    kms.home.database.close()
    home = restored(kms, tmp_path / "kms.backup", tmp_path / "new")
    service = home.unseal(passphrase_file=kms.home.folder / PASSPHRASE_FILE, clocks=kms.clocks())
    assert service.keys(kms.users["alice"].fingerprint, KeysRequest(uri=ALICE)) == before
    with pytest.raises(KmsRefusal, match="revoked"):
        service.keys(kms.users["bob"].fingerprint, KeysRequest(uri=BOB))
    csr = ClientRequest.create("late").csr_pem.decode()
    with pytest.raises(KmsRefusal, match="token"):
        service.enrol(EnrolRequest(token=ticket.token, csr_pem=csr))
    with service.database.read() as records:
        lines = [line.fields for line in records.audit_lines()]
    assert [line["action"] for line in lines][-3:] == ["backup", "restore", "extract"]
    assert lines[-2]["detail"]["backup_sha256"] == report.sha256
    home.verify_audit()
    home.database.close()


def test_no_secret_is_open_in_a_backup(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = furnished(make_kms)
    write_backup(kms.service, tmp_path / "kms.backup")
    content = (tmp_path / "kms.backup").read_bytes()
    secrets = kms.service.authority.secrets
    for secret in (secrets.ksak, secrets.z_secret, secrets.root, kms.service.audit_key.private_bytes_raw()):
        assert secret.hex().encode() not in content
    assert b"PRIVATE KEY" not in content
    assert (kms.home.folder / PASSPHRASE_FILE).read_bytes().strip() not in content


def test_an_altered_backup_is_not_restored(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = furnished(make_kms)
    write_backup(kms.service, tmp_path / "kms.backup")
    lines = (tmp_path / "kms.backup").read_bytes().splitlines(keepends=True)
    denied = next(line for line in lines if b'"denied_identities"' in line)

    def signed_again(changed: list[bytes]) -> list[bytes]:
        """As an attacker would that can compute the hash but hasn't the key."""
        import hashlib

        trailer = json.loads(changed[-1]) | {"sha256": hashlib.sha256(b"".join(changed[:-1])).hexdigest()}
        return [*changed[:-1], json.dumps(trailer).encode() + b"\n"]

    without = [line for line in lines if line != denied]
    for number, bad in enumerate(
        (
            [],
            lines[:1],
            lines[:-1],
            lines[1:],
            without,
            signed_again(without),
            signed_again([line.replace(ALICE.encode(), b"tel:+447700900007") for line in lines]),
            [*lines, lines[-1]],
            [b"\xff" * 100],
            [b"[" * 100_000],
            signed_again([lines[0].replace(b'"schema":3', b'"schema":9'), *lines[1:]]),
            signed_again([lines[0], lines[1].replace(b'"row":{', b'"row":{"more":1,'), *lines[2:]]),
        )
    ):
        (tmp_path / f"bad{number}").write_bytes(b"".join(bad))
        with pytest.raises(BackupError):
            restored(kms, tmp_path / f"bad{number}", tmp_path / f"folder{number}")
        with pytest.raises(KmsConfigError):
            KmsHome.open(tmp_path / f"folder{number}")
    home = restored(kms, tmp_path / "kms.backup", tmp_path / "folder5")
    home.verify_audit()
    home.database.close()


def test_a_backup_replaces_nothing_and_needs_its_passphrase(make_kms: MakeKms, tmp_path: Path) -> None:
    kms = furnished(make_kms)
    other = make_kms("other", uri="kms.other", seed=8)
    backup = tmp_path / "kms.backup"
    write_backup(kms.service, backup)
    with pytest.raises(BackupError, match="File exists"):
        write_backup(kms.service, backup)
    with pytest.raises(BackupError, match="holds a KMS already"):
        restored(kms, backup, other.home.folder)
    with pytest.raises(SealError):
        restored(kms, backup, tmp_path / "new", passphrase_file=other.home.folder / PASSPHRASE_FILE)
    with pytest.raises(BackupError, match="No such file"):
        restored(kms, tmp_path / "none", tmp_path / "new")


def test_any_three_of_five_share_files_open_the_kms_and_the_passphrase_no_longer_does(
    make_kms: MakeKms, tmp_path: Path
) -> None:
    kms = furnished(make_kms)
    before = kms.keys("alice", ALICE)
    old = (kms.home.folder / PASSPHRASE_FILE).read_bytes()
    passphrase = kms.home.passphrase(None)
    shares = split_secrets(
        kms.home, kms.service, passphrase=passphrase, folder=tmp_path / "shares", threshold=3, shares=5
    )
    assert not (kms.home.folder / PASSPHRASE_FILE).exists()
    home = KmsHome.open(kms.home.folder)
    for chosen in (shares[:3], shares[2:], shares):
        service = home.unseal(passphrase_file=None, share_files=chosen, clocks=kms.clocks())
        assert service.keys(kms.users["alice"].fingerprint, KeysRequest(uri=ALICE)) == before
    with pytest.raises(SecretShareError, match="3 different shares are needed, 2 given"):
        home.unseal(passphrase_file=None, share_files=shares[:2], clocks=kms.clocks())
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "old").chmod(0o600)
    with pytest.raises(SealError, match="wrong passphrase"):
        home.unseal(passphrase_file=tmp_path / "old", clocks=kms.clocks())
    assert "split-secrets" in kms.actions()
    write_backup(service, tmp_path / "kms.backup")
    again = restored(kms, tmp_path / "kms.backup", tmp_path / "new", passphrase_file=None, share_files=shares[1:4])
    again.verify_audit()
    again.database.close()
    home.database.close()
