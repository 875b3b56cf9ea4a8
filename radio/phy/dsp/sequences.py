"""The pseudo-random sequence of scrambling and hopping (TS 36.211 7.2).

A length-31 Gold sequence is the sum modulo 2 of two shift registers, x1 with a fixed start and x2 with c_init as its
start, of which the first 1600 bits are thrown away. Clocking them bit by bit in Python would cost more than a
demodulation, so three things are used. Both registers reach at least 28 places back, so 28 new bits are made at once as
one integer operation. x1 after 1600 clocks is a constant. x2 is linear in c_init, so its state after 1600 clocks is
the sum of what each bit of c_init alone gives, 31 numbers that are computed once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Floats, Words64

_N_C = 1600
"""Bits thrown away at the start (TS 36.211 7.2)."""
_STATE_BITS = 31
_STATE_MASK = (1 << _STATE_BITS) - 1
_STRIDE = 28
"""Bits made at once: both recursions reach 31 and at least 28 places back (x1: 31, 28; x2: 31, 30, 29, 28)."""


def _clock(x1: int, x2: int, n_bits: int) -> tuple[int, int]:
    """Advance both shift registers by `n_bits` <= 28; bit i of a register is x(n + i)."""
    new_1 = (x1 ^ (x1 >> 3)) & ((1 << _STRIDE) - 1)
    new_2 = (x2 ^ (x2 >> 1) ^ (x2 >> 2) ^ (x2 >> 3)) & ((1 << _STRIDE) - 1)
    x1 |= new_1 << _STATE_BITS
    x2 |= new_2 << _STATE_BITS
    return (x1 >> n_bits) & _STATE_MASK, (x2 >> n_bits) & _STATE_MASK


@lru_cache(maxsize=1)
def _register_images() -> tuple[int, tuple[int, ...]]:
    """State of x1 after N_C clocks, and the state of x2 that each bit of c_init alone gives: x2 is linear."""

    def after_nc(x2: int) -> tuple[int, int]:
        x1 = 1
        for _ in range(_N_C // 25):
            x1, x2 = _clock(x1, x2, 25)
        return x1, x2

    return after_nc(0)[0], tuple(after_nc(1 << i)[1] for i in range(_STATE_BITS))


@lru_cache(maxsize=2048)
def gold_sequence(c_init: int, length: int) -> Bits:
    """Length-31 Gold sequence c(0)..c(length-1) (TS 36.211 7.2).

    `c_init` 0..2^31-1. Returns uint8 (length,), read-only.
    """
    x1, images = _register_images()
    x2 = 0
    for i, image in enumerate(images):
        if c_init >> i & 1:
            x2 ^= image
    packed = bytearray()
    # 24 bits a step keep whole octets.
    while len(packed) * 8 < length:
        packed += ((x1 ^ x2) & 0xFFFFFF).to_bytes(3, "little")
        x1, x2 = _clock(x1, x2, 24)
    sequence = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=length, bitorder="little")
    sequence.flags.writeable = False
    return sequence


Images = npt.NDArray[np.uint64]


@lru_cache(maxsize=1)
def register_images() -> Images:
    """What `gold_words` starts from: x1, then the state of x2 by each bit of c_init; uint64 (32,), read-only."""
    x1, images = _register_images()
    result = np.array((x1, *images), dtype=np.uint64)
    result.flags.writeable = False
    return result


@njit(nogil=True)
def gold_words(c_init: int, images: Words64, words: Words64) -> None:
    """Kernel: the Gold sequence of `c_init`, 28 bits in each of `words` (uint64), the first at the bottom."""
    x1, x2 = images[0], np.uint64(0)
    for i in range(images.size - 1):
        if (c_init >> i) & 1:
            x2 ^= images[i + 1]
    stride, state = np.uint64(28), np.uint64(31)
    low = (np.uint64(1) << stride) - np.uint64(1)
    for i in range(words.size):
        words[i] = (x1 ^ x2) & low
        new_1 = (x1 ^ (x1 >> np.uint64(3))) & low
        new_2 = (x2 ^ (x2 >> np.uint64(1)) ^ (x2 >> np.uint64(2)) ^ (x2 >> np.uint64(3))) & low
        x1 = (x1 | (new_1 << state)) >> stride
        x2 = (x2 | (new_2 << state)) >> stride


@njit(nogil=True)
def gold_signs(c_init: int, images: Words64, words: Words64, signs: Floats) -> None:
    """Kernel: 1 where the sequence is 0, -1 where it is 1, float32; `words` is room for it, 28 bits in each."""
    gold_words(c_init, images, words)
    for w in range(words.size):
        word = words[w]
        first = 28 * w
        for i in range(min(28, signs.size - first)):
            bit = np.int32(word >> np.uint64(i)) & np.int32(1)
            signs[first + i] = np.float32(np.int32(1) - np.int32(2) * bit)
