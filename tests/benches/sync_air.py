"""UEs that run the synchronisation procedure over emulated air in virtual time, and how far off each of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from prose_link.instant import Instant
from prose_link.sync.driver import FixedRole, SyncDriver
from prose_link.sync.entity import SyncEntity, SyncTimes
from prose_link.sync.rules import SyncParameters
from radio.emulator.channel.fading import FadingModel
from radio.emulator.in_process import MemoryAir
from radio.emulator.scenario import RadioLink, Scenario, UeRadio
from radio.phy.lte.channels.indications import SyncLost
from radio.phy.lte.channels.transmissions import SlssTx
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools, SyncConfig
from radio.phy.lte.ue_phy import UePhy

CARRIER = Carrier(6)
STEP = CARRIER.samples_per_subframe
POOLS = SidelinkPools(n_prb=6, sync=SyncConfig(offset_indicators=(0, 20)))
PARAMETERS = SyncParameters(offset_indicators=(0, 20))
RX_REFERENCE_DBM = -60.0
LEAD = 6
TIMES = SyncTimes(listen_s=0.7, scan_every_s=0.5)
CP_SAMPLES = 9


class Ue:
    """PHY and synchronisation of one UE on its radio, and what happened to it."""

    def __init__(
        self,
        air: MemoryAir,
        name: str,
        *,
        fixed: FixedRole | None = None,
        parameters: SyncParameters = PARAMETERS,
        times: SyncTimes = TIMES,
        carrier: Carrier = CARRIER,
    ) -> None:
        self.name, self.device = name, air.devices[name]
        self.phy = UePhy(carrier, POOLS, judged_above=fixed is None)
        self.entity = SyncEntity(
            parameters,
            times,
            np.random.default_rng([ord(letter) for letter in name]),
            n_prb=6,
            rx_reference_dbm=RX_REFERENCE_DBM,
            sample_rate_hz=CARRIER.sample_rate_hz,
        )
        self.driver = SyncDriver(self.phy, POOLS, fixed or self.entity)
        self.told: list[object] = list(self.driver.power_on())
        self.sent: list[SlssTx] = []
        self.radio = air.air.scenario.ue(name)
        self.clock_start = self.radio.power_on_sample
        self.deaf_until_s = 0.0
        self._sent_to = 0

    def step(self) -> None:
        iq, first = self.device.read(STEP)
        now = Instant(mono_s=(first + STEP) / CARRIER.sample_rate_hz, utc_s=0.0)
        for indication in self.phy.receive(iq, first):
            if now.mono_s >= self.deaf_until_s:
                self.driver.receive(indication, now)
            if isinstance(indication, SyncLost):
                self.told.append(indication)
        self.told += self.driver.step(now, first + STEP)
        if self.phy.subframe is None:
            return
        horizon = self.phy.subframe + LEAD
        for subframe in range(max(self._sent_to, horizon - 2), horizon):
            due = self.driver.transmission(subframe)
            if due is not None:
                self.sent.append(due)
                self.device.write(*self.phy.transmit(subframe, [due]))
        self._sent_to = horizon

    def events(self, kind: type) -> list:
        return [event for event in self.told if isinstance(event, kind)]

    def start_of_frames(self) -> float:
        """Place on the hub's clock, in samples, of the latest subframe whose number is 0 modulo 10240."""
        assert self.phy.subframe is not None
        first = self.phy.subframe // 10240 * 10240
        return self.clock_start + self.phy.first_sample_of(first)

    def late_us(self) -> float:
        """By how much this UE's subframes begin after those of a reference with a perfect clock, modulo 1 ms."""
        assert self.phy.subframe is not None
        own = self.phy.start_of(self.phy.subframe) / (1 + self.radio.clock_ppm * 1e-6)
        return ((self.clock_start + own + STEP / 2) % STEP - STEP / 2) / CARRIER.sample_rate_hz * 1e6


def scenario(
    ues: Iterable[UeRadio], links: dict[tuple[str, str], float], fading: FadingModel | None = None
) -> MemoryAir:
    return MemoryAir(
        Scenario(
            name="sync",
            seed=5,
            sample_rate_hz=CARRIER.sample_rate_hz,
            ues=tuple(ues),
            links=tuple(
                RadioLink(between=pair, path_loss_db=loss, delay_ns=400.0, fading=fading)
                for pair, loss in links.items()
            ),
        )
    )


def radio(name: str, *, on_s: float = 0.0, cfo_hz: float = 0.0, clock_ppm: float = 0.0) -> UeRadio:
    return UeRadio(
        name=name,
        power_on_sample=round(on_s * CARRIER.sample_rate_hz),
        cfo_hz=cfo_hz,
        clock_ppm=clock_ppm,
        rx_reference_dbm=RX_REFERENCE_DBM,
    )


def run(ues: Iterable[Ue], seconds: float, *, begin_s: float = 0.0, until: Callable[[], bool] = lambda: False) -> float:
    """Step all UEs that are on, a subframe each in turn; returns the time at which `until` held, or the end."""
    for n in range(round(1000 * begin_s), round(1000 * (begin_s + seconds))):
        for ue in ues:
            if ue.clock_start <= n * STEP:
                ue.step()
        if n % 20 == 0 and until():
            return n * 1e-3
    return begin_s + seconds


def same_timing(ues: Iterable[Ue]) -> bool:
    places = [ue.start_of_frames() if ue.phy.subframe is not None else np.inf for ue in ues]
    cycle = 10240 * STEP
    apart = [(place - places[0] + cycle / 2) % cycle - cycle / 2 for place in places]
    return all(abs(a) < CP_SAMPLES for a in apart)
