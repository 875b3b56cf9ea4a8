"""`pc5lab mikey`: make, open and explain MIKEY-SAKKE I_MESSAGEs, ours or another implementation's."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lab_scripts.capture.mikey_dump import Explanation, describe, explain
from lab_scripts.capture.mikey_text import mikey_message
from lab_scripts.exit_codes import ExitCode, LabError
from security import sakke
from security.at_rest.bounded_file import read_bounded
from security.errors import SecurityError
from security.identifiers import NTP_EPOCH
from security.keyfile import KeyFile, KeyFileError, parse_key_file
from security.mikey import MikeyError, create_i_message, parse_i_message
from security.mikey.codec import purpose_of
from security.mikey.i_message import uid_identities, uri_identities
from security.mikey.opening import Deviation, open_i_message

MAX_KEY_FILE_OCTETS = 16 << 20

MAX_INPUT_OCTETS = 1 << 20
SSV_OCTETS = 16
DEFAULT_TAG = 0x1
"""Purpose of a message made here unless told otherwise: PCK (TS 33.180)."""
SHORT_VALUES_NOTE = (
    "with this --kd, w or H of the SAKKE payload begins with a zero octet: implementations that leave such octets out "
    "(sw_mikey_sakke) can't open the message; it is right by RFC 6508, and a random key is drawn so that this can't be"
)

app = typer.Typer(
    no_args_is_help=True,
    help="Create, open or show a MIKEY-SAKKE I_MESSAGE (RFC 6509). Example: pc5lab mikey show message.bin",
)

Keys = Annotated[Path, typer.Option("--keys", help="JSON file with KMSs and users.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Tolerate = Annotated[
    list[Deviation] | None, typer.Option("--tolerate", help="Take this known deviation of other implementations.")
]


@app.command()
def create(
    keys: Keys,
    sender: Annotated[str, typer.Option("--from", help="URI that signs.")],
    receiver: Annotated[str, typer.Option("--to", help="URI the key is encapsulated to.")],
    out: Annotated[str, typer.Option("--out", help="File for the octets; - writes a `mikey <base64>` line to stdout.")],
    time: Annotated[str, typer.Option("--time", help="ISO 8601 time of the message; now if not given.")] = "",
    kd: Annotated[str, typer.Option("--kd", help="The key, 16 octets in hex; random if not given.")] = "",
    csb_id: Annotated[str, typer.Option("--csb-id", help="CSB-ID, 8 hex digits; random if not given.")] = "",
    uids: Annotated[
        bool | None, typer.Option("--uids/--uris", help="Name both ends by UID or by URI; UID where the KMS hashes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an I_MESSAGE. A note warns if some implementations can't read the given key.

    Example: pc5lab mikey create --keys KEYS.json --from tel:+447700900001 --to tel:+447700900002 --out message.bin
    """
    file = _read_keys(keys)
    ntp_s = _ntp_seconds(time)
    given = _hex(kd, SSV_OCTETS, "--kd") if kd else None
    random_id = (int.from_bytes(os.urandom(4), "big") & 0x0FFFFFFF) | DEFAULT_TAG << 28
    session = int.from_bytes(_hex(csb_id, 4, "--csb-id"), "big") if csb_id else random_id
    try:
        signing, domain = file.signing_keys(sender, ntp_s)
        receiver_domain = file.speaker_of(receiver)
        receiver_uid = receiver_domain.uid(receiver, ntp_s)
        ssv = given or sakke.draw_ssv(os.urandom, (receiver_uid,))
        note = "" if sakke.is_readable(ssv, receiver_uid) else SHORT_VALUES_NOTE
        if uids if uids is not None else receiver_domain.uid_scheme == 2:
            identities = uid_identities(signing.uid, receiver_uid, domain, receiver_domain)
        else:
            identities = uri_identities(sender, receiver, domain, receiver_domain)
        octets = create_i_message(
            keys=signing,
            initiator_domain=domain,
            responder_uri=receiver,
            responder_domain=receiver_domain,
            ntp_s=ntp_s,
            ssv=ssv,
            csb_id=session,
            random=os.urandom,
            identities=identities,
        )
    except SecurityError as exc:
        raise LabError(str(exc)) from exc
    _write_message(out, octets, to_stderr=as_json)
    if note:
        typer.echo(f"note: {note}", err=True)
    summary: dict[str, Any] = {
        "ok": True,
        "octets": len(octets),
        "csb_id": f"{session:08x}",
        "kd": ssv.hex(),
        "time": _iso(ntp_s),
    }
    summary["note"] = note or None
    if as_json:
        typer.echo(json.dumps(summary))
    elif out != "-":
        typer.echo(f"{out}: I_MESSAGE of {len(octets)} octets, CSB-ID {session:08x}, {_iso(ntp_s)}")


@app.command("open")
def open_message(
    keys: Keys,
    source: Annotated[str, typer.Option("--in", help="File with octets, base64, hex, a dump, SDP or SIP; - is stdin.")],
    tolerate: Tolerate = None,
    as_json: Json = False,
) -> None:
    """Verify an I_MESSAGE's signature and open its key.

    Example: pc5lab mikey open --keys KEYS.json --in message.bin --json
    """
    file = _read_keys(keys)
    result: dict[str, Any] = dict.fromkeys(
        (
            "ok",
            "initiator",
            "initiator_kms",
            "responder",
            "responder_kms",
            "kd",
            "csb_id",
            "purpose",
            "time",
            "uid_scheme",
            "error",
        )
    )
    result["ok"] = False
    try:
        i_message = parse_i_message(_read_message(source))
        result |= {
            "csb_id": f"{i_message.csb_id:08x}",
            "purpose": purpose_of(i_message.csb_id),
            "uid_scheme": i_message.sakke.scheme,
            "time": _iso(i_message.timestamp.ntp_s),
        }
        opened = open_i_message(i_message, file, frozenset(tolerate or ()))
        result |= {
            "ok": True,
            "initiator": opened.initiator,
            "initiator_kms": opened.initiator_kms,
            "responder": opened.responder,
            "responder_kms": opened.responder_kms,
            "kd": opened.ssv.hex(),
        }
    except SecurityError as exc:
        result["error"] = describe(exc)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        for name, value in result.items():
            if value is not None:
                typer.echo(f"{name:>13}  {value}")
    if not result["ok"]:
        raise typer.Exit(ExitCode.SECURITY)


@app.command()
def show(
    source: Annotated[str, typer.Argument(help="File with octets, base64, hex, a dump, SDP or SIP; - is stdin.")] = "-",
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Key file; with it signature and key are checked.")
    ] = None,
    tolerate: Tolerate = None,
    as_json: Json = False,
) -> None:
    """Explain an I_MESSAGE octet by octet: field, meaning, clause, and with keys what was checked.

    Example: pc5lab mikey show message.bin --keys KEYS.json
    """
    file = None if keys is None else _read_keys(keys)
    try:
        octets = _read_message(source)
    except MikeyError as exc:
        raise LabError(describe(exc), code=ExitCode.SECURITY) from exc
    explained = explain(octets, file, frozenset(tolerate or ()))
    if as_json:
        typer.echo(json.dumps(_shown(explained)))
    else:
        for line in explained.lines():
            typer.echo(line)
    if explained.problem is not None:
        raise LabError(explained.problem, code=ExitCode.SECURITY)


def _shown(explained: Explanation) -> dict[str, Any]:
    return {
        "ok": explained.problem is None,
        "octets": len(explained.octets),
        "fields": [
            {
                "offset": field.offset,
                "length": field.length,
                "hex": explained.octets[field.offset : field.offset + field.length].hex(),
                "payload": field.payload,
                "field": field.field,
                "meaning": field.meaning,
                "clause": field.clause,
            }
            for field in explained.fields
        ],
        "checks": list(explained.checks),
        "error": explained.problem,
    }


def _read_keys(path: Path) -> KeyFile:
    try:
        return parse_key_file(read_bounded(path, MAX_KEY_FILE_OCTETS))
    except OSError as exc:
        raise LabError(f"key file {path}: {exc.strerror}") from exc
    except KeyFileError as exc:
        raise LabError(f"key file {path}: {exc}") from exc


def _read_message(source: str) -> bytes:
    """The message in a file or on stdin, in any form that `mikey_text` knows."""
    try:
        if source == "-":
            content = sys.stdin.buffer.read(MAX_INPUT_OCTETS + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(MAX_INPUT_OCTETS + 1)
    except OSError as exc:
        raise LabError(f"{source}: {exc.strerror}") from exc
    if len(content) > MAX_INPUT_OCTETS:
        raise LabError(f"{source}: more than {MAX_INPUT_OCTETS} octets are no I_MESSAGE")
    return mikey_message(content)


def _write_message(out: str, octets: bytes, *, to_stderr: bool) -> None:
    if out == "-":
        typer.echo(f"mikey {base64.b64encode(octets).decode('ascii')}", err=to_stderr)
        return
    try:
        Path(out).write_bytes(octets)
    except OSError as exc:
        raise LabError(f"{out}: {exc.strerror}") from exc


def _hex(text: str, length: int, option: str) -> bytes:
    try:
        octets = bytes.fromhex(text)
    except ValueError as exc:
        raise LabError(f"{option}: not hex digits: {text}") from exc
    if len(octets) != length:
        raise LabError(f"{option}: {len(octets)} octets, {length} needed")
    return octets


def _ntp_seconds(text: str) -> float:
    try:
        moment = dt.datetime.fromisoformat(text) if text else dt.datetime.now(dt.UTC)
    except ValueError as exc:
        raise LabError(f"--time: not an ISO 8601 time: {text}", hint="like 2026-11-24T10:00:00Z") from exc
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - NTP_EPOCH).total_seconds()


def _iso(ntp_s: float) -> str:
    return (NTP_EPOCH + dt.timedelta(seconds=ntp_s)).isoformat().replace("+00:00", "Z")
