"""What the KMS remembers, in any database SQLAlchemy can reach: users, grants, tokens, certificates, the audit log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from security.kms.audit import GENESIS_HASH, AuditHead, AuditLine
from security.kms.authority import Grant
from security.kms.errors import KmsConfigError

SCHEMA_VERSION = 1
SQLITE_BUSY_TIMEOUT_MS = 5000
READ_ONLY = "pc5lab_read_only"

metadata = sa.MetaData()
kms_table = sa.Table(
    "kms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("ca_pem", sa.Text, nullable=False),
    sa.Column("audit_key", sa.String(64), nullable=False),
    sa.Column("sealed_secrets", sa.LargeBinary, nullable=False),
)
user_table = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)
grant_table = sa.Table(
    "grants",
    metadata,
    sa.Column("user", sa.ForeignKey("users.name"), primary_key=True),
    sa.Column("uri", sa.String(252), primary_key=True),
    sa.Column("not_before_ntp_s", sa.BigInteger),
    sa.Column("not_after_ntp_s", sa.BigInteger),
)
pair_table = sa.Table(
    "pairs",
    metadata,
    sa.Column("uri", sa.String(252), primary_key=True),
    sa.Column("peer", sa.String(252), primary_key=True),
)
discovery_table = sa.Table(
    "discovery_members",
    metadata,
    sa.Column("user", sa.ForeignKey("users.name"), primary_key=True),
    sa.Column("discovery_group", sa.String(64), primary_key=True),
)
denied_table = sa.Table("denied_identities", metadata, sa.Column("uri", sa.String(252), primary_key=True))
token_table = sa.Table(
    "enrolment_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("user", sa.ForeignKey("users.name"), nullable=False),
    sa.Column("expires_unix_s", sa.BigInteger, nullable=False),
    sa.Column("used", sa.Boolean, nullable=False, default=False),
)
certificate_table = sa.Table(
    "certificates",
    metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("user", sa.ForeignKey("users.name"), nullable=False),
)
audit_table = sa.Table(
    "audit",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
)
audit_head_table = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("lines", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsRow:
    """The KMS itself: public parameters (JSON), the lab CA, the audit key (public), and what is sealed."""

    parameters: str
    ca_pem: str
    audit_key_hex: str
    sealed_secrets: bytes = field(repr=False)


class Database:
    """One KMS database; every use of it is a transaction."""

    def __init__(self, url: str) -> None:
        """Connect lazily to a SQLAlchemy URL; raises KmsConfigError for one that can't be understood."""
        try:
            self._engine = sa.create_engine(url)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as exc:
            raise KmsConfigError(f"database URL not usable: {exc}") from exc
        if self._engine.dialect.name == "sqlite":
            _prepare_sqlite(self._engine)

    @classmethod
    def create(cls, url: str, kms: KmsRow) -> Database:
        """Make the tables and the KMS's row; raises KmsConfigError if a KMS lives there already."""
        database = cls(url)
        sqlite_file = database._engine.url.database if database._engine.dialect.name == "sqlite" else None
        if sqlite_file:
            _touch_private(Path(sqlite_file))
        with database._errors_named():
            metadata.create_all(database._engine)
        with database.begin() as records:
            records.insert_kms(kms)
        return database

    @contextlib.contextmanager
    def begin(self) -> Iterator[Records]:
        """A transaction: committed at the end, rolled back on any exception; database trouble is KmsConfigError."""
        with self._errors_named(), self._engine.begin() as connection:
            yield Records(connection)

    @contextlib.contextmanager
    def read(self) -> Iterator[Records]:
        """A transaction that only reads, and waits for no writer."""
        with self._errors_named(), self._engine.connect() as connection:
            yield Records(connection.execution_options(**{READ_ONLY: True}))

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as exc:
            where = self._engine.url.render_as_string(hide_password=True)
            cause = getattr(exc, "orig", None) or type(exc).__name__
            raise KmsConfigError(f"database {where}: {cause}") from exc


class Records:
    """Reads and writes within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def insert_kms(self, kms: KmsRow) -> None:
        """Write the KMS's own row; raises KmsConfigError if there is one."""
        if self._connection.scalar(sa.select(kms_table.c.id)) is not None:
            raise KmsConfigError("the database holds a KMS already")
        self._insert(
            kms_table,
            id=1,
            schema_version=SCHEMA_VERSION,
            parameters=kms.parameters,
            ca_pem=kms.ca_pem,
            audit_key=kms.audit_key_hex,
            sealed_secrets=kms.sealed_secrets,
        )
        self._insert(audit_head_table, id=1, lines=0, hash=GENESIS_HASH)

    def kms(self) -> KmsRow:
        """The KMS's own row; raises KmsConfigError if there is none or it is of another schema."""
        row = self._connection.execute(sa.select(kms_table)).one_or_none()
        if row is None:
            raise KmsConfigError("the database holds no KMS")
        if row.schema_version != SCHEMA_VERSION:
            raise KmsConfigError(f"the database has schema {row.schema_version}; this program knows {SCHEMA_VERSION}")
        return KmsRow(
            parameters=row.parameters,
            ca_pem=row.ca_pem,
            audit_key_hex=row.audit_key,
            sealed_secrets=row.sealed_secrets,
        )

    def add_user(self, name: str) -> None:
        """Make sure a user exists; raises KmsConfigError for a revoked one."""
        revoked = self._connection.scalar(sa.select(user_table.c.revoked).where(user_table.c.name == name))
        if revoked:
            raise KmsConfigError(f"user {name} is revoked; enrol under another name")
        if revoked is None:
            self._insert(user_table, name=name, revoked=False)

    def user_is_revoked(self, name: str) -> bool | None:
        """Whether a user is revoked; None if there is no such user."""
        return self._connection.scalar(sa.select(user_table.c.revoked).where(user_table.c.name == name))

    def revoke_user(self, name: str) -> None:
        """Mark a user revoked, for good."""
        self._connection.execute(sa.update(user_table).where(user_table.c.name == name).values(revoked=True))

    def put_grant(self, user: str, grant: Grant) -> None:
        """Write or replace the grant of one identity to one user; raises KmsConfigError if it is another's."""
        owner = self._connection.scalar(
            sa.select(grant_table.c.user).where(grant_table.c.uri == grant.uri, grant_table.c.user != user)
        )
        if owner is not None:
            raise KmsConfigError(f"{grant.uri} belongs to user {owner}")
        self._connection.execute(
            sa.delete(grant_table).where(grant_table.c.user == user, grant_table.c.uri == grant.uri)
        )
        self._insert(
            grant_table,
            user=user,
            uri=grant.uri,
            not_before_ntp_s=grant.not_before_ntp_s,
            not_after_ntp_s=grant.not_after_ntp_s,
        )

    def grants(self, user: str) -> tuple[Grant, ...]:
        """Every identity a user may have keys for."""
        query = sa.select(grant_table).where(grant_table.c.user == user).order_by(grant_table.c.uri)
        return tuple(
            Grant(
                uri=row.uri,
                not_before_ntp_s=row.not_before_ntp_s,
                not_after_ntp_s=row.not_after_ntp_s,
            )
            for row in self._connection.execute(query)
        )

    def allow_pair(self, uri: str, peer: str) -> None:
        """Let two identities link with each other; with any pair on record, only listed peers may."""
        for one, other in ((uri, peer), (peer, uri)):
            known = sa.select(pair_table.c.uri).where(pair_table.c.uri == one, pair_table.c.peer == other)
            if self._connection.scalar(known) is None:
                self._insert(pair_table, uri=one, peer=other)

    def peers(self, uri: str) -> tuple[str, ...] | None:
        """The identities `uri` may link with; None where no list is kept for it (all authorised identities)."""
        query = sa.select(pair_table.c.peer).where(pair_table.c.uri == uri).order_by(pair_table.c.peer)
        return tuple(self._connection.scalars(query)) or None

    def join_discovery(self, user: str, discovery_group: str) -> None:
        """Make a user a member of a discovery group."""
        if discovery_group not in self.discovery_groups(user):
            self._insert(discovery_table, user=user, discovery_group=discovery_group)

    def discovery_groups(self, user: str) -> tuple[str, ...]:
        """The discovery groups whose keys a user gets."""
        query = sa.select(discovery_table.c.discovery_group).where(discovery_table.c.user == user)
        return tuple(self._connection.scalars(query.order_by(discovery_table.c.discovery_group)))

    def deny(self, uri: str) -> None:
        """Put an identity on the deny list."""
        if not self.is_denied(uri):
            self._insert(denied_table, uri=uri)

    def is_denied(self, uri: str) -> bool:
        """Whether an identity is on the deny list."""
        return self._connection.scalar(sa.select(denied_table.c.uri).where(denied_table.c.uri == uri)) is not None

    def deny_list(self) -> tuple[str, ...]:
        """Every denied identity, in order."""
        return tuple(self._connection.scalars(sa.select(denied_table.c.uri).order_by(denied_table.c.uri)))

    def add_token(self, digest: str, *, user: str, expires_unix_s: int) -> None:
        """Remember a one-time enrolment token by its digest."""
        self._insert(token_table, digest=digest, user=user, expires_unix_s=expires_unix_s, used=False)

    def token_user(self, digest: str, *, now_unix_s: int) -> str | None:
        """Whom an unused, unexpired token is for."""
        return self._connection.scalar(sa.select(token_table.c.user).where(*_usable_token(digest, now_unix_s)))

    def use_token(self, digest: str, *, now_unix_s: int) -> bool:
        """Use up a token; True for exactly one caller."""
        used = self._connection.execute(
            sa.update(token_table).where(*_usable_token(digest, now_unix_s)).values(used=True)
        )
        return used.rowcount == 1

    def add_certificate(self, fingerprint: str, *, user: str) -> None:
        """Remember whose a client certificate is."""
        self._insert(certificate_table, fingerprint=fingerprint, user=user)

    def certificate_user(self, fingerprint: str) -> str | None:
        """Whose a client certificate is."""
        return self._connection.scalar(
            sa.select(certificate_table.c.user).where(certificate_table.c.fingerprint == fingerprint)
        )

    def audit_head(self) -> AuditHead:
        """Count and hash of the audit log, locked against other writers until the transaction ends."""
        row = self._connection.execute(sa.select(audit_head_table).with_for_update()).one()
        return AuditHead(count=row.lines, hash_hex=row.hash)

    def append_audit(self, line: AuditLine, head: AuditHead) -> None:
        """Add the line that makes `head`."""
        self._insert(audit_table, seq=head.count, line=line.text, signature=line.signature_hex)
        self._connection.execute(sa.update(audit_head_table).values(lines=head.count, hash=head.hash_hex))

    def audit_lines(self) -> Iterator[AuditLine]:
        """The audit log in order."""
        for row in self._connection.execute(sa.select(audit_table).order_by(audit_table.c.seq)):
            yield AuditLine(text=row.line, signature_hex=row.signature)

    def _insert(self, table: sa.Table, **values: Any) -> None:
        self._connection.execute(sa.insert(table).values(**values))


def _usable_token(digest: str, now_unix_s: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        token_table.c.digest == digest,
        token_table.c.used.is_(False),
        token_table.c.expires_unix_s > now_unix_s,
    )


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

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
