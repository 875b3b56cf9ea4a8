"""Compile every kernel of the channel coding, so that the first subframe does not wait for it."""

from __future__ import annotations

import numpy as np

from radio.phy.lte.channels.control_block import decode_control_blocks, encode_control_block
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer, encode_sl_sch


def compile_kernels() -> None:
    """Run each kernel once; numba keeps what it compiled on disk, so that later processes only load it."""
    tb = np.zeros(16, dtype=np.uint8)
    buffer = SlSchSoftBuffer(tb.size)
    buffer.combine(1.0 - 2.0 * encode_sl_sch(tb, 120, 2, 0).astype(np.float32), 2, 0)
    buffer.decode()
    llrs = 1.0 - 2.0 * encode_control_block(tb, 96).astype(np.float32)
    decode_control_blocks(llrs[None, :], tb.size)
