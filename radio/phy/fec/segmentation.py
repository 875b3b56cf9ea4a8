"""Code block segmentation (TS 36.212 5.1.2) and the share of each block in the coded bits (5.1.4.1.2).

The turbo code has 188 block sizes up to 6144 bits. A transport block with its CRC is cut into as few code blocks as
fit, of one size or two neighbouring sizes; each gets a CRC of its own, so that the decoder can stop at it. What is left
over is filled with zeros in front of the first block, which are coded and never sent. The coded bits are shared out in
whole modulation symbols, the later blocks getting one more where they don't divide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from radio.phy.fec.errors import CodingError
from radio.phy.fec.qpp import BLOCK_SIZES, smallest_block_size

MAX_BLOCK_SIZE = 6144
"""Z (TS 36.212 5.1.2)."""
CRC_BITS = 24
"""L: length of the transport block's CRC and of each code block's (TS 36.212 5.1.1, 5.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """How one transport block is cut: `block_sizes` in order of transmission, with `n_filler` bits before the first."""

    tb_bits: int
    block_sizes: tuple[int, ...]
    n_filler: int

    @property
    def n_blocks(self) -> int:
        """C, the number of code blocks."""
        return len(self.block_sizes)

    @property
    def fillers(self) -> tuple[int, ...]:
        """Filler bits in front of each code block: only the first has any."""
        return (self.n_filler,) + (0,) * (self.n_blocks - 1)

    @property
    def block_crc_bits(self) -> int:
        """Bits of the CRC24B at the end of each code block: 0 when there is one block only."""
        return CRC_BITS if self.n_blocks > 1 else 0


@lru_cache(maxsize=4096)
def segment(tb_bits: int) -> Segmentation:
    """Segmentation of a transport block of `tb_bits` bits, its CRC24A not counted (TS 36.212 5.1.2).

    Raises CodingError for a transport block of less than one bit.
    """
    if tb_bits < 1:
        raise CodingError(f"a transport block has at least one bit, not {tb_bits}")
    b = tb_bits + CRC_BITS
    if b <= MAX_BLOCK_SIZE:
        k = smallest_block_size(b)
        return Segmentation(tb_bits=tb_bits, block_sizes=(k,), n_filler=k - b)
    n_blocks = -(-b // (MAX_BLOCK_SIZE - CRC_BITS))
    with_crcs = b + n_blocks * CRC_BITS
    k_plus = smallest_block_size(-(-with_crcs // n_blocks))
    k_minus = BLOCK_SIZES[BLOCK_SIZES.index(k_plus) - 1]
    n_minus = (n_blocks * k_plus - with_crcs) // (k_plus - k_minus)
    block_sizes = (k_minus,) * n_minus + (k_plus,) * (n_blocks - n_minus)
    return Segmentation(tb_bits=tb_bits, block_sizes=block_sizes, n_filler=sum(block_sizes) - with_crcs)


@lru_cache(maxsize=4096)
def rate_matched_sizes(n_blocks: int, g: int, qm: int) -> tuple[int, ...]:
    """E of each code block when `g` coded bits of `qm` bits a symbol are shared out (TS 36.212 5.1.4.1.2).

    Raises CodingError when g is no multiple of qm or does not give each block a symbol.
    """
    if qm < 1 or g % qm or g // qm < n_blocks:
        raise CodingError(f"{g} coded bits at {qm} bits a symbol cannot carry {n_blocks} code blocks")
    per_block, gamma = divmod(g // qm, n_blocks)
    return tuple(qm * (per_block + (r >= n_blocks - gamma)) for r in range(n_blocks))
