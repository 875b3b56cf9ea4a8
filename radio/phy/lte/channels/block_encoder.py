"""Kernel: one code block from information bits to rate-matched bits, an octet at a time.

The definition is `fec.turbo.encode` and the tables of `fec.rate_matching`; a test holds this kernel equal to them. A
constituent encoder has eight states, so what eight input bits do to it fits a table of 8 * 256 entries: next state in
the high octet, parity bits in the low one. Filler bits are zeros in front of the block, which are coded and never sent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits
from radio.phy.fec.crc import OctetTable, remainder_of_bits
from radio.phy.fec.turbo import N_STATES, step


def _octet_steps() -> npt.NDArray[np.uint16]:
    """Next state in the high octet, eight parity bits in the low one, for each (state, input octet)."""
    table = np.empty((N_STATES, 256), dtype=np.uint16)
    for start in range(N_STATES):
        for octet in range(256):
            state, parity_bits = start, 0
            for i in range(7, -1, -1):
                state, parity = step(state, octet >> i & 1)
                parity_bits = parity_bits << 1 | parity
            table[start, octet] = state << 8 | parity_bits
    return table.ravel()


_OCTET_STEPS = _octet_steps()
_TAIL_X = np.array([(s >> 1 ^ s) & 1 for s in range(N_STATES)], dtype=np.uint8)
_TAIL_Z = np.array([step(s, int(x))[1] for s, x in enumerate(_TAIL_X)], dtype=np.uint8)


@njit(nogil=True)
def _parity(bits: Bits, parity: Bits, tail: Bits) -> None:
    state = np.uint32(0)
    for base in range(0, bits.size, 8):
        octet = np.uint32(0)
        for i in range(8):
            octet |= np.uint32(bits[base + i]) << np.uint32(7 - i)
        entry = _OCTET_STEPS[(state << np.uint32(8)) | octet]
        state = np.uint32(entry) >> np.uint32(8)
        for i in range(8):
            parity[base + i] = (entry >> np.uint16(7 - i)) & np.uint16(1)
    for i in range(3):
        tail[2 * i] = _TAIL_X[state]
        tail[2 * i + 1] = _TAIL_Z[state]
        state >>= np.uint32(1)


@njit(cache=True, nogil=True)
def encode_block_kernel(
    information: Bits,
    n_filler: int,
    n_crc_bits: int,
    crc_table: OctetTable,
    permutation: npt.NDArray[np.int32],
    circular_buffer: npt.NDArray[np.int32],
    start: int,
    coded: Bits,
) -> None:
    """Attach the CRC24B, turbo encode, and write `coded` from place `start` of the circular buffer on.

    `information` uint8 (K - n_filler - n_crc_bits,), `permutation` int32 (K,), `circular_buffer` int32 (n_places,),
    `coded` uint8 (e,). TS 36.212 5.1.1, 5.1.3.2, 5.1.4.1.
    """
    k = permutation.size
    n = k + 4
    streams = np.zeros(3 * n, dtype=np.uint8)
    natural = streams[:k]
    natural[n_filler : n_filler + information.size] = information
    remainder = remainder_of_bits(natural[: k - n_crc_bits], crc_table)
    for i in range(n_crc_bits):
        natural[k - n_crc_bits + i] = (remainder >> np.uint32(31 - i)) & np.uint32(1)
    interleaved = np.empty(k, dtype=np.uint8)
    for i in range(k):
        interleaved[i] = natural[permutation[i]]
    tail = np.empty(12, dtype=np.uint8)
    _parity(natural, streams[n : n + k], tail[:6])
    _parity(interleaved, streams[2 * n : 2 * n + k], tail[6:])
    for i in range(12):
        streams[(i % 3) * n + k + i // 3] = tail[i]
    done = 0
    place = start
    while done < coded.size:
        run = min(coded.size - done, circular_buffer.size - place)
        for i in range(run):
            coded[done + i] = streams[circular_buffer[place + i]]
        done += run
        place = 0
