"""`pc5lab kms`: found a KMS, serve keys, enrol users, revoke, read and verify the audit log."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab_scripts.exit_codes import ExitCode, LabError

if TYPE_CHECKING:
    from security.kms.service import Clocks, KmsService

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Run a key management server. Example: pc5lab kms init lab-kms && pc5lab kms serve lab-kms",
)

Folder = Annotated[Path, typer.Argument(help="The KMS's folder.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="File with the passphrase of the master secrets; default: seal.key in the folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

DEMO_KEYS_WARNING = (
    "WARNING: demo master keys. Anyone who knows the seed can make every key of this KMS. For lab runs only."
)


@app.command()
def init(
    folder: Folder,
    uri: Annotated[str, typer.Option(help="URI of the KMS.")] = "kms.lab.invalid",
    namespace: Annotated[
        list[str] | None, typer.Option(help="URI pattern this KMS speaks for, * allowed; repeatable; default tel:*.")
    ] = None,
    uid_scheme: Annotated[
        int, typer.Option(min=1, max=2, help="1: month and tel URI (RFC 6509); 2: hashed UID (TS 33.180).")
    ] = 2,
    key_period_s: Annotated[int, typer.Option(min=60, help="Key period of scheme 2.")] = 2_592_000,
    key_period_offset_s: Annotated[int, typer.Option(min=0, help="Offset of the key periods of scheme 2.")] = 0,
    demo_seed: Annotated[
        int | None, typer.Option(min=0, help="Make the master keys from this number: repeatable, and known to anyone.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL; default: a SQLite file in the folder.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Found a KMS: sealed master secrets, lab CA, database. Example: pc5lab kms init lab-kms --namespace 'tel:+44*'"""
    from security.identifiers import UidScheme
    from security.kms.home import KmsHome, KmsPlan

    plan = KmsPlan(
        uri=uri,
        namespace=tuple(namespace or ("tel:*",)),
        uid_scheme=UidScheme(uid_scheme),
        key_period_s=key_period_s,
        key_period_offset_s=key_period_offset_s,
        demo_seed=demo_seed,
    )
    home = KmsHome.found(
        folder, plan, passphrase_file=passphrase_file, database_url=database, now=dt.datetime.now(dt.UTC)
    )
    if demo_seed is not None:
        typer.echo(DEMO_KEYS_WARNING, err=True)
    report = {"kms": uri, "folder": str(folder), "ca": str(home.ca_file), "lab_deterministic": demo_seed is not None}
    _tell(report, f"KMS {uri} is founded in {folder}. Its lab CA: {home.ca_file}", as_json=as_json)


@app.command()
def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    fixed_utc: Annotated[
        str | None, typer.Option(help="Serve keys as if it were always this time (ISO 8601, UTC).")
    ] = None,
    clock_offset: Annotated[float, typer.Option(help="Seconds to add to the clock that chooses key periods.")] = 0.0,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; events as JSON lines on stdout, `kms-serving` first.

    Example: pc5lab kms serve lab-kms --port 8443
    """
    import asyncio

    from security.kms.server import serve_until_signalled

    service = _service(folder, passphrase_file, _clocks(fixed_utc, clock_offset))
    if service.parameters_form.lab_deterministic:
        typer.echo(DEMO_KEYS_WARNING, err=True)
    asyncio.run(serve_until_signalled(service, host=host, port=port, emit=_emit_line))


@app.command()
def enrol(
    folder: Folder,
    user: Annotated[str, typer.Argument(help="Name of the user.")],
    identity: Annotated[list[str], typer.Option(help="URI the user may have keys for; repeatable.")],
    peer: Annotated[
        list[str] | None, typer.Option(help="URI these identities may link with; repeatable; default: all authorised.")
    ] = None,
    discovery_group: Annotated[
        list[str] | None, typer.Option(help="Discovery group whose keys the user gets; repeatable.")
    ] = None,
    valid_from: Annotated[str | None, typer.Option(help="No keys before this time (ISO 8601, UTC).")] = None,
    valid_to: Annotated[str | None, typer.Option(help="No keys from this time on (ISO 8601, UTC).")] = None,
    token_hours: Annotated[float, typer.Option(min=0.01, max=8760, help="Life of the one-time token.")] = 24.0,
    out: Annotated[Path | None, typer.Option(help="Write the ticket to this file (mode 0600).")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Grant a user identities and print its one-time ticket (JSON: token, lab CA).

    Example: pc5lab kms enrol lab-kms alice --identity tel:+447700900001 --discovery-group 1
    """
    from security.atomic_file import replace_file
    from security.kms.operator_orders import EnrolmentOrder
    from security.kms.operator_orders import enrol as order_enrolment
    from security.kms.protocol import encode

    order = EnrolmentOrder(
        user=user,
        identities=tuple(identity),
        peers=tuple(peer or ()),
        discovery_groups=tuple(discovery_group or ()),
        not_before_ntp_s=_ntp_s(valid_from),
        not_after_ntp_s=_ntp_s(valid_to),
        token_life_s=round(token_hours * 3600),
    )
    ticket = encode(order_enrolment(_service(folder, passphrase_file, _clocks(None, 0.0)), order))
    if out is None:
        typer.echo(ticket.decode())
        return
    try:
        replace_file(out, ticket)
    except OSError as error:
        raise LabError(f"{out}: {error.strerror}") from error
    _tell({"user": user, "ticket": str(out)}, f"ticket for {user}: {out}", as_json=as_json)


@app.command()
def revoke(
    folder: Folder,
    identity: Annotated[str | None, typer.Option(help="The identity to revoke.")] = None,
    user: Annotated[str | None, typer.Option(help="The user to revoke, with every identity of his.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop giving keys, at once, and put the identities on the deny list. Can't be undone.

    Example: pc5lab kms revoke lab-kms --identity tel:+447700900003
    """
    from security.kms.operator_orders import revoke_identity, revoke_user

    if (identity is None) == (user is None):
        raise LabError("name what to revoke: either --identity or --user")
    service = _service(folder, passphrase_file, _clocks(None, 0.0))
    if identity is not None:
        revoke_identity(service, identity)
    identities = (identity,) if identity is not None else revoke_user(service, str(user))
    _tell({"revoked": list(identities)}, f"revoked: {', '.join(identities) or user}", as_json=as_json)


audit_app = typer.Typer(no_args_is_help=True, help="Read or verify the audit log.")
app.add_typer(audit_app, name="audit")


@audit_app.command("verify")
def audit_verify(
    folder: Folder,
    head: Annotated[str | None, typer.Option(help="Hash of the last line as noted elsewhere earlier.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no line of the audit log was removed, moved or altered. Example: pc5lab kms audit verify lab-kms"""
    from security.kms.errors import AuditError
    from security.kms.home import KmsHome

    try:
        found = KmsHome.open(folder).verify_audit(noted_hash=head)
    except AuditError as error:
        raise LabError(f"audit log of {folder}: {error}", code=ExitCode.SECURITY) from error
    report = {"ok": True, "lines": found.count, "head": found.hash_hex}
    _tell(report, f"audit log is whole: {found.count} lines, head {found.hash_hex}", as_json=as_json)


@audit_app.command("show")
def audit_show(folder: Folder, as_json: AsJson = False) -> None:
    """Print the audit log, one JSON line each, or one JSON array. Example: pc5lab kms audit show lab-kms"""
    from security.kms.home import KmsHome

    with KmsHome.open(folder).database.read() as records:
        lines = [line.text for line in records.audit_lines()]
    typer.echo(f"[{','.join(lines)}]" if as_json else "\n".join(lines))


def _service(folder: Path, passphrase_file: Path | None, clocks: Clocks) -> KmsService:
    from security.kms.home import KmsHome

    return KmsHome.open(folder).unseal(passphrase_file=passphrase_file, clocks=clocks)


def _clocks(fixed_utc: str | None, clock_offset: float) -> Clocks:
    """The wall clock, and the clock that chooses key periods: fixed, or the wall clock with an offset."""
    from security.kms.service import Clocks

    if fixed_utc is not None and clock_offset:
        raise LabError("--fixed-utc and --clock-offset exclude each other")
    fixed_ntp_s = _ntp_s(fixed_utc)
    lab_ntp_s: Callable[[], int] = (
        (lambda: fixed_ntp_s) if fixed_ntp_s is not None else (lambda: int(_now_ntp_s() + clock_offset))
    )
    return Clocks(wall=lambda: dt.datetime.now(dt.UTC), lab_ntp_s=lab_ntp_s)


def _now_ntp_s() -> float:
    from security.identifiers import NTP_EPOCH

    return (dt.datetime.now(dt.UTC) - NTP_EPOCH).total_seconds()


def _ntp_s(text: str | None) -> int | None:
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


def _emit_line(event: Mapping[str, Any]) -> None:
    """One event as a JSON line on stdout; a reader that went away is no reason to stop serving."""
    try:
        sys.stdout.write(json.dumps(dict(event), separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass


def _tell(report: Mapping[str, Any], words: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(dict(report)) if as_json else words)
