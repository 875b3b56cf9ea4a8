"""Where each coded bit stands in the turbo decoder's lanes, and how its interleaver moves them.

The decoder works on rows of sixteen lanes. Long blocks are cut in sixteen windows of W = K / 16 bits, one a lane;
short ones lie beside each other, one block a lane, W = K. The QPP interleaver keeps rows together (all lanes of an
interleaved row come from one natural row), so a row index and a permutation of the lanes describe it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from radio.phy.fec.qpp import permutation
from radio.phy.fec.rate_matching import TAIL_BITS, turbo_circular_buffer

N_LANES = 16
LARGEST_BATCHED_BLOCK = 512
"""Up to this K sixteen blocks are decoded side by side; above, K is a multiple of 16 and one block fills the lanes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurboLayout:
    """Tables of one (K, filler) pair.

    `places` uint16: cell of d(0), d(1), d(2), tail for each entry of the circular buffer; `rows` int32 (n_rows,):
    natural row of each interleaved row; `gather`, `scatter` uint8 (32 * n_rows,): lane selectors into and out of
    interleaved order; `filler` int32: cells of d(0) of the filler bits.
    """

    k: int
    n_rows: int
    windowed: bool
    places: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.int32]
    gather: npt.NDArray[np.uint8]
    scatter: npt.NDArray[np.uint8]
    filler: npt.NDArray[np.int32]


def lane_selectors(sources: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Octet selectors that bring lane `sources[row, l]` to lane l: (n_rows, 16) to uint8 (32 * n_rows,).

    An octet below 0x10 picks from lanes 0-7; lanes 8-15 have their top bit set.
    """
    first = (2 * (sources % 8) + np.where(sources >= 8, 0x80, 0)).astype(np.uint8)
    return np.stack([first, first + np.uint8(1)], axis=-1).ravel()


@cache
def turbo_layout(k: int, n_filler: int = 0) -> TurboLayout:
    """Tables for code blocks of K bits of which the first `n_filler` are filler. Raises CodingError for a wrong K."""
    windowed = k > LARGEST_BATCHED_BLOCK
    n_rows = k // N_LANES if windowed else k
    pi = permutation(k).astype(np.int64)
    bit = np.arange(k)
    cell = (bit % n_rows) * N_LANES + bit // n_rows
    stream_cells = n_rows * N_LANES
    tail = 3 * stream_cells + N_LANES * np.arange(3 * TAIL_BITS).reshape(TAIL_BITS, 3).T
    cells = np.concatenate([np.concatenate([cell + s * stream_cells, tail[s]]) for s in range(3)])
    if windowed:
        sources = (pi // n_rows).reshape(N_LANES, n_rows).T
    else:
        sources = np.broadcast_to(np.arange(N_LANES), (n_rows, N_LANES))
    return TurboLayout(
        k=k,
        n_rows=n_rows,
        windowed=windowed,
        places=cells[turbo_circular_buffer(k, n_filler)].astype(np.uint16),
        rows=(pi[:n_rows] % n_rows).astype(np.int32),
        gather=lane_selectors(sources),
        scatter=lane_selectors(np.argsort(sources, axis=1)),
        filler=cell[:n_filler].astype(np.int32),
    )
