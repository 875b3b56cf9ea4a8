"""UEs that run the whole synchronisation procedure over the emulated air, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from prose_link.instant import Instant
from prose_link.node_events import BecameSyncRef
from prose_link.sync.driver import FixedRole, SyncDriver
from prose_link.sync.entity import SyncEntity, SyncTimes
from prose_link.sync.events import SlssStarted, SyncRefSelected
from prose_link.sync.rules import SyncParameters
from radio.devices.memory import MemoryAir
from radio.emulator.channel.fading import FadingModel
from radio.emulator.scenario import RadioLink, Scenario, UeRadio
from radio.phy.indications import SyncLost
from radio.phy.numerology import Carrier
from radio.phy.pools import SidelinkPools, SyncConfig
from radio.phy.transmissions import SlssTx
from radio.ue_phy import UePhy

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
    ) -> None:
        self.name, self.device = name, air.devices[name]
        self.phy = UePhy(CARRIER, POOLS, judged_above=fixed is None)
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
        self.clock_start = air.air.scenario.ue(name).power_on_sample
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

    def events(self, kind: type) -> list:  # type: ignore[type-arg]
        return [event for event in self.told if isinstance(event, kind)]

    def start_of_frames(self) -> float:
        """Place on the hub's clock, in samples, of the latest subframe whose number is 0 modulo 10240."""
        assert self.phy.subframe is not None
        first = self.phy.subframe // 10240 * 10240
        return self.clock_start + self.phy.first_sample_of(first)


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


def test_a_line_of_three_is_on_the_timing_of_the_first_through_the_second() -> None:
    air = scenario(
        [radio("a", cfo_hz=300.0), radio("b", clock_ppm=1.0), radio("c", on_s=0.0, cfo_hz=-500.0)],
        {("a", "b"): 110.0, ("b", "c"): 112.0},
    )
    a = Ue(air, "a", fixed=FixedRole(role="reference", n_sl_id=30, in_coverage=True))
    b, c = Ue(air, "b"), Ue(air, "c", times=SyncTimes(listen_s=1.5))
    run([a, b, c], 2.0)
    assert [event.n_sl_id for event in b.events(SyncRefSelected)] == [30]
    assert [event.n_sl_id for event in c.events(SyncRefSelected)] == [30]
    assert [(event.n_sl_id, event.offset) for event in b.events(SlssStarted)] == [(30, 20)]
    assert [(event.n_sl_id, event.offset) for event in c.events(SlssStarted)] == [(198, 0)]
    assert all(sent.mib.in_coverage for sent in a.sent)
    assert not any(sent.mib.in_coverage for sent in b.sent + c.sent)
    assert same_timing([a, b, c])


def test_after_the_loss_of_the_first_another_takes_over_on_the_same_timing() -> None:
    air = scenario([radio("a"), radio("b"), radio("c")], {("a", "b"): 110.0, ("b", "c"): 112.0})
    a = Ue(air, "a", fixed=FixedRole(role="reference", n_sl_id=30, in_coverage=True))
    b, c = Ue(air, "b"), Ue(air, "c", times=SyncTimes(listen_s=1.5))
    run([a, b, c], 1.6)
    assert c.entity.sync_ref is not None
    before = b.start_of_frames()
    air.devices["a"].close()
    run([b, c], 3.5, begin_s=1.6)
    assert [event.n_sl_id for event in b.events(SyncLost)] == [30]
    (took_over,) = b.events(BecameSyncRef)
    assert 168 <= took_over.n_sl_id <= 335
    assert c.entity.sync_ref is not None and c.entity.sync_ref.n_sl_id == took_over.n_sl_id
    assert not c.events(BecameSyncRef)
    assert abs(b.start_of_frames() - before) < CP_SAMPLES
    assert same_timing([b, c])


def test_two_islands_merge_when_a_ue_between_them_is_switched_on() -> None:
    air = scenario(
        [radio("a"), radio("b", on_s=0.013), radio("c", on_s=0.0291), radio("between", on_s=2.5, cfo_hz=200.0)],
        {("a", "b"): 100.0, ("a", "between"): 108.0, ("c", "between"): 112.0},
    )
    a, c = Ue(air, "a"), Ue(air, "c")
    b = Ue(air, "b", times=SyncTimes(listen_s=3.0))
    between = Ue(air, "between")
    run([a, b, c], 2.5)
    assert not same_timing([a, c])
    assert [len(ue.events(BecameSyncRef)) for ue in (a, b, c)] == [1, 0, 1]
    run([a, b, c, between], 2.5, begin_s=2.5)
    (chosen,) = between.events(SyncRefSelected)
    assert chosen.n_sl_id == a.events(BecameSyncRef)[0].n_sl_id
    assert not a.events(SyncRefSelected)
    assert c.entity.sync_ref is not None and c.entity.sync_ref.n_sl_id == chosen.n_sl_id
    assert same_timing([a, b, c, between])


def test_two_references_that_hear_each_other_end_on_one_timing() -> None:
    air = scenario([radio("a"), radio("b", on_s=0.0171, clock_ppm=2.0)], {("a", "b"): 105.0})
    a = Ue(air, "a", times=SyncTimes(listen_s=0.2, scan_every_s=0.5))
    b = Ue(air, "b", times=SyncTimes(listen_s=0.2, scan_every_s=0.5))
    a.deaf_until_s = b.deaf_until_s = 0.7
    run([a, b], 0.7)
    assert a.events(BecameSyncRef) and b.events(BecameSyncRef)
    run([a, b], 2.5, begin_s=0.7)
    assert len(a.events(SyncRefSelected)) + len(b.events(SyncRefSelected)) == 1
    assert same_timing([a, b])


def test_hysteresis_keeps_a_ue_between_two_references_where_it_is() -> None:
    def moves(ref_diff_hyst_db: float) -> int:
        air = scenario(
            [radio("a"), radio("c", on_s=0.0113), radio("mover")],
            {("a", "mover"): 105.0, ("c", "mover"): 105.5},
            FadingModel(profile="EPA", doppler_hz=2.0),
        )
        a = Ue(air, "a", fixed=FixedRole(role="reference", n_sl_id=200))
        c = Ue(air, "c", fixed=FixedRole(role="reference", n_sl_id=300))
        quiet = SyncParameters(
            offset_indicators=(0, 20), tx_thresh_ooc_dbm=-200.0, filter_coefficient=0, ref_diff_hyst_db=ref_diff_hyst_db
        )
        mover = Ue(air, "mover", parameters=quiet, times=SyncTimes(listen_s=0.5, scan_every_s=0.2))
        run([a, c, mover], 3.0)
        assert not mover.sent and not mover.events(SyncLost)
        return len(mover.events(SyncRefSelected)) - 1

    assert moves(12.0) == 0
    assert moves(0.0) >= 2


def test_islands_that_touch_at_their_edges_become_one_where_the_lowest_id_wins() -> None:
    # Each edge hears its own reference 10 dB better than the UE between the islands.
    air = scenario(
        [
            radio("a"),
            radio("b", on_s=0.011),
            radio("d", on_s=0.0037),
            radio("c", on_s=0.0191),
            radio("between", on_s=2.0),
        ],
        {("a", "b"): 98.0, ("b", "between"): 108.0, ("between", "c"): 112.0, ("c", "d"): 98.0},
    )
    merging = SyncParameters(offset_indicators=(0, 20), lowest_id_wins=True)
    patient = SyncTimes(listen_s=3.0, scan_every_s=0.3)
    brisk = SyncTimes(listen_s=0.5, scan_every_s=0.3)
    quiet = SyncParameters(offset_indicators=(0, 20), lowest_id_wins=True, tx_thresh_ooc_dbm=-110.0)
    a, d = (Ue(air, name, parameters=quiet, times=brisk) for name in ("a", "d"))
    between = Ue(air, "between", parameters=merging, times=brisk)
    b, c = (Ue(air, name, parameters=merging, times=patient) for name in ("b", "c"))
    run([a, b, c, d], 2.0)
    ids = sorted(ue.events(BecameSyncRef)[0].n_sl_id for ue in (a, d))
    assert not same_timing([a, d]) and same_timing([a, b]) and same_timing([c, d])
    run([a, b, c, d, between], 3.5, begin_s=2.0)
    assert same_timing([a, b, c, d, between])
    assert {ue.phy.n_sl_id for ue in (a, b, c, d, between)} == {ids[0]}
