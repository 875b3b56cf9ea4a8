"""Many UEs in one cell of air whose PHYs are modelled subframe by subframe: `Cell` at a hundredth of the cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from lab_scripts.events.selection import AnyEvent
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.subframe_air import SubframeAir
from radio.access.phy_port import PhyMaker
from radio.emulator.actions import OverTheAirAction
from radio.emulator.scenario import Scenario

ASKED_EVERY_MS: Final = 40


class SubframeCell(Cell):
    """A `Cell` on a `SubframeAir`. Power-on times are rounded to subframes, and nobody sits between the antennas."""

    @property
    def air(self) -> SubframeAir:
        """The air, to be cut."""
        return self._subframes

    def _open_air(self, scenario: Scenario, actions: Sequence[OverTheAirAction]) -> None:
        if actions:
            raise ValueError("an air of whole subframes has nobody between the antennas")
        self._power_on_ms = {ue.name: round(ue.power_on_sample / scenario.block_samples) for ue in scenario.ues}
        self._subframes = SubframeAir(scenario, self._power_on_ms)

    def _declare_complete(self, name: str, sample: int) -> None:
        """A model has no samples to be complete."""

    def _phy_of(self, name: str) -> PhyMaker:
        return self._subframes.phy_of(name)

    def run(self, for_s: float, until: Callable[[list[AnyEvent]], bool] = lambda _: False) -> None:
        """Let `for_s` of air time pass, or less: until every UE is off, or `until` says so once every 40 ms."""
        silence = np.zeros(self._block, dtype=np.complex64)
        for ms in range(round(for_s * 1000)):
            for name, station in self._stations.items():
                first_ms = self._power_on_ms[name]
                if ms < first_ms or not station.on:
                    continue
                if ms == first_ms:
                    station.node.power_on()
                if station.renewal is not None:
                    station.renewal.step(station.node)
                station.node.step(silence, (ms - first_ms) * self._block)
                if station.node.done:
                    station.on = False
                    station.node.shut_down()
            self._subframes.forget_before(ms)
            if not any(station.on for station in self._stations.values()):
                break
            if ms % ASKED_EVERY_MS == 0 and until(self.events):
                break
