"""The files of a KMS's home folder: their names, the form of `kms.json`, and where passphrase and database are.

The folder is for its owner only. `kms.json` has the URL of the database, and pins the public key of the audit log. The
passphrase is in a file of the folder, unless the operator names another one. The database is in the folder too, unless
it is elsewhere. The URL names its place in full: a copy of a folder uses its own database, not that of the folder from
which it was copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from security.at_rest.sealing import make_passphrase_file, passphrase_from_file
from security.kms_wire.errors import KmsConfigError, KmsProtocolError
from security.kms_wire.protocol import Message, decode

HOME_FILE: Final = "kms.json"
PASSPHRASE_FILE: Final = "seal.key"
CA_FILE: Final = "ca.pem"
SQLITE_FILE: Final = "kms.sqlite"


class HomeFile(Message):
    """Where the database is, and the key that verifies its audit log (hex); in `kms.json`."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    database: Annotated[str, Field(max_length=2048, repr=False)]
    audit_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


def sqlite_url(folder: Path) -> str:
    """The default place of a KMS's database."""
    return f"sqlite:///{(folder / SQLITE_FILE).absolute()}"


def make_folder(folder: Path) -> None:
    """Make a KMS's folder, for its owner only; raises KmsConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise KmsConfigError(f"{folder}: {exc.strerror}") from exc


def passphrase_in(folder: Path, file: Path | None, *, make: bool) -> bytes:
    """The passphrase in `file`, or in the home's own file, which founding a KMS makes."""
    own = folder / PASSPHRASE_FILE
    if file is None and make and not own.exists():
        return make_passphrase_file(own)
    return passphrase_from_file(file or own)


def own_or(url: str, folder: Path) -> str:
    """A home's database. If the folder is a copy of another home with its SQLite file, the copy's file."""
    named, own = Path(url.removeprefix("sqlite:///")), folder / SQLITE_FILE
    copied = url.startswith("sqlite:///") and named.name == SQLITE_FILE and own.exists()
    return sqlite_url(folder) if copied else url


def read_home_file(folder: Path) -> HomeFile:
    """The folder's `kms.json`; raises KmsConfigError if there is none, or it has another form."""
    try:
        return decode(HomeFile, (folder / HOME_FILE).read_bytes())
    except OSError as exc:
        raise KmsConfigError(f"no KMS in {folder}: {HOME_FILE}: {exc.strerror}; make one with kms init") from exc
    except KmsProtocolError as exc:
        raise KmsConfigError(f"{folder / HOME_FILE}: {exc}") from exc
