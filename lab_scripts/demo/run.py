"""Runs the demo: plays its plan on a stage of processes, and writes the run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from lab_scripts.console.timeline import told
from lab_scripts.demo.carriers import ByCarrier
from lab_scripts.demo.closing import print_closing, write_report
from lab_scripts.demo.ims_session import ims_session
from lab_scripts.demo.outcome import Outcome, outcome_of
from lab_scripts.demo.plan import SCENARIO, DemoPlan, Fault
from lab_scripts.demo.tun_session import TunSession
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.scratch_folder import scratch_folder
from lab_scripts.runs.stage import Stage
from lab_scripts.system_errors import full_disks_named


def run_demo(
    *,
    seed: int,
    fault: Fault | None,
    runs: Path,
    console: Console,
    keylog: bool = False,
    voice_s: float = 0.0,
    tun: TunSession | None = None,
    carrier: ByCarrier = ByCarrier.DIRECT,
) -> Outcome:
    """Run the main job once.

    Args:
        seed: seed of all randomness; the same seed repeats the run bit for bit.
        fault: the attack to mount, if any.
        runs: folder in which the run folder is made.
        console: takes the timeline and the closing table.
        keylog: whether to leave the link's keys in the run folder.
        voice_s: duration of both UEs' voice streams after their other traffic.
        carrier: by which the Request and its Accept go; with another than direct radio the run does not repeat.
        tun: programs in namespaces make the traffic instead; the run then follows the wall clock and does not repeat.

    Raises:
        LabError: a process died, was silent for too long, or the run folder cannot be made.
    """
    began_s = time.monotonic()
    by = "" if carrier is ByCarrier.DIRECT else f"-{carrier.value}"
    folder = RunFolder(runs, f"demo-{fault.value}" if fault else f"demo{by}")
    with scratch_folder() as scratch, _core(carrier, scratch, folder.logs) as ims:
        sections = tun.userplane_sections if tun else {}
        plan = DemoPlan(
            seed=seed,
            fault=fault,
            folder=scratch,
            voice_s=voice_s,
            userplane=sections,
            keylog=folder.path / "keylog.txt" if keylog else None,
            ims=ims,
        )
        stage = Stage(plan, folder, console, told)
        if keylog:
            console.print("[bold yellow]keylog.txt will hold the link's keys: a reader of it can read the traffic[/]")
        facts = {
            "fault": fault.value if fault else None,
            "scenario": SCENARIO,
            "voice_s": voice_s,
            "tun": plan.tun,
            "carrier": carrier.value,
        }
        folder.write_run(command="demo", seed=seed, **facts)
        console.print(f"seed {seed}, run folder {folder.path}", markup=False)
        if ims:
            console.print("[yellow]P-CSCF and S-CSCF roles on Kamailio: real sockets, so this run does not repeat[/]")
        if tun is not None:
            console.print("[yellow]held to real time for the programs: this run does not repeat bit for bit[/]")
        try:
            with full_disks_named(folder.path, scratch):
                stage.play(None if tun is None else partial(tun.play, logs=folder.logs))
        finally:
            folder.write_events(stage.repeatable_events())
        wall_s = time.monotonic() - began_s
        outcome = outcome_of(stage.events_in_order(), seed=seed, fault=fault, wall_s=wall_s, tun=plan.tun)
        write_report(folder.path, stage.events_in_order(), outcome, recording=plan.folder / "ue-b.npz")
    print_closing(console, outcome, folder.path)
    return outcome


def _core(carrier: ByCarrier, scratch: Path, logs: Path) -> AbstractContextManager[Mapping[str, Mapping[str, Any]]]:
    return ims_session(scratch / "ims", logs) if carrier is ByCarrier.IMS else nullcontext({})
