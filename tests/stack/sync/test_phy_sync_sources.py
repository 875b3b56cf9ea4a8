"""A UE's PHY between several synchronisation sources: what it measures, whom it follows, how its count goes on."""

from __future__ import annotations

import numpy as np
import pytest

from radio.arrays import Iq
from radio.phy.dsp.rotation import rotate
from radio.phy.lte.channels.indications import Indication, MibReceived, SlssDetected, SyncLost
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools, SyncConfig
from radio.phy.lte.ue_phy import PhyState, UePhy, UePhyError

CARRIER = Carrier(6)
STEP = CARRIER.samples_per_subframe
POOLS = SidelinkPools(n_prb=6, sync=SyncConfig(offset_indicators=(0, 20)))


def stream(n_subframes: int, *sources: tuple[int, int, int, float, float], until: int | None = None) -> Iq:
    """Samples with (SLSS id, first sample, number of the subframe there, amplitude, carrier offset) of each source."""
    rng = np.random.default_rng(3)
    n = n_subframes * STEP
    iq = (1e-3 * rng.normal(size=(n, 2))).astype(np.float32).view(np.complex64)[:, 0]
    for n_sl_id, first_sample, number, amplitude, cfo_hz in sources:
        sender = UePhy(CARRIER, POOLS)
        sender.become_sync_ref(n_sl_id, first_sample, number)
        for subframe in range(number, number + n_subframes):
            burst, at = slss(sender, n_sl_id, subframe)
            if subframe % 40 == 0 and at >= 0 and at + STEP <= (n if until is None else until * STEP):
                iq[at : at + STEP] += amplitude * rotate(burst, cfo_hz, CARRIER.sample_rate_hz, at)
    return iq


def slss(sender: UePhy, n_sl_id: int, subframe: int) -> tuple[Iq, int]:
    mib = MibSl(bandwidth_prb=6, dfn=subframe % 10240 // 10, subframe=subframe % 10, in_coverage=False)
    return sender.transmit(subframe, [SlssTx(n_sl_id=n_sl_id, mib=mib)])


def detected(indications: list[Indication]) -> list[SlssDetected]:
    return [i for i in indications if isinstance(i, SlssDetected)]


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.02])
def test_s_rsrp_is_the_power_of_one_reference_element(amplitude: float) -> None:
    iq = stream(60, (200, 777, 0, amplitude, 400.0))
    judging = UePhy(CARRIER, POOLS, judged_above=True)
    found = detected(judging.receive(iq, 0))
    assert judging.state is PhyState.SEARCHING and judging.subframe is None
    expected_dbfs = 20 * np.log10(amplitude) - 10 * np.log10(CARRIER.fft_size)
    assert [source.s_rsrp_dbfs for source in found] == pytest.approx([expected_dbfs] * len(found), abs=0.5)
    assert {source.n_sl_id for source in found} == {200} and found[0].off_own_timing_s is None
    following = UePhy(CARRIER, POOLS)
    received = [i for i in following.receive(iq, 0) if isinstance(i, MibReceived)]
    assert [mib.s_rsrp_dbfs for mib in received] == pytest.approx([expected_dbfs] * len(received), abs=0.5)


def test_a_scan_beside_tracking_finds_the_others_and_ends() -> None:
    iq = stream(
        300, (200, 500, 0, 1.0, 0.0), (240, 9 * STEP + 300, 5000, 0.4, 900.0), (201, 13 * STEP + 500 + 8, 13, 0.4, 0.0)
    )
    ue = UePhy(CARRIER, POOLS, judged_above=True)
    ue.follow(detected(ue.receive(iq[: 5 * STEP], 0))[0])
    assert not detected(ue.receive(iq[5 * STEP : 60 * STEP], 5 * STEP))
    ue.scan(42)
    heard = ue.receive(iq[60 * STEP :], 60 * STEP)
    found = {source.n_sl_id: source for source in detected(heard)}
    assert set(found) >= {200, 240} and len(detected(heard)) <= 4
    assert found[240].off_own_timing_s is None
    own_off_s = found[200].off_own_timing_s
    assert own_off_s is not None and abs(own_off_s) < 1e-6
    assert sum(isinstance(i, MibReceived) for i in heard) >= 5
    assert ue.state is PhyState.TRACKING and ue.n_sl_id == 200


def test_following_another_source_moves_the_count_forward_only() -> None:
    iq = stream(250, (200, 500, 300, 1.0, 0.0), (240, 9 * STEP + 300, 20, 0.5, -700.0))
    ue = UePhy(CARRIER, POOLS, judged_above=True)
    ue.follow(next(s for s in detected(ue.receive(iq[: 60 * STEP], 0)) if s.n_sl_id == 200))
    ue.scan(42)
    heard = ue.receive(iq[60 * STEP : 110 * STEP], 60 * STEP)
    other = next(source for source in detected(heard) if source.n_sl_id == 240)
    before = ue.subframe
    assert before is not None
    ue.follow(other)
    after = ue.subframe
    assert after is not None and before <= after < before + 10240
    # The source's own count at this place: 20 at sample 9 * STEP + 300.
    assert (after - 20) % 10240 == round((ue.first_sample_of(after) - 9 * STEP - 300) / STEP)
    assert ue.cfo_hz == pytest.approx(-700.0, abs=20)
    mibs = [i for i in ue.receive(iq[110 * STEP :], 110 * STEP) if isinstance(i, MibReceived)]
    assert len(mibs) >= 2 and all(10 * m.mib.dfn + m.mib.subframe == m.subframe % 10240 for m in mibs)


def test_following_a_source_on_the_same_timing_leaves_the_count_as_it_is() -> None:
    iq = stream(150, (200, 500, 300, 1.0, 0.0))
    ue = UePhy(CARRIER, POOLS, judged_above=True)
    ue.follow(detected(ue.receive(iq[: 60 * STEP], 0))[0])
    ue.scan(42)
    again = detected(ue.receive(iq[60 * STEP : 110 * STEP], 60 * STEP))[0]
    before = ue.subframe
    ue.follow(again)
    assert ue.subframe == before


def test_a_lost_reference_leaves_its_timing_to_be_inherited() -> None:
    iq = stream(300, (200, 500, 300, 1.0, 350.0), until=70)
    ue = UePhy(CARRIER, POOLS, judged_above=True, max_missed_syncs=2)
    ue.follow(detected(ue.receive(iq[: 60 * STEP], 0))[0])
    heard = ue.receive(iq[60 * STEP : 250 * STEP], 60 * STEP)
    assert [type(i) for i in heard if not isinstance(i, MibReceived)] == [SyncLost]
    assert ue.state is PhyState.HOLDOVER
    place, count, cfo_hz = ue.first_sample_of(700), ue.subframe, ue.cfo_hz
    burst, first = slss(ue, 222, 700)
    ue.become_sync_ref(222)
    assert (ue.state, ue.n_sl_id) == (PhyState.REFERENCE, 222)
    assert (ue.first_sample_of(700), ue.subframe, ue.cfo_hz) == (place, count, cfo_hz)
    # Who hangs on this UE sees nothing move.
    again, first_again = slss(ue, 222, 700)
    assert first_again == first and np.array_equal(again, burst)


def test_without_any_timing_none_can_be_inherited() -> None:
    with pytest.raises(UePhyError, match="no timing"):
        UePhy(CARRIER, POOLS, judged_above=True).become_sync_ref(222)
