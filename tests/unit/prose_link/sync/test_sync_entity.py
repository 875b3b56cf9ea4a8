"""The synchronisation entity alone: what it is told, what it asks for, when."""

import numpy as np
import pytest

from prose_link.instant import Instant
from prose_link.sync.candidates import MAX_CANDIDATES, CandidateTable
from prose_link.sync.entity import ECHO_S, SyncEntity, SyncState, SyncTimes
from prose_link.sync.events import (
    BecomeReference,
    Follow,
    Scan,
    SlssStarted,
    SlssStopped,
    SyncRefSelected,
    SyncRefTooWeak,
)
from prose_link.sync.rules import SyncParameters
from radio.phy.lte.channels.indications import MibReceived, SlssDetected, SyncLost
from radio.phy.lte.channels.mib import MibSl

RATE_HZ = 1_920_000
PARAMETERS = SyncParameters(offset_indicators=(0, 20), tx_thresh_ooc_dbm=-90.0, filter_coefficient=0)
ELSEWHERE = None


def heard(
    n_sl_id: int,
    dbm: float,
    *,
    in_coverage: bool = False,
    number: int = 40,
    off_s: float | None = ELSEWHERE,
    sample: float = 0,
) -> SlssDetected:
    mib = MibSl(bandwidth_prb=6, dfn=number // 10, subframe=number % 10, in_coverage=in_coverage, reserved=5)
    return SlssDetected(
        sample=sample, n_sl_id=n_sl_id, mib=mib, cfo_hz=0.0, snr_db=10.0, s_rsrp_dbfs=dbm + 60, off_own_timing_s=off_s
    )


def tracked(n_sl_id: int, dbm: float) -> MibReceived:
    mib = MibSl(bandwidth_prb=6, dfn=4, subframe=0, in_coverage=False)
    return MibReceived(
        subframe=40, n_sl_id=n_sl_id, mib=mib, snr_db=10.0, s_rsrp_dbfs=dbm + 60, cfo_hz=0.0, timing_error_samples=0.0
    )


class Bench:
    """An entity and the clock it is told."""

    def __init__(self, parameters: SyncParameters = PARAMETERS) -> None:
        self.entity = SyncEntity(
            parameters,
            SyncTimes(listen_s=1.0, scan_every_s=2.0),
            np.random.default_rng(1),
            n_prb=6,
            rx_reference_dbm=-60.0,
            sample_rate_hz=RATE_HZ,
        )
        self.now_s = 0.0

    def receive(self, indication: object) -> None:
        self.entity.receive(indication, Instant(self.now_s, 0.0))

    def run(self, seconds: float) -> list[object]:
        """Let time pass; returns what was asked and told."""
        for _ in range(round(seconds * 1000)):
            self.now_s += 1e-3
            self.entity.handle_timer(Instant(self.now_s, 0.0))
        return self.told()

    def told(self) -> list[object]:
        told: list[object] = list(self.entity.pdus_to_send(Instant(self.now_s, 0.0)))
        while (event := self.entity.next_event()) is not None:
            told.append(event)
        return told

    def following(self, source: SlssDetected) -> None:
        self.receive(source)
        self.run(0.2)
        assert self.entity.state is SyncState.FOLLOWING


def kinds(told: list[object]) -> list[type]:
    return [type(one) for one in told]


def test_who_hears_nobody_becomes_the_reference() -> None:
    bench = Bench()
    assert bench.run(0.999) == [] and bench.entity.state is SyncState.LISTENING
    assert bench.entity.transmission(0) is None
    told = bench.run(1.1)
    assert kinds(told) == [BecomeReference, SlssStarted]
    sent = [n for n in range(80) if bench.entity.transmission(n) is not None]
    assert sent in ([0, 40], [20, 60])
    slss = bench.entity.transmission(sent[1])
    assert slss is not None and 168 <= slss.n_sl_id <= 335 and not slss.mib.in_coverage
    assert 10 * slss.mib.dfn + slss.mib.subframe == sent[1]


def test_a_listener_collects_then_takes_the_best() -> None:
    bench = Bench()
    best = heard(30, -85.0, in_coverage=True)
    bench.receive(heard(200, -70.0, sample=100))
    bench.receive(best)
    told = bench.run(0.2)
    assert told[0] == Follow(source=best)
    assert told[1:] == [SyncRefSelected(n_sl_id=30, in_coverage=True, s_rsrp_dbm=-85.0, left_n_sl_id=-1)]


def test_a_weak_sync_ref_is_relayed_on_the_other_offset_with_the_own_count() -> None:
    bench = Bench()
    bench.following(heard(30, -95.0))
    assert [n for n in range(80) if bench.entity.transmission(n)] == [20, 60]
    slss = bench.entity.transmission(10240 + 60)
    assert slss is not None and slss.n_sl_id == 198
    assert (slss.mib.dfn, slss.mib.subframe, slss.mib.in_coverage, slss.mib.reserved) == (6, 0, False, 5)
    bench.receive(tracked(30, -80.0))
    assert bench.told() == [SlssStopped(n_sl_id=198)] and bench.entity.transmission(20) is None
    bench.receive(tracked(30, -91.0))
    assert bench.told() == [SlssStarted(n_sl_id=198, offset_subframes=20)]


def test_with_one_offset_nobody_relays() -> None:
    bench = Bench(SyncParameters(offset_indicators=(0,)))
    bench.following(heard(200, -110.0))
    assert not any(bench.entity.transmission(n) for n in range(80))


def test_a_lost_sync_ref_is_searched_for_and_then_replaced() -> None:
    bench = Bench()
    bench.following(heard(200, -95.0))
    bench.receive(SyncLost(subframe=1, n_sl_id=200))
    told = bench.told()
    assert kinds(told) == [Scan, SlssStopped] and isinstance(told[0], Scan) and told[0].n_subframes >= 1000
    assert BecomeReference in kinds(bench.run(2.0))


def test_a_sync_ref_below_the_minimum_is_given_up() -> None:
    bench = Bench()
    bench.following(heard(200, -95.0))
    bench.receive(tracked(200, -127.0))
    assert kinds(bench.told()) == [Scan, SyncRefTooWeak, SlssStopped]
    assert bench.entity.state is SyncState.LISTENING


def test_after_a_loss_the_own_followers_are_not_followed_before_they_fall_silent() -> None:
    bench = Bench()
    bench.following(heard(200, -95.0))
    bench.receive(SyncLost(subframe=1, n_sl_id=200))
    for _ in range(9):
        bench.receive(heard(200, -80.0, off_s=ECHO_S / 2))
        assert Follow not in kinds(bench.run(0.1))
    bench.run(0.11)
    bench.receive(heard(200, -80.0, off_s=ECHO_S / 2))
    assert Follow in kinds(bench.run(0.2))


def test_after_a_loss_another_timing_is_taken_at_once() -> None:
    bench = Bench()
    bench.following(heard(200, -95.0))
    bench.receive(SyncLost(subframe=1, n_sl_id=200))
    bench.told()
    bench.receive(heard(200, -95.0))
    assert Follow in kinds(bench.run(0.2))


def scanning(bench: Bench) -> None:
    """Let time pass until a scan begins."""
    while Scan not in kinds(bench.run(0.01)):
        pass


@pytest.mark.parametrize(
    ("found", "moves"),
    [
        (heard(201, -93.0), False),
        (heard(201, -91.0), True),
        (heard(200, -60.0, off_s=1e-6, number=20), False),
        (heard(200, -60.0, off_s=1e-6, number=0), False),
        (heard(200, -60.0, off_s=1e-3), True),
        (heard(200, -60.0, off_s=None), True),
        (heard(31, -110.0, off_s=1e-6), True),
    ],
)
def test_what_a_scan_finds_moves_a_follower_only_to_the_better_and_not_within_its_island(
    found: SlssDetected, moves: bool
) -> None:
    bench = Bench()
    bench.following(heard(200, -95.0))
    scanning(bench)
    bench.receive(found)
    assert (Follow in kinds(bench.run(0.1))) is moves


@pytest.mark.parametrize(("own", "off_s", "moves"), [(True, 1e-6, False), (True, None, True), (False, 1e-6, True)])
def test_a_reference_moves_to_whom_it_hears_but_not_to_its_own_echo(
    own: bool, off_s: float | None, moves: bool
) -> None:
    bench = Bench()
    told = bench.run(2.1)
    became = next(one for one in told if isinstance(one, BecomeReference))
    scanning(bench)
    bench.receive(heard(became.n_sl_id if own else 168 + (became.n_sl_id - 167) % 168, -100.0, off_s=off_s))
    assert (Follow in kinds(bench.run(0.1))) is moves


def test_scans_are_bounded_and_rare() -> None:
    bench = Bench()
    bench.following(heard(200, -95.0))
    scans = [one for one in bench.run(20.0) if isinstance(one, Scan)]
    assert 7 <= len(scans) <= 13
    assert all(scan.n_subframes == 42 for scan in scans)


def test_candidates_are_told_apart_by_id_and_place_and_bounded() -> None:
    table = CandidateTable(rx_reference_dbm=-60.0, filter_coefficient=4, sample_rate_hz=RATE_HZ, period=40)
    table.note(heard(200, -80.0, sample=0), 0.0)
    table.note(heard(200, -90.0, sample=40 * 1920 + 30), 0.04)
    table.note(heard(200, -90.0, sample=20 * 1920), 0.02)
    assert sorted(c.s_rsrp_dbm for c in table.heard_since(0.0, lambda _: True)) == [-90.0, -85.0]
    for n in range(40):
        table.note(heard(201 + n, -90.0), 1.0 + n)
    everyone = table.heard_since(0.0, lambda _: True)
    assert len(everyone) == MAX_CANDIDATES and min(c.heard_at_s for c in everyone) == 25.0
