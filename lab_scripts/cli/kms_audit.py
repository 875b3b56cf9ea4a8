"""`pc5lab kms audit`: read the audit log, verify it and the rows of the database, export checkpoints of both."""

from __future__ import annotations

import re
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
    open_service,
    operator_of,
    tell,
    write_private_file,
)
from lab_scripts.exit_codes import ExitCode, LabError

if TYPE_CHECKING:
    from security.kms.home import KmsHome
    from security.kms.sealed_secrets import SealedSecrets

audit_app = typer.Typer(no_args_is_help=True, help="Read or verify the audit log, export checkpoints of it.")


@audit_app.command()
def verify(
    folder: Folder,
    head: Annotated[str | None, typer.Option(help="Hash of the last line as noted elsewhere earlier.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The verifying key as noted at kms init (64 hex digits); default: as sealed.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Checkpoint exported earlier; repeatable. Finds a log cut or rewritten.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Check that no line of the audit log was removed, moved or altered, and no row that decides on keys.

    Nothing is written, so that a read-only copy can be checked. Rows are checked where the secrets open: with seal.key
    in the folder, a passphrase file or shares. Example: pc5lab kms audit verify lab-kms --checkpoint march.checkpoint
    """
    from security.kms.audit_checkpoint import read_checkpoint
    from security.kms.home import KmsHome
    from security.kms_wire.errors import AuditError, RowsAlteredError

    key_hex = _key_hex(key)
    home = KmsHome.open(folder, read_only=True)
    opened, why_not = _opened(home, passphrase_file, share_files)
    try:
        noted = [read_checkpoint(path) for path in checkpoint or ()]
        found = home.verify_audit(noted_hash=head, key_hex=key_hex, checkpoints=noted, opened=opened)
    except (AuditError, RowsAlteredError) as error:
        raise LabError(f"audit log of {folder}: {error}", code=ExitCode.SECURITY) from error
    streams = [{"stream": head.stream, "lines": head.count, "head": head.hash_hex} for head in found.heads]
    report = {
        "ok": True,
        "lines": found.count,
        "head": found.hash_hex,
        "streams": streams,
        "key": found.key_hex,
        "key_from": found.key_from,
        "rows": found.rows,
        "rows_not_checked": why_not,
        "checkpoints": [
            {"at": one.body.at, "countersigned_by": [other.operator for other in one.countersignatures]}
            for one in noted
        ],
    }
    rows = f"{found.rows} rows are as they were written" if why_not is None else f"rows NOT checked: {why_not}"
    words = (
        f"audit log is whole: {found.count} lines in {len(streams)} streams, head {found.hash_hex}\n"
        f"verified with key {found.key_hex}, from {found.key_from}\n{rows}"
    )
    tell(report, words, as_json=as_json)


@audit_app.command()
def show(folder: Folder, as_json: AsJson = False) -> None:
    """Print the audit log in order of time, one JSON line each or one array. Example: pc5lab kms audit show lab-kms"""
    from security.kms.home import KmsHome

    with KmsHome.open(folder, read_only=True).database.read() as records:
        lines = [line.text for line in sorted(records.audit_lines(), key=lambda line: str(line.fields.get("at")))]
    typer.echo(f"[{','.join(lines)}]" if as_json else "\n".join(lines))


@audit_app.command()
def checkpoint(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="Write the checkpoint to this file; keep it away from the KMS.")],
    name: Annotated[str | None, typer.Option("--operator", help="Operator who countersigns it.")] = None,
    key_file: Annotated[Path | None, typer.Option("--key", help="The operator's key file.")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Export the state of the audit log and of the rows, signed; a later verify finds whatever is older or rewritten.

    Example: pc5lab kms audit checkpoint lab-kms --out march.checkpoint
    """
    from security.kms.audit_verification import checkpoint_of
    from security.kms_wire.protocol import encode

    if (name is None) != (key_file is None):
        raise LabError("--operator and --key go together")
    operator = operator_of(name, key_file) if name is not None and key_file is not None else None
    made = checkpoint_of(open_service(folder, passphrase_file, share_files), operator)
    write_private_file(out, encode(made) + b"\n")
    lines = sum(stream.lines for stream in made.body.streams)
    report = {"file": str(out), "lines": lines, "rows_version": made.body.rows_version, "key": made.body.audit_key}
    tell(report, f"checkpoint of {lines} lines, rows at version {made.body.rows_version}: {out}", as_json=as_json)


@audit_app.command()
def countersign(
    folder: Folder,
    file: Annotated[Path, typer.Argument(help="The checkpoint.")],
    name: OperatorName,
    key_file: KeyFile,
    as_json: AsJson = False,
) -> None:
    """Add an operator's signature to a checkpoint, once the log agrees with it. Needs no passphrase.

    Example: pc5lab kms audit countersign lab-kms march.checkpoint --operator dave --key dave.key
    """
    from security.kms.audit_checkpoint import read_checkpoint
    from security.kms.home import KmsHome
    from security.kms_wire.errors import AuditError
    from security.kms_wire.protocol import encode

    operator = operator_of(name, key_file)
    try:
        noted = read_checkpoint(file)
        signed = noted.countersigned(operator.name, operator.key)
        KmsHome.open(folder, read_only=True).verify_audit(checkpoints=[signed])
    except AuditError as error:
        raise LabError(f"audit log of {folder}: {error}", code=ExitCode.SECURITY) from error
    write_private_file(file, encode(signed) + b"\n")
    by = [one.operator for one in signed.countersignatures]
    tell({"file": str(file), "countersigned_by": by}, f"{file} is countersigned by {', '.join(by)}", as_json=as_json)


def _opened(
    home: KmsHome, passphrase_file: Path | None, share_files: list[Path] | None
) -> tuple[SealedSecrets | None, str | None]:
    """The secrets where they can be opened, else why the rows are not checked."""
    from security.at_rest.sealing import SealError

    if passphrase_file is None and not share_files and not home.single_holder:
        return None, "the secrets are sealed; give --passphrase-file, or --share for each share"
    try:
        opened = home.opened(passphrase_file, tuple(share_files or ())).secrets
    except SealError as error:
        if passphrase_file is not None or share_files:
            raise
        return None, str(error)
    if not opened.row_key:
        return None, "they have no tags yet; the next order that opens the KMS makes them"
    return opened, None


def _key_hex(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise LabError(f"--key {text[:80]}: a verifying key is 64 hex digits, as kms init prints it")
    return text.lower() if text is not None else None
