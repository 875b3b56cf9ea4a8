"""Whole UEs on an air of PDCP PDUs, for hours and days: `Cell` in steps of 10 ms or more and without radio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab_scripts.events.selection import AnyEvent
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.pdu_air import STEP_MS, PduAccess, PduAir, silence
from lab_scripts.runs.plan import RunPlan
from prose_link.ue.build import AccessMaker
from radio.emulator.actions import OverTheAirAction
from radio.emulator.scenario import Scenario


class PduCell(Cell):
    """A `Cell` on a `PduAir`. Who is where does not matter; `events` may be cleared while it runs.

    Args:
        plan, changes: as for `Cell`, and so are the others.
        loss: share of the PDUs that a receiver does not get.
        step_ms: how much air a UE takes at once; up to the SC period of 40 ms.
    """

    def __init__(
        self,
        plan: RunPlan,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        loss: float = 0.0,
        step_ms: int = STEP_MS,
        **others: Any,
    ) -> None:
        self.air = PduAir(plan.seed, loss=loss)
        self._step_ms = step_ms
        self.ms = 0
        """Air time since the start."""
        super().__init__(plan, changes, **others)

    def _open_air(self, scenario: Scenario, actions: Sequence[OverTheAirAction]) -> None:
        if actions:
            raise ValueError("an air of PDUs has nobody between the antennas")
        self._power_on_ms = {
            ue.name: -(-ue.power_on_sample // (scenario.block_samples * self._step_ms)) * self._step_ms
            for ue in scenario.ues
        }

    def _declare_complete(self, name: str, sample: int) -> None:
        """There are no samples to be complete."""

    def _access_of(self, name: str) -> AccessMaker:
        return lambda pools, own_l2_id: PduAccess(self.air, name, own_l2_id, pools)

    def switch_off(self, name: str) -> None:
        """A UE's battery is taken out: no word to anybody."""
        self._stations[name].on = False
        self.air.leave(name)

    def run(self, for_s: float, until: Callable[[list[AnyEvent]], bool] = lambda _: False) -> None:
        """Let `for_s` of air time pass, or less: until every UE is off, or `until` says so after a step.

        May be called again: time goes on where it stopped.
        """
        samples = silence(self._block * self._step_ms)
        end_ms = self.ms + round(for_s * 1000)
        while self.ms < end_ms and any(station.on for station in self._stations.values()):
            for name, station in self._stations.items():
                first_ms = self._power_on_ms[name]
                if self.ms < first_ms or not station.on:
                    continue
                if self.ms == first_ms:
                    station.node.power_on()
                if station.renewal is not None:
                    station.renewal.step(station.node)
                station.node.step(samples, (self.ms - first_ms) * self._block)
                if station.node.done:
                    station.node.shut_down()
                    self.switch_off(name)
            self.ms += self._step_ms
            if until(self.events):
                break
