"""What is remembered of others' grants, and the plan of PSCCH seats they are told apart by."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.l2.lte_mode2.coexistence import free_transmissions
from radio.l2.lte_mode2.neighbours import HeardGrant, Neighbours
from radio.l2.lte_mode2.pscch_plan import PscchPlan, Seat
from radio.phy.lte.pools.geometry import PoolError
from radio.phy.lte.pools.mode2 import CommPool

TURN = 4
"""Periods in which every two seats of the pools here have announced in different subframes."""


def pool_of(n_pscch_subframes: int = 4, n_prb: int = 25, **changes: object) -> CommPool:
    values: dict[str, object] = {
        "n_rb_sl": n_prb,
        "sc_bitmap": "0" + "1" * n_pscch_subframes + "0" * (39 - n_pscch_subframes),
        "sc_prb_num": n_prb // 2,
        "sc_prb_start": 0,
        "sc_prb_end": n_prb - 1,
        "data_offset": n_pscch_subframes + 1,
        "data_bitmap": "1" * 32 + "0" * 8,
        "data_prb_num": n_prb // 2,
        "data_prb_start": 0,
        "data_prb_end": n_prb - 1,
    }
    return CommPool(**(values | changes))


POOLS = [pool_of(), pool_of(2), pool_of(1), pool_of(3), pool_of(8, 50), pool_of(4, 6), pool_of(4, sc_period=320)]


def grant_from(seat: Seat, i_trp: int = 40, group_destination_id: int = 9, **changes: int) -> HeardGrant:
    values = {"first_prb": 0, "n_prb": 5} | changes
    return HeardGrant(seat=seat, i_trp=i_trp, group_destination_id=group_destination_id, **values)


@pytest.mark.parametrize("pool", POOLS)
def test_a_resource_is_told_by_either_of_its_transmissions(pool: CommPool) -> None:
    for n in range(pool.n_pscch_resources):
        for index, prb in pool.pscch_resource(n):
            assert pool.pscch_resource_at(index, prb) == n
    with pytest.raises(PoolError):
        pool.pscch_resource_at(0, 999)


@pytest.mark.parametrize("pool", POOLS)
def test_seats_never_meet_and_are_told_from_their_resources(pool: CommPool) -> None:
    plan = PscchPlan(pool)
    seats = [*plan.seats(False), *plan.seats(True)]
    assert len(seats) >= pool.n_pscch_resources // 2
    for period in range(2 * TURN):
        resources = {plan.n_pscch(seat, period): seat for seat in seats}
        assert len(resources) == len(seats)
        assert all(plan.seat_of(n, period) == seat for n, seat in resources.items())


@pytest.mark.parametrize("pool", [pool_of(), pool_of(4, 50), pool_of(8, 50)])
def test_everybody_comes_to_hear_everybody(pool: CommPool) -> None:
    plan = PscchPlan(pool)
    for one, other in combinations([*plan.seats(False), *plan.seats(True)], 2):
        apart = [plan.subframes(one, period) != plan.subframes(other, period) for period in range(TURN)]
        assert all(apart) if one.of_lower_id != other.of_lower_id else any(apart)


@pytest.mark.parametrize("pool", [pool_of(), pool_of(4, 50), pool_of(8, 50), pool_of(4, sc_period=320)])
def test_mirrored_seats_have_no_subframe_in_common(pool: CommPool) -> None:
    plan = PscchPlan(pool)
    for seat in plan.seats(True):
        assert seat.mirror.mirror == seat
        assert seat.mirror in plan.seats(False)
        for period in range(300):
            assert not plan.subframes(seat, period) & plan.subframes(seat.mirror, period)


@pytest.mark.parametrize(("n_subframes", "apart"), [(8, 1.0), (6, 1.0), (5, 0.8), (3, 0.0)])
def test_pairs_belong_together_as_far_as_subframes_allow(n_subframes: int, apart: float) -> None:
    """Every pair is dealt out once, and both sides of a link get different ones."""
    pool = pool_of(n_subframes, 50)
    plan = PscchPlan(pool)
    good = 0
    for period in range(400):
        sides = [set(plan.common_pair(period, *ids)) for ids in ((5, 9), (9, 5))]
        first, second = ({index for n in side for index, _ in pool.pscch_resource(n)} for side in sides)
        assert not sides[0] & sides[1] and first != second
        good += not first & second
    assert good / 400 >= apart


@pytest.fixture
def plan() -> PscchPlan:
    return PscchPlan(pool_of())


def test_a_grant_is_expected_until_it_was_missed_twice(plan: PscchPlan) -> None:
    neighbours = Neighbours(plan)
    grant = grant_from(Seat(True, 0, 0))
    neighbours.note(grant, 10)
    assert [neighbours.grants(period) == (grant,) for period in (11, 12, 13)] == [True, True, False]


def test_a_grant_that_could_not_be_heard_was_not_missed(plan: PscchPlan) -> None:
    neighbours = Neighbours(plan)
    seat = Seat(True, 0, 0)
    neighbours.note(grant_from(seat), 10)
    for period in range(11, 18):
        neighbours.note_own(plan.subframes(seat, period), period)
    assert len(neighbours.grants(18)) == 1
    assert neighbours.n_senders(18) == 1
    assert neighbours.grants(19) == ()


def test_a_guest_on_another_seat_is_no_second_sender(plan: PscchPlan) -> None:
    neighbours = Neighbours(plan)
    home, away = Seat(True, 0, 0), Seat(True, 1, 1)
    for period in (1, 2):
        neighbours.note(grant_from(home), period)
    for _ in range(2):
        neighbours.note(grant_from(away), 3)
    assert [grant.seat for grant in neighbours.grants(4)] == [home]
    assert neighbours.n_senders(4) == 1
    neighbours.note(grant_from(home), 4)
    assert [grant.seat for grant in neighbours.grants(5)] == [home]


def test_who_stays_on_the_other_seat_has_moved(plan: PscchPlan) -> None:
    neighbours = Neighbours(plan)
    neighbours.note(grant_from(Seat(True, 0, 0)), 1)
    for period in (2, 3):
        neighbours.note(grant_from(Seat(True, 1, 1)), period)
    assert [grant.seat for grant in neighbours.grants(4)] == [Seat(True, 1, 1)]


def test_two_that_chose_the_same_place_are_two(plan: PscchPlan) -> None:
    neighbours = Neighbours(plan)
    for period in (1, 2, 3):
        for row in (0, 1):
            neighbours.note(grant_from(Seat(True, row, 0), group_destination_id=row), period)
    assert len(neighbours.grants(4)) == 2
    assert neighbours.n_senders(4) == 2


def test_neighbours_are_bounded() -> None:
    plan = PscchPlan(pool_of(8, 50))
    neighbours = Neighbours(plan)
    seats = [*plan.seats(False), *plan.seats(True)]
    for period in range(3):
        for number, seat in enumerate(seats):
            neighbours.note(grant_from(seat, first_prb=number), period)
    assert len(neighbours.grants(3)) == 64
    assert neighbours.grants(60) == ()


@given(st.data())
def test_free_transmissions_are_those_of_the_sets(data: st.DataObject) -> None:
    """The words of bits against the definition in sets of subframes."""
    n_subframes = data.draw(st.sampled_from((32, 20, 6)))
    pool = pool_of(data_bitmap="1" * n_subframes + "0" * (40 - n_subframes))
    patterns = st.sampled_from(pool.i_trps)
    grants = st.builds(
        lambda i_trp, first, n, dst, row: grant_from(Seat(True, row, 0), i_trp, dst, first_prb=first, n_prb=n),
        patterns,
        st.integers(0, 20),
        st.integers(1, 12),
        st.sampled_from((1, 2)),
        st.integers(0, 7),
    )
    heard = data.draw(st.lists(grants, max_size=5, unique_by=lambda grant: grant.seat))
    k = data.draw(st.sampled_from((8, 36)))
    i_trps = [k, k + 3, k + 11]
    firsts = [0, 7, 19]
    found = free_transmissions(pool, period=2, i_trps=i_trps, firsts=firsts, n_prb=5, heard=heard, own_id=1)
    wanted = [[_free(pool, grant_from(Seat(False, 0, 0), t, 99, first_prb=f), heard) for t in i_trps] for f in firsts]
    assert np.array_equal(found, wanted)


def _free(pool: CommPool, mine: HeardGrant, heard: list[HeardGrant]) -> int:
    def subframes(grant: HeardGrant) -> list[int]:
        return [s for s, *_ in pool.pssch_transmissions(2, grant.i_trp)]

    def blocks(grant: HeardGrant) -> list[set[int]]:
        used = subframes(grant)
        return [set(used[i : i + 4]) for i in range(0, len(used), 4)]

    def meet(one: HeardGrant, other: HeardGrant) -> bool:
        prbs = [set(range(grant.first_prb, grant.first_prb + grant.n_prb)) for grant in (one, other)]
        return bool(prbs[0] & prbs[1])

    touching = [grant for grant in heard if meet(grant, mine) or grant.group_destination_id == 1]
    taken = {s for grant in touching for s in subframes(grant)}
    worst = min((len(block - taken) for block in blocks(mine)), default=0)
    for grant in touching:
        others = {s for other in heard if other is not grant and meet(other, grant) for s in subframes(other)}
        for block in blocks(grant):
            left = block - others
            if left & set(subframes(mine)):
                worst = min(worst, len(left - set(subframes(mine))))
    return worst


def test_a_seat_is_part_of_a_grant_but_not_of_its_place() -> None:
    grant = grant_from(Seat(True, 0, 0))
    assert grant.is_same_place(replace(grant, seat=Seat(False, 3, 1)))
    assert not grant.is_same_place(replace(grant, n_prb=6))
