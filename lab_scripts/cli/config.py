"""`pc5lab config`: check and show the lab's TOML files, and take preconfigurations to RRC's ASN.1 and back."""

from __future__ import annotations

import contextlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lab_scripts.configuration_files import ConfigKind
from lab_scripts.exit_codes import LabError
from lab_scripts.system_errors import writing

app = typer.Typer(no_args_is_help=True, help="Configuration files. Example: pc5lab config check ue-a.toml")

File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file; a path or one the lab ships.")]
Out = Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


class Form(StrEnum):
    """How an SL-Preconfiguration is written."""

    UPER = "uper"
    HEX = "hex"
    JSON = "json"


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="TOML files; paths or ones the lab ships.")],
    as_json: AsJson = False,
) -> None:
    """Check a UE's file, a preconfiguration or a scenario. Example: pc5lab config check ue-a.toml scenario.toml"""
    from lab_scripts.configuration_files import check as check_file

    checked = [{"file": str(path), "kind": check_file(path).value} for path in files]
    if as_json:
        print(json.dumps({"ok": True, "files": checked}))
    for one in checked:
        typer.echo(f"{one['file']}: a good {one['kind']} file", err=True)


@app.command()
def show(file: File, as_json: AsJson = False) -> None:
    """Show a UE's file or a preconfiguration with every default. Example: pc5lab config show ue_usrp.toml"""
    from lab_scripts.configuration_files import as_toml, full_document

    document = full_document(file)
    print(json.dumps(document) if as_json else as_toml(document), end="\n" if as_json else "")


@app.command()
def schema(
    kind: Annotated[ConfigKind, typer.Argument(help="Kind of file.")] = ConfigKind.UE,
) -> None:
    """Print the JSON schema of a kind of file, for editors. Example: pc5lab config schema preconfiguration"""
    from lab_scripts.configuration_files import schema as schema_of

    print(json.dumps(schema_of(kind), indent=2))


@app.command("export-rrc")
def export_rrc(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Preconfiguration; a path or one the lab ships.")],
    out: Out = None,
    form: Annotated[Form | None, typer.Option(help="Default: uper to a file, hex to stdout.")] = None,
) -> None:
    """Write a preconfiguration as SL-Preconfiguration-r12 (TS 36.331 9.3): UPER, or its ASN.1 value as JSON.

    Example: pc5lab config export-rrc preconfigurations/first_light.toml --out first_light.uper
    """
    from lab_scripts.rrc_uper import encode_uper
    from prose_link.config.preconfiguration import load_preconfiguration, pools_of
    from prose_link.config.rrc import to_rrc

    preconfiguration = load_preconfiguration(file)
    pools_of(preconfiguration)
    form = form or (Form.UPER if out else Form.HEX)
    value = to_rrc(preconfiguration)
    if form is Form.JSON:
        _write(out, (json.dumps(value, indent=2) + "\n").encode())
        return
    octets = encode_uper(value)
    if form is Form.UPER and out is None:
        raise LabError("UPER is octets, not text", hint="name a file with --out, or take --form hex")
    _write(out, octets if form is Form.UPER else (octets.hex() + "\n").encode())


@app.command("import-rrc")
def import_rrc(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="SL-Preconfiguration: UPER, hex, or JSON.")],
    out: Out = None,
) -> None:
    """Read an SL-Preconfiguration-r12 and write the TOML file that describes it.

    What the lab has no use for is left out: ROHC profiles, the carrier, the pools' other releases.
    Example: pc5lab config import-rrc first_light.uper --out mine.toml
    """
    from lab_scripts.configuration_files import preconfiguration_toml
    from prose_link.config.preconfiguration import pools_of
    from prose_link.config.rrc import from_rrc
    from prose_link.errors import ProseLinkError
    from radio.errors import RadioError

    try:
        preconfiguration = from_rrc(_rrc_value(file))
        pools_of(preconfiguration)
    except (ProseLinkError, RadioError) as error:
        raise LabError(f"{file}: {error}") from error
    _write(out, preconfiguration_toml(preconfiguration).encode())


def _rrc_value(file: Path) -> Any:
    """The ASN.1 value in a file, whatever its form. Raises LabError."""
    from lab_scripts.rrc_uper import MAX_OCTETS, decode_uper

    octets = file.read_bytes()
    text = octets.strip()
    if text.startswith(b"{"):
        try:
            return json.loads(octets)
        except (ValueError, RecursionError) as error:
            raise LabError(f"{file}: not JSON: {error}") from error
    if not text or len(text) > 2 * MAX_OCTETS:
        raise LabError(f"{file}: {len(octets)} octets are no SL-Preconfiguration")
    with contextlib.suppress(ValueError):  # where it is no hex, it is UPER as it stands
        octets = bytes.fromhex(text.decode("ascii"))
    try:
        return decode_uper(octets)
    except LabError as error:
        raise LabError(f"{file}: {error}", code=error.exit_code, hint=error.hint) from error


def _write(out: Path | None, octets: bytes) -> None:
    if out is None:
        print(octets.decode(), end="")
        return
    with writing(out):
        out.write_bytes(octets)
