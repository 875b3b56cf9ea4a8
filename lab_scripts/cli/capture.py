"""`pc5lab capture`: show a capture, list its I_MESSAGEs, decrypt it, install the Wireshark plug-in."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.system_errors import writing

if TYPE_CHECKING:
    from lab_scripts.capture.intercepted import Intercepted

app = typer.Typer(
    no_args_is_help=True, help="Show a capture, list its I_MESSAGEs, decrypt it, or get the Wireshark plug-in."
)

Capture = Annotated[Path, typer.Argument(help="A pcapng or pcap file, also compressed.", show_default=False)]
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
def i_messages(
    file: Capture,
    to: Annotated[list[str] | None, typer.Option(help="Only I_MESSAGEs to this identity; repeatable.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write them to this file, for `kms intercept request --message`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the I_MESSAGEs of a capture: time, sender, receiver.

    Example: pc5lab capture i-messages capture.pcapng --to tel:+447700900002 --out messages.txt
    """
    from lab_scripts.capture.i_messages import captured_i_messages

    messages = captured_i_messages(file, to or ())
    if out is not None:
        with writing(out):
            out.write_text("".join(message.text() + "\n" for message in messages))
    if as_json:
        typer.echo(json.dumps([message.json() for message in messages]))
    else:
        typer.echo("\n".join(message.line() for message in messages))


@app.command()
def decrypt(
    file: Capture,
    out: Annotated[Path, typer.Option("--out", help="The capture to write.", show_default=False)],
    keylog: Annotated[Path | None, typer.Option("--keylog", help="Key log with PC5LAB-CONTEXT lines.")] = None,
    intercept: Annotated[
        list[Path] | None, typer.Option("--intercept", help="What `kms intercept export` wrote; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy a capture and add what its protected PDUs hold, once their MAC-I verifies.

    Example: pc5lab capture decrypt capture.pcapng --keylog keylog.txt --out opened.pcapng

    Example: pc5lab capture decrypt capture.pcapng --intercept sessions.json --out opened.pcapng
    """
    from lab_scripts.capture.decrypt import decrypt_capture
    from lab_scripts.capture.keylog import KeyLog, read_contexts

    if keylog is None and not intercept:
        raise LabError("decrypt needs keys: --keylog FILE or --intercept FILE")
    if out.exists() and file.exists() and out.samefile(file):
        raise LabError(f"--out {out} is the capture itself")
    contexts = read_contexts(keylog) if keylog else []
    intercepted = _intercepted(file, intercept) if intercept else None
    key_log = KeyLog([*contexts, *(intercepted.contexts if intercepted else ())])
    with writing(out):
        counts = decrypt_capture(file, key_log, out)
    exchanges = intercepted.exchanges if intercepted else ()
    if as_json:
        report = {"out": str(out), **dataclasses.asdict(counts)}
        if intercepted:
            report["exchanges"] = [dataclasses.asdict(exchange) for exchange in exchanges]
        typer.echo(json.dumps(report))
    else:
        for exchange in exchanges:
            typer.echo(exchange.line())
        typer.echo(
            f"{out}: {counts.decrypted} of {counts.protected} protected PDUs opened "
            f"({counts.without_key} without a key, {counts.wrong_mac_i} with a wrong MAC-I, "
            f"{counts.without_link} of an unknown link)"
        )
    if counts.protected and not counts.decrypted:
        raise LabError(
            "no protected PDU could be opened",
            code=ExitCode.SECURITY,
            hint="a mutual link takes the session keys of both ends' I_MESSAGEs, hence both identities in the order"
            if intercept
            else "is it the key log of this run?",
        )


def _intercepted(file: Path, exports: list[Path]) -> Intercepted:
    from lab_scripts.capture.capture_file import read_packets
    from lab_scripts.capture.intercept_export import read_exports
    from lab_scripts.capture.intercepted import follow_exchanges
    from lab_scripts.capture.signalling import read_signalling

    ssvs = read_exports(exports)
    return follow_exchanges(read_signalling(read_packets(file)), ssvs)


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
