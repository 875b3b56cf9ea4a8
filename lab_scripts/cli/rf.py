"""`pc5lab rf`: the RF emulator."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lab_scripts.demo.attacks import attack_actions
from lab_scripts.demo.plan import Fault
from radio.devices.protocol import DeviceLost, DeviceTimeout
from radio.devices.sigmf_file import SigMfRecorder
from radio.devices.zeromq import ZeroMqDevice
from radio.emulator.actions import Tap
from radio.emulator.air import Air, warm_up
from radio.emulator.events import HubEvent
from radio.emulator.hub import Hub, JoinTimeout, StallTimeout, UeLostError
from radio.emulator.scenario import Scenario
from radio.emulator.scenario_file import load_scenario
from radio.emulator.srsran_port import SrsranPort
from radio.errors import RadioError

EXIT_USAGE, EXIT_LOST, EXIT_TIMEOUT, EXIT_INTERRUPTED = 2, 3, 4, 130

app = typer.Typer(help="The RF emulator: N UEs, one air, virtual time.", no_args_is_help=True)


@app.command()
def serve(
    scenario: Annotated[str, typer.Argument(help="A scenario: a TOML file, or the name of one that is shipped.")],
    endpoint: Annotated[str, typer.Option(help="Where UEs join: ipc://PATH or tcp://HOST:PORT (* picks a port).")] = (
        "tcp://127.0.0.1:5505"
    ),
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness, instead of the scenario's.")] = None,
    record: Annotated[Path | None, typer.Option(help="Record what each UE hears, as SigMF, into this folder.")] = None,
    record_ms: Annotated[int, typer.Option(min=1, help="Record at most this many ms of each UE.")] = 2000,
    attack: Annotated[
        Fault | None, typer.Option(help="Somebody between the antennas who does this.", hidden=True)
    ] = None,
    join_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for every UE to join.")] = 30.0,
    stall_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a joined UE may stand still.")] = 60.0,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Events as JSON lines on stdout, the first: rf-serving.")
    ] = (False),
) -> None:
    """Join the UEs of SCENARIO through an emulated channel until all have left.

    Example: pc5lab rf serve first_light --endpoint ipc:///tmp/air --seed 7 --json
    """
    stop = _StopSignals()
    try:
        plan = load_scenario(_find(scenario), seed=seed)
        taps: list[Tap] = []
        if record is not None:
            taps.append(SigMfRecorder(record, plan, max_ms=record_ms))
        with Hub(
            Air(plan, actions=attack_actions(attack) if attack else (), taps=taps),
            endpoint,
            on_event=lambda event: _tell(event, json_lines),
            join_timeout_s=join_timeout,
            stall_timeout_s=stall_timeout,
        ) as hub:
            warm_up()
            _say_ready(plan, hub.endpoint, json_lines)
            hub.serve(stop)
    except (JoinTimeout, StallTimeout) as error:
        raise _failure("serve", error, EXIT_TIMEOUT) from None
    except UeLostError as error:
        raise _failure("serve", error, EXIT_LOST) from None
    except RadioError as error:
        raise _failure("serve", error, EXIT_USAGE) from None
    if stop.by is signal.SIGINT:
        raise typer.Exit(EXIT_INTERRUPTED)


@app.command()
def bridge(
    endpoint: Annotated[str, typer.Argument(help="The hub's endpoint.")],
    ue: Annotated[str, typer.Argument(help="The scenario's UE that the program plays.")],
    rx: Annotated[str | None, typer.Option(help="Serve received samples here (its rx_port): tcp://*:2001.")] = None,
    tx: Annotated[str | None, typer.Option(help="Fetch its samples from here (its tx_port).")] = None,
    lag: Annotated[int, typer.Option(min=0, max=64, help="Blocks of 1 ms the program may be behind.")] = 2,
) -> None:
    """Join a program that speaks raw cf32 over REQ/REP (srsRAN, GNU Radio) to a hub that is being served.

    Example: pc5lab rf bridge tcp://127.0.0.1:5505 ue-b --rx tcp://*:2001 --tx tcp://127.0.0.1:2000
    """
    stop = _StopSignals()
    try:
        device = ZeroMqDevice(endpoint, ue)
        try:
            with SrsranPort(device, rx_endpoint=rx, tx_endpoint=tx, lag_blocks=lag) as port:
                port.run(stop, on_wait=lambda whom: print(f"{ue}: waiting for {whom}", file=sys.stderr))
        finally:
            device.close()
    except DeviceTimeout as error:
        raise _failure("bridge", error, EXIT_TIMEOUT) from None
    except DeviceLost as error:
        raise _failure("bridge", error, EXIT_LOST) from None
    except RadioError as error:
        raise _failure("bridge", error, EXIT_USAGE) from None
    if stop.by is signal.SIGINT:
        raise typer.Exit(EXIT_INTERRUPTED)


class _StopSignals:
    """Answers whether SIGTERM or SIGINT has come."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self.by = signal.Signals(number)

    def __call__(self) -> bool:
        return self.by is not None


def _find(name: str) -> Path:
    """Return the path of a scenario file, or of a shipped scenario of that name."""
    path = Path(name)
    shipped = Path(str(resources.files("hw_configs"))) / "scenarios" / f"{name}.toml"
    return shipped if not path.exists() and shipped.exists() else path


def _say_ready(plan: Scenario, endpoint: str, json_lines: bool) -> None:
    ues = [ue.name for ue in plan.ues]
    if json_lines:
        line = {
            "event": "rf-serving",
            "endpoint": endpoint,
            "scenario": plan.name,
            "seed": plan.seed,
            "sample_rate_hz": plan.sample_rate_hz,
            "ues": ues,
        }
        print(json.dumps(line), flush=True)
    else:
        print(f"air {plan.name!r} at {endpoint}, seed {plan.seed}: waiting for {', '.join(ues)}", file=sys.stderr)


def _tell(event: HubEvent, json_lines: bool) -> None:
    fields = dataclasses.asdict(event)
    kind = "".join("-" + c.lower() if c.isupper() else c for c in type(event).__name__).lstrip("-")
    if json_lines:
        print(json.dumps({"event": kind, **fields}), flush=True)
    else:
        told = ", ".join(f"{name} {value}" for name, value in fields.items())
        print(f"{kind.replace('-', ' ')}: {told}" if told else kind.replace("-", " "), file=sys.stderr)


def _failure(command: str, error: RadioError, code: int) -> typer.Exit:
    print(f"pc5lab rf {command}: {error}", file=sys.stderr)
    return typer.Exit(code)
