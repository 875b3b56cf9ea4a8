"""Hearing reports: the octets, and what sender and receiver make of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_scripts.dissectors.hearing_report import HearingReport as ReportLayer
from radio.errors import RadioError
from radio.l2.lte_mode2.hearing import DueReport, HearingWatch
from radio.l2.lte_mode2.hearing_report import (
    MAX_GRANTS,
    HearingReport,
    HearingReportError,
    ReportedGrant,
    decode_report,
    encode_report,
)
from radio.l2.lte_mode2.neighbours import HeardGrant
from radio.l2.lte_mode2.pscch_plan import Seat
from radio.l2.lte_mode2.reported import ReportedGrants

ME, A, B = 0x01, 0x5C0A02, 0x5C0B03
SEAT_A, SEAT_B, SEAT_C = Seat(False, 0, 0), Seat(False, 1, 0), Seat(False, 2, 0)
GRANTS = st.builds(
    ReportedGrant,
    n_pscch=st.integers(0, 0xFFFF),
    riv=st.integers(0, 0xFFFF),
    i_trp=st.integers(0, 255),
    group_destination_id=st.integers(0, 255),
)
REPORTS = st.builds(
    HearingReport,
    period_in_cycle=st.integers(0, 255),
    loses_blocks=st.booleans(),
    needs_reports=st.booleans(),
    grants=st.lists(GRANTS, max_size=MAX_GRANTS).map(tuple),
)


def heard(seat: Seat, i_trp: int = 37, first_prb: int = 0, to: int = ME) -> HeardGrant:
    return HeardGrant(seat=seat, first_prb=first_prb, n_prb=24, i_trp=i_trp, group_destination_id=to)


@given(REPORTS)
def test_a_report_comes_back_and_scapy_reads_the_same(report):
    octets = encode_report(report)
    assert decode_report(octets) == report
    layer = ReportLayer(octets)
    assert (layer.version, layer.loses_blocks, layer.period_in_cycle) == (
        1,
        report.loses_blocks,
        report.period_in_cycle,
    )
    assert [(g.n_pscch, g.riv, g.i_trp, g.group_destination_id) for g in layer.grants] == [
        (g.n_pscch, g.riv, g.i_trp, g.group_destination_id) for g in report.grants
    ]


@given(st.binary(max_size=120))
def test_hostile_octets_raise_one_error_or_are_a_report(octets):
    try:
        report = decode_report(octets)
    except HearingReportError:
        return
    assert len(report.grants) <= MAX_GRANTS


@pytest.mark.parametrize(
    "octets", ["", "010100", "0201002a", "0101002a00", "0101002a" + "0007004a25", "0101002a" + "0007004a2501" * 17]
)
def test_no_report(octets):
    with pytest.raises(HearingReportError):
        decode_report(bytes.fromhex(octets))


def test_what_fits_in_no_report_is_not_written():
    grant = ReportedGrant(n_pscch=1, riv=1, i_trp=1, group_destination_id=1)
    for report in (
        HearingReport(period_in_cycle=0, loses_blocks=False, grants=(grant,) * (MAX_GRANTS + 1)),
        HearingReport(period_in_cycle=70000, loses_blocks=False, grants=()),
    ):
        with pytest.raises(RadioError):
            encode_report(report)


# Receiver.


def block_of(pool, period, i_trp, index=0):
    return [subframe for subframe, _, block, _ in pool.pssch_transmissions(period, i_trp) if block == index]


def watch_of(pool, *, known=True):
    """A watch that has had one block of each, where they are known."""
    watch, grants = HearingWatch(pool, ME), (heard(SEAT_A, 37), heard(SEAT_B, 38))
    for grant, peer in zip(grants, (A, B), strict=True):
        if known:
            watch.note_block(0, [grant], subframes=block_of(pool, 0, grant.i_trp), prbs=prbs(pool), peer_l2=peer)
    return watch, grants


def prbs(pool):
    return pool.pssch_prbs[:24]


def lose(watch, pool, period, grants, *losers):
    for grant in losers:
        for index in range(2):
            subframes = block_of(pool, period, grant.i_trp, index)
            watch.note_block(period, grants, subframes=subframes, prbs=prbs(pool), peer_l2=None)


def test_one_of_two_that_collide_is_asked_after_three_periods(pool):
    watch, grants = watch_of(pool)
    for period in (1, 2):
        lose(watch, pool, period, grants, *grants)
        assert watch.due_report(period, grants) is None
    lose(watch, pool, 3, grants, *grants)
    assert watch.due_report(3, grants) == DueReport(peer_l2=A, loses_blocks=True)
    for period in range(4, 8):
        lose(watch, pool, period, grants, *grants)
        assert watch.due_report(period, grants) is None, "the other stays while the first one moves"


def test_the_other_is_told_when_the_first_has_moved_and_both_again_while_they_send(pool):
    watch, grants = watch_of(pool)
    for period in (1, 2, 3):
        lose(watch, pool, period, grants, *grants)
        due = watch.due_report(period, grants)
    assert due is not None
    parted, told = (heard(SEAT_A, 66), grants[1]), []
    for period in range(4, 70):
        watch.note_need(A, period)
        watch.note_need(B, period)
        for grant, peer in zip(parted, (A, B), strict=True):
            subframes = block_of(pool, period, grant.i_trp)
            watch.note_block(period, parted, subframes=subframes, prbs=prbs(pool), peer_l2=peer)
        if (due := watch.due_report(period, parted)) is not None:
            assert not due.loses_blocks
            told.append((period, due.peer_l2))
    assert {peer for _, peer in told} == {A, B}
    assert min(period for period, peer in told if peer == B) <= 12
    assert 4 <= len(told) <= 8


def test_silence_ends_the_reports(pool):
    watch, grants = watch_of(pool)
    for period in (1, 2, 3):
        lose(watch, pool, period, grants, *grants)
        watch.due_report(period, grants)
    watch.note_need(A, 4)
    told = [period for period in range(4, 300) if watch.due_report(period, grants[:1])]
    assert told == []


def test_a_block_that_nobody_hit_is_no_reason(pool):
    watch, grants = watch_of(pool)
    for period in range(1, 9):
        lose(watch, pool, period, grants[:1], grants[0])
        assert watch.due_report(period, grants[:1]) is None


def test_a_sender_that_answers_nothing_is_seldom_asked(pool):
    """It hears the others well, and parts by itself."""
    watch, grants = watch_of(pool)
    asked = []
    for period in range(1, 200):
        lose(watch, pool, period, grants, *grants)
        due = watch.due_report(period, grants)
        if due is not None and due.loses_blocks:
            asked.append((period, due.peer_l2))
    assert asked
    assert len(asked) <= 4


def test_a_sender_without_a_known_place_is_asked_where_no_block_comes_through(pool):
    watch, _ = watch_of(pool)
    grants = (heard(SEAT_C, 37), heard(Seat(False, 3, 0), 38))
    for period in (1, 2, 3):
        lose(watch, pool, period, grants, *grants)
        due = watch.due_report(period, grants)
    assert due is not None
    assert due.peer_l2 in (A, B)


# Sender.


def test_reported_grants_count_for_their_peer_and_for_a_while():
    reported = ReportedGrants()
    reported.note_own(SEAT_A, SEAT_A, 10, A)
    reported.note(A, [heard(SEAT_A), heard(SEAT_B)], loses_blocks=True, period=10)
    assert [grant.seat for grant in reported.grants_at(A, 12)] == [SEAT_B], "its own grant is told by its seat"
    assert reported.grants_at(B, 12) == ()
    assert reported.grants_at(A, 100) == ()
    assert not reported.take_request(B)
    assert reported.take_request(A)
    assert not reported.take_request(A)


def test_a_report_without_the_own_seat_says_that_it_is_not_heard():
    reported = ReportedGrants()
    for period in range(10):
        reported.note_own(SEAT_A, SEAT_A, period, A)
    reported.note(A, [heard(SEAT_A)], loses_blocks=False, period=10)
    assert not reported.take_unheard()
    reported.note(A, [heard(SEAT_B)], loses_blocks=False, period=10)
    assert reported.take_unheard()
    assert not reported.take_unheard()


def test_reports_are_bounded():
    reported = ReportedGrants()
    for peer in range(1, 1000):
        reported.note_own(SEAT_A, SEAT_A, 10, peer)
        reported.note(peer, [heard(SEAT_B)], loses_blocks=True, period=10)
    assert sum(bool(reported.grants_at(peer, 11)) for peer in range(1, 1000)) <= 64
    assert sum(reported.take_request(peer) for peer in range(1, 1000)) <= 64
