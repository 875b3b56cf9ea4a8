"""Autonomous resource selection of transmission mode 2: one sidelink grant for each SC period (TS 36.321 5.14.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from radio.l2.config import L2Config
from radio.l2.logical_channels import group_destination_id
from radio.l2.neighbours import Neighbours
from radio.phy.pools import RV_SEQUENCE, CommPool
from radio.phy.riv import encode_riv
from radio.phy.sci import SciFormat0
from radio.phy.tbs import transport_block_size
from radio.phy.transmissions import PscchTx, PsschTx
from radio.phy.trpt import n_trp, trp_bitmap

_TB_OVERHEAD_OCTETS = 8
"""SL-SCH subheader, a subheader without length, an RLC header."""
_MIN_PAYLOAD_OCTETS = 16
_MAX_I_TRP_TRIES = 16
MIN_FREE_TRANSMISSIONS = 2
"""Transmissions of each transport block that another UE's pattern must leave free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlGrant:
    """What a UE announces in one SCI and keeps to for an SC period.

    `pscch` holds (subframe, PRB), `pssch` (subframe, n_ssf, transport block index, rv) of each transmission.
    """

    period: int
    dst_l2: int
    sci: SciFormat0
    n_pscch: int
    first_prb: int
    n_prb: int
    pscch: tuple[tuple[int, int], ...]
    pssch: tuple[tuple[int, int, int, int], ...]

    @property
    def tb_octets(self) -> int:
        """Octets of each transport block."""
        return transport_block_size(self.sci.mcs, self.n_prb) // 8

    @property
    def n_tb(self) -> int:
        """Transport blocks there is room for in the period."""
        return len(self.pssch) // len(RV_SEQUENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """MCS and width of a grant, and how many transport blocks its backlog fills."""

    mcs: int
    n_prb: int
    n_tb: int


def is_dft_size(n_prb: int) -> bool:
    """Whether n_prb = 2^a 3^b 5^c (TS 36.211 9.3.4)."""
    for factor in (2, 3, 5):
        while n_prb % factor == 0:
            n_prb //= factor
    return n_prb == 1


def size_allocation(needed_octets: int, *, mcs_limit: int, max_prb: int, max_tb: int, config: L2Config) -> Allocation:
    """The least that carries a backlog: robust MCS first, then more blocks, then width, then a higher MCS."""
    sizes = [n for n in range(1, max_prb + 1) if is_dft_size(n)]
    for mcs in range(min(config.robust_mcs, mcs_limit), mcs_limit + 1):
        if _capacity_octets(mcs, sizes[-1], max_tb) < needed_octets:
            continue
        for n_tb in range(1, max_tb + 1):
            widest = config.comfortable_prb if n_tb < max_tb else max_prb
            for n_prb in (n for n in sizes if n <= widest):
                if _capacity_octets(mcs, n_prb, n_tb) >= max(needed_octets, n_tb * _MIN_PAYLOAD_OCTETS):
                    return Allocation(mcs=mcs, n_prb=n_prb, n_tb=n_tb)
    return Allocation(mcs=mcs_limit, n_prb=sizes[-1], n_tb=max_tb)


def _capacity_octets(mcs: int, n_prb: int, n_tb: int) -> int:
    return n_tb * (transport_block_size(mcs, n_prb) // 8 - _TB_OVERHEAD_OCTETS)


class GrantSelector:
    """Chooses the grant of an SC period: size from the backlog, place at random.

    Args:
        own_l2_id: SCIs to its group destination id come from the other end and take nothing from this UE's share.
        pool: the transmission pool.
        neighbours: what other UEs have announced.
        rng: the only source of chance.
    """

    def __init__(
        self, own_l2_id: int, pool: CommPool, config: L2Config, neighbours: Neighbours, rng: np.random.Generator
    ) -> None:
        self._own_l2_id = own_l2_id
        self._pool = pool
        self._config = config
        self._neighbours = neighbours
        self._rng = rng
        self._n_trp = n_trp(pool.tdd_config)

    def select(self, period: int, dst_l2: int, needed_octets: int, mcs_limit: int) -> SlGrant:
        """The grant for `period`, towards `dst_l2`, for a backlog of `needed_octets`."""
        allocation = size_allocation(
            needed_octets,
            mcs_limit=mcs_limit,
            max_prb=self._share_of_pool(period),
            max_tb=max(self._tbs_of_k(period, k) for k in self._i_trps_by_k()),
            config=self._config,
        )
        i_trp = self._choose_i_trp(period, allocation.n_tb)
        first = self._choose_first_prb(allocation.n_prb)
        n_pscch = int(self._rng.integers(self._pool.n_pscch_resources))
        pscch_subframes = self._pool.pscch_subframes(period)
        return SlGrant(
            period=period,
            dst_l2=dst_l2,
            sci=SciFormat0(
                riv=encode_riv(first, allocation.n_prb, self._pool.n_rb_sl),
                i_trp=i_trp,
                mcs=allocation.mcs,
                group_destination_id=group_destination_id(dst_l2),
            ),
            n_pscch=n_pscch,
            first_prb=first,
            n_prb=allocation.n_prb,
            pscch=tuple((pscch_subframes[i], prb) for i, prb in self._pool.pscch_resource(n_pscch)),
            pssch=self._pool.pssch_transmissions(period, i_trp),
        )

    def _share_of_pool(self, period: int) -> int:
        """PRBs to take at most: as many UEs as are heard, this one included, share the pool."""
        n_prb = len(self._pool.pssch_prbs)
        others = self._neighbours.n_others(period, group_destination_id(self._own_l2_id))
        return min(n_prb, max(self._config.min_shared_prb, n_prb // (1 + others)))

    def _choose_first_prb(self, n_prb: int) -> int:
        """A random multiple of the width, so that equal allocations meet whole or not at all."""
        return n_prb * int(self._rng.integers(len(self._pool.pssch_prbs) // n_prb))

    def _i_trps_by_k(self) -> dict[int, list[int]]:
        by_k: dict[int, list[int]] = {}
        for i_trp in self._pool.i_trps:
            by_k.setdefault(sum(trp_bitmap(i_trp, self._n_trp)), []).append(i_trp)
        return by_k

    def _tbs_of_k(self, period: int, k: int) -> int:
        return max(1, len(self._pool.pssch_subframes(period)) * k // self._n_trp // len(RV_SEQUENCE))

    def _choose_i_trp(self, period: int, n_tb: int) -> int:
        """A random pattern, of the smallest k_TRP that holds the backlog, or of the greatest while others are heard.

        Two patterns of k = 1 hide each other whole in 1 of 8 cases, a k = 4 hides a k = 1 in 1 of 2, but another
        k = 4 only in 1 of 70.
        """
        by_k = self._i_trps_by_k()
        heard = self._neighbours.i_trps(period)
        enough = [k for k in by_k if self._tbs_of_k(period, k) >= n_tb]
        candidates = by_k[max(by_k) if heard or not enough else min(enough)]
        tries = [candidates[int(i)] for i in self._rng.integers(len(candidates), size=_MAX_I_TRP_TRIES)]
        free = {i_trp: self._least_free(period, i_trp, heard) for i_trp in tries}
        return next(
            (i_trp for i_trp in tries if free[i_trp] >= MIN_FREE_TRANSMISSIONS), max(tries, key=free.__getitem__)
        )

    def _least_free(self, period: int, i_trp: int, heard: Sequence[int]) -> int:
        """Fewest transmissions of any one transport block, own or heard, that the other pattern leaves free."""
        own = self._subframes_by_tb(period, i_trp)
        free = len(RV_SEQUENCE)
        for other in heard:
            theirs = self._subframes_by_tb(period, other)
            free = min(free, *_free_of_each(own, theirs), *_free_of_each(theirs, own))
        return free

    def _subframes_by_tb(self, period: int, i_trp: int) -> list[frozenset[int]]:
        subframes = [subframe for subframe, *_ in self._pool.pssch_transmissions(period, i_trp)]
        step = len(RV_SEQUENCE)
        return [frozenset(subframes[i : i + step]) for i in range(0, len(subframes), step)]


def _free_of_each(blocks: Sequence[frozenset[int]], against: Sequence[frozenset[int]]) -> list[int]:
    taken = frozenset[int]().union(*against)
    return [len(block - taken) for block in blocks]


class ActiveGrant:
    """Plays a grant out subframe by subframe; a transport block is built when its first transmission is due.

    Args:
        grant: the grant.
        build: makes the next transport block of a number of octets, None where nothing is left to send.
    """

    def __init__(self, grant: SlGrant, pool: CommPool, build: Callable[[int], bytes | None]) -> None:
        self.grant = grant
        self._pool = pool
        self._build = build
        self._tb_index = -1
        self._transport_block: bytes | None = None

    def transmissions(self, subframe: int) -> list[PscchTx | PsschTx]:
        """What the grant sends in `subframe`."""
        control = [PscchTx(prb=prb, sci=self.grant.sci) for s, prb in self.grant.pscch if s == subframe]
        data = [self._pssch(*rest) for s, *rest in self.grant.pssch if s == subframe]
        return [*control, *(tx for tx in data if tx is not None)]

    def _pssch(self, n_ssf: int, tb_index: int, rv: int) -> PsschTx | None:
        if rv == RV_SEQUENCE[0]:
            self._tb_index = tb_index
            self._transport_block = self._build(self.grant.tb_octets)
        if self._transport_block is None or self._tb_index != tb_index:
            return None
        return PsschTx(
            prbs=self._pool.prbs(self.grant.first_prb, self.grant.n_prb, n_ssf),
            mcs=self.grant.sci.mcs,
            n_id_sa=self.grant.sci.group_destination_id,
            n_ssf=n_ssf,
            rv=rv,
            transport_block=self._transport_block,
        )
