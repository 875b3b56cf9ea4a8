"""A KMS's home folder: founding a KMS, opening it again, unsealing its secrets."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from security.atomic_file import replace_file
from security.identifiers import UidScheme
from security.kms.audit import MAIN_STREAM, AuditLine, AuditReport, verify_stream
from security.kms.authority import Authority, MasterSecrets
from security.kms.database import Database
from security.kms.errors import AuditError, KmsConfigError, KmsProtocolError
from security.kms.protocol import DomainForm, Message, decode, encode, explain
from security.kms.provisioning import domain_of_form, form_of_domain
from security.kms.records import KmsRow, Records
from security.kms.secret_shares import passphrase_of_shares
from security.kms.service import Clocks, KmsService
from security.kms.tls import LabCa
from security.sealing import Seal, make_passphrase_file, passphrase_from_file

HOME_FILE: Final = "kms.json"
PASSPHRASE_FILE: Final = "seal.key"
CA_FILE: Final = "ca.pem"
SQLITE_FILE: Final = "kms.sqlite"
SEAL_PURPOSE: Final = "KMS master secrets"
MONTH_33180_S: Final = 2_592_000
"""Default key period of scheme 2: 30 days."""


class HomeFile(Message):
    """Where the database is; in `kms.json`."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    database: Annotated[str, Field(max_length=2048, repr=False)]


class SealedSecrets(Message):
    """What is sealed in the database (hex and PEM)."""

    ksak: Annotated[str, Field(repr=False)]
    z_secret: Annotated[str, Field(repr=False)]
    root: Annotated[str, Field(repr=False)]
    ca_key_pem: Annotated[str, Field(repr=False)]
    audit_key: Annotated[str, Field(repr=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsPlan:
    """What a new KMS shall be. `demo_seed`: master keys that anyone can make from that number, for the lab only."""

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
    """A folder with `kms.json`, `ca.pem` and, unless they live elsewhere, database and passphrase file."""

    folder: Path
    database: Database
    row: KmsRow = field(repr=False)

    @classmethod
    def found(
        cls, folder: Path, plan: KmsPlan, *, passphrase_file: Path | None, database_url: str | None, now: dt.datetime
    ) -> Self:
        """Make a KMS: master secrets, lab CA, database. Raises KmsConfigError where that can't be."""
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
        row = KmsRow(
            parameters=parameters.decode(),
            ca_pem=ca.certificate_pem.decode(),
            audit_key_hex=audit_key.public_key().public_bytes_raw().hex(),
            sealed_secrets=seal_secrets(
                _opened(master, ca, audit_key), _passphrase(folder, passphrase_file, make=True)
            ),
        )
        url = database_url or sqlite_url(folder)
        return cls.settle(folder, url, Database.create(url, row), row)

    @classmethod
    def settle(cls, folder: Path, url: str, database: Database, row: KmsRow) -> Self:
        """Write the folder's files for a KMS that lives in a database already."""
        replace_file(folder / CA_FILE, row.ca_pem.encode(), mode=0o644)
        replace_file(folder / HOME_FILE, encode(HomeFile(database=url)))
        return cls(folder=folder, database=database, row=row)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a KMS's folder and database; raises KmsConfigError. Secrets stay sealed."""
        try:
            home = decode(HomeFile, (folder / HOME_FILE).read_bytes())
        except OSError as exc:
            raise KmsConfigError(f"no KMS in {folder}: {HOME_FILE}: {exc.strerror}; make one with kms init") from exc
        except KmsProtocolError as exc:
            raise KmsConfigError(f"{folder / HOME_FILE}: {exc}") from exc
        database = Database(home.database)
        with database.read() as records:
            row = records.kms()
        return cls(folder=folder, database=database, row=row)

    def unseal(
        self,
        *,
        passphrase_file: Path | None,
        clocks: Clocks,
        share_files: Sequence[Path] = (),
        stream: str = MAIN_STREAM,
    ) -> KmsService:
        """Open the secrets, with a passphrase or with shares of it; raises SealError, SecretShareError.

        `stream`: the audit stream of what this service does; one that serves beside others has its own.
        """
        opened = self.open_secrets(self.passphrase(passphrase_file, share_files))
        form = decode(DomainForm, self.row.parameters.encode())
        return KmsService(
            database=self.database,
            authority=Authority(domain=domain_of_form(form), secrets=_master(opened)),
            parameters_form=form,
            ca=LabCa(certificate_pem=self.row.ca_pem.encode(), key_pem=opened.ca_key_pem.encode()),
            audit_key=audit_key_of(opened),
            clocks=clocks,
            stream=stream,
        )

    def passphrase(self, passphrase_file: Path | None, share_files: Sequence[Path] = ()) -> bytes:
        """The passphrase of the master secrets: from shares, a file, or the home's own file."""
        if share_files:
            return passphrase_of_shares(share_files, kms_uri=decode(DomainForm, self.row.parameters.encode()).uri)
        return _passphrase(self.folder, passphrase_file, make=False)

    def open_secrets(self, passphrase: bytes) -> SealedSecrets:
        """Open what is sealed in the database; raises SealError for a wrong passphrase."""
        sealed = self.row.sealed_secrets
        return decode(SealedSecrets, Seal.of(sealed, passphrase).open(sealed, purpose=SEAL_PURPOSE))

    @property
    def ca_file(self) -> Path:
        """The lab CA's certificate: what a UE needs to know this KMS."""
        return self.folder / CA_FILE

    def verify_audit(self, *, noted_hash: str | None = None) -> AuditReport:
        """Check every stream of the audit log; raises AuditError naming the first bad line. Needs no passphrase.

        `noted_hash`: the hash of some line noted elsewhere, which must still be in the log.
        """
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.row.audit_key_hex))
        with self.database.read() as records:
            return verify_log(records, key=key, noted_hash=noted_hash)


def verify_log(records: Records, *, key: Ed25519PublicKey, noted_hash: str | None = None) -> AuditReport:
    """Check the main stream, then every stream that it or the database names; raises AuditError."""
    kept = records.audit_heads()
    noted = {noted_hash} - {None}

    def lines(stream: str) -> Iterator[AuditLine]:
        for line in records.audit_lines(stream):
            noted.discard(line.hash_hex)
            yield line

    if MAIN_STREAM not in kept:
        raise AuditError("the main stream of the audit log is gone")
    main, said = verify_stream(lines(MAIN_STREAM), key=key, kept_count=kept[MAIN_STREAM].count)
    others = set(kept) - {MAIN_STREAM}
    if others != said.opened:
        strange = sorted(others ^ said.opened)[0]
        raise AuditError(f"audit stream {strange} is {'gone' if strange in said.opened else 'none that was opened'}")
    heads = [
        verify_stream(
            lines(stream),
            key=key,
            stream=stream,
            kept_count=kept[stream].count,
            checkpoints=said.checkpoints.get(stream),
        )[0]
        for stream in sorted(others)
    ]
    if noted:
        raise AuditError(f"no line has the noted hash {noted_hash}; the end was cut or rewritten")
    return AuditReport(heads=(main, *heads))


def sqlite_url(folder: Path) -> str:
    """Where a KMS's database is unless told otherwise."""
    return f"sqlite:///{(folder / SQLITE_FILE).absolute()}"


def seal_secrets(opened: SealedSecrets, passphrase: bytes) -> bytes:
    """Seal a KMS's secrets; raises SealError for an unusable passphrase."""
    return Seal.create(passphrase).seal(encode(opened), purpose=SEAL_PURPOSE)


def audit_key_of(opened: SealedSecrets) -> Ed25519PrivateKey:
    """The key that signs audit lines and backups."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(opened.audit_key))


def make_folder(folder: Path) -> None:
    """Make a KMS's folder, for its owner only; raises KmsConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise KmsConfigError(f"{folder}: {exc.strerror}") from exc


def _passphrase(folder: Path, file: Path | None, *, make: bool) -> bytes:
    """The passphrase in `file`, or in the home's own file, which founding a KMS makes."""
    own = folder / PASSPHRASE_FILE
    if file is None and make and not own.exists():
        return make_passphrase_file(own)
    return passphrase_from_file(file or own)


def _opened(master: MasterSecrets, ca: LabCa, audit_key: Ed25519PrivateKey) -> SealedSecrets:
    return SealedSecrets(
        ksak=master.ksak.hex(),
        z_secret=master.z_secret.hex(),
        root=master.root.hex(),
        ca_key_pem=ca.key_pem.decode(),
        audit_key=audit_key.private_bytes_raw().hex(),
    )


def _master(opened: SealedSecrets) -> MasterSecrets:
    return MasterSecrets(
        ksak=bytes.fromhex(opened.ksak), z_secret=bytes.fromhex(opened.z_secret), root=bytes.fromhex(opened.root)
    )
