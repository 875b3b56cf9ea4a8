"""`pc5lab kms map`: the identities of telephone numbers, as the KMS states them to its users."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab_scripts.cli.kms_options import AsJson, Folder, PassphraseFile, ShareFiles, open_service, tell
from lab_scripts.exit_codes import LabError

if TYPE_CHECKING:
    from security.identity_map.statement import MapUse
    from security.kms.number_records import NumberRow

map_app = typer.Typer(
    no_args_is_help=True,
    help="Say whom telephone numbers lead to. Example: pc5lab kms map set lab-kms +447700900002 sip:bob@lab.example",
)

Number = Annotated[str, typer.Argument(help="Telephone number: + and the country code first.")]


@map_app.command("set")
def set_number(
    folder: Folder,
    number: Number,
    identity: Annotated[str, typer.Argument(help="Whom it leads to.")],
    use: Annotated[
        list[str] | None,
        typer.Option(help="call, asserted (in P-Asserted-Identity) or nas; repeatable; default: all."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Map a number to an identity, also if another one had it. UEs learn it at their next contact.

    Example: pc5lab kms map set lab-kms +447700900002 sip:bob@lab.example --use call
    """
    from security.identity_map.statement import ALL_MAP_USES
    from security.kms.number_map import map_number

    uses = ALL_MAP_USES
    for n, text in enumerate(use or ()):
        uses = _use(text) if n == 0 else uses | _use(text)
    row = map_number(open_service(folder, passphrase_file, share_files), number, identity, uses)
    tell(_report(row), f"{number} leads to {identity} (change {row.change})", as_json=as_json)


@map_app.command("remove")
def remove_number(
    folder: Folder,
    number: Number,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Take a number from its holder. A UE learns it at its next contact; until then it trusts an older statement.

    Example: pc5lab kms map remove lab-kms +447700900002
    """
    from security.kms.number_map import unmap_number

    row = unmap_number(open_service(folder, passphrase_file, share_files), number)
    tell(_report(row), f"{number} has no holder (change {row.change})", as_json=as_json)


@map_app.command("list")
def list_numbers(
    folder: Folder,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """List every number that was ever mapped. Example: pc5lab kms map list lab-kms"""
    with open_service(folder, passphrase_file, share_files).database.read() as records:
        rows = records.every_number()
    words = "\n".join(f"{row.number:<16} {_leads_to(row)} (change {row.change})" for row in rows)
    tell({"numbers": [_report(row) for row in rows]}, words or "no numbers are mapped", as_json=as_json)


@map_app.command("show")
def show_number(
    folder: Folder,
    number: Number,
    passphrase_file: PassphraseFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Show the signed statement that UEs get of a number now. Example: pc5lab kms map show lab-kms +447700900002"""
    from security.identity_map.signature import map_signer, split_signed
    from security.kms.number_map import signed_statement

    service = open_service(folder, passphrase_file, share_files)
    with service.database.read() as records:
        row = records.numbers((number,)).get(number)
    if row is None:
        raise LabError(f"{number} was never mapped here")
    signed = signed_statement(service.authority, row, service.clocks.lab_ntp_s())
    statement, _ = split_signed(signed)
    report = _report(row) | {
        "kms": statement.kms_uri,
        "serial": statement.serial,
        "not_before": _date(statement.not_before_ntp_s),
        "not_after": _date(statement.not_after_ntp_s),
        "scheme": statement.scheme,
        "signed_as": map_signer(statement.kms_uri),
        "signed_hex": signed.hex(),
    }
    words = "\n".join(
        (
            f"{number} {_leads_to(row)}",
            f"  serial {statement.serial}, from {report['not_before']} to {report['not_after']}",
            f"  signed as {report['signed_as']}, {len(signed)} octets: {signed.hex()}",
        )
    )
    tell(report, words, as_json=as_json)


def _report(row: NumberRow) -> dict[str, Any]:
    from security.kms.number_map import names_of

    return {
        "number": row.number,
        "identity": row.identity,
        "uses": names_of(row.uses),
        "state": row.state.name.lower(),
        "change": row.change,
    }


def _leads_to(row: NumberRow) -> str:
    from security.identity_map.statement import MapState
    from security.kms.number_map import names_of

    if row.state is not MapState.VALID:
        return f"has no holder; earlier {row.identity}"
    return f"leads to {row.identity} for {', '.join(names_of(row.uses))}"


def _use(text: str) -> MapUse:
    from security.identity_map.statement import MapUse

    try:
        return MapUse[text.upper()]
    except KeyError as error:
        raise LabError(f"{text}: not a use; call, asserted and nas are") from error


def _date(ntp_s: int) -> str:
    from security.identifiers import NTP_EPOCH

    return (NTP_EPOCH + dt.timedelta(seconds=ntp_s)).isoformat()
