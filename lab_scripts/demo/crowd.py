"""Runs the demo with many UEs: one KMS, one air, a process for each UE; a group, or pairs."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from lab_scripts.console.timeline import line_of, told
from lab_scripts.demo.crowd_outcome import CrowdOutcome, group_outcome, pairs_outcome, print_crowd
from lab_scripts.events.selection import AnyEvent, is_of
from lab_scripts.runs.cell_plan import CrowdPlan
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.scratch_folder import scratch_folder
from lab_scripts.runs.stage import Stage
from lab_scripts.system_errors import full_disks_named
from prose_link.discovery.events import PeerDiscovered


def run_crowd(*, seed: int, n_ues: int, group: bool, runs: Path, console: Console) -> CrowdOutcome:
    """Run `n_ues` UEs once, as a group or in pairs; the same seed repeats the run bit for bit.

    Raises LabError: a process died, was silent for too long, or the run folder cannot be made.
    """
    began_s = time.monotonic()
    kind = "group" if group else "pairs"
    folder = RunFolder(runs, f"demo-{kind}-of-{n_ues}")
    with scratch_folder() as scratch:
        plan = CrowdPlan(seed=seed, n_ues=n_ues, group=group, folder=scratch)
        folder.write_run(command="demo", seed=seed, ues=n_ues, group=group)
        console.print(f"seed {seed}, {n_ues} UEs, run folder {folder.path}", markup=False)
        stage = Stage(plan, folder, console, _CrowdTeller(n_ues).told)
        try:
            with full_disks_named(folder.path, scratch):
                stage.play()
        finally:
            folder.write_events(stage.repeatable_events())
    work_out = group_outcome if group else pairs_outcome
    outcome = work_out(plan, stage.events_in_order(), wall_s=time.monotonic() - began_s)
    print_crowd(console, outcome, folder.path)
    return outcome


class _CrowdTeller:
    """Tells the events of a crowd: discoveries, which grow with its square, once all others are discovered."""

    def __init__(self, n_ues: int) -> None:
        self._n_others = n_ues - 1
        self._discovered: dict[str, set[int]] = {}

    def told(self, timed: AnyEvent) -> str | None:
        """An event as a line, None for those that are not told."""
        if not is_of(timed, PeerDiscovered):
            return told(timed)
        known = self._discovered.setdefault(timed.source, set())
        is_new = timed.event.prose_ue_id not in known
        known.add(timed.event.prose_ue_id)
        if not is_new or len(known) < self._n_others:
            return None
        return line_of(timed, f"has discovered everybody, {self._n_others} in all")
