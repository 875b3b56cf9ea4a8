"""`pc5lab kms operator|intercept`: two operators, a warrant, and the session keys of named messages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab_scripts.cli.kms_options import (
    AsJson,
    Folder,
    PassphraseFile,
    ShareFiles,
    ntp_seconds,
    open_service,
    read_file,
    tell,
    write_private_file,
)
from lab_scripts.exit_codes import ExitCode, LabError

if TYPE_CHECKING:
    from security.kms.intercept import Operator

operator_app = typer.Typer(no_args_is_help=True, help="Operators who may take part in lawful interception.")
intercept_app = typer.Typer(
    no_args_is_help=True,
    help="Lawful interception: one operator requests, another approves, then named messages are opened.",
)

Name = Annotated[str, typer.Option("--operator", help="The operator's name.")]
KeyFile = Annotated[Path, typer.Option("--key", help="The operator's key file.")]
Number = Annotated[int, typer.Argument(help="The order's number.", min=1)]


@operator_app.command("add")
def operator_add(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="The operator's name.")],
    key_file: Annotated[Path, typer.Option("--key", help="New file for the operator's key (mode 0600).")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Make an operator a key of his own, and register it.

    Example: pc5lab kms operator add lab-kms carol --key carol.key
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from security.kms.intercept import add_operator

    if key_file.exists():
        raise LabError(f"{key_file} exists already")
    service = open_service(folder, passphrase_file, share_files)
    key = Ed25519PrivateKey.generate()
    write_private_file(key_file, key.private_bytes_raw().hex().encode() + b"\n")
    add_operator(service, name, key.public_key())
    tell({"operator": name, "key": str(key_file)}, f"operator {name}: key in {key_file}", as_json=as_json)


@intercept_app.command()
def request(
    folder: Folder,
    name: Name,
    key_file: KeyFile,
    warrant: Annotated[str, typer.Option(help="The warrant's reference.")],
    identity: Annotated[list[str], typer.Option(help="Identity whose messages are to be opened; repeatable.")],
    message: Annotated[
        list[Path], typer.Option(help="File with captured I_MESSAGEs: base64, one a line, or a raw one; repeatable.")
    ],
    at: Annotated[str, typer.Option(help="A time in the key period of the messages (ISO 8601, UTC).")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the session keys of captured I_MESSAGEs. A mutual session needs both ends' messages and identities.

    Example: pc5lab kms intercept request lab-kms --operator carol --key carol.key --warrant W-17
    --identity tel:+447700900002 --message dcr.bin --at 2026-03-11T12:00:00Z
    """
    from security.kms.intercept import request_intercept

    service = open_service(folder, passphrase_file, share_files)
    order = request_intercept(
        service,
        _operator(name, key_file),
        warrant=warrant,
        identities=tuple(identity),
        key_period_no=service.authority.domain.period_of(ntp_seconds(at) or 0),
        messages=tuple(octets for path in message for octets in _messages(path)),
    )
    report = {"order": order.number, "order_sha256": order.digest, "requested_by": order.requested_by}
    tell(report, f"interception order {order.number} is requested; another operator approves it", as_json=as_json)


@intercept_app.command()
def approve(
    folder: Folder,
    number: Number,
    name: Name,
    key_file: KeyFile,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Approve another operator's order.

    Example: pc5lab kms intercept approve lab-kms 1 --operator dave --key dave.key
    """
    from security.kms.intercept import approve_intercept

    order = approve_intercept(open_service(folder, passphrase_file, share_files), _operator(name, key_file), number)
    report = {"order": number, "order_sha256": order.digest, "approved_by": order.approved_by}
    tell(report, f"interception order {number} is approved by {order.approved_by}", as_json=as_json)


@intercept_app.command()
def show(folder: Folder, number: Number, as_json: AsJson = False) -> None:
    """Show what an order asks for and who signed it. Example: pc5lab kms intercept show lab-kms 1"""
    from security.kms.home import KmsHome
    from security.kms.intercept import find_order

    with KmsHome.open(folder).database.read() as records:
        order = find_order(records, number)
    body = order.body
    report = {
        "order": number,
        "order_sha256": order.digest,
        "warrant": body.warrant,
        "identities": list(body.identities),
        "key_period_no": body.key_period_no,
        "messages": len(body.messages),
        "requested_by": order.requested_by,
        "approved_by": order.approved_by,
    }
    tell(report, "\n".join(f"{key}: {value}" for key, value in report.items()), as_json=as_json)


@intercept_app.command()
def export(
    folder: Folder,
    number: Number,
    name: Name,
    key_file: KeyFile,
    out: Annotated[Path, typer.Option(help="Write the session keys to this file (mode 0600).")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Open the messages of an approved order; never a receiver's key.

    Example: pc5lab kms intercept export lab-kms 1 --operator carol --key carol.key --out sessions.json
    """
    from security.kms.errors import InterceptError
    from security.kms.intercept import export_intercept
    from security.kms.protocol import encode

    service = open_service(folder, passphrase_file, share_files)
    try:
        product = export_intercept(service, _operator(name, key_file), number)
    except InterceptError as error:
        raise LabError(str(error), code=ExitCode.SECURITY) from error
    write_private_file(out, encode(product) + b"\n")
    report = {"order": number, "sessions": len(product.sessions), "file": str(out)}
    tell(report, f"{len(product.sessions)} session keys: {out}", as_json=as_json)


def _operator(name: str, key_file: Path) -> Operator:
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


def _messages(path: Path) -> list[bytes]:
    """The I_MESSAGEs of a file, in any form in which MIKEY is handed on: one, or base64 with one a line."""
    from lab_scripts.mikey_text import mikey_messages
    from security.mikey import MikeyError

    try:
        return mikey_messages(read_file(path))
    except MikeyError as error:
        raise LabError(f"{path}: {error}") from error
