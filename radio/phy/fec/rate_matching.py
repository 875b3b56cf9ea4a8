"""Rate matching as index tables: which coded bit stands where in the circular buffer (TS 36.212 5.1.4).

The coded streams are interleaved by columns of a matrix and laid one behind the other (the parity streams of a turbo
code alternate) into a circular buffer. A codeword of E bits is E entries read from a start, round and round. For a
turbo code the start is what the redundancy version chooses.

The standard describes matrices with dummy and filler bits that are skipped when reading. They never leave the buffer,
so the tables leave them out: transmitting E bits is reading E entries cyclically, receiving is adding E values
cyclically. The tables depend on the block size only and are cached.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from radio.phy.fec.errors import CodingError

N_COLUMNS = 32
"""C_subblock (TS 36.212 5.1.4.1.1, 5.1.4.2.1)."""
TAIL_BITS = 4
"""Bits that trellis termination adds to each of the three streams (TS 36.212 5.1.3.2.2)."""

_TURBO_COLUMNS = np.array([int(f"{c:05b}"[::-1], 2) for c in range(N_COLUMNS)])
"""Inter-column permutation for turbo codes: 5-bit reversal (TS 36.212 Table 5.1.4-1)."""
_CONVOLUTIONAL_COLUMNS = np.concatenate([_TURBO_COLUMNS[16:], _TURBO_COLUMNS[:16]])
"""Inter-column permutation for convolutional codes (TS 36.212 Table 5.1.4-2)."""

Indices = npt.NDArray[np.int32]


def _column_readout(n_bits: int, columns: npt.NDArray[np.int64], shift: int) -> npt.NDArray[np.int64]:
    """Index into the stream for each place of the sub-block interleaver's output; negative stands for a dummy bit."""
    n_rows = -(-n_bits // N_COLUMNS)
    place = columns[:, None] + N_COLUMNS * np.arange(n_rows)[None, :] + shift
    return (place.ravel() % (n_rows * N_COLUMNS)) - (n_rows * N_COLUMNS - n_bits)


def _read_only(values: npt.NDArray[np.int64]) -> Indices:
    table = values.astype(np.int32)
    table.flags.writeable = False
    return table


@cache
def _turbo_circular_buffer(k: int, n_filler: int) -> tuple[Indices, tuple[int, int, int, int]]:
    n = k + TAIL_BITS
    streams = [_column_readout(n, _TURBO_COLUMNS, shift) for shift in (0, 0, 1)]
    indices = [np.where(v >= 0, v + s * n, -1) for s, v in enumerate(streams)]
    for s in (0, 1):
        indices[s][streams[s] < n_filler] = -1
    w = np.concatenate([indices[0], np.stack([indices[1], indices[2]], axis=1).ravel()])
    kept = w >= 0
    n_rows = -(-n // N_COLUMNS)
    per_version = 2 * -(-w.size // (8 * n_rows))
    starts = [int(np.count_nonzero(kept[: n_rows * (per_version * rv + 2)])) for rv in range(4)]
    return _read_only(w[kept]), (starts[0], starts[1], starts[2], starts[3])


def turbo_circular_buffer(k: int, n_filler: int = 0) -> Indices:
    """Coded bit at each place of the circular buffer of a turbo code block (TS 36.212 5.1.4.1).

    Values index the streams d(0), d(1), d(2) laid end to end, K + 4 bits each. Returns int32 (3 * (K + 4) - 2 *
    n_filler,).
    """
    return _turbo_circular_buffer(k, n_filler)[0]


def turbo_start(k: int, n_filler: int, rv: int) -> int:
    """Place in `turbo_circular_buffer` of the first bit of redundancy version `rv` (TS 36.212 5.1.4.1.2, k_0).

    Raises CodingError when rv is not 0..3.
    """
    if not 0 <= rv <= 3:
        raise CodingError(f"redundancy version {rv} is not 0..3")
    starts = _turbo_circular_buffer(k, n_filler)[1]
    return starts[rv] % turbo_circular_buffer(k, n_filler).size


@lru_cache(maxsize=64)
def convolutional_circular_buffer(n_bits: int) -> Indices:
    """Coded bit at each place of the circular buffer of a convolutional block (TS 36.212 5.1.4.2).

    Values index the streams d(0), d(1), d(2) of `n_bits` bits each, laid end to end. Returns int32 (3 * n_bits,).
    """
    readout = _column_readout(n_bits, _CONVOLUTIONAL_COLUMNS, 0)
    kept = readout[readout >= 0]
    return _read_only(np.concatenate([kept, kept + n_bits, kept + 2 * n_bits]))
