"""How much of the pool a grant takes: MCS, width and number of transport blocks for a backlog.

There is no feedback, so a robust MCS comes first, and the cheapest way to carry more is more blocks in time, then more
width, and a higher MCS only when the pool is not wide enough. Signalling is not cut where that can be helped: a message
in three blocks is lost with any of them, so more width and a higher MCS come before more blocks. Widths are products of
2, 3 and 5, as transform precoding needs. The capacity of a block counts headers roughly: a grant that is a few octets
too small costs one more block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from radio.l2.lte_mode2.config import Mode2Config
from radio.phy.lte.grid.tbs import transport_block_size

_TB_OVERHEAD_OCTETS = 8
"""SL-SCH subheader, a subheader without length, an RLC header."""
_MIN_PAYLOAD_OCTETS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """MCS and width of a grant, and how many transport blocks its backlog fills."""

    mcs: int
    n_prb: int
    n_tb: int


def is_dft_size(n_prb: int) -> bool:
    """Whether n_prb = 2^a 3^b 5^c (TS 36.211 9.3.4); no number below 1 is."""
    if n_prb < 1:
        return False
    for factor in (2, 3, 5):
        while n_prb % factor == 0:
            n_prb //= factor
    return n_prb == 1


@lru_cache(maxsize=128)
def dft_sizes(max_prb: int) -> tuple[int, ...]:
    """Widths a PSSCH may have, ascending, up to `max_prb`."""
    return tuple(n for n in range(1, max_prb + 1) if is_dft_size(n))


def size_allocation(
    needed_octets: int,
    *,
    mcs_limit: int,
    max_prb: int,
    max_tb: int,
    config: Mode2Config,
    is_compact: bool = False,
    block_octets: int = 0,
) -> Allocation:
    """The least that carries a backlog.

    Args:
        needed_octets: the backlog.
        mcs_limit: the highest MCS to use.
        max_prb: the greatest width to take.
        max_tb: transport blocks that the densest pattern has room for.
        config: the robust MCS, and the width that blocks stay below while there may be more of them.
        is_compact: robust MCS, then width, then a higher MCS, and more blocks only where one does not carry it.
            Otherwise robust MCS, then more blocks, then width, then a higher MCS.
        block_octets: where not 0 all `max_tb` blocks are taken, and each carries so many octets.
    """
    sizes = dft_sizes(max_prb)
    mcss = range(min(config.robust_mcs, mcs_limit), mcs_limit + 1)
    first_tb = max_tb if block_octets else 1
    needed = max(needed_octets, block_octets * max_tb)
    tried = (
        ((mcs, n_tb) for n_tb in range(first_tb, max_tb + 1) for mcs in mcss)
        if is_compact
        else ((mcs, n_tb) for mcs in mcss for n_tb in range(first_tb, max_tb + 1))
    )
    for mcs, n_tb in tried:
        widest = max_prb if is_compact or n_tb == max_tb else config.comfortable_prb
        if capacity_octets(mcs, sizes[-1], n_tb) < needed:
            continue
        for n_prb in (n for n in sizes if n <= widest):
            if capacity_octets(mcs, n_prb, n_tb) >= max(needed, n_tb * _MIN_PAYLOAD_OCTETS):
                return Allocation(mcs=mcs, n_prb=n_prb, n_tb=n_tb)
    return Allocation(mcs=mcs_limit, n_prb=sizes[-1], n_tb=max_tb)


def least_mcs(needed_octets: int, *, mcs_limit: int, n_prb: int, n_tb: int, config: Mode2Config) -> int:
    """The most robust MCS at which a given width and number of blocks carry a backlog; `mcs_limit` where none does."""
    robust = min(config.robust_mcs, mcs_limit)
    enough = (mcs for mcs in range(robust, mcs_limit) if capacity_octets(mcs, n_prb, n_tb) >= needed_octets)
    return next(enough, mcs_limit)


def capacity_octets(mcs: int, n_prb: int, n_tb: int) -> int:
    """Octets of RLC SDUs that `n_tb` transport blocks carry, near enough."""
    return n_tb * (transport_block_size(mcs, n_prb) // 8 - _TB_OVERHEAD_OCTETS)
