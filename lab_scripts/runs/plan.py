"""The plan of a run: the interface of demos, benches and tests to `Stage` (processes) and `Cell` (one process)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from lab_scripts.runs.lab_world import to_toml
from radio.emulator.scenario import Scenario


class RunPlan(Protocol):
    """The UEs of a run, their places, and their tasks."""

    @property
    def seed(self) -> int:
        """Seed of all randomness."""

    @property
    def folder(self) -> Path:
        """Folder for stores, tickets and other files of the run's processes while it runs."""

    @property
    def names(self) -> tuple[str, ...]:
        """The UEs."""

    @property
    def granted(self) -> Mapping[str, str]:
        """The identity for which the KMS grants each UE's owner keys."""

    @property
    def kms_group(self) -> tuple[str, tuple[str, ...]] | None:
        """A group identity and its members for the KMS, if there is one."""

    @property
    def key_times(self) -> tuple[datetime, ...]:
        """UTC of the contacts with the KMS: one a key period, the last at the start of the run."""

    @property
    def patience_s(self) -> float:
        """Longest silence of all processes before the run counts as stuck."""

    def scenario(self) -> Mapping[str, Any] | str:
        """The air: a scenario's document, or the name of one that the lab ships."""

    def air_options(self) -> list[str]:
        """Further options of `pc5lab rf serve`."""

    def ue_options(self, name: str) -> list[str]:
        """Further options of `pc5lab ue run` for one UE."""

    def ue_config(self, name: str, *, kms_url: str, ticket: Path, air: str, power_on_s: float) -> dict[str, Any]:
        """The configuration of one UE, ready to be written as TOML."""


def scenario_of(plan: RunPlan) -> Scenario:
    """The air of a run in the emulator's form."""
    from prose_link.config.ue import shipped_path
    from radio.emulator.scenario_file import load_scenario, parse_scenario

    air = plan.scenario()
    if isinstance(air, str):
        return load_scenario(shipped_path(f"scenarios/{air}.toml"), seed=plan.seed)
    return parse_scenario(to_toml(dict(air)), seed=plan.seed)
