"""Runs the demo: founds a KMS, starts four processes, tells what they say, and writes the run folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from lab_scripts.console.timeline import told
from lab_scripts.demo.closing import print_closing, write_report
from lab_scripts.demo.outcome import Outcome, outcome_of
from lab_scripts.demo.plan import DISHONEST_UE, ON_THE_AIR, SCENARIO, DemoPlan, Fault
from lab_scripts.demo.tun_session import TunSession
from lab_scripts.kernel_cache import is_warm
from lab_scripts.runs.kms_and_kernels import backstage_event, found_kms, serve_kms
from lab_scripts.runs.lab_world import to_toml
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.scratch_folder import scratch_folder
from lab_scripts.runs.supervisor import Supervisor
from lab_scripts.system_errors import full_disks_named

_UES = ("ue-a", "ue-b")
Record = Mapping[str, Any]


def run_demo(
    *,
    seed: int,
    fault: Fault | None,
    runs: Path,
    console: Console,
    keylog: bool = False,
    voice_s: float = 0.0,
    tun: TunSession | None = None,
) -> Outcome:
    """Run the main job once.

    Args:
        seed: what chance depends on; the same seed repeats the run bit for bit.
        fault: the attack to mount, if any.
        runs: where the run folder is made.
        console: where the timeline and the closing table go.
        keylog: whether to leave the link's keys in the run folder.
        voice_s: how long both UEs speak after their other traffic.
        tun: programs in namespaces make the traffic instead; the run goes by the wall clock and does not repeat.

    Raises:
        LabError: a process died, was silent for too long, or the run folder cannot be made.
    """
    began_s = time.monotonic()
    folder = RunFolder(runs, f"demo-{fault.value}" if fault else "demo")
    with scratch_folder() as scratch:
        sections = tun.userplane_sections if tun else {}
        plan = DemoPlan(seed=seed, fault=fault, folder=scratch, voice_s=voice_s, userplane=sections)
        stage = _Stage(plan, folder, console, folder.path / "keylog.txt" if keylog else None, tun)
        if keylog:
            console.print("[bold yellow]keylog.txt will hold the link's keys: whoever reads it reads the traffic[/]")
        facts = {"fault": fault.value if fault else None, "scenario": SCENARIO, "voice_s": voice_s, "tun": plan.tun}
        folder.write_run(command="demo", seed=seed, **facts)
        console.print(f"seed {seed}, run folder {folder.path}", markup=False)
        if tun is not None:
            console.print("[yellow]held to real time for the programs: this run does not repeat bit for bit[/]")
        try:
            with full_disks_named(folder.path, scratch):
                stage.play()
        finally:
            folder.write_events(stage.repeatable_events())
        wall_s = time.monotonic() - began_s
        outcome = outcome_of(stage.events_in_order(), seed=seed, fault=fault, wall_s=wall_s, tun=plan.tun)
        write_report(folder.path, stage.events_in_order(), outcome, recording=plan.folder / "ue-b.npz")
    print_closing(console, outcome, folder.path)
    return outcome


class _Stage:
    """The processes of one run and what they have said."""

    def __init__(
        self, plan: DemoPlan, folder: RunFolder, console: Console, keylog: Path | None, tun: TunSession | None
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._console = console
        self._keylog = keylog
        self._tun = tun
        self._events: list[Record] = []
        self._kms_folder = plan.folder / "kms"

    def play(self) -> None:
        """From the KMS's founding to the last process's end."""
        with Supervisor(self._folder.logs) as supervisor:
            if not is_warm():
                self._console.print("[yellow]compiling the hot kernels, once for this version ...[/]")
                supervisor.start("warm-up", ["warm-up", "--json"])
            found_kms(self._kms_folder, seed=self._plan.seed, granted=self._plan.granted, ticket=self._ticket)
            air = f"ipc://{self._plan.folder / 'air'}"
            for at in self._plan.key_times[:-1]:
                self._provision_at(supervisor, at, air)
            kms_url = serve_kms(supervisor, self._kms_folder, self._plan.key_times[-1], "kms", self._take)
            self._wait_for_warm_up(supervisor)
            supervisor.start("air", ["rf", "serve", SCENARIO, *self._air_options(air)])
            for name in _UES:
                supervisor.start(
                    name, ["ue", "run", str(self._write_config(name, kms_url, air)), *self._ue_options(name)]
                )
            if self._tun is None:
                self._listen(supervisor)
            else:
                self._tun.play(supervisor, self._take, self._folder.logs)

    def events_in_order(self) -> list[Record]:
        """Everything said, in order of air time, whatever the order it came in."""
        return sorted(self._events, key=lambda e: (e["utc_ns"], e["source"], str(e["seq"]).zfill(9)))

    def repeatable_events(self) -> list[Record]:
        """The events that a run with the same seed repeats: those that tell of wall-clock time are left out."""
        return [event for event in self.events_in_order() if event["event"] != "progress"]

    def _provision_at(self, supervisor: Supervisor, at: datetime, air: str) -> None:
        """Let both UEs fetch the keys of an earlier key period."""
        kms_url = serve_kms(supervisor, self._kms_folder, at, "kms-earlier", self._take)
        for name in _UES:
            config = self._write_config(name, kms_url, air)
            supervisor.start(f"{name}-earlier", ["ue", "provision", str(config), "--utc", at.isoformat()])
            for said in supervisor.lines(f"{name} to get its keys"):
                if said.name == f"{name}-earlier" and said.record is None:
                    break
        supervisor.end("kms-earlier")

    def _wait_for_warm_up(self, supervisor: Supervisor) -> None:
        if is_warm():
            return
        for said in supervisor.lines("the kernels to be compiled", patience_s=120.0):
            self._take(said.name, said.record)
            if is_warm():
                return

    def _air_options(self, endpoint: str) -> list[str]:
        options = ["--endpoint", endpoint, "--seed", str(self._plan.seed), "--json"]
        if self._plan.fault in ON_THE_AIR:
            options += ["--attack", str(self._plan.fault.value)]
        return options

    def _ue_options(self, name: str) -> list[str]:
        options = ["--events", "-", "--recording", str(self._plan.folder / f"{name}.npz")]
        if name == "ue-a" and self._keylog is not None:
            options += ["--keylog", str(self._keylog.resolve())]
        if name == "ue-a" and self._plan.fault in DISHONEST_UE:
            options += ["--fault", str(self._plan.fault.value)]
        return options

    def _write_config(self, name: str, kms_url: str, air: str) -> Path:
        from prose_link.config.ue import shipped_path
        from radio.emulator.scenario_file import load_scenario

        scenario = load_scenario(shipped_path(f"scenarios/{SCENARIO}.toml"), seed=self._plan.seed)
        power_on_s = scenario.ue(name).power_on_sample / scenario.sample_rate_hz
        document = self._plan.ue_config(
            name, kms_url=kms_url, ticket=self._ticket(name), air=air, power_on_s=power_on_s
        )
        text = to_toml(document) + "\n"
        path = self._plan.folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        (self._folder.path / path.name).write_text(text, encoding="utf-8")
        return path

    def _ticket(self, name: str) -> Path:
        return self._plan.folder / f"{name}.ticket"

    def _listen(self, supervisor: Supervisor) -> None:
        """Take what is said until both UEs have switched themselves off."""
        waited_for = set(_UES)
        for said in supervisor.lines(lambda: " and ".join(sorted(waited_for))):
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
            record = backstage_event(record)
        if record is not None:
            self._events.append(record)
            line = told(record)
            if line is not None:
                self._console.print(line)
