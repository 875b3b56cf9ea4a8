"""`pc5lab rf`: the RF emulator."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lab_scripts.console.sentences import plain_sentence_of
from lab_scripts.demo.attacks import attack_actions
from lab_scripts.demo.plan import Fault
from lab_scripts.events.undated import UndatedEvent
from lab_scripts.exit_codes import LabError
from lab_scripts.runs.stop_signals import StopSignals
from radio.emulator.actions import Tap
from radio.emulator.air import Air, warm_up
from radio.emulator.client import ZeroMqDevice
from radio.emulator.events import HubEvent, RfServing
from radio.emulator.hub import Hub
from radio.emulator.recording import SigMfRecorder
from radio.emulator.scenario import Scenario
from radio.emulator.scenario_file import load_scenario
from radio.emulator.srsran_port import SrsranPort

app = typer.Typer(
    help="The RF emulator: N UEs, one air, virtual time. Example: pc5lab rf serve first_light", no_args_is_help=True
)


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
        Fault | None, typer.Option(help="An attacker between the antennas that does this.", hidden=True)
    ] = None,
    join_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for every UE to join.")] = 30.0,
    stall_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a joined UE may stand still.")] = 60.0,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Events as JSON lines on stdout, the first: rf-serving.")
    ] = (False),
) -> int:
    """Join the UEs of SCENARIO through an emulated channel until all have left; where they come and go, until Ctrl-C.

    Examples: pc5lab rf serve by_hand, pc5lab rf serve first_light --endpoint ipc:///tmp/air --seed 7 --json
    """
    plan = load_scenario(_find(scenario), seed=seed)
    taps: list[Tap] = [SigMfRecorder(record, plan, max_ms=record_ms)] if record is not None else []
    with Hub(
        Air(plan, actions=attack_actions(attack) if attack else (), taps=taps),
        endpoint,
        on_event=lambda event: _tell(event, json_lines),
        join_timeout_s=join_timeout,
        stall_timeout_s=stall_timeout,
    ) as hub:
        warm_up()  # may compile for a while, which Ctrl-C ends at once
        stop = StopSignals()
        _tell(_serving(plan, hub.endpoint), json_lines)
        hub.serve(stop)
    return int(stop.exit_code)


@app.command()
def bridge(
    endpoint: Annotated[str, typer.Argument(help="The hub's endpoint.")],
    ue: Annotated[str, typer.Argument(help="The scenario's UE that the program plays.")],
    rx: Annotated[str | None, typer.Option(help="Serve received samples here (its rx_port): tcp://*:2001.")] = None,
    tx: Annotated[str | None, typer.Option(help="Fetch its samples from here (its tx_port).")] = None,
    lag: Annotated[int, typer.Option(min=0, max=64, help="Blocks of 1 ms the program may be behind.")] = 2,
) -> int:
    """Join a program that speaks raw cf32 over REQ/REP (srsRAN, GNU Radio) to a hub that is being served.

    Example: pc5lab rf bridge tcp://127.0.0.1:5505 ue-b --rx tcp://*:2001 --tx tcp://127.0.0.1:2000
    """
    stop = StopSignals()
    with (
        closing(ZeroMqDevice(endpoint, ue, stopped=stop)) as device,
        SrsranPort(device, rx_endpoint=rx, tx_endpoint=tx, lag_blocks=lag) as port,
    ):
        port.run(stop, on_wait=lambda whom: print(f"{ue}: waiting for {whom}", file=sys.stderr))
    return int(stop.exit_code)


def _find(name: str) -> Path:
    """Return the path of a scenario file, or of a shipped scenario of that name; raises LabError."""
    path = Path(name)
    scenarios = Path(str(resources.files("hw_configs"))) / "scenarios"
    shipped = scenarios / f"{name}.toml"
    if path.exists() or shipped.exists():
        return path if path.exists() else shipped
    names = ", ".join(sorted(entry.stem for entry in scenarios.glob("*.toml")))
    raise LabError(f"scenario {name}: no such file, and the lab ships none of that name, but {names}")


def _serving(plan: Scenario, endpoint: str) -> RfServing:
    return RfServing(
        endpoint=endpoint,
        scenario=plan.name,
        seed=plan.seed,
        sample_rate_hz=plan.sample_rate_hz,
        ues=tuple(ue.name for ue in plan.ues),
        come_and_go=plan.come_and_go,
    )


def _tell(event: HubEvent, json_lines: bool) -> None:
    if json_lines:
        print(json.dumps(UndatedEvent(event=event).record()), flush=True)
    else:
        print(plain_sentence_of(event), file=sys.stderr)
