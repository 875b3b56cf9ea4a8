"""Maximum-likelihood decoding of the tail-biting code: the definition that the tests compare the fast decoder with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits
from radio.phy.fec.convolutional import CONSTRAINT_LENGTH, GENERATORS

N_STATES = 1 << (CONSTRAINT_LENGTH - 1)


def output_bits(register: int) -> tuple[int, ...]:
    """d(0), d(1), d(2) for seven register bits, the newest on top (TS 36.212 Figure 5.1.3-1)."""
    return tuple((register & generator).bit_count() & 1 for generator in GENERATORS)


_OUTPUT_SIGNS = 1.0 - 2.0 * np.array([output_bits(r) for r in range(2 * N_STATES)])


def _best_from_one_start(llrs: npt.NDArray[np.floating], start: int) -> tuple[float, Bits]:
    """Metric and bits of the best path that starts and ends in state `start` (newest bit on top)."""
    n = llrs.shape[1]
    states = np.arange(N_STATES)
    registers = np.stack([states << 1, states << 1 | 1])  # the two registers that lead to each state
    metrics = np.where(states == start, 0.0, -np.inf)
    decisions = np.empty((n, N_STATES), dtype=np.int64)
    for k in range(n):
        branch = _OUTPUT_SIGNS @ llrs[:, k]
        candidates = metrics[registers & (N_STATES - 1)] + branch[registers]
        decisions[k] = candidates.argmax(axis=0)
        metrics = candidates.max(axis=0)
    bits = np.empty(n, dtype=np.uint8)
    state = start
    for k in range(n - 1, -1, -1):
        bits[k] = state >> (CONSTRAINT_LENGTH - 2)
        state = (state << 1 | int(decisions[k, state])) & (N_STATES - 1)
    return float(metrics[start]), bits


def decode(llrs: npt.NDArray[np.floating]) -> Bits:
    """The most likely bits of one tail-biting block, tried from all 64 start states.

    `llrs` (3, n): ln P(0)/P(1) of d(0), d(1), d(2), 0 where nothing was received. Returns uint8 (n,). TS 36.212
    5.1.3.1.
    """
    return max((_best_from_one_start(llrs, start) for start in range(N_STATES)), key=lambda path: path[0])[1]
