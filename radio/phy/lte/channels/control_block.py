"""SCI and MIB-SL blocks: CRC16, tail-biting code, rate matching (TS 36.212 5.4.1, 5.4.3).

Control messages are short, so they have a convolutional code that ends in the state it began with: no tail bits are
spent. The coded bits are repeated until the codeword is full, and the receiver adds the repeats up. Blocks are decoded
in batches of one size, since a receiver tries many candidates in a subframe.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Llrs
from radio.phy.fec import convolutional
from radio.phy.fec.crc import CRC16, attach_crc, octet_table
from radio.phy.fec.errors import CodingError
from radio.phy.fec.rate_matching import convolutional_circular_buffer
from radio.phy.fec.viterbi import decode_control_blocks_kernel


def encode_control_block(bits: Bits, e: int) -> Bits:
    """Code one control block into `e` bits (TS 36.212 5.1.1, 5.1.3.1, 5.1.4.2).

    `bits` uint8 (n,). Returns uint8 (e,); the CRC carries no mask.
    """
    block = attach_crc(bits, CRC16)
    streams = convolutional.encode(block).ravel()
    circular_buffer = convolutional_circular_buffer(len(block))
    return np.resize(streams[circular_buffer], e)


def decode_control_blocks(llrs: Llrs, n_bits: int) -> tuple[Bits, npt.NDArray[np.bool_], npt.NDArray[np.uint16]]:
    """Decode a batch of control blocks of `n_bits` bits each.

    `llrs` float32 (batch, e). Returns the bits without CRC, uint8 (batch, n_bits); whether the CRC holds, bool
    (batch,); and the CRC received, uint16 (batch,), p_0 on top. TS 36.212 5.4.1, 5.4.3. Raises CodingError for other
    shapes.
    """
    if llrs.ndim != 2 or n_bits < 1:
        raise CodingError(f"control blocks of {n_bits} bits cannot come from LLRs of shape {llrs.shape}")
    n_block = n_bits + CRC16.n_bits
    blocks = np.empty((len(llrs), n_block), dtype=np.uint8)
    crc_ok = np.empty(len(llrs), dtype=np.bool_)
    soft_bits = np.ascontiguousarray(llrs, dtype=np.float32)
    decode_control_blocks_kernel(soft_bits, convolutional_circular_buffer(n_block), octet_table(CRC16), blocks, crc_ok)
    received = np.packbits(blocks[:, n_bits:], axis=1).view(">u2").astype(np.uint16).reshape(-1)
    return blocks[:, :n_bits], crc_ok, received
