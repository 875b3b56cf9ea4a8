"""`pc5lab demo`: the main job from one command."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab_scripts.demo.carriers import ByCarrier
from lab_scripts.demo.plan import Fault
from lab_scripts.demo.proxy_plan import MAX_PROXIES
from lab_scripts.exit_codes import ExitCode, LabError
from lab_scripts.kernel_cache import use_kernel_cache
from lab_scripts.runs.cell_plan import DEFAULT_UES, MAX_UES, MIN_UES

if TYPE_CHECKING:
    from lab_scripts.demo.crowd_outcome import CrowdOutcome

app = typer.Typer()


@app.callback(invoke_without_command=True)
def demo(
    seed: Annotated[int | None, typer.Option(min=0, help="Repeats a run; drawn at random without it.")] = None,
    fault: Annotated[Fault | None, typer.Option(help="Mount this attack on the air and show what stops it.")] = None,
    runs: Annotated[Path, typer.Option(help="Where the run folder is made.")] = Path("runs"),
    keylog: Annotated[
        bool, typer.Option("--keylog", help="Leave keylog.txt in the run folder: it opens the capture.")
    ] = False,
    voice: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="Let both UEs speak so long: a 20 ms UDP stream.")
    ] = 0.0,
    tun: Annotated[
        bool, typer.Option("--tun", help="Run ping, iperf3, ssh in two network namespaces over the link. Needs root.")
    ] = False,
    ues: Annotated[
        int | None,
        typer.Option("--ues", min=MIN_UES, max=MAX_UES, help="So many UEs in one cell of air, in pairs or as a group."),
    ] = None,
    group: Annotated[
        bool,
        typer.Option("--group", help="The UEs are a group: two keyers, a removal, a deaf member, a keyer that dies."),
    ] = False,
    carrier: Annotated[
        ByCarrier, typer.Option(help="What takes the request to the peer, and its answer back; ims: two Kamailios.")
    ] = ByCarrier.DIRECT,
    proxies: Annotated[
        int | None, typer.Option(min=1, max=MAX_PROXIES, help="So many proxies in a row; with --carrier proxy.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout; talk goes to stderr.")] = False,
) -> int:
    """Run a KMS, the RF emulator and two UEs: they enrol, find each other, agree a key and carry protected IP traffic.

    Example: pc5lab demo --seed 7, or: pc5lab demo --fault impostor. Exit code 5 says that an attack was stopped.
    Or many: pc5lab demo --ues 6 --group. Or out of range: pc5lab demo --carrier proxy
    """
    from rich.console import Console

    from lab_scripts.demo.run import run_demo
    from lab_scripts.demo.tun_session import TunSession

    if tun and (fault is not None or voice):
        raise LabError(
            "--tun goes with neither --fault nor --voice: programs make the traffic, and no attack is mounted"
        )
    if carrier is ByCarrier.IMS and (fault is not None or group or ues is not None):
        raise LabError("--carrier ims goes with neither --fault, --ues nor --group")
    kernels = use_kernel_cache()
    if kernels.folder is None:  # each of its processes would compile for a minute
        raise LabError(
            f"no folder for compiled kernels: {'; '.join(kernels.passed_over)}", hint="set NUMBA_CACHE_DIR to one"
        )
    if proxies is not None and carrier is not ByCarrier.PROXY:
        raise LabError("--proxies goes with --carrier proxy only")
    if carrier is ByCarrier.PROXY:
        if fault is not None or voice or tun or keylog or group or ues is not None:
            raise LabError("--carrier proxy goes with --proxies, --seed, --runs and --json only")
        return _proxies(seed=seed, n_proxies=proxies or 1, runs=runs, as_json=as_json)
    if group or ues is not None:
        if fault is not None or voice or tun or keylog:
            raise LabError("--ues and --group go with --seed, --runs and --json only")
        return _crowd(seed=seed, n_ues=ues or DEFAULT_UES, group=group, runs=runs, as_json=as_json)
    if fault is Fault.FORGED_RECEIPT:
        if voice or keylog:
            raise LabError(f"--fault {fault.value} is about a group: it goes with --seed, --runs and --json only")
        return _insider(seed=seed, runs=runs, as_json=as_json)
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    try:
        with TunSession() if tun else nullcontext() as session:
            outcome = run_demo(
                seed=secrets.randbelow(1 << 31) if seed is None else seed,
                fault=fault,
                runs=runs,
                console=console,
                keylog=keylog,
                voice_s=voice,
                tun=session,
                carrier=carrier,
            )
    except KeyboardInterrupt:
        raise LabError("interrupted; all processes are stopped", code=ExitCode.INTERRUPTED) from None
    if as_json:
        print(json.dumps(outcome.document(), indent=2))
    return int(outcome.exit_code)


def _crowd(*, seed: int | None, n_ues: int, group: bool, runs: Path, as_json: bool) -> int:
    """Many UEs at once."""
    from rich.console import Console

    from lab_scripts.demo.crowd import run_crowd
    from lab_scripts.demo.group_plan import MIN_GROUP_UES

    if group and n_ues < MIN_GROUP_UES:
        raise LabError(f"a group of {n_ues} UEs has too few for its parts: give --ues {MIN_GROUP_UES} or more")
    if not group and n_ues % 2:
        raise LabError(f"{n_ues} UEs make no pairs: give an even number, or --group")
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    return _told(lambda: run_crowd(seed=chosen, n_ues=n_ues, group=group, runs=runs, console=console), as_json=as_json)


def _proxies(*, seed: int | None, n_proxies: int, runs: Path, as_json: bool) -> int:
    """Two UEs out of range, and proxies between them."""
    from rich.console import Console

    from lab_scripts.demo.crowd import run_proxies

    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    return _told(lambda: run_proxies(seed=chosen, n_proxies=n_proxies, runs=runs, console=console), as_json=as_json)


def _insider(*, seed: int | None, runs: Path, as_json: bool) -> int:
    """A group with an insider."""
    from rich.console import Console

    from lab_scripts.demo.crowd import run_insider

    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    return _told(lambda: run_insider(seed=chosen, runs=runs, console=console), as_json=as_json)


def _told(run: Callable[[], CrowdOutcome], *, as_json: bool) -> int:
    """The exit code of a run of many UEs; prints its document if asked for."""
    try:
        outcome = run()
    except KeyboardInterrupt:
        raise LabError("interrupted; all processes are stopped", code=ExitCode.INTERRUPTED) from None
    if as_json:
        print(json.dumps(outcome.document, indent=2))
    return int(outcome.exit_code)
