"""All coded bits of a known transport block, to decide if soft bits are one more transmission of it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits, Floats, Llrs, Octets
from radio.phy.fec.crc import CRC24A, CRC24B, attach_crc, octet_table
from radio.phy.fec.qpp import permutation
from radio.phy.fec.rate_matching import turbo_circular_buffer, turbo_start
from radio.phy.fec.segmentation import CRC_BITS, rate_matched_sizes, segment
from radio.phy.lte.channels.block_encoder import encode_block_kernel


class CodedBlock:
    """A transport block, coded once for every redundancy version: its circular buffers as signs, 1 for a bit 0."""

    def __init__(self, tb: Bits) -> None:
        """Code the transport block `tb`, uint8 (n,). Raises CodingError."""
        segmentation = segment(tb.size)
        self._sizes = tuple(zip(segmentation.block_sizes, segmentation.fillers, strict=True))
        self._signs: list[npt.NDArray[np.float32]] = []
        # A block alone has the CRC24A where several have a CRC24B each: at its end.
        is_alone = segmentation.n_blocks == 1
        block = tb if is_alone else attach_crc(tb, CRC24A)
        taken = 0
        for k, n_filler in self._sizes:
            n_information = k - n_filler - CRC_BITS
            table = turbo_circular_buffer(k, n_filler)
            coded = np.empty(table.size, dtype=np.uint8)
            information = block[taken : taken + n_information]
            crc_table = octet_table(CRC24A if is_alone else CRC24B)
            encode_block_kernel(information, n_filler, CRC_BITS, crc_table, permutation(k), table, 0, coded)
            self._signs.append(_signs_of(coded))
            taken += n_information

    def signs(self, g: int, qm: int, rv: int) -> npt.NDArray[np.float32]:
        """The codeword of `g` bits in redundancy version `rv`, 1 for a bit 0, float32 (g,). Raises CodingError."""
        sizes = rate_matched_sizes(len(self._sizes), g, qm)
        codeword = np.empty(g, dtype=np.float32)
        taken = 0
        for (k, n_filler), signs, e in zip(self._sizes, self._signs, sizes, strict=True):
            _copy_around(signs, turbo_start(k, n_filler, rv), codeword[taken : taken + e])
            taken += e
        return codeword

    def agreement(self, llrs: Llrs, qm: int, rv: int) -> float:
        """How far soft bits agree with redundancy version `rv`, in standard deviations of a chance agreement.

        `llrs` is float32 (g,). Raises CodingError.
        """
        total, squares, taken = 0.0, 0.0, 0
        sizes = rate_matched_sizes(len(self._sizes), llrs.size, qm)
        for (k, n_filler), signs, e in zip(self._sizes, self._signs, sizes, strict=True):
            agreeing, energy = _sums(signs, turbo_start(k, n_filler, rv), llrs[taken : taken + e])
            total += agreeing
            squares += energy
            taken += e
        return total / math.sqrt(squares) if squares else 0.0


@njit(cache=True, nogil=True)
def _signs_of(bits: Octets) -> Floats:
    signs = np.empty(bits.size, dtype=np.float32)
    for i in range(bits.size):
        signs[i] = np.float32(1) - np.float32(2) * np.float32(bits[i])
    return signs


@njit(cache=True, nogil=True)
def _copy_around(signs: Floats, start: int, out: Floats) -> None:
    """Fill `out` with the signs from `start` on, around their end as often as it takes."""
    done = 0
    place = start
    while done < out.size:
        size = min(out.size - done, signs.size - place)
        out[done : done + size] = signs[place : place + size]
        done += size
        place = 0


@njit(nogil=True, fastmath=True)
def _run(signs: Floats, llrs: Floats) -> tuple[np.float32, np.float32]:
    total = np.float32(0)
    squares = np.float32(0)
    for i in range(llrs.size):
        total += signs[i] * llrs[i]
        squares += llrs[i] * llrs[i]
    return total, squares


@njit(cache=True, nogil=True)
def _sums(signs: Floats, start: int, llrs: Floats) -> tuple[float, float]:
    """Sum of llrs times the signs from `start` on, around their end, and the sum of the squares of `llrs`."""
    total = 0.0
    squares = 0.0
    done = 0
    place = start
    while done < llrs.size:
        size = min(llrs.size - done, signs.size - place)
        agreeing, energy = _run(signs[place : place + size], llrs[done : done + size])
        total += agreeing
        squares += energy
        done += size
        place = 0
    return total, squares
