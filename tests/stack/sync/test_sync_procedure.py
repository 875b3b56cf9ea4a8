"""UEs that run the whole synchronisation procedure over the emulated air, in virtual time."""

from __future__ import annotations

from prose_link.sync.driver import FixedRole
from prose_link.sync.entity import SyncTimes
from prose_link.sync.events import BecameSyncRef, SlssStarted, SyncRefSelected
from prose_link.sync.rules import SyncParameters
from radio.emulator.channel.fading import FadingModel
from radio.phy.lte.channels.indications import SyncLost
from tests.benches.sync_air import CP_SAMPLES, Ue, radio, run, same_timing, scenario


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
    assert [(event.n_sl_id, event.offset_subframes) for event in b.events(SlssStarted)] == [(30, 20)]
    assert [(event.n_sl_id, event.offset_subframes) for event in c.events(SlssStarted)] == [(198, 0)]
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


def test_coverage_that_comes_back_is_followed_again_by_everybody() -> None:
    air = scenario(
        [radio("a"), radio("b"), radio("c"), radio("again", on_s=4.5027, cfo_hz=250.0)],
        {("a", "b"): 110.0, ("b", "c"): 112.0, ("again", "b"): 118.0},
    )
    a = Ue(air, "a", fixed=FixedRole(role="reference", n_sl_id=30, in_coverage=True))
    b, c = Ue(air, "b"), Ue(air, "c", times=SyncTimes(listen_s=1.5, scan_every_s=0.5))
    again = Ue(air, "again", fixed=FixedRole(role="reference", n_sl_id=31, in_coverage=True))
    run([a, b, c], 1.6)
    air.devices["a"].close()
    run([b, c], 2.9, begin_s=1.6)
    assert b.events(BecameSyncRef) and c.phy.n_sl_id == b.phy.n_sl_id
    run([b, c, again], 3.5, begin_s=4.5)
    # c hears b 6 dB better than b hears the new reference: the group counts, not the strength.
    assert [ue.events(SyncRefSelected)[-1].n_sl_id for ue in (b, c)] == [31, 31]
    assert [ue.events(SlssStarted)[-1].n_sl_id for ue in (b, c)] == [31, 199]
    assert same_timing([again, b, c])


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
