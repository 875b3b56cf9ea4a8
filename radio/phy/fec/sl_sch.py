"""Transport blocks of the SL-SCH and the SL-DCH (TS 36.212 5.4.2, 5.4.4): coding, soft combining, decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radio.arrays import Bits, Llrs
from radio.phy.fec import turbo_reference
from radio.phy.fec.block_encoder import encode_block_kernel
from radio.phy.fec.crc import CRC24A, CRC24B, attach_crc, check_crc, octet_table
from radio.phy.fec.errors import CodingError
from radio.phy.fec.qpp import permutation
from radio.phy.fec.rate_matching import turbo_circular_buffer, turbo_start
from radio.phy.fec.segmentation import rate_matched_sizes, segment

MAX_ITERATIONS = 8
"""Turbo iterations after which a block that still fails its CRC is given up."""


def encode_sl_sch(tb: Bits, g: int, qm: int, rv: int) -> Bits:
    """Code one transport block into `g` bits: CRC24A, segmentation, turbo code, rate matching, concatenation.

    `tb` uint8 (n,); `qm` bits a symbol; `rv` 0..3. Returns uint8 (g,). TS 36.212 5.4.2. Raises CodingError.
    """
    segmentation = segment(len(tb))
    remaining = attach_crc(tb, CRC24A)
    coded = np.empty(g, dtype=np.uint8)
    n_filler, place, taken = segmentation.n_filler, 0, 0
    sizes = rate_matched_sizes(segmentation.n_blocks, g, qm)
    for k, e in zip(segmentation.block_sizes, sizes, strict=True):
        n_information = k - n_filler - segmentation.block_crc_bits
        encode_block_kernel(
            remaining[taken : taken + n_information],
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
        n_filler = 0
    return coded


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedTb:
    """What came out of the decoder: the transport block without CRC24A, uint8 (tb_bits,); `iterations` is the most any block took."""

    bits: Bits
    crc_ok: bool
    iterations: int


class SlSchSoftBuffer:
    """Soft bits of one transport block, added up over its transmissions (TS 36.212 5.1.4.1.2 read backwards)."""

    def __init__(self, tb_bits: int) -> None:
        """An empty buffer for a transport block of `tb_bits` bits."""
        self._segmentation = segment(tb_bits)
        fillers = (self._segmentation.n_filler,) + (0,) * (self._segmentation.n_blocks - 1)
        self._blocks = tuple(zip(self._segmentation.block_sizes, fillers, strict=True))
        self._buffers = [np.zeros(turbo_circular_buffer(k, f).size, dtype=np.float32) for k, f in self._blocks]

    def combine(self, llrs: Llrs, qm: int, rv: int) -> None:
        """Add one transmission: `llrs` float32 (g,) of redundancy version `rv`. Raises CodingError."""
        sizes = rate_matched_sizes(self._segmentation.n_blocks, len(llrs), qm)
        taken = 0
        for (k, n_filler), buffer, e in zip(self._blocks, self._buffers, sizes, strict=True):
            place = turbo_start(k, n_filler, rv)
            end = taken + e
            while taken < end:
                run = min(end - taken, buffer.size - place)
                buffer[place : place + run] += llrs[taken : taken + run]
                taken += run
                place = 0

    def decode(self, max_iterations: int = MAX_ITERATIONS) -> DecodedTb:
        """Decode what has been combined so far; the buffer stays as it is."""
        if max_iterations < 1:
            raise CodingError(f"a decoder needs at least one iteration, not {max_iterations}")
        parts = []
        for (k, n_filler), buffer in zip(self._blocks, self._buffers, strict=True):
            streams = np.zeros(3 * (k + 4), dtype=np.float32)
            streams[turbo_circular_buffer(k, n_filler)] = buffer
            bits = turbo_reference.decode(streams.reshape(1, 3, k + 4), max_iterations, n_filler)[0]
            parts.append(bits[n_filler : k - self._segmentation.block_crc_bits])
        block = np.concatenate(parts)
        return DecodedTb(
            bits=block[: self._segmentation.tb_bits], crc_ok=check_crc(block, CRC24A), iterations=max_iterations
        )
