"""`pc5lab ue`: one UE, on a radio or on the emulator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab_scripts.demo.plan import Fault
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.runs.stop_signals import StopSignals
from lab_scripts.system_errors import writing

if TYPE_CHECKING:
    from prose_link.config.ue import UeConfig
    from prose_link.event_stream import EventStream
    from prose_link.pc5s.core.shared import KeyLog
    from prose_link.ue.identity import Identity
    from security.link.context import SecurityContext
    from security.link.key_ladder import SessionKeys

Sink = Callable[[Mapping[str, Any]], None]

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
    from lab_scripts.runs.radio_errors import explained_radio_errors
    from lab_scripts.runs.ue_power import UePower
    from prose_link.config.ue import load_ue_config
    from prose_link.ue.recorder import Recorder
    from prose_link.userplane.tun import TunLost

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
        power = UePower(config, _identity(config, stream, fault), stream, recorder, _key_log(config, keylog))
        try:
            with explained_radio_errors():
                power.keep_on(stop) if keep_on else power.on(stop)
        except TunLost as error:
            raise LabError(str(error), code=ExitCode.HARDWARE) from error
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


def _identity(config: UeConfig, stream: EventStream, fault: Fault | None) -> Identity:
    """The UE's keys, fetched from its KMS; a dishonest UE goes on where an honest one would stop."""
    from prose_link.instant import NTP_EPOCH_OFFSET_S, Instant
    from prose_link.pc5s.core.events import ClockApartFromKms
    from prose_link.pc5s.core.replay import WINDOW_S
    from prose_link.ue.events import KmsOutOfReach, NotProvisioned, Provisioned
    from prose_link.ue.identity import fetch_keys, identity_of, open_store
    from security.kms_wire.errors import KmsRefusal, KmsUnreachable

    now = Instant(mono_s=0.0, utc_s=config.utc_s_at_power_on)
    store = open_store(config, now.utc_s + NTP_EPOCH_OFFSET_S)
    try:
        got = fetch_keys(config, store)
    except KmsRefusal as refusal:
        stream.emit(NotProvisioned(identity=config.identity, why=str(refusal)), now)
        if fault is None:
            raise LabError(str(refusal), code=ExitCode.SECURITY) from refusal
    except KmsUnreachable as error:
        held = tuple(sorted(keys.key_period_no for keys in store.key_ring().users))
        if not held:
            raise
        stream.emit(KmsOutOfReach(identity=config.identity, key_periods=held, why=str(error)), now)
    else:
        periods = tuple(sorted(keys.key_period_no for keys in got.key_sets))
        stream.emit(
            Provisioned(
                identity=got.uri, kms=got.domain.uri, key_periods=periods, lab_deterministic=got.lab_deterministic
            ),
            now,
        )
        if abs(now.ntp_s - got.time_ntp_s) > WINDOW_S:
            stream.emit(ClockApartFromKms(now_ntp_s=int(now.ntp_s), kms_ntp_s=got.time_ntp_s), now)
    if fault is None:
        return identity_of(store)
    from lab_scripts.demo.dishonest import dishonest_identity

    return dishonest_identity(fault, config, store)


def _key_log(config: UeConfig, path: Path | None) -> KeyLog | None:
    """Writes the keys of each context to a key log, where one was asked for."""
    if path is None:
        return None
    from lab_scripts.capture.keylog import ContextKeys, append_to_key_log

    typer.echo(f"pc5lab: {path} takes the keys of every link: whoever reads it reads the traffic", err=True)

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
    """Takes the UE's events: a person's console, or JSON lines to stdout or a file, which `stack` closes."""
    from prose_link.event_stream import to_line

    if not events:
        from lab_scripts.console.live_console import LiveConsole

        return LiveConsole().tell
    if events == "-":
        out = sys.stdout
    else:
        out = stack.enter_context(Path(events).open("w", encoding="utf-8"))  # noqa: SIM115

    def take(record: Mapping[str, Any]) -> None:
        with writing(Path(events)) if events != "-" else nullcontext():
            print(to_line(record), file=out, flush=True)

    return take
