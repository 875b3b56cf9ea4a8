"""One run with a process for each part: KMS, air and UEs are started, and their events are printed and kept.

The order is: compile kernels if they are not on disk, found the KMS and write the tickets, let the UEs fetch keys of
earlier periods if the plan has some, start the KMS at the lab's time, start the emulator, then one process for each UE.
From then on the supervisor returns JSON lines of all processes; `take` prints those with a sentence and keeps them. The
run ends when every UE has switched itself off. Leaving the context stops all processes in any case.

Events are sorted by air time at the end, because lines of different processes come in any order. Events about the wall
clock differ from run to run; all others repeat with the seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from lab_scripts.events.selection import AnyEvent
from lab_scripts.events.undated import UndatedEvent
from lab_scripts.runs.kms_and_kernels import backstage_event, found_kms, serve_kms, start_warm_up, wait_for_warm_up
from lab_scripts.runs.lab_world import to_toml
from lab_scripts.runs.plan import RunPlan, scenario_of
from lab_scripts.runs.run_folder import RunFolder
from lab_scripts.runs.supervisor import SaidEvent, Supervisor, Take
from prose_link.ue.events import Progress

Listen = Callable[[Supervisor, Take], None]
"""Runs while the UEs run: takes the supervisor's events until the run is over."""
LineOf = Callable[[AnyEvent], str | None]
"""An event as a line for the console; None for an event without one."""

UNREPEATABLE_EVENTS: Final = (Progress,)
"""Events about the wall clock: a run with the same seed repeats all others."""


class Stage:
    """The processes of one run and their events.

    Args:
        plan: the plan of the run.
        folder: folder of its results.
        console: prints the timeline.
        line_of: makes the lines of the timeline.
    """

    def __init__(self, plan: RunPlan, folder: RunFolder, console: Console, line_of: LineOf) -> None:
        self._plan = plan
        self._folder = folder
        self._console = console
        self._line_of = line_of
        self._events: list[AnyEvent] = []
        self._kms_folder = plan.folder / "kms"

    def play(self, listen: Listen | None = None) -> None:
        """Run from the KMS's founding to the end of the last process.

        `listen` replaces the wait until every UE has switched itself off. Raises LabError if a process died, or was
        silent for too long.
        """
        plan, take = self._plan, self.take
        with Supervisor(self._folder.logs) as supervisor:
            if start_warm_up(supervisor):
                self._console.print("[yellow]compiling the hot kernels, once for this version ...[/]")
            found_kms(self._kms_folder, seed=plan.seed, granted=plan.granted, ticket=self._ticket, group=plan.kms_group)
            air = f"ipc://{plan.folder / 'air'}"
            for at in plan.key_times[:-1]:
                self._provision_at(supervisor, at, air)
            kms_url = serve_kms(supervisor, self._kms_folder, plan.key_times[-1], "kms", take, plan.patience_s)
            wait_for_warm_up(supervisor, take)
            options = ["--endpoint", air, "--seed", str(plan.seed), "--json", *plan.air_options()]
            supervisor.start("air", ["rf", "serve", self._scenario(), *options])
            for name in plan.names:
                config = str(self._write_config(name, kms_url, air))
                supervisor.start(name, ["ue", "run", config, "--events", "-", *plan.ue_options(name)])
            (listen or self._listen)(supervisor, take)

    def take(self, name: str, said: SaidEvent | None) -> None:
        """Take an event of a process: print it, keep it, or only log it if it is no event of the run."""
        if isinstance(said, UndatedEvent):
            self._folder.log_line(name, json.dumps(said.record()))
            said = backstage_event(said)
        if said is None:
            return
        self._events.append(said)
        line = self._line_of(said)
        if line is not None:
            self._console.print(line)

    def events_in_order(self) -> list[AnyEvent]:
        """All events in order of air time, whatever the order of their arrival."""
        return sorted(self._events, key=lambda one: (one.utc_ns, one.source, str(one.seq).zfill(9)))

    def repeatable_events(self) -> list[AnyEvent]:
        """The events that a run with the same seed repeats."""
        return [one for one in self.events_in_order() if not isinstance(one.event, UNREPEATABLE_EVENTS)]

    def _listen(self, supervisor: Supervisor, take: Take) -> None:
        """Take events until every UE has switched itself off."""
        waited_for = set(self._plan.names)
        for said in supervisor.lines(lambda: " and ".join(sorted(waited_for)), patience_s=self._plan.patience_s):
            take(said.name, said.event)
            if said.event is None:
                waited_for.discard(said.name)
            if not waited_for:
                return

    def _provision_at(self, supervisor: Supervisor, at: datetime, air: str) -> None:
        """Let every UE fetch the keys of an earlier key period."""
        kms_url = serve_kms(supervisor, self._kms_folder, at, "kms-earlier", self.take, self._plan.patience_s)
        for name in self._plan.names:
            config = self._write_config(name, kms_url, air)
            supervisor.start(f"{name}-earlier", ["ue", "provision", str(config), "--utc", at.isoformat()])
            for said in supervisor.lines(f"{name} to get its keys"):
                if said.name == f"{name}-earlier" and said.event is None:
                    break
        supervisor.end("kms-earlier")

    def _scenario(self) -> str:
        """The scenario for the emulator's process."""
        air = self._plan.scenario()
        return air if isinstance(air, str) else str(self._write("scenario", air))

    def _write_config(self, name: str, kms_url: str, air: str) -> Path:
        scenario = scenario_of(self._plan)
        power_on_s = scenario.ue(name).power_on_sample / scenario.sample_rate_hz
        return self._write(
            name,
            self._plan.ue_config(name, kms_url=kms_url, ticket=self._ticket(name), air=air, power_on_s=power_on_s),
        )

    def _write(self, name: str, document: Mapping[str, Any]) -> Path:
        """A file for a process, and a copy of it in the run folder."""
        text = to_toml(dict(document)) + "\n"
        path = self._plan.folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        (self._folder.path / path.name).write_text(text, encoding="utf-8")
        return path

    def _ticket(self, name: str) -> Path:
        return self._plan.folder / f"{name}.ticket"
