"""Common parts of the `pc5lab kms` commands: options, opening a KMS, printing the result."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab_scripts.exit_codes import LabError

if TYPE_CHECKING:
    from security.kms.intercept import Operator
    from security.kms.service import Clocks, KmsService

Folder = Annotated[Path, typer.Argument(help="The KMS's folder.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="File with the passphrase of the master secrets; default: seal.key in the folder.")
]
ShareFiles = Annotated[
    list[Path] | None, typer.Option("--share", help="Share file of the master secrets, instead of it; repeatable.")
]
OperatorName = Annotated[str, typer.Option("--operator", help="The operator's name.")]
KeyFile = Annotated[Path, typer.Option("--key", help="The operator's key file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def open_service(folder: Path, passphrase_file: Path | None, share_files: list[Path] | None) -> KmsService:
    """The KMS of a folder with its secrets opened, for an operator's order."""
    from security.kms.home import KmsHome

    home = KmsHome.open(folder)
    return home.unseal(
        passphrase_file=passphrase_file, share_files=tuple(share_files or ()), clocks=operator_clocks(folder)
    )


def operator_clocks(folder: Path) -> Clocks:
    """The clocks of an operator's order: the real time."""
    from security.kms.workers import ServingPlan

    return ServingPlan(folder=folder, host="", port=0, name="operator").clocks()


def ntp_seconds(text: str | None) -> int | None:
    """An ISO 8601 time (UTC unless it says otherwise) as NTP seconds."""
    from security.identifiers import NTP_EPOCH

    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise LabError(f"{text}: not an ISO 8601 time such as 2026-03-01T12:00:00Z") from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return int((aware - NTP_EPOCH).total_seconds())


def read_file(path: Path, *, limit: int = 1 << 20) -> bytes:
    """A small file's content."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from error


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file with mode 0600, in place of any that is there."""
    from security.at_rest.atomic_file import replace_file

    try:
        replace_file(path, content)
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from error


def tell(report: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    """Print the result on stdout, as JSON or in words."""
    typer.echo(json.dumps(dict(report)) if as_json else words)


def operator_of(name: str, key_file: Path) -> Operator:
    """An operator with the key in a file that only its owner can read."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from radio.text_file import TextError, decode_text
    from security.kms.intercept import Operator

    content = read_file(key_file)
    if key_file.stat().st_mode & 0o077:
        raise LabError(f"{key_file} can be read by others; chmod 600 it")
    try:
        octets = bytes.fromhex(decode_text(content))
        return Operator(name=name, key=Ed25519PrivateKey.from_private_bytes(octets))
    except (ValueError, TextError) as error:
        raise LabError(f"{key_file}: not an operator's key file") from error
