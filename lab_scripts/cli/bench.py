"""`pc5lab bench`: speed and quality of the lab on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from lab_scripts.benchmarks.measure import Result, machine_facts, significant, stay_on_one_core
from lab_scripts.benchmarks.registry import BENCHES
from lab_scripts.exit_codes import LabError

app = typer.Typer(invoke_without_command=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quick = Annotated[bool, typer.Option("--quick", help="Shorter runs, coarser figures.")]


@app.callback()
def bench(context: typer.Context, as_json: Json = False, quick: Quick = False) -> None:
    """Measure speed and quality; without a name, the quick benches in turn. Example: pc5lab bench phy --json"""
    stay_on_one_core()
    if context.invoked_subcommand is not None:
        if as_json or quick:
            raise typer.BadParameter("options go after the name of the bench", ctx=context)
        return
    _report(
        (result for entry in BENCHES.values() if entry.in_overview for result in entry.run(quick=quick)),
        as_json,
        quick=quick,
    )


@app.command(help=BENCHES["phy"].line + " Example: pc5lab bench phy")
def phy(as_json: Json = False, quick: Quick = False) -> None:
    _report(BENCHES["phy"].run(quick=quick), as_json, quick=quick)


@app.command(help=BENCHES["security"].line + " Example: pc5lab bench security --quick")
def security(as_json: Json = False, quick: Quick = False) -> None:
    _report(BENCHES["security"].run(quick=quick), as_json, quick=quick)


@app.command(help=BENCHES["kms"].line + " Example: pc5lab bench kms --users 20000 --workers 2")
def kms(
    users: Annotated[int | None, typer.Option("--users", min=64, help="Users to issue keys to.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="KMS processes on one database.")] = 1,
    as_json: Json = False,
    quick: Quick = False,
) -> None:
    from lab_scripts.benchmarks import kms as bench_of_kms

    users = users or bench_of_kms.usual_users(quick=quick)
    _report(bench_of_kms.rotation(users=users, workers=workers), as_json, quick=quick)


@app.command(help=BENCHES["link"].line + " Example: pc5lab bench link --json")
def link(
    family: Annotated[list[str] | None, typer.Option(help="Only this family of figures; may be repeated.")] = None,
    as_json: Json = False,
    quick: Quick = False,
) -> None:
    from lab_scripts.benchmarks import link as bench_of_link

    _report(bench_of_link.run(quick=quick, only=family or ()), as_json, quick=quick)


@app.command(help=BENCHES["bler"].line + " Example: pc5lab bench bler --channel pssch-qpsk --fading EPA5 --trials 500")
def bler(
    channel: Annotated[
        list[str] | None, typer.Option(help="Only this channel, such as psbch; may be repeated.")
    ] = None,
    fading: Annotated[list[str] | None, typer.Option(help="AWGN, EPA5, EVA70 or ETU70; may be repeated.")] = None,
    trials: Annotated[int | None, typer.Option(min=10, help="Messages sent at each SNR.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of noise and fading.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes to share the work.")] = 1,
    runs: Annotated[Path, typer.Option(help="Where the run folder with bler.json and pictures is made.")] = Path(
        "runs"
    ),
    as_json: Json = False,
    quick: Quick = False,
) -> None:
    from lab_scripts.benchmarks import bler as bench_of_bler
    from lab_scripts.benchmarks.bler_report import write_report
    from lab_scripts.runs.run_folder import RunFolder

    trials = trials or bench_of_bler.usual_trials(quick=quick)
    channels = _chosen(channel, bench_of_bler.SWEEPS, "--channel")
    fadings = _chosen(fading, bench_of_bler.FADINGS, "--fading")
    folder = RunFolder(runs, "bler")
    folder.write_run(command="bench bler", seed=seed, trials=trials)
    curves = []
    for curve in bench_of_bler.measure(trials=trials, channels=channels, fadings=fadings, seed=seed, workers=workers):
        typer.echo(f"measured: {curve.title}", err=True)
        curves.append(curve)
    write_report(folder.path, curves, seed=seed)
    typer.echo(f"curves are in {folder.path}", err=True)
    _report(bench_of_bler.results_of(curves), as_json, quick=quick)


def _chosen(names: list[str] | None, known: Iterable[str], option: str) -> list[str]:
    """The names given, or all; raises LabError for one that is not known."""
    known = list(known)
    for name in names or ():
        if name not in known:
            raise LabError(f"{option} {name} is not known", hint=f"choose from {', '.join(known)}")
    return names or known


def _report(results: Iterable[Result], as_json: bool, *, quick: bool) -> None:
    """Print the results, announcing each on stderr as it comes; an interruption keeps those that are ready."""
    done: list[Result] = []
    try:
        for result in results:
            typer.echo(f"measured: {result.name}", err=True)
            done.append(result)
    except KeyboardInterrupt:
        _show(done, as_json, quick=quick, interrupted=True)
        raise
    _show(done, as_json, quick=quick)


def _show(results: list[Result], as_json: bool, *, quick: bool, interrupted: bool = False) -> None:
    if as_json:
        document = {"machine": machine_facts(), "results": [result.to_json() for result in results]}
        said = {name: True for name, is_so in (("quick", quick), ("interrupted", interrupted)) if is_so}
        print(json.dumps({**document, **said}, indent=2))
    else:
        _print(results)


def _print(results: list[Result]) -> None:
    from rich.console import Console
    from rich.table import Table

    machine = machine_facts()
    table = Table(box=None, pad_edge=False, caption=f"{machine['processor']}, Python {machine['python']}")
    for column in ("what", "value", "", "spread", "runs", "aim", "met"):
        table.add_column(column, justify="left" if column in ("what", "", "met") else "right", overflow="fold")
    for result in results:
        colour = {True: "green", False: "red", None: "default"}[result.reaches_aim]
        table.add_row(
            result.name,
            f"[{colour}]{significant(result.value):g}[/]",
            result.unit,
            f"{significant(result.spread):g}",
            str(result.runs),
            "" if result.aim is None else f"{'<=' if result.lower_is_better else '>='} {result.aim:g}",
            {True: "yes", False: "NO", None: ""}[result.reaches_aim],
        )
    Console().print(table)
