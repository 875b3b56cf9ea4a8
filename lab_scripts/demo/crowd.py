"""Runs the demo with many UEs: one KMS, one air, a process for each UE; a group, or pairs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from lab_scripts.console.timeline import told
from lab_scripts.demo.crowd_outcome import CrowdOutcome, group_outcome, pairs_outcome, print_crowd
from lab_scripts.runs.cell_plan import GROUP_IDENTITY, SAMPLE_RATE_HZ, CrowdPlan
from lab_scripts.runs.kms_and_kernels import backstage_event, found_kms, serve_kms, warm_up
from lab_scripts.runs.lab_world import LAB_UTC, to_toml
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.scratch_folder import scratch_folder
from lab_scripts.runs.supervisor import Supervisor
from lab_scripts.system_errors import full_disks_named

Record = Mapping[str, Any]
_JOIN_TIMEOUT_S: Final = 120
_PATIENCE_S: Final = 60.0
"""Many processes on few cores start and run slowly; air time does not notice."""


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
        stage = _CrowdStage(plan, folder, console)
        try:
            with full_disks_named(folder.path, scratch):
                stage.play()
        finally:
            folder.write_events(stage.repeatable_events())
    work_out = group_outcome if group else pairs_outcome
    outcome = work_out(plan, stage.events_in_order(), wall_s=time.monotonic() - began_s)
    print_crowd(console, outcome, folder.path)
    return outcome


class _CrowdStage:
    """The processes of one run and what they have said."""

    def __init__(self, plan: CrowdPlan, folder: RunFolder, console: Console) -> None:
        self._plan = plan
        self._folder = folder
        self._console = console
        self._events: list[Record] = []
        self._discovered: dict[str, set[int]] = {}

    def play(self) -> None:
        """From the KMS's founding to the last UE's end."""
        plan = self._plan
        with Supervisor(self._folder.logs) as supervisor:
            warm_up(supervisor, self._take)
            kms_folder = plan.folder / "kms"
            group = (GROUP_IDENTITY, tuple(plan.granted.values())) if plan.group else None
            found_kms(kms_folder, seed=plan.seed, granted=plan.granted, ticket=self._ticket, group=group)
            kms_url = serve_kms(supervisor, kms_folder, LAB_UTC, "kms", self._take)
            air = f"ipc://{plan.folder / 'air'}"
            scenario = plan.scenario()
            path = self._write("scenario", scenario)
            options = ["--endpoint", air, "--seed", str(plan.seed), "--join-timeout", str(_JOIN_TIMEOUT_S), "--json"]
            supervisor.start("air", ["rf", "serve", str(path), *options])
            for ue in scenario["ue"]:
                power_on_s = ue["power_on_sample"] / SAMPLE_RATE_HZ
                config = plan.ue_config(
                    ue["name"], kms_url=kms_url, ticket=self._ticket(ue["name"]), air=air, power_on_s=power_on_s
                )
                path = self._write(ue["name"], config)
                supervisor.start(ue["name"], ["ue", "run", str(path), "--events", "-"])
            self._listen(supervisor)

    def events_in_order(self) -> list[Record]:
        """Everything said, in order of air time, whatever the order it came in."""
        return sorted(self._events, key=lambda e: (e["utc_ns"], e["source"], str(e["seq"]).zfill(9)))

    def repeatable_events(self) -> list[Record]:
        """The events that a run with the same seed repeats."""
        return [event for event in self.events_in_order() if event["event"] != "progress"]

    def _listen(self, supervisor: Supervisor) -> None:
        waited_for = set(self._plan.names)
        for said in supervisor.lines(lambda: ", ".join(sorted(waited_for)), patience_s=_PATIENCE_S):
            self._take(said.name, said.record)
            if said.record is None:
                waited_for.discard(said.name)
            if not waited_for:
                return

    def _take(self, name: str, record: Record | None) -> None:
        if record is None:
            return
        if "utc_ns" not in record:
            self._folder.log_line(name, json.dumps(record))
            backstage = backstage_event(record)
            if backstage is None:
                return
            record = backstage
        self._events.append(record)
        line = self._told(record)
        if line is not None:
            self._console.print(line)

    def _told(self, record: Record) -> str | None:
        """An event as a line; discoveries, which grow with the square of the crowd, once all others are discovered."""
        if record["event"] != "peer-discovered":
            return told(record)
        known = self._discovered.setdefault(record["source"], set())
        is_new, n_others = record["prose_ue_id"] not in known, self._plan.n_ues - 1
        known.add(record["prose_ue_id"])
        if not is_new or len(known) < n_others:
            return None
        return told({**record, "event": "all-discovered", "n_others": n_others})

    def _write(self, name: str, document: Mapping[str, Any]) -> Path:
        text = to_toml(dict(document)) + "\n"
        path = self._plan.folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        (self._folder.path / path.name).write_text(text, encoding="utf-8")
        return path

    def _ticket(self, name: str) -> Path:
        return self._plan.folder / f"{name}.ticket"
