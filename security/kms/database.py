"""A KMS's database, in any system that SQLAlchemy supports: a SQLite file by default, PostgreSQL by URL.

Every use of the database is a transaction. A writing transaction takes its lock with its first statement: `BEGIN
IMMEDIATE` in SQLite, so that two writers never deadlock. A reading transaction sees one consistent state and waits for
no writer. SQLite runs with a write-ahead log and full sync: a committed line of the audit log survives a crash.

Once the secrets are opened, each transaction has a `GuardedRows` that checks every row it reads and tags every row it
writes. After the commit the process publishes the new root of the tags, and `after_commit` stores it in the home
folder. Errors of the database become KmsConfigError with the name of the database; a lack of disk space is named as
such.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from security.kms.audit import MAIN_STREAM
from security.kms.guarded_rows import GuardedRows
from security.kms.records import KmsRow, Records
from security.kms.row_guard import RootLock, RowGuard
from security.kms.sealed_secrets import INTERCEPTION_PART
from security.kms.sqlite_image import open_image
from security.kms.tables import metadata
from security.kms_wire.errors import KmsConfigError

SQLITE_BUSY_TIMEOUT_MS: Final = 5000
READ_ONLY: Final = "pc5lab_read_only"
_LOG_GROWTH_OCTETS: Final = 1 << 17
"""More octets than SQLite's write-ahead log and its index grow by at once."""


class Database:
    """One KMS database; every use of it is a transaction.

    `guard`: checks and tags rows, once the secrets are opened. `after_commit`: called with the guard after every
    transaction that changed tagged rows or the main stream of the audit log.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Connect lazily to a SQLAlchemy URL; raises KmsConfigError for one that can't be understood.

        `read_only`: a SQLite file is read as it is now into memory, so that nothing is written beside it.
        """
        self.guard: RowGuard | None = None
        self.after_commit: Callable[[RowGuard], None] | None = None
        try:
            self._engine = sa.create_engine(_with_driver(url))
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as exc:
            raise KmsConfigError(f"database URL not usable: {exc}") from exc
        self._where = self._engine.url.render_as_string(hide_password=True)
        if self._engine.dialect.name != "sqlite":
            return
        if read_only and self._engine.url.database:
            image = open_image(Path(self._engine.url.database))
            self._engine = sa.create_engine("sqlite://", creator=lambda: image, poolclass=sa.StaticPool)
            _begin_by_hand(self._engine)
        else:
            _prepare_sqlite(self._engine)

    @classmethod
    def create(cls, url: str, kms: KmsRow, guard: RowGuard, *, interception_part: bytes | None = None) -> Database:
        """Make the tables and the KMS's row. Raises KmsConfigError if there is a KMS already."""
        database = cls.create_empty(url)
        database.guard = guard
        with database.begin() as records:
            records.insert_kms(kms)
            records.put_sealed_part(INTERCEPTION_PART, interception_part)
        return database

    @classmethod
    def create_empty(cls, url: str) -> Database:
        """Make the tables. Raises KmsConfigError if there is a KMS already."""
        database = cls(url)
        sqlite_file = database._engine.url.database if database._engine.dialect.name == "sqlite" else None
        if sqlite_file:
            _touch_private(Path(sqlite_file))
        with database._errors_named():
            metadata.create_all(database._engine)
        with database.begin() as records:
            if records.holds_kms():
                raise KmsConfigError("the database holds a KMS already")
        return database

    def add_missing_tables(self) -> None:
        """Make the tables that a database of an earlier program doesn't have.

        If a user dropped a table, its missing rows are still detected.
        """
        with self._errors_named():
            if metadata.tables.keys() - sa.inspect(self._engine).get_table_names():
                metadata.create_all(self._engine)

    @contextlib.contextmanager
    def begin(self, lock: RootLock = RootLock.OWN) -> Iterator[Records]:
        """A transaction: committed at the end, rolled back on any exception; database trouble is KmsConfigError.

        `lock`: SHARED for one that changes no tagged row, so that several go on beside each other.
        """
        guard = self.guard
        with self._errors_named():
            with self._engine.begin() as connection:
                rows = GuardedRows(guard, connection, lock) if guard else None
                records = Records(connection, rows, guard)
                yield records
                if rows is not None:
                    rows.settle()
            if guard is not None and rows is not None:
                guard.publish_streams(records.moved_streams)
                if (rows.committed() or MAIN_STREAM in records.moved_streams) and self.after_commit is not None:
                    self.after_commit(guard)

    @contextlib.contextmanager
    def read(self) -> Iterator[Records]:
        """A transaction that only reads, one consistent state, and waits for no writer."""
        guard = self.guard
        with self._errors_named(), self._engine.connect() as opened:
            options: dict[str, Any] = {READ_ONLY: True}
            if self._engine.dialect.name == "postgresql":
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = opened.execution_options(**options)
            yield Records(connection, GuardedRows(guard, connection, RootLock.NONE) if guard else None, guard)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as exc:
            cause = getattr(exc, "orig", None) or type(exc).__name__
            if self._is_disk_full(str(cause)):
                cause = f"no space left on device ({cause})"
            raise KmsConfigError(f"database {self._where}: {cause}") from exc

    def _is_disk_full(self, cause: str) -> bool:
        """Whether SQLite failed for want of space: it says so for its file, but "disk I/O error" for its log."""
        path = self._engine.url.database
        if "disk is full" in cause:
            return True
        if "disk I/O error" not in cause or not path:
            return False
        room = os.statvfs(Path(path).parent)
        return room.f_bavail * room.f_frsize < _LOG_GROWTH_OCTETS


def _with_driver(url: str) -> str:
    """A plain postgresql: URL, completed with the driver that this project ships with."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return f"postgresql+psycopg://{url.removeprefix(plain)}"
    return url


def _touch_private(path: Path) -> None:
    """Make a database file only its owner can read; raises KmsConfigError."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as exc:
        raise KmsConfigError(f"database file {path}: {exc.strerror}") from exc


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Write-ahead log, full sync, and one writer at a time from the first statement of a transaction."""

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    _begin_by_hand(engine)


def _begin_by_hand(engine: sa.Engine) -> None:
    """Transactions that write take SQLite's lock from their first statement on."""

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
