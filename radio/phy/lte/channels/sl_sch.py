"""Transport blocks of the SL-SCH and the SL-DCH (TS 36.212 5.4.2, 5.4.4): coding, soft combining, decoding.

Coding: CRC24A over the block, segmentation into code blocks that the turbo code has a size for, a CRC24B on each where
there are several, turbo code of rate 1/3, and rate matching: the coded bits stand in a circular buffer, and a
redundancy version is where reading begins. There is no feedback on the sidelink, so a block is sent four times with the
versions 0, 2, 3, 1 (blind HARQ).

Reception reads this backwards: the buffer holds one soft value for each place of the circular buffer, and each
transmission adds its own at the places it covers. Adding LLRs is the right thing for independent noise, so the order
of the transmissions and which of them were missed do not matter. Decoding leaves the buffer as it is. Code blocks that
passed their CRC are kept and not decoded again.

Short code blocks of several transport blocks are decoded side by side, sixteen in the lanes of one register; long ones
are cut in sixteen windows. `fec.turbo_decoder` has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Floats, Llrs, Places
from radio.phy.fec.crc import CRC24A, CRC24B, Polynomial, attach_crc, check_crc, octet_table, octet_tables
from radio.phy.fec.errors import CodingError
from radio.phy.fec.qpp import permutation
from radio.phy.fec.rate_matching import turbo_circular_buffer, turbo_start
from radio.phy.fec.segmentation import rate_matched_sizes, segment
from radio.phy.fec.turbo_decoder import decode_blocks_kernel
from radio.phy.fec.turbo_layout import LARGEST_BATCHED_BLOCK, N_LANES, turbo_layout
from radio.phy.lte.channels.block_encoder import encode_block_kernel

MAX_ITERATIONS = 8
"""Turbo iterations after which a block that still fails its CRC is given up."""


def encode_sl_sch(tb: Bits, g: int, qm: int, rv: int) -> Bits:
    """Code one transport block into `g` bits: CRC24A, segmentation, turbo code, rate matching, concatenation.

    `tb` uint8 (n,); `qm` bits a symbol; `rv` 0..3. Returns uint8 (g,). TS 36.212 5.4.2. Raises CodingError.
    """
    segmentation = segment(len(tb))
    sizes = rate_matched_sizes(segmentation.n_blocks, g, qm)
    block = attach_crc(tb, CRC24A)
    coded = np.empty(g, dtype=np.uint8)
    place, taken = 0, 0
    for k, n_filler, e in zip(segmentation.block_sizes, segmentation.fillers, sizes, strict=True):
        n_information = k - n_filler - segmentation.block_crc_bits
        encode_block_kernel(
            block[taken : taken + n_information],
            n_filler,
            segmentation.block_crc_bits,
            octet_table(CRC24B),
            permutation(k),
            turbo_circular_buffer(k, n_filler),
            turbo_start(k, n_filler, rv),
            coded[place : place + e],
        )
        taken += n_information
        place += e
    return coded


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedTb:
    """Result of decoding a transport block.

    `bits` is uint8 (tb_bits,) without CRC24A; a caller must not use them if `crc_ok` is False. `iterations` is the
    largest number of iterations that a code block took.
    """

    bits: Bits
    crc_ok: bool
    iterations: int


class SlSchSoftBuffer:
    """Soft bits of one transport block, added up over its transmissions (TS 36.212 5.1.4.1.2 read backwards)."""

    def __init__(self, tb_bits: int) -> None:
        """An empty buffer for a transport block of `tb_bits` bits. Raises CodingError."""
        self._segmentation = segment(tb_bits)
        self._blocks = tuple(zip(self._segmentation.block_sizes, self._segmentation.fillers, strict=True))
        self._soft_bits = [np.zeros(turbo_circular_buffer(k, f).size, dtype=np.float32) for k, f in self._blocks]
        self._good_blocks: dict[int, Bits] = {}

    def combine(self, llrs: Llrs, qm: int, rv: int) -> None:
        """Add one transmission: `llrs` float32 (g,) of redundancy version `rv`. Raises CodingError."""
        sizes = rate_matched_sizes(self._segmentation.n_blocks, len(llrs), qm)
        taken = 0
        for (k, n_filler), soft_bits, e in zip(self._blocks, self._soft_bits, sizes, strict=True):
            place = turbo_start(k, n_filler, rv)
            end = taken + e
            while taken < end:
                run = min(end - taken, soft_bits.size - place)
                soft_bits[place : place + run] += llrs[taken : taken + run]
                taken += run
                place = 0

    @property
    def soft_bits(self) -> Llrs:
        """Soft bits of all code blocks, each in the order of its circular buffer, float32."""
        return np.concatenate(self._soft_bits)

    def decode(self, max_iterations: int = MAX_ITERATIONS) -> DecodedTb:
        """Decode the transmissions combined so far; the buffer does not change.

        Code blocks that passed their CRC in an earlier call are not decoded again, and the first block that fails ends
        the call. Raises CodingError if `max_iterations` is below 1.
        """
        return decode_transport_blocks([self], max_iterations)[0]

    @property
    def _block_crc(self) -> Polynomial:
        return CRC24B if self._segmentation.n_blocks > 1 else CRC24A

    def _decode_blocks(self, max_iterations: int) -> DecodedTb:
        """Decode code block by code block."""
        most = 0
        for i, ((k, n_filler), soft_bits) in enumerate(zip(self._blocks, self._soft_bits, strict=True)):
            if i in self._good_blocks:
                continue
            bits, iterations = _decode_code_blocks(soft_bits[None, :], k, n_filler, self._block_crc, max_iterations)
            if not iterations[0]:
                return self._failed(max_iterations)
            self._good_blocks[i] = bits[0]
            most = max(most, int(iterations[0]))
        return self._joined(most)

    def _failed(self, iterations: int) -> DecodedTb:
        bits = np.zeros(self._segmentation.tb_bits, dtype=np.uint8)
        return DecodedTb(bits=bits, crc_ok=False, iterations=iterations)

    def _joined(self, iterations: int) -> DecodedTb:
        n_crc = self._segmentation.block_crc_bits
        parts = [self._good_blocks[i][f : k - n_crc] for i, (k, f) in enumerate(self._blocks)]
        block = np.concatenate(parts)
        crc_ok = len(parts) == 1 or check_crc(block, CRC24A)
        if not crc_ok:
            self._good_blocks.clear()
        return DecodedTb(bits=block[: self._segmentation.tb_bits], crc_ok=crc_ok, iterations=iterations)


def decode_transport_blocks(
    buffers: Sequence[SlSchSoftBuffer], max_iterations: int = MAX_ITERATIONS
) -> list[DecodedTb]:
    """Decode several transport blocks; sixteen short blocks of equal size take the time of one.

    Returns one DecodedTb for each buffer, in order. Raises CodingError if `max_iterations` is below 1.
    """
    if max_iterations < 1:
        raise CodingError(f"a decoder needs at least one iteration, not {max_iterations}")
    decoded: dict[int, DecodedTb] = {}
    short: dict[tuple[int, int], list[int]] = {}
    for i, buffer in enumerate(buffers):
        if buffer._blocks[0][0] <= LARGEST_BATCHED_BLOCK and not buffer._good_blocks:
            short.setdefault(buffer._blocks[0], []).append(i)
        else:
            decoded[i] = buffer._decode_blocks(max_iterations)
    for (k, n_filler), members in short.items():
        for first in range(0, len(members), N_LANES):
            batch = members[first : first + N_LANES]
            soft_bits = np.stack([buffers[i]._soft_bits[0] for i in batch])
            bits, iterations = _decode_code_blocks(soft_bits, k, n_filler, CRC24A, max_iterations)
            for i, block, n in zip(batch, bits, iterations.tolist(), strict=True):
                if n:
                    buffers[i]._good_blocks[0] = block
                decoded[i] = buffers[i]._joined(n) if n else buffers[i]._failed(max_iterations)
    return [decoded[i] for i in range(len(buffers))]


def decode_short_blocks(soft_bits: Llrs, tb_bits: int, max_iterations: int = MAX_ITERATIONS) -> list[Bits | None]:
    """Bits of each transport block whose CRC holds, None for the others.

    `soft_bits` float32 (n, size of the circular buffer) are those of blocks of `tb_bits` bits that need no more than
    one code block. Raises CodingError.
    """
    segmentation = segment(tb_bits)
    if segmentation.n_blocks > 1:
        raise CodingError(f"{tb_bits} bits take {segmentation.n_blocks} code blocks, not one")
    k, n_filler = segmentation.block_sizes[0], segmentation.n_filler
    at_once = N_LANES if k <= LARGEST_BATCHED_BLOCK else 1
    result: list[Bits | None] = []
    for first in range(0, len(soft_bits), at_once):
        part = soft_bits[first : first + at_once]
        bits, iterations = _decode_code_blocks(part, k, n_filler, CRC24A, max_iterations)
        result += [
            b[n_filler : n_filler + tb_bits] if n else None for b, n in zip(bits, iterations.tolist(), strict=True)
        ]
    return result


def soft_bits_of(llrs: Llrs, tb_bits: int, rvs: Sequence[int]) -> Llrs:
    """The soft bits that one transmission adds to the circular buffer, for each of the versions `rvs`.

    The block has one code block. `llrs` is float32 (n, g) for n transmissions; the result is float32 (n, n_versions,
    size). Raises CodingError.
    """
    segmentation = segment(tb_bits)
    if segmentation.n_blocks > 1:
        raise CodingError(f"{tb_bits} bits take {segmentation.n_blocks} code blocks, not one")
    k, n_filler = segmentation.block_sizes[0], segmentation.n_filler
    starts = np.array([turbo_start(k, n_filler, rv) for rv in rvs])
    result = np.zeros((len(llrs), starts.size, turbo_circular_buffer(k, n_filler).size), dtype=np.float32)
    _place_soft_bits(llrs, starts, result)
    return result


@njit(cache=True, nogil=True)
def _place_soft_bits(llrs: Floats, starts: Places, soft_bits: Floats) -> None:
    """Add each row of `llrs` cyclically from each of `starts` on."""
    size = soft_bits.shape[2]
    for n in range(llrs.shape[0]):
        for v in range(starts.size):
            row = soft_bits[n, v]
            place = starts[v]
            done = 0
            while done < llrs.shape[1]:
                run = min(llrs.shape[1] - done, size - place)
                for i in range(run):
                    row[place + i] += llrs[n, done + i]
                done += run
                place = 0


def _decode_code_blocks(
    soft_bits: Llrs, k: int, n_filler: int, poly: Polynomial, max_iterations: int
) -> tuple[Bits, npt.NDArray[np.int32]]:
    """Bits (n_blocks, K) of code blocks of one size and the iterations each took, 0 where `poly` does not hold."""
    layout = turbo_layout(k, n_filler)
    octets = np.empty((len(soft_bits), k // 8), dtype=np.uint8)
    iterations = np.empty(len(soft_bits), dtype=np.int32)
    decode_blocks_kernel(
        soft_bits,
        layout.windowed,
        layout.places,
        layout.rows,
        layout.gather,
        layout.scatter,
        layout.filler,
        octet_tables(poly),
        max_iterations,
        octets,
        iterations,
    )
    return np.unpackbits(octets).reshape(len(octets), k), iterations
