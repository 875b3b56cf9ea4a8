"""Turbo encoder (TS 36.212 5.1.3.2): the readable definition.

Two equal recursive encoders of eight states, the second fed with the interleaved bits; the code is the bits themselves
and both parity streams, so of rate 1/3. Each encoder is brought back to state zero by three tail bits of its own, which
are sent too. `channels.block_encoder` is the fast form, `turbo_reference` the readable decoder.
"""

from __future__ import annotations

import numpy as np

from radio.arrays import Bits
from radio.phy.fec.qpp import permutation
from radio.phy.fec.rate_matching import TAIL_BITS

N_STATES = 8
"""States of each constituent encoder (TS 36.212 5.1.3.2.1)."""


def step(state: int, bit: int) -> tuple[int, int]:
    """One clock of a constituent encoder, state s1 s2 s3 with the newest bit s1 on top: (next state, parity bit).

    g0 = 1 + D^2 + D^3 feeds back, g1 = 1 + D + D^3 makes the parity bit (TS 36.212 5.1.3.2.1).
    """
    s1, s2, s3 = state >> 2, state >> 1 & 1, state & 1
    register_input = bit ^ s2 ^ s3
    return register_input << 2 | s1 << 1 | s2, register_input ^ s1 ^ s3


def terminating_bit(state: int) -> int:
    """Input bit that feeds a zero into the register, which ends the trellis (TS 36.212 5.1.3.2.2)."""
    return (state >> 1 ^ state) & 1


def _constituent(bits: Bits) -> tuple[Bits, Bits, Bits]:
    """Parity bits of one constituent encoder, then its three tail inputs x and tail parities z."""
    parity = np.empty(len(bits), dtype=np.uint8)
    state = 0
    for i, bit in enumerate(bits.tolist()):
        state, parity[i] = step(state, bit)
    x = np.empty(3, dtype=np.uint8)
    z = np.empty(3, dtype=np.uint8)
    for i in range(3):
        x[i] = terminating_bit(state)
        state, z[i] = step(state, int(x[i]))
    return parity, x, z


def encode(bits: Bits) -> Bits:
    """Turbo encoding of one code block (TS 36.212 5.1.3.2).

    `bits` uint8 (K,), K a turbo block size. Returns the streams d(0), d(1), d(2) with tail bits, uint8 (3, K + 4).
    Raises CodingError for another K.
    """
    k = len(bits)
    parity_1, x_1, z_1 = _constituent(bits)
    parity_2, x_2, z_2 = _constituent(bits[permutation(k)])
    streams = np.empty((3, k + TAIL_BITS), dtype=np.uint8)
    streams[:, :k] = bits, parity_1, parity_2
    tail = np.concatenate([np.stack([x_1, z_1], axis=1).ravel(), np.stack([x_2, z_2], axis=1).ravel()])
    streams[:, k:] = tail.reshape(TAIL_BITS, 3).T
    return streams
