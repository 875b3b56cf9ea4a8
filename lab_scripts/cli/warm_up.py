"""`pc5lab warm-up`: compile the hot kernels ahead of the first run."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from lab_scripts.kernel_cache import compile_all, is_warm

app = typer.Typer()


@app.callback(invoke_without_command=True)
def warm_up(as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Compile every kernel once and keep it on disk. Example: pc5lab warm-up"""
    was_warm = is_warm()
    if not was_warm:
        typer.echo("compiling the hot kernels, once for this version ...", err=True)
    began_s = time.perf_counter()
    compile_all()
    took_s = round(time.perf_counter() - began_s, 2)
    if as_json:
        from lab_scripts.events.lab_events import WarmedUp
        from lab_scripts.events.undated import UndatedEvent

        print(json.dumps(UndatedEvent(event=WarmedUp(was_warm=was_warm, took_s=took_s)).record()), flush=True)
    else:
        typer.echo(f"kernels are ready ({took_s} s)", err=True)
