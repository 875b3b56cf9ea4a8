"""Tail-biting convolutional code of rate 1/3 (TS 36.212 5.1.3.1).

A shift register of six cells makes three output bits of each input bit. It starts with the last six bits of the block,
so that it ends in the state it began with: the code goes round in a circle and spends no bits on a tail. This is the
readable definition; `viterbi` decodes it.
"""

from __future__ import annotations

import numpy as np

from radio.arrays import Bits

GENERATORS = (0o133, 0o171, 0o165)
"""G0, G1, G2: most significant bit taps the newest input bit (TS 36.212 Figure 5.1.3-1)."""
CONSTRAINT_LENGTH = 7
"""Six memory cells and the input (TS 36.212 5.1.3.1)."""
_TAPS = np.array([[generator >> 6 - delay & 1 for delay in range(CONSTRAINT_LENGTH)] for generator in GENERATORS])


def encode(bits: Bits) -> Bits:
    """Tail-biting encoding: the register starts with the last six bits (TS 36.212 5.1.3.1).

    `bits` uint8 (n,). Returns the streams d(0), d(1), d(2), uint8 (3, n).
    """
    around = np.concatenate((bits[1 - CONSTRAINT_LENGTH :], bits))
    return np.array([np.convolve(around, taps, "valid") & 1 for taps in _TAPS], dtype=np.uint8)
