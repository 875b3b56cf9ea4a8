"""`pc5lab kms`: found a KMS, serve keys, enrol users and groups, revoke, read and verify the audit log."""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab_scripts.cli.kms_audit import audit_app
from lab_scripts.cli.kms_backup import backup, restore, split
from lab_scripts.cli.kms_discovery import discovery_group, key_set_name
from lab_scripts.cli.kms_intercept import intercept_app, operator_app
from lab_scripts.cli.kms_map import map_app
from lab_scripts.cli.kms_options import (
    AsJson,
    Folder,
    PassphraseFile,
    ShareFiles,
    ntp_seconds,
    open_service,
    tell,
    write_private_file,
)
from lab_scripts.cli.kms_public import (
    AccessTokensFile,
    CertificateFile,
    CertificateKeyFile,
    ContentTypeOption,
    GroupSigningOption,
    IntrospectionCa,
    IntrospectionClaim,
    IntrospectionClientId,
    IntrospectionScope,
    IntrospectionSecretFile,
    IntrospectionUrl,
    KeyWrapOption,
    RequireSigned,
    SigningOption,
    TimeWindow,
    TransportKeyNumber,
    access_token,
    server_options,
    transport_key,
)
from lab_scripts.exit_codes import LabError
from lab_scripts.standard_streams import give_up_failed_streams

if TYPE_CHECKING:
    from security.held_keys import Use
    from security.kms.events import FromWorker, KmsEvent

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Run a key management server. Example: pc5lab kms init lab-kms && pc5lab kms serve lab-kms",
)

app.add_typer(audit_app, name="audit")
app.add_typer(operator_app, name="operator")
app.add_typer(intercept_app, name="intercept")
app.add_typer(map_app, name="map")
for command in (backup, restore, split):
    app.command()(command)
app.command("discovery-group")(discovery_group)
app.command("access-token")(access_token)
app.command("transport-key")(transport_key)

DEMO_KEYS_WARNING = (
    "WARNING: demo master keys. Anyone who knows the seed can make every key of this KMS. For lab runs only."
)
SINGLE_HOLDER_NOTE = (
    "NOTE: a KMS of a single holder: a reader of {passphrase} can open all its keys. Interception needs the two "
    "share files in {shares} besides: hand one to each operator. A KMS that no one opens alone: kms init --split, or "
    "kms split."
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
    split: Annotated[
        Path | None,
        typer.Option(help="No passphrase: write share files to this folder, of which THRESHOLD open the KMS together."),
    ] = None,
    threshold: Annotated[int, typer.Option(min=2, max=255, help="With --split: how many shares open the KMS.")] = 2,
    shares: Annotated[int, typer.Option(min=2, max=255, help="With --split: how many shares there are.")] = 2,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Found a KMS: sealed master secrets, lab CA, database. Example: pc5lab kms init lab-kms --namespace 'tel:+44*'

    Without --split it is a lab's KMS of a single holder: a reader of its passphrase file can open everything.
    """
    from security.identifiers import UidScheme
    from security.kms.home import KmsHome, KmsPlan
    from security.kms.interception_shares import SHARES_FOLDER
    from security.kms.secret_shares import SharePlan

    if split is not None and passphrase_file is not None:
        raise LabError("--split and --passphrase-file exclude each other")

    plan = KmsPlan(
        uri=uri,
        namespace=tuple(namespace or ("tel:*",)),
        uid_scheme=UidScheme(uid_scheme),
        key_period_s=key_period_s,
        key_period_offset_s=key_period_offset_s,
        demo_seed=demo_seed,
    )
    home = KmsHome.found(
        folder,
        plan,
        passphrase_file=passphrase_file,
        database_url=database,
        now=dt.datetime.now(dt.UTC),
        shares=None if split is None else SharePlan(folder=split, threshold=threshold, shares=shares),
    )
    if demo_seed is not None:
        typer.echo(DEMO_KEYS_WARNING, err=True)
    where = folder / SHARES_FOLDER if split is None else split
    if split is None:
        typer.echo(SINGLE_HOLDER_NOTE.format(passphrase=passphrase_file or folder / "seal.key", shares=where), err=True)
    report = {
        "kms": uri,
        "folder": str(folder),
        "ca": str(home.ca_file),
        "lab_deterministic": demo_seed is not None,
        "audit_key": home.row.audit_key_hex,
        "single_holder": split is None,
        "shares": str(where),
    }
    words = (
        f"KMS {uri} is founded in {folder}. Its lab CA: {home.ca_file}\n"
        f"Key that verifies its audit log (note it down, for kms audit verify --key): {home.row.audit_key_hex}"
    )
    if split is not None:
        words += f"\n{threshold} of the {shares} share files in {split} open the KMS; hand them out"
    tell(report, words, as_json=as_json)


@app.command()
def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    fixed_utc: Annotated[
        str | None, typer.Option(help="Serve keys as if it were always this time (ISO 8601, UTC).")
    ] = None,
    clock_offset: Annotated[float, typer.Option(help="Seconds to add to the clock that chooses key periods.")] = 0.0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve together on the port.")] = 1,
    name: Annotated[
        str, typer.Option(help="Name of this server's audit streams; differs between servers of one database.")
    ] = "serve",
    certificate: CertificateFile = None,
    certificate_key: CertificateKeyFile = None,
    access_tokens: AccessTokensFile = None,
    introspection_url: IntrospectionUrl = None,
    introspection_client_id: IntrospectionClientId = None,
    introspection_secret_file: IntrospectionSecretFile = None,
    introspection_ca: IntrospectionCa = None,
    introspection_claim: IntrospectionClaim = "username",
    introspection_scope: IntrospectionScope = None,
    xml_key_wrap: KeyWrapOption = "clear",
    xml_signing: SigningOption = "none",
    xml_require_signed: RequireSigned = False,
    xml_group_signing: GroupSigningOption = "members-own",
    xml_content_type: ContentTypeOption = "application/xml",
    xml_time_window: TimeWindow = 30.0,
    transport_key_number: TransportKeyNumber = 1,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
) -> None:
    """Serve until SIGTERM, SIGHUP or Ctrl-C; events as JSON lines on stdout, `kms-serving` first.

    Example: pc5lab kms serve lab-kms --port 8443
    """
    import asyncio

    from security.kms.server import serve_until_signalled
    from security.kms.workers import ServingPlan, serve_with_workers

    if fixed_utc is not None and clock_offset:
        raise LabError("--fixed-utc and --clock-offset exclude each other")
    plan = ServingPlan(
        folder=folder,
        host=host,
        port=port,
        name=_stream_name(name),
        passphrase_file=passphrase_file,
        share_files=tuple(share_files or ()),
        fixed_ntp_s=ntp_seconds(fixed_utc),
        clock_offset_s=clock_offset,
        options=server_options(
            access_tokens=access_tokens,
            introspection={
                "introspection_url": introspection_url,
                "client_id": introspection_client_id,
                "client_secret_file": introspection_secret_file,
                "ca_file": introspection_ca,
                "claim": introspection_claim,
                "scope": introspection_scope,
            },
            xml={
                "key_wrap": xml_key_wrap,
                "signing": xml_signing,
                "group_signing": xml_group_signing,
                "content_type": xml_content_type,
            },
            require_signed=xml_require_signed,
            time_window=xml_time_window,
            transport_key_number=transport_key_number,
            certificate=certificate,
            certificate_key=certificate_key,
        ),
    )
    service = plan.service(f"{plan.name}-1")
    if service.parameters_form.lab_deterministic:
        typer.echo(DEMO_KEYS_WARNING, err=True)
    if workers > 1:
        service.database.close()
        serve_with_workers(plan, workers=workers, emit=_emit_line)
    else:
        asyncio.run(serve_until_signalled(service, host=host, port=port, emit=_emit_line, options=plan.options))


@app.command()
def enrol(
    folder: Folder,
    user: Annotated[str, typer.Argument(help="Name of the user.")],
    identity: Annotated[list[str], typer.Option(help="URI the user may have keys for; repeatable.")],
    peer: Annotated[
        list[str] | None, typer.Option(help="URI these identities may link with; repeatable; default: all authorised.")
    ] = None,
    discovery_group: Annotated[
        list[str] | None,
        typer.Option(help="Discovery group (group_id of its UE) or code set whose keys the user gets; repeatable."),
    ] = None,
    use: Annotated[
        list[str] | None, typer.Option(help="one-to-one, group or out-of-coverage; repeatable; default: all.")
    ] = None,
    valid_from: Annotated[str | None, typer.Option(help="No keys before this time (ISO 8601, UTC).")] = None,
    valid_to: Annotated[str | None, typer.Option(help="No keys from this time on (ISO 8601, UTC).")] = None,
    token_hours: Annotated[float, typer.Option(min=0.01, max=8760, help="Life of the one-time token.")] = 24.0,
    out: Annotated[Path | None, typer.Option(help="Write the ticket to this file (mode 0600).")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Grant a user identities and print its one-time ticket (JSON: token, lab CA).

    Example: pc5lab kms enrol lab-kms alice --identity tel:+447700900001 --discovery-group 0x0051AB
    """
    from security.held_keys import ALL_USES
    from security.kms.operator_orders import EnrolmentOrder
    from security.kms.operator_orders import enrol as order_enrolment
    from security.kms_wire.protocol import encode

    order = EnrolmentOrder(
        user=user,
        identities=tuple(identity),
        peers=tuple(peer or ()),
        discovery_groups=tuple(key_set_name(text) for text in discovery_group or ()),
        uses=frozenset(_use(text) for text in use) if use else ALL_USES,
        not_before_ntp_s=ntp_seconds(valid_from),
        not_after_ntp_s=ntp_seconds(valid_to),
        token_life_s=round(token_hours * 3600),
    )
    ticket = encode(order_enrolment(open_service(folder, passphrase_file, share_files), order))
    if out is None:
        typer.echo(ticket.decode())
        return
    write_private_file(out, ticket)
    tell({"user": user, "ticket": str(out)}, f"ticket for {user}: {out}", as_json=as_json)


@app.command()
def group(
    folder: Folder,
    group_uri: Annotated[str, typer.Argument(help="The group's identity.")],
    add: Annotated[list[str] | None, typer.Option(help="Identity that becomes a member; repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Member that leaves; repeatable.")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Choose the members of a group identity. A member that leaves keeps the keys of the running period.

    Example: pc5lab kms group lab-kms sip:team@lab.example --add tel:+447700900001 --add tel:+447700900002
    """
    from security.kms.operator_orders import add_to_group, remove_from_group

    if not add and not remove:
        raise LabError("name the users that join or leave: --add or --remove")
    service = open_service(folder, passphrase_file, share_files)
    if remove:
        remove_from_group(service, group_uri, tuple(remove))
    if add:
        add_to_group(service, group_uri, tuple(add))
    report = {"group": group_uri, "added": add or [], "removed": remove or []}
    tell(report, f"group {group_uri}: {len(add or ())} added, {len(remove or ())} removed", as_json=as_json)


@app.command()
def parameters(folder: Folder) -> None:
    """Print a KMS's public parameters (JSON), for other KMSs to trust. Example: pc5lab kms parameters lab-kms"""
    from security.kms.home import KmsHome

    typer.echo(KmsHome.open(folder, read_only=True).row.parameters)


@app.command()
def trust(
    folder: Folder,
    parameters_file: Annotated[Path, typer.Argument(help="Another KMS's public parameters (JSON).")],
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Give users another KMS's public keys too. Example: pc5lab kms trust lab-kms other-parameters.json"""
    from radio.text_file import read_text
    from security.kms.operator_orders import trust_domain

    form = trust_domain(open_service(folder, passphrase_file, share_files), read_text(parameters_file).encode())
    tell({"trusted": form.uri}, f"KMS {form.uri} is trusted for {', '.join(form.namespace)}", as_json=as_json)


@app.command()
def revoke(
    folder: Folder,
    identity: Annotated[str | None, typer.Option(help="The identity to revoke.")] = None,
    user: Annotated[str | None, typer.Option(help="The user to revoke, with all identities of that user.")] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Stop giving keys, at once, and put the identities on the deny list. Can't be undone.

    Example: pc5lab kms revoke lab-kms --identity tel:+447700900003
    """
    from security.kms.operator_orders import revoke_identity, revoke_user

    if (identity is None) == (user is None):
        raise LabError("name what to revoke: either --identity or --user")
    service = open_service(folder, passphrase_file, share_files)
    if identity is not None:
        revoke_identity(service, identity)
    identities = (identity,) if identity is not None else revoke_user(service, str(user))
    tell({"revoked": list(identities)}, f"revoked: {', '.join(identities) or user}", as_json=as_json)


def _use(text: str) -> Use:
    from security.held_keys import Use

    try:
        return Use(text)
    except ValueError as error:
        raise LabError(f"{text}: not a use; one-to-one, group and out-of-coverage are") from error


def _stream_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,47}", name) or name == "main":
        raise LabError(f"{name}: a server's name is 1..48 letters, digits, _ . and -, and not main")
    return name


def _emit_line(said: KmsEvent | FromWorker) -> None:
    """One event as a JSON line on stdout; a reader that went away or a full disk is no reason to stop serving."""
    from lab_scripts.events.undated import UndatedEvent
    from prose_link.event_stream import to_line
    from security.kms.events import FromWorker

    event, worker = (said.event, said.worker) if isinstance(said, FromWorker) else (said, None)
    try:
        sys.stdout.write(to_line(UndatedEvent(event=event, worker=worker).record()) + "\n")
        sys.stdout.flush()
    except OSError:
        give_up_failed_streams()
