"""Autonomous resource selection: the standard's random function, and sensing against collisions and half duplex."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from radio.l2.lte_mode2.config import Mode2Config, Selection
from radio.l2.lte_mode2.grant import SlGrant
from radio.l2.lte_mode2.neighbours import HeardGrant, Neighbours
from radio.l2.lte_mode2.pscch_plan import Seat, pscch_plan
from radio.l2.lte_mode2.selection import MIN_FREE_TRANSMISSIONS, GrantSelector
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.trpt import trp_bitmap
from radio.phy.lte.pools.mode2 import CommPool

OWN, PEER = 0xABCDEF, 0x123456
RANDOM, SENSING = Mode2Config(selection=Selection.RANDOM), Mode2Config(selection=Selection.SENSING)
BULK = 10**6


def selector_of(
    pool: CommPool, neighbours: Neighbours | None = None, config: Mode2Config = SENSING, own: int = OWN, seed: int = 3
) -> GrantSelector:
    return GrantSelector(own, pool, config, neighbours or Neighbours(pscch_plan(pool)), np.random.default_rng(seed))


def heard_grant(
    i_trp: int, *, group_destination_id: int = 1, row: int = 0, first_prb: int = 0, n_prb: int = 4
) -> HeardGrant:
    return HeardGrant(
        seat=Seat(True, row, 0),
        first_prb=first_prb,
        n_prb=n_prb,
        i_trp=i_trp,
        group_destination_id=group_destination_id,
    )


def test_k_trp_follows_the_backlog_while_nobody_is_heard(pool: CommPool) -> None:
    k_of = {}
    for needed in (80, 450, 1500):
        grant = selector_of(pool).select(0, PEER, needed, 5)
        k_of[needed] = sum(trp_bitmap(grant.sci.i_trp))
    assert k_of == {80: 1, 450: 2, 1500: 4}


def test_random_selection_is_uniform_and_new_in_each_period(pool: CommPool) -> None:
    """TS 36.321 5.14.1.1: each of the allowed selections with equal probability."""
    selector = selector_of(pool, config=RANDOM)
    grants = [selector.select(period, PEER, 1500, 5) for period in range(4000)]
    n_pscch = Counter(grant.n_pscch for grant in grants)
    i_trp = Counter(grant.sci.i_trp for grant in grants)
    first_prb = Counter(grant.first_prb for grant in grants)
    assert set(n_pscch) == set(range(pool.n_pscch_resources))
    assert set(i_trp) == set(range(36, 106))
    assert len(first_prb) == 50 // grants[0].n_prb
    for counted in (n_pscch, i_trp, first_prb):
        assert max(counted.values()) < 2 * 4000 / len(counted)


def test_a_sensing_ue_keeps_its_place_for_a_while(pool: CommPool) -> None:
    selector = selector_of(pool)
    places = [(g.first_prb, g.n_prb, g.sci.i_trp) for g in (selector.select(p, PEER, 1500, 5) for p in range(600))]
    changes = [p for p in range(1, 600) if places[p] != places[p - 1]]
    kept = np.diff([0, *changes])
    assert kept.min() >= 11 and kept.max() <= 2 * 31
    assert len(set(places)) > 20


def test_a_pause_or_a_much_smaller_backlog_gives_the_place_up(pool: CommPool) -> None:
    for paused, needed in ((8, BULK), (1, 60)):
        moved = 0
        for seed in range(20):
            selector = selector_of(pool, seed=seed)
            before = selector.select(0, PEER, BULK, 5)
            after = selector.select(paused, PEER, needed, 5)
            moved += (before.sci.i_trp, before.n_prb) != (after.sci.i_trp, after.n_prb)
        assert moved >= 15


def test_the_ends_of_a_link_never_announce_in_the_same_two_subframes(pool: CommPool) -> None:
    ends = [selector_of(pool, own=OWN, seed=1), selector_of(pool, own=PEER, seed=2)]
    for period in range(1000):
        mine, theirs = (
            {s for s, _ in end.select(period, other, 200, 5).pscch}
            for end, other in zip(ends, (PEER, OWN), strict=True)
        )
        assert mine != theirs


def both_ends(pool: CommPool, config: Mode2Config, n_periods: int) -> list[list[SlGrant]]:
    """Grants of the two ends of a link that both send in every period and hear each other's SCIs where they can."""
    ids = (PEER, OWN)
    known = [Neighbours(pscch_plan(pool)) for _ in ids]
    ends = [selector_of(pool, known[i], config, ids[i], seed=i) for i in (0, 1)]
    periods = []
    for period in range(n_periods):
        grants = [ends[i].select(period, ids[1 - i], 200, 5) for i in (0, 1)]
        for i in (0, 1):
            heard = _as_heard(pool, grants[i])
            if heard is not None and {s for s, _ in grants[i].pscch} - {s for s, _ in grants[1 - i].pscch}:
                known[1 - i].note(heard, period)
        periods.append(grants)
    return periods


def n_copies_heard(grants: list[SlGrant]) -> int:
    """Transmissions of an SCI that the end of a link that sends its own SCI hears."""
    mine, theirs = ({s for s, _ in grant.pscch} for grant in grants)
    return len(mine - theirs)


@pytest.mark.parametrize("n_prb", [50, 25])
def test_sensing_ends_of_a_link_hear_both_transmissions_of_each_other(pool: CommPool, n_prb: int) -> None:
    narrow = replace(pool, n_rb_sl=n_prb, sc_prb_num=n_prb // 2, sc_prb_end=n_prb - 1, data_prb_end=n_prb - 1)
    narrow = replace(narrow, data_prb_num=n_prb // 2)
    copies = Counter(n_copies_heard(grants) for grants in both_ends(narrow, SENSING, 1000))
    assert copies[0] == 0
    assert copies[2] >= 950


def test_ends_that_draw_at_random_hear_both_and_use_every_resource_alike(pool: CommPool) -> None:
    periods = both_ends(pool, RANDOM, 4000)
    assert {n_copies_heard(grants) for grants in periods} == {2}
    for end in (0, 1):
        counted = Counter(grants[end].n_pscch for grants in periods)
        assert set(counted) == set(range(pool.n_pscch_resources))
        assert max(counted.values()) < 2 * 4000 / pool.n_pscch_resources


def test_random_ends_agree_however_long_each_has_counted(pool: CommPool) -> None:
    """Unwrapped counters of UEs differ by whole DFN cycles of 256 periods here."""
    plan = pscch_plan(pool)
    for period in range(60):
        assert plan.common_pair(period, OWN, PEER) == plan.common_pair(period + 256, OWN, PEER)


def test_leaves_of_a_star_hear_the_hub_better_than_by_chance(pool: CommPool) -> None:
    """One seat is the mirror of the hub's; the others take those next best. By chance 1 of 3 periods is good."""
    plan = pscch_plan(pool)
    hub = Seat(True, 4, 1)
    taken: set[Seat] = {hub}
    apart = []
    for leaf in range(4):
        neighbours = Neighbours(plan)
        for seat in taken:
            neighbours.note(
                replace(heard_grant(40 + leaf, group_destination_id=0xEF if seat == hub else 1), seat=seat), 3
            )
        grant = selector_of(pool, neighbours, own=OWN, seed=leaf).select(4, PEER, 100, 5)
        seat = plan.seat_of(grant.n_pscch, 4)
        assert seat is not None and seat not in taken
        taken.add(seat)
        apart.append(plan.n_apart(seat, hub))
    assert apart[0] == max(apart)
    assert seat_turn(pool) == apart[0]
    assert min(apart) >= 2


def seat_turn(pool: CommPool) -> int:
    """Periods in which all steps of seats come again."""
    plan = pscch_plan(pool)
    return plan.n_apart(Seat(True, 0, 0), Seat(False, 0, 0))


def test_an_idle_end_moves_to_the_mirror_of_the_other(pool: CommPool) -> None:
    """Of two ends that sit badly the one with the higher id moves, the other stays."""
    plan = pscch_plan(pool)
    for own, peer, moves in ((OWN, PEER, True), (PEER, OWN, False)):
        neighbours = Neighbours(plan)
        selector = selector_of(pool, neighbours, own=own)
        before = plan.seat_of(selector.select(0, peer, 100, 5).n_pscch, 0)
        assert before is not None
        theirs = Seat(not before.of_lower_id, (before.row + 1) % 8, (before.column + 1) % 3)
        neighbours.note(replace(heard_grant(40, group_destination_id=own & 0xFF), seat=theirs), 0)
        after = plan.seat_of(selector.select(1, peer, 100, 5).n_pscch, 1)
        assert after == (theirs.mirror if moves else before)


@pytest.mark.parametrize("heard", [0, 8, 36, 70, 105])
@pytest.mark.parametrize("to_me", [True, False])
def test_pattern_leaves_both_sides_two_transmissions_free(pool: CommPool, heard: int, to_me: bool) -> None:
    """The peer is deaf while it sends, wherever its PRBs are; of others only those on the same PRBs matter."""
    neighbours = Neighbours(pscch_plan(pool))
    neighbours.note(heard_grant(heard, group_destination_id=OWN & 0xFF if to_me else 1, n_prb=50), 4)
    for seed in range(40):
        grant = selector_of(pool, neighbours, seed=seed).select(5, PEER, 100, 14)
        for mine, theirs in ((grant.sci.i_trp, heard), (heard, grant.sci.i_trp)):
            subframes = [s for s, *_ in pool.pssch_transmissions(5, mine)]
            taken = {s for s, *_ in pool.pssch_transmissions(5, theirs)}
            blocks = [set(subframes[i : i + 4]) for i in range(0, len(subframes), 4)]
            assert min(len(block - taken) for block in blocks) >= (0 if heard < 8 else MIN_FREE_TRANSMISSIONS)


def test_prbs_of_others_are_left_alone_where_there_is_room(pool: CommPool) -> None:
    neighbours = Neighbours(pscch_plan(pool))
    for row, first_prb in enumerate((0, 25)):
        neighbours.note(heard_grant(70, row=row, first_prb=first_prb, n_prb=20), 4)
    for seed in range(40):
        grant = selector_of(pool, neighbours, seed=seed).select(5, PEER, 60, 5)
        ours = set(range(grant.first_prb, grant.first_prb + grant.n_prb))
        assert (grant.n_prb <= 5 and not ours & ({*range(20)} | {*range(25, 45)})) or _apart(pool, grant, 70)


def _apart(pool: CommPool, grant: SlGrant, i_trp: int) -> bool:
    used = {s for s, *_ in pool.pssch_transmissions(grant.period, i_trp)}
    return not used & {s for s, *_ in grant.pssch}


def test_a_pattern_nothing_is_clear_of_still_gives_a_grant(pool: CommPool) -> None:
    neighbours = Neighbours(pscch_plan(pool))
    neighbours.note(heard_grant(106, n_prb=50), 0)
    assert selector_of(pool, neighbours).select(1, PEER, 100, 14).n_tb >= 1


@pytest.mark.parametrize("n_subframes", [35, 20, 6, 3])
@pytest.mark.parametrize("config", [RANDOM, SENSING])
def test_pools_that_patterns_do_not_divide(pool: CommPool, n_subframes: int, config: Mode2Config) -> None:
    """Patterns of one k_TRP then have room for unlike numbers of blocks, some for none."""
    odd = replace(pool, data_bitmap="1" * n_subframes + "0" * (40 - n_subframes))
    most = max(len(odd.pssch_transmissions(0, i_trp)) // 4 for i_trp in odd.i_trps)
    for heard in ((), (0, 20, 70)):
        neighbours = Neighbours(pscch_plan(odd))
        for row, i_trp in enumerate(heard):
            neighbours.note(heard_grant(i_trp, row=row, n_prb=50), 4)
        selector = selector_of(odd, neighbours, config)
        assert selector.select(5, PEER, BULK, 14).n_tb == most
        assert selector.select(6, PEER, 60, 14).n_tb >= min(1, most)


def test_ues_that_hear_others_take_their_share(pool: CommPool) -> None:
    """The densest pattern takes half of the subframes: two full widths fill the pool."""
    widths = []
    for n_others in (0, 1, 3, 7):
        neighbours = Neighbours(pscch_plan(pool))
        for period in range(3):
            for row in range(n_others):
                neighbours.note(heard_grant(40 + row, row=row, n_prb=96 // n_others), period)
        widths.append(selector_of(pool, neighbours).select(3, PEER, BULK, 14).n_prb)
    assert widths == [50, 50, 25, 12]


def test_what_nobody_claims_may_be_taken(pool: CommPool) -> None:
    neighbours = Neighbours(pscch_plan(pool))
    for period in range(3):
        for row in range(7):
            neighbours.note(heard_grant(40 + row, row=row, n_prb=4), period)
    assert selector_of(pool, neighbours).select(3, PEER, BULK, 14).n_prb == 50


@dataclass(frozen=True)
class Shared:
    """What became of a cell's transport blocks, as shares of what the pool holds."""

    carried: float
    scis_lost: float


def cell_of(pool: CommPool, n_ues: int, config: Mode2Config, n_periods: int, *, both_ways: bool) -> Shared:
    """UEs that always have data, in pairs, all in earshot; what collides, or meets a deaf receiver, is lost."""
    ids = [0x5C1A01 + 0x101 * i for i in range(n_ues)]
    known = [Neighbours(pscch_plan(pool)) for _ in ids]
    selectors = [selector_of(pool, known[i], config, ids[i], seed=i) for i in range(n_ues)]
    carried = lost = sent = 0
    for period in range(n_periods):
        senders = range(0, n_ues, 1 if both_ways else 2)
        grants = {i: selectors[i].select(period, ids[i ^ 1], BULK, 14) for i in senders}
        for i, j in ((i, j) for i in grants for j in range(n_ues) if j != i):
            heard = _as_heard(pool, grants[i])
            if heard is not None and _hears(grants, i, j):
                known[j].note(heard, period)
        for i, grant in grants.items():
            sent += 1
            if _hears(grants, i, i ^ 1):
                carried += grant.n_prb * sum(_arrives(grants, i, block) for block in _blocks(grant))
            else:
                lost += 1
    capacity = len(pool.pssch_prbs) * (len(pool.pssch_subframes(0)) // 4) * n_periods
    return Shared(carried / capacity, lost / sent)


def _hears(grants: dict[int, SlGrant], i: int, j: int) -> bool:
    deaf = {s for s, _ in grants[j].pscch} if j in grants else set()
    taken = {place for k, grant in grants.items() if k != i for place in grant.pscch}
    return any(s not in deaf and (s, prb) not in taken for s, prb in grants[i].pscch)


def _arrives(grants: dict[int, SlGrant], i: int, block: set[int]) -> bool:
    mine = grants[i]
    for j, other in grants.items():
        meets = other.first_prb < mine.first_prb + mine.n_prb and mine.first_prb < other.first_prb + other.n_prb
        if j != i and (meets or j == i ^ 1):
            block = block - {s for s, *_ in other.pssch}
    return bool(block)


def _blocks(grant: SlGrant) -> Iterator[set[int]]:
    subframes = [s for s, *_ in grant.pssch]
    return (set(subframes[i : i + 4]) for i in range(0, len(subframes), 4))


def _as_heard(pool: CommPool, grant: SlGrant) -> HeardGrant | None:
    seat = pscch_plan(pool).seat_of(grant.n_pscch, grant.period)
    if seat is None:
        return None
    return HeardGrant(
        seat=seat,
        first_prb=grant.first_prb,
        n_prb=grant.n_prb,
        i_trp=grant.sci.i_trp,
        group_destination_id=grant.sci.group_destination_id,
    )


@pytest.mark.parametrize(("n_ues", "both_ways"), [(2, True), (8, True), (8, False), (16, True), (16, False)])
def test_a_crowd_shares_the_pool(pool: CommPool, n_ues: int, both_ways: bool) -> None:
    shared = cell_of(pool, n_ues, SENSING, 120, both_ways=both_ways)
    assert shared.carried >= 0.85
    assert shared.scis_lost <= 0.05


def test_random_selection_loses_what_sensing_saves(pool: CommPool) -> None:
    """The ends of a link hear each other's SCIs all the same; a crowd collides."""
    assert cell_of(pool, 2, RANDOM, 400, both_ways=True).scis_lost == 0
    assert cell_of(pool, 8, RANDOM, 120, both_ways=True).carried < 0.6


def test_the_scheduler_notes_only_what_makes_sense_in_its_pool(make_stack: Callable[..., Any], pool: CommPool) -> None:
    stack = make_stack(OWN).scheduler
    (index, prb), _ = pool.pscch_resource(3)
    subframe = pool.pscch_subframes(0)[index]
    for i_trp in range(128):
        stack.note_sci(subframe, prb, SciFormat0(riv=encode_riv(0, 4, 50), i_trp=i_trp, mcs=5, group_destination_id=1))
    stack.note_sci(subframe, prb, SciFormat0(riv=(1 << 11) - 1, i_trp=40, mcs=5, group_destination_id=1))
    stack.note_sci(subframe + 20, prb, SciFormat0(riv=0, i_trp=40, mcs=5, group_destination_id=1))
    (noted,) = stack._neighbours.grants(1)
    assert (noted.i_trp, noted.first_prb, noted.n_prb) == (106, 0, 4)
