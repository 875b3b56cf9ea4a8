"""Turbo decoder: max-log-MAP in 16-bit lanes, window borders from the iteration before, stop on CRC.

TS 36.212 5.1.3.2.

Two decoders, one for each constituent code, alternate and pass on what the other one can't know (extrinsic values).
Each runs forward and backward over its trellis; the best path with a bit 1 less the best with a bit 0 is the bit's
value. Max-log takes the best path for the sum over all, and the extrinsic values are damped by 3/4 for its optimism.

The trellis of a long block is cut in sixteen windows that run side by side, one a lane; what a window begins with at
its borders is what its neighbour had there an iteration before. Short blocks run sixteen at a time instead. After each
iteration the CRC is checked, and decoding ends when it holds.

Metrics favour bit 1 and leave out the half that is common to both: a branch with input bit u and parity bit p adds
u x + p y, where x is systematic plus a priori value and y the parity value. All values stay inside int16 without
saturation: with |x + y| <= D the states of a trellis of memory three differ by at most 3 D, a recursion rebased every
fourth step drifts by at most 4 D more, so the sum of a forward and a backward metric stays below 14 D + |y|; the clips
below make that 32107. `turbo_reference` is the definition in floating point that this is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from radio.arrays import Int16s, Int32s, Octets
from radio.phy.fec import simd
from radio.phy.fec.crc import OctetTable, remainder_of_octets
from radio.phy.fec.quantiser import quantise, quantiser_scale

N_LANES = 16
_N_STATES = 8
_BORDER_STRIDE = 32
_CHANNEL_CLIP = 383
_EXTRINSIC_CLIP = 2000  # before scaling by 3/4
_MEAN_LEVEL = 24.0  # steps of the quantiser for a mean LLR
_IMPOSSIBLE = -8000

U = uint64
Lanes = simd.Lanes
States: TypeAlias = tuple[Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes]
"""Path metrics of the eight states, sixteen lanes each."""


@njit(nogil=True)
def _forward(
    a0: Lanes,
    a1: Lanes,
    a2: Lanes,
    a3: Lanes,
    a4: Lanes,
    a5: Lanes,
    a6: Lanes,
    a7: Lanes,
    x: Lanes,
    y: Lanes,
    xy: Lanes,
) -> States:
    n0 = simd.maximum(a0, simd.add(a1, xy))
    n4 = simd.maximum(simd.add(a0, xy), a1)
    n1 = simd.maximum(simd.add(a2, x), simd.add(a3, y))
    n5 = simd.maximum(simd.add(a2, y), simd.add(a3, x))
    n2 = simd.maximum(simd.add(a4, y), simd.add(a5, x))
    n6 = simd.maximum(simd.add(a4, x), simd.add(a5, y))
    n3 = simd.maximum(simd.add(a6, xy), a7)
    n7 = simd.maximum(a6, simd.add(a7, xy))
    return n0, n1, n2, n3, n4, n5, n6, n7


@njit(nogil=True)
def _backward(
    b0: Lanes,
    b1: Lanes,
    b2: Lanes,
    b3: Lanes,
    b4: Lanes,
    b5: Lanes,
    b6: Lanes,
    b7: Lanes,
    x: Lanes,
    y: Lanes,
    xy: Lanes,
) -> States:
    n0 = simd.maximum(b0, simd.add(b4, xy))
    n1 = simd.maximum(b4, simd.add(b0, xy))
    n2 = simd.maximum(simd.add(b5, y), simd.add(b1, x))
    n3 = simd.maximum(simd.add(b1, y), simd.add(b5, x))
    n4 = simd.maximum(simd.add(b2, y), simd.add(b6, x))
    n5 = simd.maximum(simd.add(b6, y), simd.add(b2, x))
    n6 = simd.maximum(b7, simd.add(b3, xy))
    n7 = simd.maximum(b3, simd.add(b7, xy))
    return n0, n1, n2, n3, n4, n5, n6, n7


@njit(nogil=True)
def _best_of_four(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> Lanes:
    return simd.maximum(simd.maximum(a, b), simd.maximum(c, d))


@njit(nogil=True)
def _rebase(s0: Lanes, s1: Lanes, s2: Lanes, s3: Lanes, s4: Lanes, s5: Lanes, s6: Lanes, s7: Lanes) -> States:
    return (
        simd.sub(s0, s0),
        simd.sub(s1, s0),
        simd.sub(s2, s0),
        simd.sub(s3, s0),
        simd.sub(s4, s0),
        simd.sub(s5, s0),
        simd.sub(s6, s0),
        simd.sub(s7, s0),
    )


@njit(nogil=True)
def _load_states(states: Int16s, at: np.uint64) -> States:
    b = U(_BORDER_STRIDE)
    return (
        simd.load(states, at),
        simd.load(states, at + b),
        simd.load(states, at + U(2) * b),
        simd.load(states, at + U(3) * b),
        simd.load(states, at + U(4) * b),
        simd.load(states, at + U(5) * b),
        simd.load(states, at + U(6) * b),
        simd.load(states, at + U(7) * b),
    )


@njit(nogil=True)
def _store_states(
    states: Int16s,
    at: np.uint64,
    stride: np.uint64,
    s0: Lanes,
    s1: Lanes,
    s2: Lanes,
    s3: Lanes,
    s4: Lanes,
    s5: Lanes,
    s6: Lanes,
    s7: Lanes,
) -> None:
    simd.store(states, at, s0)
    simd.store(states, at + stride, s1)
    simd.store(states, at + U(2) * stride, s2)
    simd.store(states, at + U(3) * stride, s3)
    simd.store(states, at + U(4) * stride, s4)
    simd.store(states, at + U(5) * stride, s5)
    simd.store(states, at + U(6) * stride, s6)
    simd.store(states, at + U(7) * stride, s7)


def _half_iteration(interleaved: bool) -> Callable[..., None]:
    """One pass over one constituent trellis; `interleaved` is frozen into the kernel."""

    @njit(nogil=True)
    def half(
        n_rows: int,
        systematic: Int16s,
        known: Int16s,
        parity: Int16s,
        start: Int16s,
        end: Int16s,
        chained: bool,
        alphas: Int16s,
        xs: Int16s,
        rows: Int32s,
        gather: Octets,
        scatter: Octets,
        decisions: Int16s,
    ) -> None:
        lanes = U(N_LANES)
        clip = simd.splat(np.int16(_EXTRINSIC_CLIP))
        floor = simd.splat(np.int16(-_EXTRINSIC_CLIP))
        a0, a1, a2, a3, a4, a5, a6, a7 = _load_states(start, U(0))
        for i in range(n_rows):
            k = U(i)
            if interleaved:
                x = simd.permute(simd.load(known, U(rows[k]) * lanes), gather, k * U(32))
                simd.store(xs, k * lanes, x)
            else:
                x = simd.load(known, k * lanes)
            y = simd.load(parity, k * lanes)
            _store_states(alphas, k * lanes * U(_N_STATES), lanes, a0, a1, a2, a3, a4, a5, a6, a7)
            a0, a1, a2, a3, a4, a5, a6, a7 = _forward(a0, a1, a2, a3, a4, a5, a6, a7, x, y, simd.add(x, y))
            if k & U(3) == U(3):
                a0, a1, a2, a3, a4, a5, a6, a7 = _rebase(a0, a1, a2, a3, a4, a5, a6, a7)
        if chained:
            a0, a1, a2, a3, a4, a5, a6, a7 = _rebase(a0, a1, a2, a3, a4, a5, a6, a7)
            _store_states(start, U(1), U(_BORDER_STRIDE), a0, a1, a2, a3, a4, a5, a6, a7)

        b0, b1, b2, b3, b4, b5, b6, b7 = _load_states(end, U(1))
        for i in range(n_rows):
            k = U(n_rows - 1 - i)
            row = U(rows[k]) * lanes if interleaved else k * lanes
            before = simd.load(known, row)
            x = simd.load(xs, k * lanes) if interleaved else before
            y = simd.load(parity, k * lanes)
            at = k * lanes * U(_N_STATES)
            a0 = simd.load(alphas, at)
            a1 = simd.load(alphas, at + lanes)
            a6 = simd.load(alphas, at + U(6) * lanes)
            a7 = simd.load(alphas, at + U(7) * lanes)
            m00 = _best_of_four(simd.add(a0, b0), simd.add(a1, b4), simd.add(a6, b7), simd.add(a7, b3))
            m11 = _best_of_four(simd.add(a0, b4), simd.add(a1, b0), simd.add(a6, b3), simd.add(a7, b7))
            a2 = simd.load(alphas, at + U(2) * lanes)
            a3 = simd.load(alphas, at + U(3) * lanes)
            a4 = simd.load(alphas, at + U(4) * lanes)
            a5 = simd.load(alphas, at + U(5) * lanes)
            m01 = _best_of_four(simd.add(a2, b5), simd.add(a3, b1), simd.add(a4, b2), simd.add(a5, b6))
            m10 = _best_of_four(simd.add(a2, b1), simd.add(a3, b5), simd.add(a4, b6), simd.add(a5, b2))
            one = simd.maximum(simd.add(m11, y), m10)
            extrinsic = simd.sub(one, simd.maximum(m00, simd.add(m01, y)))
            extrinsic = simd.maximum(simd.minimum(extrinsic, clip), floor)
            if interleaved:
                extrinsic = simd.permute(extrinsic, scatter, k * U(32))
                simd.store(decisions, row, simd.add(before, extrinsic))
            simd.store(known, row, simd.add(simd.load(systematic, row), simd.three_quarters(extrinsic)))
            b0, b1, b2, b3, b4, b5, b6, b7 = _backward(b0, b1, b2, b3, b4, b5, b6, b7, x, y, simd.add(x, y))
            if k & U(3) == U(0):
                b0, b1, b2, b3, b4, b5, b6, b7 = _rebase(b0, b1, b2, b3, b4, b5, b6, b7)
        if chained:
            _store_states(end, U(0), U(_BORDER_STRIDE), b0, b1, b2, b3, b4, b5, b6, b7)

    return half


_natural_half = _half_iteration(False)
_interleaved_half = _half_iteration(True)


@njit(nogil=True)
def _tail_metrics(tail: Int16s, lane: int, first: int, end: Int16s, end_lane: int) -> None:
    """Backward metrics of the eight states after the last information bit: one path leads from each to state zero."""
    base = np.int32(0)
    for start in range(_N_STATES):
        state = np.int32(start)
        metric = np.int32(0)
        for i in range(3):
            bit = (state >> 1 ^ state) & 1
            parity = (state >> 2 ^ state) & 1
            metric += bit * tail[(first + 2 * i) * N_LANES + lane] + parity * tail[(first + 2 * i + 1) * N_LANES + lane]
            state >>= 1
        if start == 0:
            base = metric
        end[start * _BORDER_STRIDE + 1 + end_lane] = np.int16(metric - base)


@njit(nogil=True)
def _octets_of_lanes(decisions: Int16s, n_rows: int, n_lanes: int, column: Int16s, octets: Octets) -> None:
    """Gather each lane's decisions, lane after lane, into octets (most significant bit first).

    A bit is 1 where the decision is positive; rows up to the next multiple of eight are read. `column` is room for the
    octets of all lanes over eight rows.
    """
    lanes = U(N_LANES)
    octets[:] = 0
    are_whole = n_rows & 7 == 0
    for first in range(0, n_rows, 8):
        at = U(first) * lanes
        bits = simd.splat(np.int16(0))
        for i in range(8):
            bits = simd.shift_in_positive(bits, simd.load(decisions, at + U(i) * lanes))
        simd.store(column, U(0), bits)
        if are_whole:
            for lane in range(n_lanes):
                octets[U(lane * n_rows + first) >> U(3)] = np.uint8(column[U(lane)])
        else:
            for lane in range(n_lanes):
                octet = U(column[U(lane)]) & U(0xFF)
                place = U(lane * n_rows + first)
                shift = place & U(7)
                octets[place >> U(3)] |= np.uint8(octet >> shift)
                octets[(place >> U(3)) + U(1)] |= np.uint8((octet << (U(8) - shift)) & U(0xFF))


@njit(cache=True, nogil=True, error_model="numpy")
def decode_blocks_kernel(
    llrs: npt.NDArray[np.float32],
    windowed: bool,
    places: npt.NDArray[np.uint16],
    rows: npt.NDArray[np.int32],
    gather: npt.NDArray[np.uint8],
    scatter: npt.NDArray[np.uint8],
    filler: npt.NDArray[np.int32],
    crc_tables: OctetTable,
    max_iterations: int,
    decoded: npt.NDArray[np.uint8],
    iterations: npt.NDArray[np.int32],
) -> None:
    """Decode `llrs` (n_blocks, n_coded), one circular buffer in each row.

    A long block is decoded alone, in sixteen windows; short blocks are decoded up to sixteen at a time, one in each
    lane. `decoded` uint8 (n_blocks, K / 8) receives the bits. `iterations` int32 (n_blocks,) receives how many
    iterations each block took, 0 if its CRC failed.
    """
    n_blocks = llrs.shape[0]
    n_rows = rows.size
    stream = n_rows * N_LANES
    cells = np.zeros(3 * stream + 12 * N_LANES, dtype=np.int16)
    quantised = np.empty(llrs.shape[1], dtype=np.int16)
    borders = np.zeros(4 * _N_STATES * _BORDER_STRIDE, dtype=np.int16)
    span = _N_STATES * _BORDER_STRIDE
    start_1, end_1 = borders[:span], borders[span : 2 * span]
    start_2, end_2 = borders[2 * span : 3 * span], borders[3 * span :]
    systematic, parity_1, parity_2 = cells[:stream], cells[stream : 2 * stream], cells[2 * stream : 3 * stream]
    tail = cells[3 * stream :]
    for b in range(n_blocks):
        scale = -quantiser_scale(llrs[b], np.float32(_MEAN_LEVEL))
        quantise(llrs[b], scale, np.float32(_CHANNEL_CLIP), quantised)
        for i in range(quantised.size):
            cells[U(places[i]) + U(b)] = quantised[i]
        for i in range(filler.size):
            systematic[filler[i] + b] = -_CHANNEL_CLIP
            parity_1[filler[i] + b] = -_CHANNEL_CLIP
        last_lane = N_LANES - 1 if windowed else b
        _tail_metrics(tail, b, 0, end_1, last_lane)
        _tail_metrics(tail, b, 6, end_2, last_lane)
    for state in range(1, _N_STATES):
        for lane in range(1 if windowed else N_LANES):
            start_1[state * _BORDER_STRIDE + lane] = _IMPOSSIBLE
            start_2[state * _BORDER_STRIDE + lane] = _IMPOSSIBLE
    known = systematic.copy()
    alphas = np.empty(stream * _N_STATES, dtype=np.int16)
    xs = np.empty(stream, dtype=np.int16)
    decisions = np.zeros(stream + 7 * N_LANES, dtype=np.int16)
    column = np.empty(N_LANES, dtype=np.int16)
    n_lanes = N_LANES if windowed else n_blocks
    n_octets = decoded.shape[1]
    octets = np.empty(n_octets * n_blocks + 2, dtype=np.uint8)
    iterations[:] = 0
    n_left = n_blocks
    for iteration in range(1, max_iterations + 1):
        _natural_half(
            n_rows, systematic, known, parity_1, start_1, end_1, windowed, alphas, xs, rows, gather, scatter, decisions
        )
        _interleaved_half(
            n_rows, systematic, known, parity_2, start_2, end_2, windowed, alphas, xs, rows, gather, scatter, decisions
        )
        _octets_of_lanes(decisions, n_rows, n_lanes, column, octets)
        for b in range(n_blocks):
            if iterations[b] == 0:
                for i in range(n_octets):
                    decoded[b, i] = octets[b * n_octets + i]
                if remainder_of_octets(octets, b * n_octets, n_octets, crc_tables) == 0:
                    iterations[b] = iteration
                    n_left -= 1
        if n_left == 0:
            break
