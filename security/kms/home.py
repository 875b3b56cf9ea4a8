"""A KMS's home folder: founding a KMS, opening it again, unsealing its secrets, checking its database.

Founding draws the master secrets, the keys of the lab CA and of the audit log, and the row key. It seals them under a
passphrase and writes them into the database. A lab's KMS keeps that passphrase in a file of the folder and makes two
share files for interception; with `--split` the passphrase exists only as shares. `kms.json` has the URL of the
database and pins the public key of the audit log, `ca.pem` is for UEs, and `kms.seen` has the newest known state of the
database.

Opening reads the public row only. Unsealing opens the secrets, with a passphrase or shares, and then checks every row,
the tree of tags, and that nothing is older than the folder has seen. Only then is there a service that can make keys. A
database from an earlier version gets its missing tables and tags at that time. Verification of the audit log writes
nothing, so that it works on a read-only copy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from security.at_rest.atomic_file import replace_file
from security.at_rest.sealing import SealError
from security.identifiers import UidScheme
from security.kms.audit import MAIN_STREAM, AuditReport
from security.kms.audit_checkpoint import Checkpoint, heads_of
from security.kms.audit_verification import check_against, verify_log
from security.kms.authority import Authority, MasterSecrets
from security.kms.database import Database
from security.kms.home_files import (
    CA_FILE,
    HOME_FILE,
    PASSPHRASE_FILE,
    HomeFile,
    make_folder,
    own_or,
    passphrase_in,
    read_home_file,
    sqlite_url,
)
from security.kms.interception_shares import SHARES_FOLDER, share_for_interception
from security.kms.records import KmsRow, Records
from security.kms.row_guard import RowGuard
from security.kms.row_tags import ROW_KEY_OCTETS
from security.kms.sealed_secrets import (
    INTERCEPTION_PART,
    INTERCEPTION_PURPOSE,
    SealedSecrets,
    open_secrets,
    seal_secrets,
)
from security.kms.secret_shares import SHARED_PASSPHRASE_OCTETS, SharePlan, passphrase_of_shares, write_share_files
from security.kms.seen_state import raise_seen, read_seen
from security.kms.service import Clocks, KmsService
from security.kms.tables import SCHEMA_VERSION, kms_table
from security.kms_wire.errors import AuditError, KmsConfigError, RowsAlteredError
from security.kms_wire.forms import domain_of_form, form_of_domain
from security.kms_wire.protocol import DomainForm, decode, encode, explain
from security.kms_wire.tls import LabCa

MONTH_33180_S: Final = 2_592_000
"""Default key period of scheme 2: 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Opened secrets, and the means by which they were opened."""

    secrets: SealedSecrets = field(repr=False)
    passphrase: bytes = field(repr=False)
    by_shares: bool

    @property
    def by_operators(self) -> bool:
        """Whether the operators' shares for interception opened them."""
        return self.by_shares and self.secrets.interception


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsPlan:
    """The parameters of a new KMS. `demo_seed`: master keys from a public number, for the lab only."""

    uri: str
    namespace: tuple[str, ...]
    uid_scheme: UidScheme = UidScheme.HASHED_UID
    key_period_s: int = MONTH_33180_S
    key_period_offset_s: int = 0
    demo_seed: int | None = None

    def master_secrets(self) -> MasterSecrets:
        """Fresh secrets, or those of the demo seed."""
        if self.demo_seed is None:
            return MasterSecrets.generate(secrets.token_bytes)
        return MasterSecrets.from_demo_seed(self.demo_seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsHome:
    """A folder with `kms.json`, `ca.pem` and, unless they are elsewhere, database and passphrase file.

    The class is longer than most: it has a method for each order of an operator that needs the folder and no service.
    """

    folder: Path
    database: Database
    row: KmsRow = field(repr=False)
    pinned_audit_key: str | None = None

    @classmethod
    def found(
        cls,
        folder: Path,
        plan: KmsPlan,
        *,
        passphrase_file: Path | None,
        database_url: str | None,
        now: dt.datetime,
        shares: SharePlan | None = None,
    ) -> Self:
        """Make a KMS: master secrets, lab CA, database. Raises KmsConfigError if that fails.

        With `shares` no passphrase is ever written: only that many share files together open the KMS. Without it the
        passphrase's file opens it, and two share files are made for interception.
        """
        make_folder(folder)
        if (folder / HOME_FILE).exists():
            raise KmsConfigError(f"{folder} holds a KMS already")
        master = plan.master_secrets()
        authority = Authority.found(
            master,
            uri=plan.uri,
            uid_scheme=plan.uid_scheme,
            key_period_s=plan.key_period_s,
            key_period_offset_s=plan.key_period_offset_s,
            namespace=plan.namespace,
        )
        ca = LabCa.create(now=now)
        audit_key = Ed25519PrivateKey.generate()
        try:
            parameters = encode(form_of_domain(authority.domain, lab_deterministic=plan.demo_seed is not None))
        except ValidationError as exc:
            raise KmsConfigError(f"KMS parameters: {explain(exc)}") from exc
        opened = SealedSecrets.of(master, ca, audit_key, secrets.token_bytes(ROW_KEY_OCTETS))
        part = None
        if shares is None:
            passphrase = passphrase_in(folder, passphrase_file, make=True)
            written, part = share_for_interception(opened, folder / SHARES_FOLDER, kms_uri=plan.uri)
        else:
            passphrase = secrets.token_bytes(SHARED_PASSPHRASE_OCTETS)
            written = write_share_files(
                passphrase, shares.folder, kms_uri=plan.uri, threshold=shares.threshold, shares=shares.shares
            )
        row = KmsRow(
            parameters=parameters.decode(),
            ca_pem=ca.certificate_pem.decode(),
            audit_key_hex=audit_key.public_key().public_bytes_raw().hex(),
            sealed_secrets=seal_secrets(opened, passphrase, interception=shares is not None),
        )
        url = database_url or sqlite_url(folder)
        try:
            database = Database.create(url, row, RowGuard(opened.key_of_rows()), interception_part=part)
        except KmsConfigError:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        home = cls.settle(folder, url, database, row)
        home.watch()
        home.remember(database.guard)
        return home

    @classmethod
    def settle(cls, folder: Path, url: str, database: Database, row: KmsRow) -> Self:
        """Write the folder's files for a KMS whose database exists already."""
        replace_file(folder / CA_FILE, row.ca_pem.encode(), mode=0o644)
        replace_file(folder / HOME_FILE, encode(HomeFile(database=url, audit_key=row.audit_key_hex)))
        return cls(folder=folder, database=database, row=row, pinned_audit_key=row.audit_key_hex)

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False) -> Self:
        """Open a KMS's folder and database; raises KmsConfigError. Secrets stay sealed.

        `read_only`: nothing is written, in the folder or beside a SQLite file.
        """
        home = read_home_file(folder)
        database = Database(own_or(home.database, folder), read_only=read_only)
        with database.read() as records:
            row = records.kms()
        return cls(folder=folder, database=database, row=row, pinned_audit_key=home.audit_key)

    def unseal(
        self,
        *,
        passphrase_file: Path | None,
        clocks: Clocks,
        share_files: Sequence[Path] = (),
        stream: str = MAIN_STREAM,
    ) -> KmsService:
        """Open the secrets, with a passphrase or with shares of it, and check every row of the database.

        Raises SealError, SecretShareError; RowsAlteredError, AuditError where the database was edited or rolled back.
        `stream`: the audit stream of what this service does; one that serves beside others has its own.
        """
        opened = self.opened(passphrase_file, share_files)
        if not opened.secrets.row_key:
            opened = self._tag_rows(opened, clocks)
        self.database.add_missing_tables()
        self.check_rows(opened.secrets)
        service = self._service(opened, clocks, stream)
        self.watch()
        self.remember(self.database.guard)
        self._pin(service.audit_key.public_key())
        return service

    def passphrase(self, passphrase_file: Path | None, share_files: Sequence[Path] = ()) -> bytes:
        """A passphrase of the master secrets: from shares, a file, or the home's own file."""
        if share_files:
            return passphrase_of_shares(share_files, kms_uri=self._form().uri)
        own = self.folder / PASSPHRASE_FILE
        if passphrase_file is None and not own.exists():
            raise SealError(
                f"passphrase file {own}: No such file; this KMS opens with --passphrase-file, or with --share twice "
                f"or more"
            )
        return passphrase_in(self.folder, passphrase_file, make=False)

    def opened(self, passphrase_file: Path | None, share_files: Sequence[Path] = ()) -> Opened:
        """Open the sealed values in the database. Raises SealError for a wrong passphrase, SecretShareError."""
        passphrase = self.passphrase(passphrase_file, share_files)
        return Opened(secrets=self.open_secrets(passphrase), passphrase=passphrase, by_shares=bool(share_files))

    def open_secrets(self, passphrase: bytes, records: Records | None = None) -> SealedSecrets:
        """Open the sealed values in the database, or the copy for interception. Raises SealError."""
        with contextlib.nullcontext(records) if records is not None else self.database.read() as reading:
            sealed = reading.kms().sealed_secrets
            part = reading.sealed_part(INTERCEPTION_PART) if self._has_tags() else None
        try:
            return open_secrets(sealed, passphrase)
        except SealError:
            if part is None:
                raise
            with contextlib.suppress(SealError):
                return open_secrets(part, passphrase, purpose=INTERCEPTION_PURPOSE)
            raise

    def check_rows(self, opened: SealedSecrets) -> int:
        """Check every row, that nothing was rolled back, and the KMS's own row. Returns the number of rows.

        Raises RowsAlteredError, AuditError. From then on every access to the database is checked.
        """
        if not opened.row_key:
            raise RowsAlteredError("rows of this database have no tags yet; any order that opens the KMS makes them")
        key = opened.key_of_rows()
        seen = read_seen(self.folder, key)
        if self.database.guard is None or self.database.guard.key != key:
            self.database.guard = RowGuard(
                key, seen=seen.root if seen else None, seen_streams=seen.heads if seen else None
            )
        with self.database.read() as records:
            row = records.kms()
            if row.schema_version != SCHEMA_VERSION:
                raise RowsAlteredError("the database was rolled back to a state before its rows had tags")
            if row.audit_key_hex != opened.audit_private_key().public_key().public_bytes_raw().hex():
                raise AuditError("the audit key in the database is not the one that was sealed; it was exchanged")
            guarded = records.guarded
            if guarded is None or (row.parameters, row.ca_pem) != (self.row.parameters, self.row.ca_pem):
                raise RowsAlteredError("the KMS's own row changed while it was read")
            count = guarded.check_all()
            records.check_audit_reaches((seen.heads if seen else {}).values())
        return count

    def watch(self) -> None:
        """Note in this folder every later state of the database that this process makes."""
        self.database.after_commit = self.remember

    def remember(self, guard: RowGuard | None) -> None:
        """Note the newest state of the database that this process knows."""
        root, _ = guard.state() if guard else (None, None)
        if guard is not None and root is not None:
            raise_seen(self.folder, guard.key, root, guard.streams())

    @property
    def ca_file(self) -> Path:
        """The lab CA's certificate, by which a UE recognises this KMS."""
        return self.folder / CA_FILE

    @property
    def single_holder(self) -> bool:
        """Whether the passphrase's file is in this folder."""
        return (self.folder / PASSPHRASE_FILE).exists()

    def verify_audit(
        self,
        *,
        noted_hash: str | None = None,
        key_hex: str | None = None,
        checkpoints: Sequence[Checkpoint] = (),
        opened: SealedSecrets | None = None,
    ) -> AuditReport:
        """Check every stream of the audit log, and the rows where the secrets are opened; nothing is written.

        `noted_hash`: the hash of some line noted elsewhere, which must still be in the log. `key_hex`: the verifying
        key as noted at `kms init`. `checkpoints`: exported earlier. Raises AuditError naming the first bad line,
        RowsAlteredError.
        """
        rows = self.check_rows(opened) if opened is not None else None
        key_hex, key_from = self._audit_key(key_hex, opened)
        if self.row.audit_key_hex != key_hex:
            raise AuditError(f"the audit key in the database is not the one of {key_from}; it was exchanged")
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key_hex))
        for checkpoint in checkpoints:
            checkpoint.check(key)
            if checkpoint.body.kms != self._form().uri:
                raise AuditError(f"the checkpoint is one of KMS {checkpoint.body.kms}")
        with self.database.read() as records:
            report = verify_log(
                records,
                key=key,
                noted_hash=noted_hash,
                heads=heads_of(checkpoints),
                countersigned=self._has_tags(),
            )
            for checkpoint in checkpoints:
                check_against(records, checkpoint)
        return dataclasses.replace(report, key_hex=key_hex, key_from=key_from, rows=rows)

    def _audit_key(self, key_hex: str | None, opened: SealedSecrets | None) -> tuple[str, str]:
        """The key to verify with, from the most trustworthy source there is."""
        if key_hex is not None:
            return key_hex, "--key"
        if opened is not None:
            return opened.audit_private_key().public_key().public_bytes_raw().hex(), "the sealed part"
        if self.pinned_audit_key is not None:
            return self.pinned_audit_key, f"{HOME_FILE}"
        return self.row.audit_key_hex, "the database itself (not pinned: give --key)"

    def _service(self, opened: Opened, clocks: Clocks, stream: str) -> KmsService:
        form = self._form()
        return KmsService(
            database=self.database,
            authority=Authority(domain=domain_of_form(form), secrets=opened.secrets.master()),
            parameters_form=form,
            ca=LabCa(certificate_pem=self.row.ca_pem.encode(), key_pem=opened.secrets.ca_key_pem.encode()),
            audit_key=opened.secrets.audit_private_key(),
            clocks=clocks,
            stream=stream,
            may_intercept=opened.by_operators,
        )

    def _tag_rows(self, opened: Opened, clocks: Clocks) -> Opened:
        """Bring a database of the schema before up to date: its rows get tags as they are now. Another may be first."""
        if self._has_tags():
            raise RowsAlteredError("the sealed secrets are older than the database: one of them was rolled back")
        self.database.add_missing_tables()
        tagged = opened.secrets.model_copy(update={"row_key": secrets.token_hex(ROW_KEY_OCTETS)})
        self.database.guard = RowGuard(tagged.key_of_rows())
        with self.database.begin() as records:
            records.connection.execute(sa.select(kms_table.c.id).with_for_update())
            row = records.kms()
            if row.schema_version != SCHEMA_VERSION:
                records.replace_sealed_secrets(seal_secrets(tagged, opened.passphrase, interception=False))
                detail = {"rows": records.tag_every_row(), "schema": SCHEMA_VERSION}
                now = Opened(secrets=tagged, passphrase=opened.passphrase, by_shares=opened.by_shares)
                service = self._service(now, clocks, MAIN_STREAM)
                service.audit(records, actor="kms", action="tag-rows", subject=self._form().uri, detail=detail)
                return now
        self.database.guard = None
        return Opened(
            secrets=open_secrets(row.sealed_secrets, opened.passphrase),
            passphrase=opened.passphrase,
            by_shares=opened.by_shares,
        )

    def _has_tags(self) -> bool:
        return self.row.schema_version == SCHEMA_VERSION

    def _form(self) -> DomainForm:
        return decode(DomainForm, self.row.parameters.encode())

    def _pin(self, key: Ed25519PublicKey) -> None:
        """Store the audit key in `kms.json`, if a folder of an earlier program doesn't have it yet."""
        if self.pinned_audit_key is None:
            home = read_home_file(self.folder)
            pinned = home.model_copy(update={"audit_key": key.public_bytes_raw().hex()})
            replace_file(self.folder / HOME_FILE, encode(pinned))
