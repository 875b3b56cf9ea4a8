"""`pc5lab kms operator|intercept`: two operators, a warrant, and the session keys of named messages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab_scripts.cli.kms_options import (
    AsJson,
    Folder,
    KeyFile,
    OperatorName,
    PassphraseFile,
    ShareFiles,
    ntp_seconds,
    open_service,
    operator_of,
    read_file,
    tell,
    write_private_file,
)
from lab_scripts.exit_codes import ExitCode, LabError

if TYPE_CHECKING:
    from security.kms.intercept import Operator
    from security.kms.service import KmsService

operator_app = typer.Typer(no_args_is_help=True, help="Operators who may take part in lawful interception.")
intercept_app = typer.Typer(
    no_args_is_help=True,
    help="Lawful interception: one operator requests, another approves, then named messages are opened.",
)

CheckpointOut = Annotated[
    Path | None,
    typer.Option("--checkpoint-out", help="Write a countersigned checkpoint of the log, for the operator to keep."),
]
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
    """Make a key for an operator, and register it.

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
    name: OperatorName,
    key_file: KeyFile,
    warrant: Annotated[str, typer.Option(help="The warrant's reference.")],
    identity: Annotated[list[str], typer.Option(help="Identity whose messages are to be opened; repeatable.")],
    message: Annotated[
        list[Path], typer.Option(help="File with captured I_MESSAGEs: base64, one a line, or a raw one; repeatable.")
    ],
    at: Annotated[str, typer.Option(help="A time in the key period of the messages (ISO 8601, UTC).")],
    checkpoint_out: CheckpointOut = None,
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
    operator = operator_of(name, key_file)
    order = request_intercept(
        service,
        operator,
        warrant=warrant,
        identities=tuple(identity),
        key_period_no=service.authority.domain.period_of(ntp_seconds(at) or 0),
        messages=tuple(octets for path in message for octets in _messages(path)),
    )
    _write_checkpoint(service, operator, checkpoint_out)
    report = {"order": order.number, "order_sha256": order.digest, "requested_by": order.requested_by}
    tell(report, f"interception order {order.number} is requested; another operator approves it", as_json=as_json)


@intercept_app.command()
def approve(
    folder: Folder,
    number: Number,
    name: OperatorName,
    key_file: KeyFile,
    checkpoint_out: CheckpointOut = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Approve another operator's order.

    Example: pc5lab kms intercept approve lab-kms 1 --operator dave --key dave.key
    """
    from security.kms.intercept import approve_intercept

    service = open_service(folder, passphrase_file, share_files)
    operator = operator_of(name, key_file)
    order = approve_intercept(service, operator, number)
    _write_checkpoint(service, operator, checkpoint_out)
    report = {"order": number, "order_sha256": order.digest, "approved_by": order.approved_by}
    tell(report, f"interception order {number} is approved by {order.approved_by}", as_json=as_json)


@intercept_app.command()
def show(folder: Folder, number: Number, as_json: AsJson = False) -> None:
    """Show what an order asks for and which operators signed it. Example: pc5lab kms intercept show lab-kms 1"""
    from security.kms.home import KmsHome
    from security.kms.intercept import find_order

    with KmsHome.open(folder, read_only=True).database.read() as records:
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
    name: OperatorName,
    key_file: KeyFile,
    out: Annotated[Path, typer.Option(help="Write the session keys to this file (mode 0600).")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Open the messages of an approved order with the operators' shares; never a receiver's key.

    Example: pc5lab kms intercept export lab-kms 1 --operator carol --key carol.key --share carol.share
    --share dave.share --out sessions.json
    """
    from security.kms.intercept import export_intercept
    from security.kms_wire.errors import InterceptError
    from security.kms_wire.protocol import encode

    service = open_service(folder, passphrase_file, share_files)
    try:
        product = export_intercept(service, operator_of(name, key_file), number)
    except InterceptError as error:
        raise LabError(str(error), code=ExitCode.SECURITY) from error
    write_private_file(out, encode(product) + b"\n")
    report = {"order": number, "sessions": len(product.sessions), "file": str(out)}
    tell(report, f"{len(product.sessions)} session keys: {out}", as_json=as_json)


@intercept_app.command()
def shares(
    folder: Folder,
    out: Annotated[Path, typer.Argument(help="Folder for the new share files.")],
    threshold: Annotated[int, typer.Option(min=2, max=255, help="How many shares an export needs.")] = 2,
    count: Annotated[int, typer.Option("--shares", min=2, max=255, help="How many shares there are.")] = 2,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Make new shares for interception at a KMS that a passphrase opens; earlier ones open nothing from then on.

    Where there are shares already, they are needed: the passphrase alone makes no second set.
    Example: pc5lab kms intercept shares lab-kms new-shares --shares 3 --share carol.share --share dave.share
    """
    from security.kms.home import KmsHome
    from security.kms.resealing import renew_interception_shares
    from security.kms_wire.errors import InterceptError

    service = open_service(folder, passphrase_file, share_files)
    opened = KmsHome.open(folder).opened(passphrase_file, tuple(share_files or ()))
    try:
        paths = renew_interception_shares(service, opened, out, threshold=threshold, shares=count)
    except InterceptError as error:
        raise LabError(str(error), code=ExitCode.SECURITY) from error
    report = {"threshold": threshold, "shares": [str(path) for path in paths]}
    tell(report, f"an export needs {threshold} of the {count} share files in {out}; hand them out", as_json=as_json)


def _write_checkpoint(service: KmsService, operator: Operator, path: Path | None) -> None:
    from security.kms.audit_verification import checkpoint_of
    from security.kms_wire.protocol import encode

    if path is not None:
        write_private_file(path, encode(checkpoint_of(service, operator)) + b"\n")


def _messages(path: Path) -> list[bytes]:
    """The I_MESSAGEs of a file, in any form in which MIKEY is handed on: one, or base64 with one a line."""
    from lab_scripts.capture.mikey_text import mikey_messages
    from security.mikey import MikeyError

    try:
        return mikey_messages(read_file(path))
    except MikeyError as error:
        raise LabError(f"{path}: {error}") from error
