"""Which grants leave each other's transport blocks alone: collisions in frequency, and deafness while sending.

A transport block is sent four times, and mostly two clean transmissions are enough. So what matters of a place for a
grant is how many transmissions it leaves to the block that is worst off, own or heard. A transmission is lost where
another grant has the same subframe and PRBs; and, since a UE can't hear while it sends, between this UE and a UE that
sends to it wherever both use the same subframe. Grants that collide with each other anyway are not held against a
place: only what the place would take away counts.

Subframes of the PSSCH pool are bits of 64-bit words, the first one the lowest bit, so that a pattern is a word, a block
is a word, and counting is a population count over arrays of all patterns and all first PRBs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from radio.l2.lte_mode2.neighbours import HeardGrant
from radio.phy.lte.grid.trpt import n_trp, trp_bitmap
from radio.phy.lte.pools.mode2 import RV_SEQUENCE, CommPool

Words = npt.NDArray[np.uint64]
_MAX_SUBFRAMES = 64


@lru_cache(maxsize=4096)
def n_blocks(n_subframes: int, i_trp: int, n_trp_bits: int) -> int:
    """Transport blocks a pattern has room for in a PSSCH pool of `n_subframes`."""
    bitmap = trp_bitmap(i_trp, n_trp_bits)
    return sum(bitmap[j % len(bitmap)] for j in range(n_subframes)) // len(RV_SEQUENCE)


@lru_cache(maxsize=1024)
def block_words(n_subframes: int, i_trp: int, n_trp_bits: int) -> Words:
    """Subframes of each transport block of a pattern, uint64 [n_tb], in a PSSCH pool of `n_subframes`."""
    bitmap = trp_bitmap(i_trp, n_trp_bits)
    used = [j for j in range(min(n_subframes, _MAX_SUBFRAMES)) if bitmap[j % len(bitmap)]]
    step = len(RV_SEQUENCE)
    blocks = [used[i : i + step] for i in range(0, len(used) // step * step, step)]
    words = np.array([sum(1 << j for j in block) for block in blocks], dtype=np.uint64)
    words.setflags(write=False)
    return words


def free_transmissions(
    pool: CommPool,
    *,
    period: int,
    i_trps: Sequence[int],
    firsts: Sequence[int],
    n_prb: int,
    heard: Sequence[HeardGrant],
    own_id: int,
) -> npt.NDArray[np.int64]:
    """Transmissions that the worst-off transport block keeps, own or heard, for each place a grant might take.

    A transmission is lost where another grant uses the same subframe and PRB, and, between this UE and a UE that sends
    to it, where both send at once.

    Args:
        pool: the pool all of them are in.
        period: the SC period the grant is for.
        i_trps: patterns to try.
        firsts: first PRBs to try.
        n_prb: width of the grant.
        heard: grants of others to be expected.
        own_id: the group destination id under which grants to this UE are announced.

    Returns: int64 [len(firsts), len(i_trps)], 0..4; 0 for a pattern that has room for no block.
    """
    n_subframes, bits = len(pool.pssch_subframes(period)), n_trp(pool.tdd_config)
    words_of = [block_words(n_subframes, i_trp, bits) for i_trp in i_trps]
    blocks = _stacked(words_of)
    patterns = np.bitwise_or.reduce(blocks, axis=1)
    theirs = [block_words(n_subframes, grant.i_trp, bits) for grant in heard]
    their_patterns = [np.bitwise_or.reduce(words, initial=np.uint64(0)) for words in theirs]
    meets = np.array(
        [
            [first < grant.first_prb + grant.n_prb and grant.first_prb < first + n_prb for grant in heard]
            for first in firsts
        ],
        dtype=bool,
    ).reshape(len(firsts), len(heard))
    to_me = np.array([grant.group_destination_id == own_id for grant in heard], dtype=bool)

    taken = np.zeros(len(firsts), dtype=np.uint64)
    for g, pattern in enumerate(their_patterns):
        taken[meets[:, g] | to_me[g]] |= pattern
    free = np.bitwise_count(blocks[None, :, :] & ~taken[:, None, None]).min(axis=2).astype(np.int64)
    for g, words in enumerate(theirs):
        if words.size == 0:
            continue
        left = words & ~_taken_from(g, heard, their_patterns)
        before = np.bitwise_count(left)
        after = np.bitwise_count(left[None, :] & ~patterns[:, None])
        kept = np.where(after < before, after, len(RV_SEQUENCE)).min(axis=1).astype(np.int64)
        touched = meets[:, g] | to_me[g]
        free[touched] = np.minimum(free[touched], kept)
    return free


def _stacked(words_of: Sequence[Words]) -> Words:
    """Blocks of several patterns, uint64 [n_patterns, n]: the first one fills up where a pattern has fewer, 0 for none.

    A block that stands there twice does not change which one is worst off.
    """
    n = max((len(words) for words in words_of), default=0) or 1
    stacked = np.zeros((len(words_of), n), dtype=np.uint64)
    for row, words in zip(stacked, words_of, strict=True):
        if words.size:
            row[:] = words[0]
            row[: len(words)] = words
    return stacked


def _taken_from(g: int, heard: Sequence[HeardGrant], patterns: Sequence[np.uint64]) -> np.uint64:
    """What the other heard grants take from one of them already."""
    mine = heard[g]
    taken = np.uint64(0)
    for other, pattern in zip(heard, patterns, strict=True):
        overlaps = other.first_prb < mine.first_prb + mine.n_prb and mine.first_prb < other.first_prb + other.n_prb
        if other is not mine and overlaps:
            taken |= pattern
    return taken
