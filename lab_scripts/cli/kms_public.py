"""`pc5lab kms access-token|transport-key`, and options of `serve` for clients of the XML face (TS 33.180 Annex D)."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab_scripts.cli.kms_options import (
    AsJson,
    Folder,
    PassphraseFile,
    ShareFiles,
    open_service,
    tell,
    write_private_file,
)
from lab_scripts.exit_codes import LabError

if TYPE_CHECKING:
    from security.kms.server import ServerOptions

TOKEN_OCTETS = 32
_PANEL = "XML face (TS 33.180 Annex D)"

AccessTokensFile = Annotated[
    Path | None,
    typer.Option("--access-tokens", help="File of bearer tokens (see kms access-token).", rich_help_panel=_PANEL),
]
IntrospectionUrl = Annotated[
    str | None,
    typer.Option(help="Ask this URL whose a bearer token is (RFC 7662).", rich_help_panel=_PANEL),
]
IntrospectionClientId = Annotated[
    str | None, typer.Option(help="Name of the KMS at the introspection URL.", rich_help_panel=_PANEL)
]
IntrospectionSecretFile = Annotated[
    Path | None, typer.Option(help="File with the KMS's secret there.", rich_help_panel=_PANEL)
]
IntrospectionCa = Annotated[
    Path | None, typer.Option(help="CA certificates (PEM) to trust there.", rich_help_panel=_PANEL)
]
IntrospectionClaim = Annotated[
    str, typer.Option(help="The claim that names the user or one of its identities.", rich_help_panel=_PANEL)
]
IntrospectionScope = Annotated[str | None, typer.Option(help="A scope that tokens must have.", rich_help_panel=_PANEL)]
KeyWrapOption = Annotated[
    str,
    typer.Option(
        help="clear; or under the TrK: without-04 (RFC 3394, no leading 04) or padded (RFC 5649).",
        rich_help_panel=_PANEL,
    ),
]
SigningOption = Annotated[
    str, typer.Option(help="Sign responses (HMAC-SHA256): none, ink or trk.", rich_help_panel=_PANEL)
]
RequireSigned = Annotated[bool, typer.Option(help="Take signed requests only.", rich_help_panel=_PANEL)]
GroupSigningOption = Annotated[
    str,
    typer.Option(
        help="What stands for SSK and PVT in key sets of groups, which have none: members-own or empty.",
        rich_help_panel=_PANEL,
    ),
]
ContentTypeOption = Annotated[
    str, typer.Option(help="application/xml, or text/xml for clients that want it.", rich_help_panel=_PANEL)
]
TimeWindow = Annotated[
    float, typer.Option(min=1.0, max=86_400.0, help="Seconds a request's Time may be off.", rich_help_panel=_PANEL)
]
TransportKeyNumber = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Number of the present TrK and InK.", rich_help_panel=_PANEL)
]
CertificateFile = Annotated[
    Path | None,
    typer.Option("--certificate", help="Certificate chain (PEM) to show instead of one of the lab CA; taken anew."),
]
CertificateKeyFile = Annotated[Path | None, typer.Option("--certificate-key", help="Its key (PEM).")]


def server_options(
    *,
    access_tokens: Path | None,
    introspection: dict[str, Any],
    xml: dict[str, str],
    require_signed: bool,
    time_window: float,
    transport_key_number: int,
    certificate: Path | None,
    certificate_key: Path | None,
) -> ServerOptions:
    """What the options of `serve` say; raises LabError naming a bad one."""
    from security.kms.access_tokens import AccessTokenPlan
    from security.kms.annex_d_keys import KeyWrap
    from security.kms.annex_d_responses import AnnexDOptions, ContentType, GroupSigning, ResponseSigning
    from security.kms.server import ServerOptions

    url = introspection["introspection_url"]
    if access_tokens is not None and url is not None:
        raise LabError("--access-tokens and --introspection-url exclude each other")
    if url is None and any(value is not None for name, value in introspection.items() if name != "claim"):
        raise LabError("--introspection-... options need --introspection-url")
    if (certificate is None) != (certificate_key is None):
        raise LabError("--certificate and --certificate-key go together")
    takes_tokens = access_tokens is not None or url is not None
    if xml["group_signing"] == "group":
        raise LabError(
            "--xml-group-signing group: no SSK is issued for a group identity, since every member could sign as the "
            "group; members-own and empty are what can stand there"
        )
    annex_d = AnnexDOptions(
        key_wrap=_one_of(KeyWrap, "--xml-key-wrap", xml["key_wrap"]),
        signing=_one_of(ResponseSigning, "--xml-signing", xml["signing"]),
        group_signing=_one_of(GroupSigning, "--xml-group-signing", xml["group_signing"]),
        content_type=_one_of(ContentType, "--xml-content-type", xml["content_type"]),
        transport_key_number=transport_key_number,
        require_signed_requests=require_signed,
        time_window_s=time_window,
    )
    return ServerOptions(
        annex_d=annex_d,
        access_tokens=AccessTokenPlan(token_file=access_tokens, **introspection) if takes_tokens else None,
        certificate_files=(certificate, certificate_key) if certificate and certificate_key else None,
    )


def access_token(
    file: Annotated[Path, typer.Argument(help="The token file; made if there is none.")],
    user: Annotated[str, typer.Argument(help="The user whose the token is.")],
    hours: Annotated[float, typer.Option(min=0.01, max=87_600, help="Life of the token.")] = 720.0,
    as_json: AsJson = False,
) -> None:
    """Make a bearer token for clients of the XML face: printed once, kept as its SHA-256.

    Example: pc5lab kms access-token tokens.json alice
    """
    from pydantic import ValidationError

    from security.kms.access_tokens import MAX_TOKENS, TokenFile, TokenLine, read_token_file
    from security.kms_wire.protocol import encode, explain

    token = secrets.token_urlsafe(TOKEN_OCTETS)
    end = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=hours)
    try:
        line = TokenLine(sha256=hashlib.sha256(token.encode()).hexdigest(), user=user, not_after=end)
        kept = read_token_file(file).tokens if file.exists() else ()
    except ValidationError as error:
        raise LabError(f"access token: {explain(error)}") from None
    except OSError as error:
        raise LabError(f"{file}: {error.strerror}") from error
    if len(kept) >= MAX_TOKENS:
        raise LabError(f"{file} holds {MAX_TOKENS} tokens already; take out those that have ended")
    write_private_file(file, encode(TokenFile(tokens=(*kept, line))))
    tell({"user": user, "token": token, "not_after": end.isoformat()}, token, as_json=as_json)


def transport_key(
    folder: Folder,
    user: Annotated[str, typer.Argument(help="The user.")],
    number: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of the keys.")] = 1,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
) -> None:
    """Print a user's TrK and InK (JSON), to be brought to its client by other means than the XML face.

    Example: pc5lab kms transport-key lab-kms alice
    """
    from security.kms.annex_d_keys import transport_keys

    service = open_service(folder, passphrase_file, share_files)
    with service.database.begin() as records:
        if records.user_is_revoked(user) is not False:
            raise LabError(f"{user}: no user of this KMS, or a revoked one")
        detail = {"number": number}
        service.audit(records, actor="operator", action="transport-key", subject=user, detail=detail)
    keys = transport_keys(service.authority, user, number)
    report = {"trk_id": keys.trk_id, "trk": keys.trk.hex(), "ink_id": keys.ink_id, "ink": keys.ink.hex()}
    typer.echo(json.dumps(report))


def _one_of(kind: Any, option: str, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise LabError(f"{option} {text}: not one of {', '.join(kind)}") from None
