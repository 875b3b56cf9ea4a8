"""The air: all UEs' transmissions through all links, block by block of 1 ms; no clock and no input or output.

Each UE writes bursts on its own sample clock and declares up to which sample its transmission is complete. When every
UE's is complete as far as the next block needs it, the block is mixed: for each receiver the sum of what every
transmitter sends through the link between them (`channel.link`), interferers and noise. Then the block is given out.

The result depends on the written bursts only: not on the order or the speed of the UEs. Every random process (fading,
noise, erasures) is a function of the seed, of names and of the sample number, so that it can be computed for any block
by itself, and a link that is added does not change the others.

Attackers and listeners stand between transmitter and channel (`actions`): they see a UE's transmission a number of
blocks before it is on the air, and may hold it back, replace it or add to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from radio.arrays import Iq
from radio.emulator.actions import ActionStage, AirBlock, OverTheAirAction, Tap
from radio.emulator.channel.erasures import Erasures
from radio.emulator.channel.fading import flat_path, rayleigh_taps
from radio.emulator.channel.interference import Interferer
from radio.emulator.channel.interpolation import HALF_TAPS
from radio.emulator.channel.link import Link, SampleClock
from radio.emulator.channel.noise import noise_block
from radio.emulator.channel.seeds import derive_key
from radio.emulator.scenario import RadioLink, Scenario, UeRadio
from radio.emulator.timeline import SampleTimeline
from radio.errors import FAILED, RadioError

_MARGIN_SAMPLES = HALF_TAPS + 4
"""Samples of a transmission after a block's end that the interpolator may touch."""


class TransmissionTooLate(RadioError):
    """A burst for a time up to which its UE had already declared its transmission complete."""

    exit_code: ClassVar[int] = FAILED


@dataclass(slots=True, kw_only=True)
class _Station:
    """The state of one UE on the air."""

    radio: UeRadio
    clock: SampleClock
    noise_key: int
    noise_sigma: float
    stages: list[ActionStage]
    on_air: SampleTimeline
    declared: int = 0
    complete_to: int = 0
    history: int = 0
    active: bool = True


class Air:
    """The radio channel of a scenario, driven by writes, declarations of completeness and `mix`."""

    def __init__(
        self, scenario: Scenario, *, actions: Sequence[OverTheAirAction] = (), taps: Sequence[Tap] = ()
    ) -> None:
        """Raises RadioError when the actions look further ahead than the TX lead allows."""
        self.scenario = scenario
        self.next_block = 0
        self._actions = tuple(actions)
        self._taps = tuple(taps)
        self._action_blocks = sum(action.lookahead_blocks + 1 for action in actions)
        if self._action_blocks > scenario.tx_lead_blocks - 2:
            raise RadioError(
                f"the over-the-air actions hold transmissions back for {self._action_blocks} blocks: "
                f"tx_lead_blocks must be at least {self._action_blocks + 2}, it is {scenario.tx_lead_blocks}"
            )
        self._stations = {ue.name: self._station(ue, ue.power_on_sample) for ue in scenario.ues}
        self._paths = {frozenset(link.between): link for link in scenario.links}
        self._taps_of_path = {
            pair: flat_path()
            if path.fading is None
            else rayleigh_taps(path.fading, scenario.seed, "fading", *sorted(path.between))
            for pair, path in self._paths.items()
        }
        self._interferers = {ue.name: self._interferers_at(ue) for ue in scenario.ues}
        self._links: dict[str, list[tuple[_Station, Link, Erasures]]] = {}
        self._lay_links()

    def write(self, ue: str, first_sample: int, iq: Iq) -> None:
        """Put a burst of a UE on the air, (n,) complex64 from `first_sample` of its clock on."""
        station = self._stations[ue]
        if first_sample < station.declared:
            raise TransmissionTooLate(
                f"{ue} wrote from sample {first_sample} on after it had declared {station.declared} complete"
            )
        samples = np.require(iq, dtype=np.complex64, requirements=["C", "A", "W"])
        (station.stages[0].source if station.stages else station.on_air).add(first_sample, samples)

    def declare_complete(self, ue: str, upto: int) -> None:
        """Take a UE's declaration that it writes no more bursts before sample `upto` of its clock."""
        station = self._stations[ue]
        station.declared = station.complete_to = max(upto, station.declared)
        for stage, sink in zip(station.stages, [s.source for s in station.stages[1:]] + [station.on_air], strict=False):
            station.complete_to = stage.advance(station.complete_to, sink)

    def waiting_for(self) -> tuple[str, ...]:
        """Return the UEs whose transmission is not complete as far as the next block needs it."""
        end = (self.next_block + 1) * self.scenario.block_samples
        return tuple(
            name
            for name, station in self._stations.items()
            if station.active and station.complete_to < station.clock.local(end) + _MARGIN_SAMPLES
            if station.clock.power_on_sample < end + _MARGIN_SAMPLES
        )

    @property
    def out_of_reach(self) -> frozenset[str]:
        """The UEs that are out of reach in the next block: they hear no other UE, and none hears them."""
        return frozenset(ue.name for ue in self.scenario.ues if ue.is_out_of_reach(self.next_block))

    def mix(self) -> list[AirBlock]:
        """Return the samples of every UE that is powered on in the next block; `waiting_for` must be empty."""
        start = self.next_block * self.scenario.block_samples
        end = start + self.scenario.block_samples
        heard = []
        for name, station in self._stations.items():
            first, stop = station.clock.first_at_or_after(start), station.clock.first_at_or_after(end)
            if not station.active or stop == first:
                continue
            iq = self._received(station, first, stop - first, start)
            heard.append(AirBlock(hub_block=self.next_block, ue=name, first_sample=first, iq=iq))
        for block in heard:
            for tap in self._taps:
                tap.block(block)
        self.next_block += 1
        self._forget(end)
        return heard

    def switch_off(self, ue: str) -> None:
        """Take a UE off the air: it hears nothing more; its written bursts are still sent, then it is silent."""
        station = self._stations[ue]
        station.active = False
        if station.stages:
            upto = max(station.declared, station.stages[0].source.end)
            self.declare_complete(ue, upto + self._action_blocks * self.scenario.block_samples)

    def switch_on(self, ue: str) -> None:
        """Bring a UE back as if new; its sample clock starts with the next block, or later if it was to be so."""
        radio = self._stations[ue].radio
        now = self.next_block * self.scenario.block_samples
        self._stations[ue] = self._station(radio, max(now, radio.power_on_sample))
        self._lay_links()

    def close(self) -> None:
        """Close the taps."""
        for tap in self._taps:
            tap.close()

    def _received(self, station: _Station, first: int, n: int, hub_sample: int) -> Iq:
        if station.noise_sigma > 0:
            iq = noise_block(n, station.noise_sigma, station.noise_key, self.next_block)
        else:
            iq = np.zeros(n, dtype=np.complex64)
        links = () if station.radio.is_out_of_reach(self.next_block) else self._links[station.radio.name]
        for sender, link, erasures in links:
            if sender.on_air.is_empty or erasures.hit(self.next_block):
                continue
            if sender.radio.is_out_of_reach(self.next_block):
                continue
            lo, hi = link.span(first, n)
            waveform = sender.on_air.window(lo, hi)
            if waveform is not None:
                link.add(iq, first, waveform, lo)
        for interferer in self._interferers[station.radio.name]:
            interferer.add(iq, self.next_block, hub_sample, self.scenario.sample_rate_hz)
        return iq

    def _station(self, ue: UeRadio, power_on_sample: int) -> _Station:
        scenario = self.scenario
        sigma = 10 ** ((scenario.noise_floor_dbm(ue) - scenario.rx_reference_dbm(ue)) / 20)
        return _Station(
            radio=ue,
            clock=SampleClock(power_on_sample=power_on_sample, rate_error=ue.clock_ppm * 1e-6),
            noise_key=derive_key(scenario.seed, "noise", ue.name),
            noise_sigma=sigma,
            stages=[ActionStage(action, ue.name, scenario.block_samples) for action in self._actions],
            on_air=SampleTimeline(),
        )

    def _lay_links(self) -> None:
        self._links = {
            receiver: [
                (sender, self._link(path, sender, station), self._erasures(path, sender, station))
                for sender in self._stations.values()
                if (path := self._paths.get(frozenset((sender.radio.name, receiver)))) is not None
            ]
            for receiver, station in self._stations.items()
        }
        for station in self._stations.values():
            links = [link for paths in self._links.values() for sender, link, _ in paths if sender is station]
            station.history = max((link.history_samples for link in links), default=0)

    def _link(self, path: RadioLink, sender: _Station, receiver: _Station) -> Link:
        level_dbm = sender.radio.tx_power_dbm - path.path_loss_db
        return Link(
            transmitter=sender.clock,
            receiver=receiver.clock,
            sample_rate_hz=self.scenario.sample_rate_hz,
            gain=10 ** ((level_dbm - self.scenario.rx_reference_dbm(receiver.radio)) / 20),
            delay_samples=path.delay_ns * 1e-9 * self.scenario.sample_rate_hz,
            cfo_hz=sender.radio.cfo_hz - receiver.radio.cfo_hz,
            taps=self._taps_of_path[frozenset(path.between)],
        )

    def _erasures(self, path: RadioLink, sender: _Station, receiver: _Station) -> Erasures:
        return Erasures(
            seed=self.scenario.seed,
            transmitter=sender.radio.name,
            receiver=receiver.radio.name,
            share=path.loss,
            stretch_blocks=path.loss_ms,
        )

    def _interferers_at(self, ue: UeRadio) -> list[Interferer]:
        scenario = self.scenario
        return [
            Interferer(
                kind=source.kind,
                amplitude=10 ** ((source.power_dbm - scenario.rx_reference_dbm(ue)) / 20),
                frequency_hz=source.frequency_hz - ue.cfo_hz,
                on_samples=round(source.on_ms * scenario.block_samples),
                period_samples=max(1, round(source.period_ms * scenario.block_samples)),
                key=derive_key(scenario.seed, "interferer", source.name, ue.name),
            )
            for source in scenario.interferers
            if not source.hears or ue.name in source.hears
        ]

    def _forget(self, hub_sample: int) -> None:
        """Drop the samples that no receiver can hear any more."""
        for station in self._stations.values():
            station.on_air.forget_before(math.floor(station.clock.local(hub_sample)) - station.history)


def warm_up() -> None:
    """Load or compile the channel's kernels, so that the first block doesn't wait for them."""
    taps = flat_path()
    clock = SampleClock(power_on_sample=0, rate_error=0.0)
    link = Link(
        transmitter=clock, receiver=clock, sample_rate_hz=1_920_000, gain=1.0, delay_samples=0.0, cfo_hz=0.0, taps=taps
    )
    lo, hi = link.span(0, 1)
    link.add(noise_block(1, 1.0, 0, 0), 0, np.zeros(hi - lo, dtype=np.complex64), lo)
