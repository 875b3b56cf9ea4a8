"""`pc5lab capture`: show a capture, decrypt it with a key log, install the Wireshark plug-in."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from lab_scripts.exit_codes import ExitCode, LabError

app = typer.Typer(no_args_is_help=True, help="Show a capture, decrypt it, or get the Wireshark plug-in.")

Capture = Annotated[Path, typer.Argument(help="A pcapng file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def show(
    file: Capture,
    layer: Annotated[
        str, typer.Option("--layer", help="Only this layer: mib_sl, discovery, mac, pdcp, pc5s, mikey, ip.")
    ] = "",
    interface: Annotated[str, typer.Option("--interface", help="Only this interface (ue-a.mac) or UE (ue-a).")] = "",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print every layer and field.")] = False,
    as_json: Json = False,
) -> None:
    """Print one line for each packet: number, seconds, interface, direction, what it is.

    Example: pc5lab capture show runs/latest/capture.pcapng --layer pc5s
    """
    from lab_scripts.capture.show import shown_packets

    packets = shown_packets(file, layer=layer, interface=interface)
    if as_json:
        typer.echo(json.dumps([packet.json(verbose=verbose) for packet in packets]))
        return
    for packet in packets:
        typer.echo(packet.line())
        if verbose:
            typer.echo(packet.layer_tree() + "\n")


@app.command()
def decrypt(
    file: Capture,
    keylog: Annotated[Path, typer.Option("--keylog", help="Key log with PC5LAB-CONTEXT lines.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The capture to write.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Copy a capture and add what its protected PDUs hold, once their MAC-I verifies.

    Example: pc5lab capture decrypt capture.pcapng --keylog keylog.txt --out opened.pcapng
    """
    from lab_scripts.capture.decrypt import decrypt_capture
    from lab_scripts.capture.keylog import read_key_log

    if out.exists() and file.exists() and out.samefile(file):
        raise LabError(f"--out {out} is the capture itself")
    counts = decrypt_capture(file, read_key_log(keylog), out)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **dataclasses.asdict(counts)}))
    else:
        typer.echo(
            f"{out}: {counts.decrypted} of {counts.protected} protected PDUs opened "
            f"({counts.without_key} without a key, {counts.wrong_mac_i} with a wrong MAC-I, "
            f"{counts.without_link} of an unknown link)"
        )
    if counts.protected and not counts.decrypted:
        raise LabError(
            "no protected PDU could be opened", code=ExitCode.SECURITY, hint="is it the key log of this run?"
        )


@app.command()
def plugin(
    install: Annotated[
        bool, typer.Option("--install", help="Copy it into Wireshark's personal plug-in folder.")
    ] = False,
    folder: Annotated[Path | None, typer.Option("--folder", help="Copy it into this folder instead.")] = None,
) -> None:
    """Print where the Wireshark plug-in for PC5-S, PDCP of SLRBs and discovery is, or install it.

    Example: tshark -X lua_script:$(pc5lab capture plugin) -r capture.pcapng
    """
    from lab_scripts.capture.wireshark_plugin import PLUGIN, personal_plugin_folder

    if not install and folder is None:
        typer.echo(PLUGIN)
        return
    target = folder or personal_plugin_folder()
    target.mkdir(parents=True, exist_ok=True)
    typer.echo(shutil.copy(PLUGIN, target))
