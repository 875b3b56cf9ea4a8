"""Tail-biting Viterbi decoder: the 64 states are lanes, candidates go one after another (TS 36.212 5.1.3.1).

A state holds the last six bits, the newest at the bottom. Every generator taps both the newest and the oldest bit of
the register, so the four branches among old states i, i + 32 and new states 2i, 2i + 1 have metrics +g(i) and -g(i)
only. Two rounds over the circular block let the path metrics forget the unknown start; the traceback drops the last
steps before it takes one round of bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from radio.arrays import Bits, Llrs
from radio.phy.fec import simd
from radio.phy.fec.convolutional import CONSTRAINT_LENGTH, GENERATORS
from radio.phy.fec.crc import OctetTable, remainder_of_bits
from radio.phy.fec.quantiser import quantise, quantiser_scale

_N_STATES = 1 << (CONSTRAINT_LENGTH - 1)
_HALF = _N_STATES // 2
_DROPPED_STEPS = 30  # five constraint lengths, after which paths have merged
_MEAN_LEVEL = 24.0  # steps of the quantiser for a mean LLR
_LARGEST_CLIP = 127
_METRIC_LIMIT = 32767
_SPREAD_STEPS = 2 * (CONSTRAINT_LENGTH - 1)  # path metrics differ by what so many branches can make

U = uint64


def _signs() -> npt.NDArray[np.int16]:
    """+1 or -1 for output bit 0 or 1 of generator j when state i < 32 takes input 0: flat, (3, 32)."""
    reversed_generators = [int(f"{generator:07b}"[::-1], 2) for generator in GENERATORS]
    return np.array(
        [1 - 2 * ((i << 1 & g).bit_count() & 1) for g in reversed_generators for i in range(_HALF)], dtype=np.int16
    )


_SIGNS = _signs()


@njit(nogil=True)
def _branch_metrics(soft: npt.NDArray[np.int16], n: int, branches: npt.NDArray[np.int16]) -> None:
    s00, s01 = simd.load(_SIGNS, U(0)), simd.load(_SIGNS, U(16))
    s10, s11 = simd.load(_SIGNS, U(32)), simd.load(_SIGNS, U(48))
    s20, s21 = simd.load(_SIGNS, U(64)), simd.load(_SIGNS, U(80))
    for k in range(n):
        r0, r1, r2 = simd.splat(soft[k]), simd.splat(soft[n + k]), simd.splat(soft[2 * n + k])
        low = simd.add(simd.add(simd.mul(r0, s00), simd.mul(r1, s10)), simd.mul(r2, s20))
        high = simd.add(simd.add(simd.mul(r0, s01), simd.mul(r1, s11)), simd.mul(r2, s21))
        simd.store(branches, U(k) * U(_HALF), low)
        simd.store(branches, U(k) * U(_HALF) + U(16), high)


@njit(nogil=True)
def _one_round(
    branches: npt.NDArray[np.int16], n: int, metrics: npt.NDArray[np.int16], decisions: npt.NDArray[np.uint64]
) -> None:
    """Add, compare, select over `n` steps; a decision bit is set where the path came from the upper half."""
    m0, m1 = simd.load(metrics, U(0)), simd.load(metrics, U(16))
    m2, m3 = simd.load(metrics, U(32)), simd.load(metrics, U(48))
    for k in range(n):
        g0 = simd.load(branches, U(k) * U(_HALF))
        g1 = simd.load(branches, U(k) * U(_HALF) + U(16))
        even_low, even_high = simd.add(m0, g0), simd.sub(m2, g0)
        odd_low, odd_high = simd.sub(m0, g0), simd.add(m2, g0)
        d = U(simd.mask_greater(even_high, even_low)) | U(simd.mask_greater(odd_high, odd_low)) << U(32)
        even, odd = simd.maximum(even_low, even_high), simd.maximum(odd_low, odd_high)
        even_low, even_high = simd.add(m1, g1), simd.sub(m3, g1)
        odd_low, odd_high = simd.sub(m1, g1), simd.add(m3, g1)
        d |= U(simd.mask_greater(even_high, even_low)) << U(16) | U(simd.mask_greater(odd_high, odd_low)) << U(48)
        m0, m1 = simd.zip_low(even, odd), simd.zip_high(even, odd)
        even, odd = simd.maximum(even_low, even_high), simd.maximum(odd_low, odd_high)
        m2, m3 = simd.zip_low(even, odd), simd.zip_high(even, odd)
        decisions[k] = d
    simd.store(metrics, U(0), m0)
    simd.store(metrics, U(16), m1)
    simd.store(metrics, U(32), m2)
    simd.store(metrics, U(48), m3)


@njit(nogil=True)
def _trace_back(decisions: npt.NDArray[np.uint64], n: int, state: int, bits: Bits) -> None:
    dropped = min(_DROPPED_STEPS, n)
    s = U(state)
    for i in range(dropped + n):
        k = 2 * n - 1 - i
        if i >= dropped:
            bits[k % n] = np.uint8(s & U(1))
        decision = (decisions[k] >> (((s & U(1)) << U(5)) | (s >> U(1)))) & U(1)
        s = (s >> U(1)) | (decision << U(5))


@njit(cache=True, nogil=True, error_model="numpy")
def decode_control_blocks_kernel(
    llrs: Llrs,
    circular_buffer: npt.NDArray[np.int32],
    crc_table: OctetTable,
    blocks: Bits,
    crc_ok: npt.NDArray[np.bool_],
) -> None:
    """Decode `llrs` (batch, e) into `blocks` uint8 (batch, n), CRC16 at the end of each."""
    batch, e = llrs.shape
    n = blocks.shape[1]
    soft = np.empty(3 * n, dtype=np.float32)
    quantised = np.empty(3 * n, dtype=np.int16)
    branches = np.empty(n * _HALF, dtype=np.int16)
    metrics = np.empty(_N_STATES, dtype=np.int16)
    decisions = np.empty(2 * n, dtype=np.uint64)
    clip = np.float32(min(_LARGEST_CLIP, _METRIC_LIMIT // (3 * (n + _SPREAD_STEPS))))
    for b in range(batch):
        soft[:] = 0.0
        place = 0
        for i in range(e):
            soft[circular_buffer[place]] += llrs[b, i]
            place += 1
            if place == 3 * n:
                place = 0
        quantise(soft, quantiser_scale(soft, np.float32(_MEAN_LEVEL)), clip, quantised)
        _branch_metrics(quantised, n, branches)
        metrics[:] = 0
        _one_round(branches, n, metrics, decisions[:n])
        metrics -= metrics.max()
        _one_round(branches, n, metrics, decisions[n:])
        _trace_back(decisions, n, metrics.argmax(), blocks[b])
        crc_ok[b] = remainder_of_bits(blocks[b], crc_table) == 0
