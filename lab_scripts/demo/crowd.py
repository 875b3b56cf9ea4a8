"""Runs the demo with many UEs: one KMS, one air, a process for each UE; a group, or pairs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from rich.console import Console

from lab_scripts.console.timeline import line_of, told
from lab_scripts.demo.crowd_outcome import CrowdOutcome, group_outcome, pairs_outcome, print_crowd
from lab_scripts.demo.insider_outcome import insider_outcome
from lab_scripts.demo.insider_plan import insider_plan
from lab_scripts.demo.plan import Fault
from lab_scripts.events.selection import AnyEvent, Events, is_of
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.scratch_folder import scratch_folder
from lab_scripts.runs.stage import Stage
from lab_scripts.system_errors import full_disks_named
from prose_link.discovery.events import PeerDiscovered


class WorkOut(Protocol):
    """Computes the outcome of a run from its events."""

    def __call__(self, plan: CrowdPlan, events: Events, *, wall_s: float) -> CrowdOutcome:
        """The outcome of a run of this duration."""


def run_crowd(*, seed: int, n_ues: int, group: bool, runs: Path, console: Console) -> CrowdOutcome:
    """Run `n_ues` UEs once, as a group or in pairs; the same seed repeats the run bit for bit.

    Raises LabError if a process died or was silent for too long, or the run folder cannot be made.
    """
    kind = "group" if group else "pairs"
    folder = RunFolder(runs, f"demo-{kind}-of-{n_ues}")
    with scratch_folder() as scratch:
        plan = CrowdPlan(seed=seed, n_ues=n_ues, group=group, folder=scratch)
        folder.write_run(command="demo", seed=seed, ues=n_ues, group=group)
        return _play(plan, folder, console, group_outcome if group else pairs_outcome)


def run_insider(*, seed: int, runs: Path, console: Console) -> CrowdOutcome:
    """Run a group with an insider once: the fault `forged-receipt`; the same seed repeats the run bit for bit.

    Raises LabError if a process died or was silent for too long, or the run folder cannot be made.
    """
    fault = Fault.FORGED_RECEIPT.value
    folder = RunFolder(runs, f"demo-{fault}")
    with scratch_folder() as scratch:
        plan = insider_plan(seed, scratch)
        folder.write_run(command="demo", seed=seed, ues=plan.n_ues, group=True, fault=fault)
        return _play(plan, folder, console, insider_outcome)


def _play(plan: CrowdPlan, folder: RunFolder, console: Console, work_out: WorkOut) -> CrowdOutcome:
    began_s = time.monotonic()
    console.print(f"seed {plan.seed}, {plan.n_ues} UEs, run folder {folder.path}", markup=False)
    stage = Stage(plan, folder, console, _CrowdTimeline(plan.n_ues).told)
    try:
        with full_disks_named(folder.path, plan.folder):
            stage.play()
    finally:
        folder.write_events(stage.repeatable_events())
    outcome = work_out(plan, stage.events_in_order(), wall_s=time.monotonic() - began_s)
    print_crowd(console, outcome, folder.path)
    return outcome


class _CrowdTimeline:
    """Makes the lines of a crowd's timeline.

    Discoveries, whose number grows with its square, have one line for each UE.
    """

    def __init__(self, n_ues: int) -> None:
        self._n_others = n_ues - 1
        self._discovered: dict[str, set[int]] = {}

    def told(self, timed: AnyEvent) -> str | None:
        """An event as a line; None for an event without one."""
        if not is_of(timed, PeerDiscovered):
            return told(timed)
        known = self._discovered.setdefault(timed.source, set())
        is_new = timed.event.prose_ue_id not in known
        known.add(timed.event.prose_ue_id)
        if not is_new or len(known) < self._n_others:
            return None
        return line_of(timed, f"has discovered all {self._n_others} others")
