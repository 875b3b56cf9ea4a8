"""Backup and restore of a KMS: every table in one signed file of JSON lines, for a restore into any database.

A backup is read in one transaction, so that it is one consistent state. Its last line has a hash over all lines and a
signature with the audit key. A restore first reads the whole file and checks form, length and hash. Then, in one
transaction, it fills empty tables, opens the sealed secrets, and checks the signature, every row tag and the audit log.
It commits only if all of that holds.

The master secrets stay sealed in it, and the passphrase or shares that open them are not in it. A restored KMS lacks
all changes after the backup: enrolment tokens still open in it are closed, and later revocations must be ordered again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature

from security.at_rest.atomic_file import sync_folder
from security.kms.audit import Detail
from security.kms.audit_verification import verify_log
from security.kms.database import Database
from security.kms.guarded_rows import ROWS_AT_ONCE, GuardedRows
from security.kms.home import KmsHome
from security.kms.home_files import HOME_FILE, make_folder, sqlite_url
from security.kms.records import Records
from security.kms.row_guard import RootLock, RowGuard
from security.kms.service import Clocks, KmsService
from security.kms.tables import SCHEMA_VERSION, metadata
from security.kms_wire.errors import BackupError

FORMAT: Final = "pc5lab-kms-backup-1"
SIGNING_LABEL: Final = b"pc5lab kms backup v1 "
MAX_LINE_OCTETS: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """The contents of a backup."""

    kms: str
    made_at: str
    rows: int
    sha256: str


def write_backup(service: KmsService, path: Path) -> BackupReport:
    """Write a consistent state of the whole database to a new file, mode 0600. Raises BackupError."""
    made_at = service.clocks.wall().isoformat(timespec="seconds")
    kms = service.authority.domain.uri
    with service.database.begin() as records:
        service.audit(records, actor="operator", action="backup", subject=kms, detail={})
    digest, rows = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            header = {"format": FORMAT, "schema": SCHEMA_VERSION, "kms": kms, "made_at": made_at}
            with service.database.read() as records:
                if records.guarded is not None:
                    records.guarded.check_all()
                for line in _lines(header, records):
                    file.write(line)
                    digest.update(line)
                    rows += 1
            signature = service.audit_key.sign(SIGNING_LABEL + digest.digest()).hex()
            file.write(_line({"sha256": digest.hexdigest(), "signature": signature}))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as exc:
        raise BackupError(f"backup {path}: {exc.strerror}") from exc
    return BackupReport(kms=kms, made_at=made_at, rows=rows - 1, sha256=digest.hexdigest())


def restore_backup(
    path: Path,
    folder: Path,
    *,
    database_url: str | None,
    passphrase_file: Path | None,
    share_files: Sequence[Path] = (),
    clocks: Clocks,
) -> tuple[KmsHome, BackupReport]:
    """Make a KMS's folder and database from a backup.

    Nothing is kept unless the signature verifies under the key sealed in the backup, the audit log is complete and
    every row has its tag. Raises BackupError, SealError, KmsConfigError, AuditError and RowsAlteredError.
    """
    make_folder(folder)
    if (folder / HOME_FILE).exists():
        raise BackupError(f"{folder} holds a KMS already")
    report = _checked(path)
    url = database_url or sqlite_url(folder)
    database = Database.create_empty(url)
    with database.begin() as records:
        signature = _fill(records, path)
        row = records.kms()
        home = KmsHome(folder=folder, database=database, row=row)
        opened = home.open_secrets(home.passphrase(passphrase_file, share_files), records)
        key = opened.audit_private_key()
        try:
            key.public_key().verify(bytes.fromhex(signature), SIGNING_LABEL + bytes.fromhex(report.sha256))
        except (InvalidSignature, ValueError) as exc:
            raise BackupError(f"{path}: its signature does not verify; it was altered") from exc
        if key.public_key().public_bytes_raw().hex() != row.audit_key_hex:
            raise BackupError(f"{path}: the audit key was exchanged")
        GuardedRows(RowGuard(opened.key_of_rows()), records.connection, RootLock.OWN).check_all()
        verify_log(records, key=key.public_key())
    home = KmsHome.settle(folder, url, database, row)
    service = home.unseal(passphrase_file=passphrase_file, share_files=share_files, clocks=clocks)
    with database.begin() as records:
        detail: Detail = {
            "backup_sha256": report.sha256,
            "made_at": report.made_at,
            "tokens_closed": records.forget_tokens(),
        }
        service.audit(records, actor="operator", action="restore", subject=report.kms, detail=detail)
    return home, report


def _lines(header: dict[str, Any], records: Records) -> Iterator[bytes]:
    yield _line(header)
    for table in metadata.sorted_tables:
        for row in records.connection.execute(sa.select(table), execution_options={"yield_per": ROWS_AT_ONCE}):
            values = {name: _plain(value) for name, value in row._mapping.items()}
            yield _line({"table": table.name, "row": values})


def _checked(path: Path) -> BackupReport:
    """Read a backup once through: its form, its length and its own hash; raises BackupError."""
    digest, rows, header, trailer = hashlib.sha256(), 0, None, None
    for line in _raw_lines(path):
        if trailer is not None:
            raise BackupError(f"{path}: goes on behind its end")
        form = _parsed(path, line)
        if header is None:
            header = form
        elif "sha256" in form:
            trailer = form
            continue
        else:
            rows += 1
        digest.update(line)
    if header is None or header.get("format") != FORMAT:
        raise BackupError(f"{path}: not a backup of this program")
    if header.get("schema") != SCHEMA_VERSION:
        raise BackupError(
            f"{path}: has schema {header.get('schema')}; this program knows {SCHEMA_VERSION}. Restore it with the "
            f"program that made it, then open that folder with this one"
        )
    if trailer is None or trailer.get("sha256") != digest.hexdigest():
        raise BackupError(f"{path}: damaged, or cut short")
    return BackupReport(
        kms=str(header.get("kms")), made_at=str(header.get("made_at")), rows=rows, sha256=digest.hexdigest()
    )


def _fill(records: Records, path: Path) -> str:
    """Write every row of a backup to empty tables; returns the backup's signature (hex)."""
    tables = {table.name: table for table in metadata.sorted_tables}
    signature = ""
    pending: list[dict[str, Any]] = []
    filling: sa.Table | None = None
    for line in _raw_lines(path):
        form = _parsed(path, line)
        table = tables.get(str(form.get("table")))
        if pending and (table is not filling or len(pending) >= ROWS_AT_ONCE):
            _insert(records, filling, pending, path)
            pending = []
        filling = table
        if table is not None:
            pending.append(_row(table, form.get("row"), path))
        signature = str(form.get("signature", signature))
    return signature


def _insert(records: Records, table: sa.Table | None, rows: list[dict[str, Any]], path: Path) -> None:
    if table is None:
        return
    try:
        records.connection.execute(sa.insert(table), rows)
    except (sa.exc.IntegrityError, sa.exc.StatementError) as exc:
        raise BackupError(f"{path}: rows of table {table.name} don't fit together") from exc


def _row(table: sa.Table, row: object, path: Path) -> dict[str, Any]:
    if not isinstance(row, dict) or set(row) != {column.name for column in table.columns}:
        raise BackupError(f"{path}: a row is not one of table {table.name}")
    try:
        return {
            column.name: bytes.fromhex(row[column.name])
            if isinstance(column.type, sa.LargeBinary)
            else row[column.name]
            for column in table.columns
        }
    except (TypeError, ValueError) as exc:
        raise BackupError(f"{path}: a row is not one of table {table.name}") from exc


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_OCTETS):
                yield line
    except OSError as exc:
        raise BackupError(f"backup {path}: {exc.strerror}") from exc


def _parsed(path: Path, line: bytes) -> dict[str, Any]:
    try:
        form = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise BackupError(f"{path}: damaged, or cut short") from exc
    if not isinstance(form, dict):
        raise BackupError(f"{path}: not a backup of this program")
    return form


def _line(form: dict[str, Any]) -> bytes:
    return json.dumps(form, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
