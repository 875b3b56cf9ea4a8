"""The scheduler of transmission mode 2: which SCIs and transport blocks a UE sends when (TS 36.321 5.14.1).

At the start of each SC period it asks layer 2 which pair to serve (`BlockSource.next_demand`), chooses a grant from
what the SCIs of others leave free, a standing one where nothing waits but may come soon (`standing_grant`), and plays
the grant out: the SCI on two PSCCH resources, then transport blocks, four transmissions each, whose octets it asks
layer 2 for when the first of the four is due.

It learns from the PHY: `note_sci` for every SCI heard, `note_quality` for every block a peer sent to this UE.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from radio.errors import RadioError
from radio.l2.blocks import AddressPair, BlockSource
from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.grant import ActiveGrant, SlGrant
from radio.l2.lte_mode2.link_quality import LinkQuality
from radio.l2.lte_mode2.neighbours import HeardGrant, Neighbours
from radio.l2.lte_mode2.pscch_plan import pscch_plan
from radio.l2.lte_mode2.selection import GrantSelector
from radio.l2.lte_mode2.standing_grant import StandingGrant
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsschTx
from radio.phy.lte.grid.trpt import n_trp, trp_bitmap
from radio.phy.lte.pools.mode2 import CommPool


class Mode2Scheduler:
    """One UE's autonomous resource selection in one transmission pool.

    Args:
        own_l2_id: this UE's 24-bit layer-2 id.
        pool: the pool it transmits in.
        blocks: layer 2, which says what waits and builds the blocks.
        rng: the only source of chance.
        config: settings.
    """

    def __init__(
        self,
        own_l2_id: int,
        pool: CommPool,
        blocks: BlockSource,
        rng: np.random.Generator,
        config: Mode2Config | None = None,
    ) -> None:
        config = config or Mode2Config()
        self._pool = pool
        self._blocks = blocks
        self._neighbours = Neighbours(pscch_plan(pool))
        self._quality = LinkQuality(config)
        self._selector = GrantSelector(own_l2_id, pool, config, self._neighbours, rng)
        self._standing = StandingGrant(-(-config.standing_ms // pool.sc_period))
        self._grants: dict[int, ActiveGrant] = {}

    def start_period(self, period: int) -> SlGrant | None:
        """Choose the grant of an SC period, before its first PSCCH subframe; None where nothing waits or may come."""
        self._grants = {known: grant for known, grant in self._grants.items() if abs(period - known) == 1}
        demand = self._blocks.next_demand()
        if demand is not None:
            self._standing.note_demand(demand, period)
        block_octets = self._standing.block_octets(period) if self._selector.is_pool_free(period) else 0
        if demand is None:
            demand = self._standing.demand if block_octets else None
        if demand is None:
            return None
        pair, peer_l2 = demand.pair, demand.pair.dst_l2
        is_signalling = demand.signalling_octets > 0
        mcs_limit = self._quality.signalling_mcs_limit(peer_l2) if is_signalling else self._quality.mcs_limit(peer_l2)
        grant = self._selector.select(
            period,
            peer_l2,
            demand.octets,
            mcs_limit,
            to_group=demand.to_group,
            is_compact=2 * demand.signalling_octets > demand.octets,
            block_octets=0 if is_signalling or pair != self._standing.pair else block_octets,
        )
        self._grants[period] = ActiveGrant(grant, self._pool, partial(self._build_block, pair))
        return grant

    def block_octets(self, dst_l2: int) -> int:
        """Octets of the transport blocks that a destination is sent in the period that runs; 0 without a grant."""
        grants = (active.grant for active in self._grants.values())
        return max((grant.tb_octets for grant in grants if grant.dst_l2 == dst_l2), default=0)

    def transmissions(self, subframe: int) -> list[PscchTx | PsschTx]:
        """What MAC sends in `subframe`; to be asked once for each, in order."""
        active = self._grants.get(self._pool.period_of(subframe))
        return active.transmissions(subframe) if active else []

    def note_sci(self, subframe: int, prb: int, sci: SciFormat0) -> None:
        """Another UE's SCI was heard: its resources are kept clear of, if they make sense in this pool."""
        period = self._pool.period_of(subframe)
        try:
            n_pscch = self._pool.pscch_resource_at(self._pool.pscch_subframes(period).index(subframe), prb)
            trp_bitmap(sci.i_trp, n_trp(self._pool.tdd_config))
            first_prb, n_prb = self._pool.allocation(sci)
        except (RadioError, ValueError):
            return
        seat = pscch_plan(self._pool).seat_of(n_pscch, period)
        if seat is None:
            return
        if sci.hopping:
            first_prb, n_prb = 0, len(self._pool.pssch_prbs)
        grant = HeardGrant(
            seat=seat,
            first_prb=first_prb,
            n_prb=n_prb,
            i_trp=sci.i_trp,
            group_destination_id=sci.group_destination_id,
        )
        self._neighbours.note(grant, period)

    def note_quality(self, peer_l2: int, snr_db: float) -> None:
        """A peer's signal was measured; it bounds the MCS towards that peer."""
        self._quality.note(peer_l2, snr_db)

    def note_anyone(self, snr_db: float) -> None:
        """The signal of a UE was measured that may be any of those this UE is going to call."""
        self._quality.note_anyone(snr_db)

    def _build_block(self, pair: AddressPair, n_octets: int, subframe: int) -> bytes | None:
        block = self._blocks.build_block(pair, n_octets, subframe)
        if block is not None:
            self._standing.note_block(pair, self._pool.period_of(subframe))
        return block
