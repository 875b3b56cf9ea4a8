"""`pc5lab ue`: one UE, on a radio or on the emulator."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lab_scripts.demo.plan import KEEPS_OLD_KEYS, Fault, poses_as_another
from lab_scripts.runs.stop_signals import StopSignals
from lab_scripts.system_errors import writing

if TYPE_CHECKING:
    from lab_scripts.events.selection import AnyEvent
    from prose_link.config.ue import UeConfig
    from prose_link.event_stream import EventStream
    from prose_link.pc5s.core.shared import KeyLog
    from prose_link.ue.identity import Identity
    from prose_link.ue.key_renewal import KeyRenewal
    from prose_link.ue.node import Node
    from security.errors import SecurityError
    from security.link.context import SecurityContext
    from security.link.key_ladder import SessionKeys

Sink: TypeAlias = "Callable[[AnyEvent], None]"

app = typer.Typer(no_args_is_help=True, help="One UE. Example: pc5lab ue run ue_limesdr.toml")
RECORDED_BLOCKS = 160


@app.command()
def run(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; a path or one the lab ships.")],
    events: Annotated[str, typer.Option(help="Where events go as JSON lines: - for stdout, or a file.")] = "",
    capture: Annotated[
        Path | None, typer.Option(help="Write what crosses the UE's layers here (.pcapng), for Wireshark.")
    ] = None,
    recording: Annotated[Path | None, typer.Option(help="Keep samples and symbols for pictures here (.npz).")] = None,
    keylog: Annotated[Path | None, typer.Option(help="Write the keys of every link here: opens captures.")] = None,
    keep_on: Annotated[
        bool, typer.Option("--keep-on", help="Switch on again when the radio is lost, until Ctrl-C.")
    ] = False,
    fault: Annotated[Fault | None, typer.Option(help="Behave dishonestly in this way.", hidden=True)] = None,
) -> int:
    """Enrol, switch on, find peers, link, carry traffic. Example: pc5lab ue run ue-a.toml --capture ue-a.pcapng"""
    from lab_scripts.capture.sink import CaptureSink
    from lab_scripts.kernel_cache import compile_all, is_warm
    from lab_scripts.runs.ue_power import UePower
    from prose_link.config.ue import load_ue_config
    from prose_link.ue.recorder import Recorder

    config = load_ue_config(config_file)
    if not is_warm():
        typer.echo("pc5lab: compiling the hot kernels, once for this version: about a minute", err=True)
        compile_all()
    stop = StopSignals()
    with ExitStack() as stack:
        sinks = [_sink(events, stack)]
        if capture is not None:
            stack.enter_context(writing(capture))
            sinks.append(stack.enter_context(CaptureSink(capture)).take)
        stream = _stream(config, sinks)
        recorder = Recorder(RECORDED_BLOCKS if recording else 0)
        identity, renewal = _identity(config, stream, fault)
        node_type = _node_type(config, fault)
        power = UePower(
            config,
            identity,
            stream,
            recorder,
            _key_log(config, keylog),
            renewal,
            node_type=node_type,
            urgently=stop.is_urgent,
        )
        power.keep_on(stop) if keep_on else power.on(stop)
        if recording is not None:
            with writing(recording):
                recorder.save(recording, power.sample_rate_hz)
    return int(stop.exit_code)


@app.command()
def provision(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; a path or one the lab ships.")],
    utc: Annotated[datetime | None, typer.Option(help="The UE's idea of the time, instead of its clock.")] = None,
) -> None:
    """Enrol with the KMS and fetch the keys of the open key periods. Example: pc5lab ue provision ue-a.toml"""
    from prose_link.config.ue import load_ue_config
    from prose_link.instant import NTP_EPOCH_OFFSET_S
    from prose_link.ue.identity import fetch_keys, open_store

    config = load_ue_config(config_file)
    now_s = utc.timestamp() if utc else config.utc_s_at_power_on
    got = fetch_keys(config, open_store(config, now_s + NTP_EPOCH_OFFSET_S))
    periods = ", ".join(str(keys.key_period_no) for keys in got.key_sets)
    typer.echo(f"{config.name}: keys of {got.uri} for key periods {periods}", err=True)


@app.command()
def numbers(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file; a path or one the lab ships.")],
    number: Annotated[list[str] | None, typer.Argument(help="Ask the KMS for these, and keep what it says.")] = None,
    utc: Annotated[datetime | None, typer.Option(help="The UE's idea of the time, instead of its clock.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show the identities of telephone numbers, and their source. Example: pc5lab ue numbers ue-a.toml +447700900002"""
    from prose_link.config.ue import load_ue_config
    from prose_link.instant import NTP_EPOCH_OFFSET_S
    from prose_link.ue.identity import fetch_numbers, open_store
    from prose_link.ue.phone_book import PhoneBook
    from security.identity_map.checks import NumberNotResolved
    from security.identity_map.statement import telephone_number

    config = load_ue_config(config_file)
    now_ntp_s = (utc.timestamp() if utc else config.utc_s_at_power_on) + NTP_EPOCH_OFFSET_S
    store = open_store(config, now_ntp_s)
    asked = tuple(telephone_number(text) for text in number or ())
    refused = fetch_numbers(config, store, asked) if asked else ()
    for one in refused:
        typer.echo(f"{config.name}: {one.number or 'a statement'}: not believed: {one.why}", err=True)
    book = PhoneBook(config, store.numbers(), store.key_ring())
    rows: list[dict[str, str]] = []
    for each in dict.fromkeys((*asked, *book.numbers)):
        try:
            resolved = book.resolve(each, now_ntp_s)
        except NumberNotResolved as error:
            rows.append({"number": each, "identity": "", "by": "", "why": str(error)})
        else:
            rows.append({"number": each, "identity": resolved.identity, "by": resolved.by, "why": ""})
    words = "\n".join(
        f"{row['number']:<16} {row['identity']}  by {row['by']}" if row["by"] else row["why"] for row in rows
    )
    typer.echo(json.dumps({"numbers": rows}) if as_json else words or "no numbers")


def _identity(config: UeConfig, stream: EventStream, fault: Fault | None) -> tuple[Identity, KeyRenewal | None]:
    """The UE's keys, fetched from its KMS, and their renewal; a dishonest UE uses keys that it makes up."""
    from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
    from prose_link.ue.events import KmsOutOfReach, NotProvisioned, Provisioned
    from prose_link.ue.identity import fetch_keys, identity_of, open_store
    from prose_link.ue.key_renewal import key_renewal
    from security.device.provisioning import Provisioning
    from security.kms_wire.errors import KmsRefusal, KmsUnreachable

    poses = poses_as_another(fault, config.name)
    now = Instant(mono_s=0.0, utc_s=config.utc_s_at_power_on)
    store = open_store(config, now.utc_s + NTP_EPOCH_OFFSET_S)
    if fault is not None and poses and fault in KEEPS_OLD_KEYS:
        from lab_scripts.demo.dishonest import dishonest_identity

        return dishonest_identity(fault, config, store), None
    try:
        outcome: Provisioning | SecurityError = fetch_keys(config, store)
    except KmsRefusal as refusal:
        outcome = refusal
        stream.emit(NotProvisioned(identity=config.identity, why=str(refusal)), now)
        if not poses:
            raise
    except KmsUnreachable as error:
        held = tuple(sorted(keys.key_period_no for keys in store.key_ring().users))
        if not held:
            raise
        outcome = error
        stream.emit(KmsOutOfReach(identity=config.identity, key_periods=held, why=str(error)), now)
    if isinstance(outcome, Provisioning):
        periods = tuple(sorted(keys.key_period_no for keys in outcome.key_sets))
        provisioned = Provisioned(
            identity=outcome.uri,
            kms=outcome.domain.uri,
            key_periods=periods,
            lab_deterministic=outcome.lab_deterministic,
        )
        stream.emit(provisioned, now)
    if fault is not None and poses:
        from lab_scripts.demo.dishonest import dishonest_identity

        return dishonest_identity(fault, config, store), None
    contact = outcome if isinstance(outcome, Provisioning) else None
    return identity_of(store, contact=contact), key_renewal(config, store, outcome)


def _node_type(config: UeConfig, fault: Fault | None) -> type[Node]:
    """The node that joins the UE's layers: an honest one, or one that mounts a fault."""
    from prose_link.ue.node import Node

    if fault is None:
        return Node
    from lab_scripts.demo.rule_breakers import NODES

    return NODES.get((fault, config.name), Node)


def _key_log(config: UeConfig, path: Path | None) -> KeyLog | None:
    """Writes the keys of each context to a key log, where one was asked for."""
    if path is None:
        return None
    from lab_scripts.capture.keylog import ContextKeys, append_to_key_log

    typer.echo(f"pc5lab: {path} will hold the keys of every link: a reader of it can read the traffic", err=True)

    def write(peer_l2: int, context: SecurityContext, keys: SessionKeys) -> None:
        held = ContextKeys(
            src_l2=config.l2_id,
            dst_l2=peer_l2,
            kd_sess_id=context.kd_sess_id,
            eea=context.eea,
            eia=context.eia,
            direction=context.direction,
            pek=keys.pek,
            pik=keys.pik,
        )
        append_to_key_log(path, held)

    return write


def _stream(config: UeConfig, sinks: Sequence[Sink]) -> EventStream:
    from prose_link.event_stream import EventStream

    return EventStream(config.name, *sinks)


def _sink(events: str, stack: ExitStack) -> Sink:
    """The sink of the UE's events: a console, or JSON lines to stdout or a file, which `stack` closes."""
    from prose_link.event_stream import to_line

    if not events:
        from lab_scripts.console.live_console import LiveConsole

        return LiveConsole().tell
    if events == "-":
        out = sys.stdout
    else:
        out = stack.enter_context(Path(events).open("w", encoding="utf-8"))  # noqa: SIM115

    def take(timed: AnyEvent) -> None:
        with writing(Path(events)) if events != "-" else nullcontext():
            print(to_line(timed.record()), file=out, flush=True)

    return take
