"""Runs the demo with many UEs: one KMS, one air, a process for each UE; a group, pairs, or a row with proxies."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from lab_scripts.console.timeline import told
from lab_scripts.demo.crowd_outcome import CrowdOutcome, pairs_outcome, print_crowd
from lab_scripts.demo.crowd_teller import CrowdTeller
from lab_scripts.demo.group_outcome import group_outcome
from lab_scripts.demo.group_plan import GroupPlan
from lab_scripts.demo.group_teller import GroupTeller
from lab_scripts.demo.insider_outcome import insider_outcome
from lab_scripts.demo.insider_plan import insider_plan
from lab_scripts.demo.plan import Fault
from lab_scripts.demo.proxy_outcome import proxy_outcome
from lab_scripts.demo.proxy_plan import proxy_plan
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.scratch_folder import scratch_folder
from lab_scripts.runs.stage import LineOf, Stage
from lab_scripts.system_errors import full_disks_named


def run_crowd(*, seed: int, n_ues: int, group: bool, runs: Path, console: Console) -> CrowdOutcome:
    """Run `n_ues` UEs once, as a group or in pairs; the same seed repeats the run bit for bit.

    Raises LabError: a process died, was silent for too long, or the run folder cannot be made.
    """
    kind = "group" if group else "pairs"
    folder = RunFolder(runs, f"demo-{kind}-of-{n_ues}")
    with scratch_folder() as scratch:
        folder.write_run(command="demo", seed=seed, ues=n_ues, group=group)
        if group:
            story = GroupPlan(seed=seed, n_ues=n_ues, folder=scratch)
            return _play(story, folder, console, GroupTeller(story).told, partial(group_outcome, story))
        plan = CrowdPlan(seed=seed, n_ues=n_ues, group=False, folder=scratch)
        return _play(plan, folder, console, CrowdTeller(n_ues).told, partial(pairs_outcome, plan))


def run_insider(*, seed: int, runs: Path, console: Console) -> CrowdOutcome:
    """Run a group with an insider once: the fault `forged-receipt`; the same seed repeats the run bit for bit.

    Raises LabError: a process died, was silent for too long, or the run folder cannot be made.
    """
    fault = Fault.FORGED_RECEIPT.value
    folder = RunFolder(runs, f"demo-{fault}")
    with scratch_folder() as scratch:
        plan = insider_plan(seed, scratch)
        folder.write_run(command="demo", seed=seed, ues=plan.n_ues, group=True, fault=fault)
        return _play(plan, folder, console, CrowdTeller(plan.n_ues).told, partial(insider_outcome, plan))


def run_proxies(*, seed: int, n_proxies: int, runs: Path, console: Console) -> CrowdOutcome:
    """Run two UEs that reach each other through proxies only; the same seed repeats the run bit for bit.

    Raises LabError: a process died, was silent for too long, or the run folder cannot be made.
    """
    folder = RunFolder(runs, "demo-proxy")
    with scratch_folder() as scratch:
        plan = proxy_plan(seed, n_proxies, scratch)
        folder.write_run(command="demo", seed=seed, carrier="proxy", proxies=n_proxies)
        return _play(plan, folder, console, told, partial(proxy_outcome, plan))


def _play(
    plan: CrowdPlan, folder: RunFolder, console: Console, line_of: LineOf, work_out: Callable[..., CrowdOutcome]
) -> CrowdOutcome:
    began_s = time.monotonic()
    console.print(f"seed {plan.seed}, {plan.n_ues} UEs, run folder {folder.path}", markup=False)
    stage = Stage(plan, folder, console, line_of)
    try:
        with full_disks_named(folder.path, plan.folder):
            stage.play()
    finally:
        folder.write_events(stage.repeatable_events())
    outcome = work_out(stage.events_in_order(), wall_s=time.monotonic() - began_s)
    print_crowd(console, outcome, folder.path)
    return outcome
