"""Autonomous resource selection of transmission mode 2: one sidelink grant for each SC period (TS 36.321 5.14.1.1).

The random function gives each allowed selection equal probability. With `Selection.RANDOM` it draws anew in each
period, as the clause has it, from all PSCCH resources, all patterns of one k_TRP and all first PRBs at multiples of the
width. With `Selection.SENSING` those are allowed that leave the grants of others alone, as far as they were heard, and
a UE keeps its place for some periods, so that others can keep clear of it in turn: what transmission mode 4 does with
its reselection counter, on the channels of mode 2 (beyond the standard; a receiver can't tell the two apart).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from radio.l2.logical_channels import group_destination_id
from radio.l2.lte_mode2.allocation import Allocation, least_mcs, size_allocation
from radio.l2.lte_mode2.coexistence import free_transmissions, n_blocks
from radio.l2.lte_mode2.config import Mode2Config, Selection
from radio.l2.lte_mode2.grant import SlGrant
from radio.l2.lte_mode2.neighbours import HeardGrant, Neighbours
from radio.l2.lte_mode2.pscch_plan import PscchPlan, Seat, pscch_plan
from radio.l2.lte_mode2.reported import ReportedGrants
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.trpt import n_trp, trp_bitmap
from radio.phy.lte.pools.mode2 import CommPool

MIN_FREE_TRANSMISSIONS = 2
"""Transmissions of each transport block that other grants must leave free for a place to be a good one."""
_KEPT_PERIODS = (10, 30)
"""How long a place is kept, drawn evenly: at an SC period of 40 ms near the 0.5 to 1.5 s of mode 4's counter."""
_LONGEST_PAUSE_PERIODS = 2
_TOO_NARROW, _OVER_SHARE = 1.5, 1.25
"""How much narrower than wanted, and how much wider than its share, a kept place may be: shares are estimates."""
_MOST_TOO_WIDE = 2
"""How much wider than its backlog needs a kept place may be."""
_SMALL_CLAIM = 1 / 4
"""What claims less than this part of an equal share, such as acknowledgements, does not count as a sender."""
_WORTH_TAKING = 2
"""A UE takes the unclaimed part of the pool where it is so many times its share: unlike widths fit badly together."""
_MOVE_PROBABILITY = 1 / 3
"""Of a UE whose place has gone bad: where some meet, one should move."""
_MOST_CLAIMED = 1 / 3
"""Of the pool, by others, while a UE may take a place for what has not come yet."""
_PEEK_PROBABILITY, _NEWCOMERS_PEEK_PROBABILITY = 1 / 16, 1 / 4
"""How often a UE announces from another seat, to hear whether another UE has its own."""
_QUIET_PEEK_PROBABILITY = 1 / 64
"""The same where none but those that send to this UE are heard: a look costs both ends half of an SCI."""
_LEFT_PERIODS = 250
_BURST_PERIODS, _NEWCOMER_PERIODS = 2, 10
"""A UE that sends no longer than a burst does not look; one that has just come looks more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a UE's PSSCH stands while it keeps to it; `used_in` is the last period."""

    first_prb: int
    n_prb: int
    i_trp: int
    periods_left: int
    used_in: int


class _SeatKeeper:
    """Where on PSCCH a sensing UE announces its grants.

    A seat that is new is drawn from those that are free and that the UEs that send to this one hear best. Of the two
    ends of a link that both have a seat, the one with the higher id moves to where the other hears it better.
    """

    def __init__(self, plan: PscchPlan, rng: np.random.Generator) -> None:
        self._plan = plan
        self._rng = rng
        self._seat: Seat | None = None
        self._taken_in = self._used_in = 0
        self._left: dict[Seat, int] = {}

    @property
    def home(self) -> Seat | None:
        """The seat it keeps, wherever it announces from at the moment."""
        return self._seat

    def leave(self, period: int) -> None:
        """The seat is of no use: another UE that this one can't hear has it too. It is taken again much later only."""
        if self._seat is not None:
            self._left[self._seat] = period

    def seat(self, period: int, of_lower_id: bool | None, taken: Collection[Seat], peers: Collection[Seat]) -> Seat:
        """The seat to announce from in `period`: of the class asked for, of either for None.

        `taken` are the seats of all others, `peers` those from which grants to this UE are announced.
        """
        self._left = {left: q for left, q in self._left.items() if 0 <= period - q <= _LEFT_PERIODS}
        taken = {*taken, *self._left}
        seat = self._seat
        kept = seat is not None and period - self._used_in <= _LONGEST_PAUSE_PERIODS
        if seat is None or not kept or seat in taken or of_lower_id not in (None, seat.of_lower_id):
            classes = (False, True) if of_lower_id is None else (of_lower_id,)
            seat = self._best([seat for one in classes for seat in self._plan.seats(one)], taken, peers)
            self._taken_in = period
        elif of_lower_id is False and seat.mirror not in peers:
            better = self._best(self._plan.seats(of_lower_id), taken, peers)
            if self._heard_by(better, peers) > self._heard_by(seat, peers):
                seat = better
                self._taken_in = period
        self._seat, self._used_in = seat, period
        age = period - self._taken_in
        probability = _NEWCOMERS_PEEK_PROBABILITY if age < _NEWCOMER_PERIODS else _PEEK_PROBABILITY
        if peers and set(taken) == set(peers):
            probability = _QUIET_PEEK_PROBABILITY
        if age < _BURST_PERIODS or self._rng.random() >= probability:
            return seat
        at_home = self._plan.subframes(seat, period)
        elsewhere = [s for s in self._plan.seats(seat.of_lower_id) if self._plan.subframes(s, period) != at_home]
        return self._free(elsewhere or [seat], taken)

    def _best(self, seats: Sequence[Seat], taken: Collection[Seat], peers: Collection[Seat]) -> Seat:
        free = [seat for seat in seats if seat not in taken] or seats
        most = max(self._heard_by(seat, peers) for seat in free)
        return self._free([seat for seat in free if self._heard_by(seat, peers) == most], ())

    def _heard_by(self, seat: Seat, peers: Collection[Seat]) -> int:
        """In how many periods of a turn peers and this UE hear each other whole, over all peers."""
        return sum(self._plan.n_apart(seat, peer) for peer in peers)

    def _free(self, seats: Sequence[Seat], taken: Collection[Seat]) -> Seat:
        free = [seat for seat in seats if seat not in taken] or seats
        return free[int(self._rng.integers(len(free)))]


class GrantSelector:
    """Chooses the grant of an SC period: size from the backlog and the UE's share of the pool, place by chance.

    Args:
        own_l2_id: SCIs to its group destination id announce what this UE is to hear.
        pool: the transmission pool.
        neighbours: what other UEs have announced.
        rng: the only source of chance.
        reported: what peers hear beside what this UE does.
    """

    def __init__(
        self,
        own_l2_id: int,
        pool: CommPool,
        config: Mode2Config,
        neighbours: Neighbours,
        rng: np.random.Generator,
        reported: ReportedGrants | None = None,
    ) -> None:
        self._own_l2_id = own_l2_id
        self._pool = pool
        self._config = config
        self._neighbours = neighbours
        self._reported = ReportedGrants() if reported is None else reported
        self._rng = rng
        self._n_trp = n_trp(pool.tdd_config)
        self._i_trps_by_k: dict[int, list[int]] = {}
        for i_trp in pool.i_trps:
            self._i_trps_by_k.setdefault(sum(trp_bitmap(i_trp, self._n_trp)), []).append(i_trp)
        self._plan = pscch_plan(pool)
        self._seats = _SeatKeeper(self._plan, rng) if config.selection is Selection.SENSING else None
        self._place: _Place | None = None

    def is_pool_free(self, period: int) -> bool:
        """Whether others leave so much of the pool unclaimed that a UE may take a place for what has not come yet."""
        return self._claimed(self._neighbours.grants(period)) <= _MOST_CLAIMED * self._room()

    def select(
        self,
        period: int,
        dst_l2: int,
        needed_octets: int,
        mcs_limit: int,
        *,
        to_group: bool = False,
        is_compact: bool = False,
        block_octets: int = 0,
    ) -> SlGrant:
        """The grant for `period`, towards `dst_l2`, for a backlog of `needed_octets`.

        With `is_compact` it has as few blocks as can be, spread in time; with `block_octets` as many as can be, each
        for so many octets.
        """
        heard, n_others = self._heard(period, dst_l2)
        widest = self._widest(n_others, heard)
        allocation = size_allocation(
            needed_octets,
            mcs_limit=mcs_limit,
            max_prb=widest,
            max_tb=max(self._n_blocks(period, i_trp) for i_trp in self._pool.i_trps),
            config=self._config,
            is_compact=is_compact,
            block_octets=block_octets,
        )
        is_asked = self._reported.take_request(dst_l2) and len(heard) > len(self._neighbours.grants(period))
        place = None if is_asked else self._kept(period, allocation, widest, heard)
        if place is None:
            place = self._drawn(period, allocation, heard, is_spread=is_compact)
        self._place = place
        mcs = least_mcs(
            max(needed_octets, block_octets * allocation.n_tb),
            mcs_limit=mcs_limit,
            n_prb=place.n_prb,
            n_tb=allocation.n_tb if is_compact or block_octets else self._n_blocks(period, place.i_trp),
            config=self._config,
        )
        n_pscch = self._n_pscch(period, dst_l2, heard, to_group=to_group)
        pscch = self._pool.pscch_resource(n_pscch)
        self._neighbours.note_own([index for index, _ in pscch], period)
        subframes = self._pool.pscch_subframes(period)
        return SlGrant(
            period=period,
            dst_l2=dst_l2,
            sci=SciFormat0(
                riv=encode_riv(place.first_prb, place.n_prb, self._pool.n_rb_sl),
                i_trp=place.i_trp,
                mcs=mcs,
                group_destination_id=group_destination_id(dst_l2),
            ),
            n_pscch=n_pscch,
            first_prb=place.first_prb,
            n_prb=place.n_prb,
            pscch=tuple((subframes[index], prb) for index, prb in pscch),
            pssch=self._pool.pssch_transmissions(period, place.i_trp),
        )

    def _heard(self, period: int, dst_l2: int) -> tuple[tuple[HeardGrant, ...], int]:
        """Grants to be expected that matter to what is sent to a peer, and by how many others."""
        heard = self._neighbours.grants(period)
        audible = self._neighbours.audible(period)
        hidden = tuple(grant for grant in self._reported.grants_at(dst_l2, period) if grant.seat not in audible)
        return (*heard, *hidden), self._neighbours.n_senders(period) + len(hidden)

    def _n_pscch(self, period: int, dst_l2: int, heard: Sequence[HeardGrant], *, to_group: bool) -> int:
        if self._seats is None:
            of_all = range(self._pool.n_pscch_resources)
            allowed = of_all if to_group else self._plan.common_pair(period, self._own_l2_id, dst_l2)
            return allowed[int(self._rng.integers(len(allowed)))]
        own_id = group_destination_id(self._own_l2_id)
        taken = {grant.seat for grant in heard}
        peers = {grant.seat for grant in heard if grant.group_destination_id == own_id}
        if len(heard) > len(self._neighbours.grants(period)):
            peers = set()  # what hears a peer best is where a UE that this one can't hear goes too
        of_lower_id = None if to_group else self._own_l2_id < dst_l2
        if self._reported.take_unheard():
            self._seats.leave(period)
        seat = self._seats.seat(period, of_lower_id, taken, peers)
        self._reported.note_own(seat, self._seats.home, period, dst_l2)
        return self._plan.n_pscch(seat, period)

    def _widest(self, n_others: int, heard: Sequence[HeardGrant]) -> int:
        """PRBs to take at most: an equal share of the pool, or what no UE claims where that is much more.

        The densest pattern takes a part of the subframes only: so many grants of full width fill the pool. A share is
        cut to what stands side by side in such a part: of three shares in two halves two stand in one.
        """
        room, claimed = self._room(), self._claimed(heard)
        n_small = sum(self._claimed([grant]) < _SMALL_CLAIM * room / (1 + n_others) for grant in heard)
        n_equal = 1 + max(n_others - n_small, min(n_others, len(heard) - n_small))
        share = room / n_equal
        n_abreast = -(-n_equal * max(self._i_trps_by_k) // self._n_trp)
        in_place = len(self._pool.pssch_prbs) / n_abreast
        widest = room - claimed if room - claimed >= _WORTH_TAKING * share else in_place
        return min(len(self._pool.pssch_prbs), max(self._config.min_shared_prb, round(widest)))

    def _room(self) -> float:
        """What the pool holds, in PRBs of the densest pattern."""
        return len(self._pool.pssch_prbs) * self._n_trp / max(self._i_trps_by_k)

    def _claimed(self, heard: Sequence[HeardGrant]) -> float:
        """What others have announced, in PRBs of the densest pattern."""
        claimed = sum(grant.n_prb * sum(trp_bitmap(grant.i_trp, self._n_trp)) for grant in heard)
        return claimed / max(self._i_trps_by_k)

    def _kept(self, period: int, allocation: Allocation, widest: int, heard: Sequence[HeardGrant]) -> _Place | None:
        """The place of the last grant, where it may and should be kept."""
        place = self._place
        if place is None or self._seats is None or place.periods_left == 0:
            return None
        fits = allocation.n_prb <= place.n_prb * _TOO_NARROW and place.n_prb <= allocation.n_prb * _MOST_TOO_WIDE
        if not fits or place.n_prb > widest * _OVER_SHARE or self._n_blocks(period, place.i_trp) < allocation.n_tb:
            return None
        if not 0 < period - place.used_in <= _LONGEST_PAUSE_PERIODS:
            return None
        free = self._free_at(period, [place.first_prb], [place.i_trp], place.n_prb, heard)
        if free.item() < MIN_FREE_TRANSMISSIONS and self._rng.random() < _MOVE_PROBABILITY:
            return None
        return replace(place, periods_left=place.periods_left - 1, used_in=period)

    def _drawn(self, period: int, allocation: Allocation, heard: Sequence[HeardGrant], *, is_spread: bool) -> _Place:
        """A place drawn evenly from those that are allowed."""
        allowed = self._allowed(period, allocation, heard, is_spread=is_spread)
        first_prb, i_trp = allowed[int(self._rng.integers(len(allowed)))]
        return _Place(
            first_prb=first_prb,
            n_prb=allocation.n_prb,
            i_trp=i_trp,
            periods_left=int(self._rng.integers(*_KEPT_PERIODS, endpoint=True)),
            used_in=period,
        )

    def _allowed(
        self, period: int, allocation: Allocation, heard: Sequence[HeardGrant], *, is_spread: bool
    ) -> list[tuple[int, int]]:
        """(first PRB, I_TRP) of the selections that are allowed.

        First PRBs are multiples of the width, so that equal widths meet whole or not at all; any first PRB where these
        leave some transport block fewer than MIN_FREE_TRANSMISSIONS.
        """
        i_trps = self._patterns(period, allocation.n_tb, is_dense=bool(heard) and not is_spread)
        last = len(self._pool.pssch_prbs) - allocation.n_prb
        multiples = range(0, last + 1, allocation.n_prb)
        if self._seats is None or not heard:
            return [(first, i_trp) for first in multiples for i_trp in i_trps]
        best: list[tuple[int, int]] = []
        for firsts in (multiples, range(last + 1)):
            free = self._free_at(period, firsts, i_trps, allocation.n_prb, heard)
            best = [(firsts[f], i_trps[t]) for f, t in np.argwhere(free == free.max())]
            if free.max() >= MIN_FREE_TRANSMISSIONS:
                break
        return best

    def _free_at(
        self, period: int, firsts: Sequence[int], i_trps: Sequence[int], n_prb: int, heard: Sequence[HeardGrant]
    ) -> npt.NDArray[np.int64]:
        return free_transmissions(
            self._pool,
            period=period,
            i_trps=i_trps,
            firsts=firsts,
            n_prb=n_prb,
            heard=heard,
            own_id=group_destination_id(self._own_l2_id),
        )

    def _patterns(self, period: int, n_tb: int, *, is_dense: bool) -> Sequence[int]:
        """I_TRP values of the smallest k_TRP that holds the backlog, or of the greatest: while others are heard.

        The smallest spreads the transmissions of a block, so that no short gap takes all of them. But two patterns of k
        = 1 hide each other whole in 1 of 8 cases, a k = 4 hides a k = 1 in 1 of 2, but another k = 4 only in 1 of 70.
        """
        enough = {
            k: [i_trp for i_trp in i_trps if self._n_blocks(period, i_trp) >= n_tb]
            for k, i_trps in self._i_trps_by_k.items()
        }
        ks = [k for k, i_trps in enough.items() if i_trps]
        return enough[max(ks) if is_dense else min(ks)]

    def _n_blocks(self, period: int, i_trp: int) -> int:
        return n_blocks(len(self._pool.pssch_subframes(period)), i_trp, self._n_trp)
