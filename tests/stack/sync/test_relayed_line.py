"""Synchronisation relayed over a line of UEs where every hop is equally strong.

Each UE then hears its SyncRef and its own followers as one signal; out of coverage nothing but arrival tells them
apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from prose_link.sync.driver import FixedRole
from prose_link.sync.entity import SyncTimes
from prose_link.sync.events import BecameSyncRef, SlssStarted, SyncRefSelected
from radio.emulator.channel.fading import FadingModel
from radio.emulator.in_process import MemoryAir
from radio.emulator.scenario import RadioLink, Scenario, UeRadio
from radio.phy.lte.channels.indications import SyncLost
from radio.phy.lte.grid.numerology import Carrier, Cp
from tests.benches.sync_air import CARRIER, RX_REFERENCE_DBM, Ue, run

LIGHT_M_PER_US = 299.792458
FOLLOWER_LAG_US = 12 / 30.72
"""Every UE that follows transmits this late."""
PATIENT = SyncTimes(listen_s=4.0, scan_every_s=2.0)


class Line:
    """UEs in a row, 100..500 m apart, clocks up to 2 ppm off; the first is the reference with a perfect clock."""

    def __init__(
        self,
        hops_m: Sequence[float],
        *,
        in_coverage: bool = False,
        fading: FadingModel | None = None,
        carrier: Carrier = CARRIER,
    ) -> None:
        rng = np.random.default_rng(len(hops_m))
        names = [f"{n}" for n in range(len(hops_m) + 1)]
        radios = [
            UeRadio(
                name=name,
                cfo_hz=float(rng.uniform(-700, 700)),
                clock_ppm=float(rng.uniform(-2, 2)) if name != "0" else 0.0,
                rx_reference_dbm=RX_REFERENCE_DBM,
            )
            for name in names
        ]
        links = [
            RadioLink(between=pair, path_loss_db=110.0, delay_ns=1e3 * metres / LIGHT_M_PER_US, fading=fading)
            for pair, metres in zip(pairwise(names), hops_m, strict=True)
        ]
        self.air = MemoryAir(
            Scenario(name="line", seed=11, sample_rate_hz=CARRIER.sample_rate_hz, ues=tuple(radios), links=tuple(links))
        )
        first = FixedRole(role="reference", n_sl_id=30 if in_coverage else 200, in_coverage=in_coverage)
        self.ues = [Ue(self.air, "0", fixed=first, carrier=carrier)]
        self.ues += [Ue(self.air, name, times=PATIENT, carrier=carrier) for name in names[1:]]
        self._expected_us = [0.0, *(np.cumsum(hops_m) / LIGHT_M_PER_US + FOLLOWER_LAG_US * np.arange(len(hops_m)))]

    def errors_us(self) -> list[float]:
        """How far each UE is from where light and the lag of those before it put it."""
        return [ue.late_us() - expected for ue, expected in zip(self.ues, self._expected_us, strict=True)]

    def hold(self, begin_s: float, seconds: float, within_us: float) -> None:
        """Let time pass; twice a second every UE must be where it belongs."""
        for n in range(round(2 * seconds)):
            run(self.ues, 0.5, begin_s=begin_s + n / 2)
            errors = self.errors_us()
            assert max(abs(error) for error in errors) < within_us, (begin_s + n / 2, errors)


@pytest.mark.slow
def test_six_equally_strong_hops_hold_for_a_minute() -> None:
    line = Line([300.0, 120.0, 480.0, 100.0, 500.0, 250.0])
    run(line.ues, 3.0)
    line.hold(3.0, 57.0, within_us=0.15)
    for n, ue in enumerate(line.ues[1:]):
        assert not ue.events(SyncLost) and not ue.events(BecameSyncRef) and len(ue.events(SyncRefSelected)) == 1
        assert [(e.n_sl_id, e.offset_subframes) for e in ue.events(SlssStarted)] == [(200, (20, 0)[n % 2])]


@pytest.mark.parametrize(
    ("hops_m", "in_coverage"),
    [([0.0] * 4, False), ([30.0] * 4, False), ([300.0] * 4, True), ([100.0, 500.0], False)],
    ids=["at-one-place", "thirty-metres", "in-coverage", "two-hops"],
)
def test_near_and_far_hops_hold(hops_m: list[float], in_coverage: bool) -> None:
    line = Line(hops_m, in_coverage=in_coverage)
    run(line.ues, 3.0)
    line.hold(3.0, 7.0, within_us=0.2)
    assert not any(ue.events(SyncLost) for ue in line.ues)
    ids = [ue.events(SlssStarted)[0].n_sl_id for ue in line.ues[1:]]
    assert ids == ([30, 198, 198, 198] if in_coverage else [200] * len(hops_m))


def test_hops_that_fade_hold() -> None:
    line = Line([300.0, 120.0, 480.0, 200.0], fading=FadingModel(profile="EPA", doppler_hz=5.0))
    run(line.ues, 3.0)
    line.hold(3.0, 17.0, within_us=1.0)
    assert not any(ue.events(SyncLost) for ue in line.ues)


def test_a_line_with_the_extended_prefix_holds() -> None:
    line = Line([300.0, 450.0, 150.0], carrier=Carrier(CARRIER.n_prb, Cp.EXTENDED))
    run(line.ues, 3.0)
    line.hold(3.0, 7.0, within_us=0.15)
    assert not any(ue.events(SyncLost) for ue in line.ues)


def test_who_loses_the_reference_is_not_fooled_by_its_own_followers() -> None:
    # The second goes on transmitting what the first did: only its arrival says that it is not the first.
    line = Line([300.0, 200.0, 400.0])
    run(line.ues, 3.0)
    before = [ue.late_us() for ue in line.ues[1:]]
    line.air.devices["0"].close()
    heir, *others = line.ues[1:]
    end_s = run([heir, *others], 8.0, begin_s=3.0, until=lambda: bool(heir.events(BecameSyncRef)))
    assert [event.n_sl_id for event in heir.events(SyncLost)] == [200]
    run([heir, *others], 4.0, begin_s=end_s)
    own_id = heir.phy.n_sl_id
    assert own_id is not None and own_id >= 168 and all(ue.phy.n_sl_id == own_id for ue in others)
    assert sum(len(ue.events(BecameSyncRef)) for ue in line.ues[1:]) == 1
    # No UE's subframes have moved by more than the uncertainty of the heir's clock.
    assert [ue.late_us() for ue in line.ues[1:]] == pytest.approx(before, abs=1.0)
