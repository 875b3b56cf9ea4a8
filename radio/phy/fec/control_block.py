"""SCI and MIB-SL blocks: CRC16, tail-biting code, rate matching (TS 36.212 5.4.1, 5.4.3)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radio.arrays import Bits, Llrs
from radio.phy.fec import convolutional
from radio.phy.fec.crc import CRC16, attach_crc
from radio.phy.fec.errors import CodingError
from radio.phy.fec.rate_matching import convolutional_circular_buffer
from radio.phy.fec.viterbi_reference import decode as decode_one


def encode_control_block(bits: Bits, e: int) -> Bits:
    """Code one control block into `e` bits (TS 36.212 5.1.1, 5.1.3.1, 5.1.4.2).

    `bits` uint8 (n,). Returns uint8 (e,); the CRC carries no mask.
    """
    block = attach_crc(bits, CRC16)
    streams = convolutional.encode(block).ravel()
    circular_buffer = convolutional_circular_buffer(len(block))
    return np.resize(streams[circular_buffer], e)


def _combine_repetitions(llrs: Llrs, n_block: int) -> Llrs:
    """Add up what was sent more than once: (batch, e) to (batch, 3 * n_block) in stream order."""
    batch, e = llrs.shape
    circular_buffer = convolutional_circular_buffer(n_block)
    n_rounds = -(-e // circular_buffer.size)
    padded = np.zeros((batch, n_rounds * circular_buffer.size), dtype=np.float32)
    padded[:, :e] = llrs
    combined = np.empty((batch, circular_buffer.size), dtype=np.float32)
    combined[:, circular_buffer] = padded.reshape(batch, n_rounds, -1).sum(axis=1)
    return combined


def decode_control_blocks(llrs: Llrs, n_bits: int) -> tuple[Bits, npt.NDArray[np.bool_], npt.NDArray[np.uint16]]:
    """Decode a batch of control blocks of `n_bits` bits each.

    `llrs` float32 (batch, e). Returns the bits without CRC, uint8 (batch, n_bits); whether the CRC holds, bool (batch,); and the
    CRC received, uint16 (batch,), p_0 on top. TS 36.212 5.4.1, 5.4.3. Raises CodingError for other shapes.
    """
    if llrs.ndim != 2 or n_bits < 1:
        raise CodingError(f"control blocks of {n_bits} bits cannot come from LLRs of shape {llrs.shape}")
    n_block = n_bits + CRC16.n_bits
    combined = _combine_repetitions(llrs, n_block)
    blocks = np.array([decode_one(row.reshape(3, n_block)) for row in combined], dtype=np.uint8).reshape(-1, n_block)
    weights = 1 << np.arange(CRC16.n_bits - 1, -1, -1)
    received = (blocks[:, n_bits:] @ weights).astype(np.uint16)
    expected = np.array([int(attach_crc(b[:n_bits], CRC16)[n_bits:] @ weights) for b in blocks], dtype=np.uint16)
    return blocks[:, :n_bits], received == expected, received
