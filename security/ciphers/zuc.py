"""ZUC, and 128-EEA3 and 128-EIA3 on it (ETSI/SAGE documents 1 and 2 of EEA3 & EIA3, TS 33.401 B.1.4, B.2.4).

A shift register of sixteen cells over the prime field of 2^31 - 1, a reorganisation that takes 128 bits out of it, and
a function F of two 32-bit registers with two S-boxes and two linear maps; 32 clocks mix key and initialisation vector
in. 128-EIA3 adds up the 32-bit words of keystream that begin at each bit of the message which is 1.

The kernels are compiled; `keystream_plain` is the definition, and a test compares both. The times depend on secrets,
because of the table look-ups: see SECURITY.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from security.ciphers.algorithm_inputs import check_inputs, first_bits, in_one_piece

Words = npt.NDArray[np.uint32]
Words64 = npt.NDArray[np.uint64]
Octets = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

INIT_CLOCKS = 32
MASK_31 = 0x7FFFFFFF
MASK_32 = 0xFFFFFFFF

S0 = bytes.fromhex(
    "3e725b47cae0003304d1549809b96dcb7b1bf932af9d6aa5b82dfc1d08530390"
    "4d4e8499e4ced991ddb685488b296eaccdc1f81e734369c6b5bdfd396320d438"
    "767db2a7cfed57c5f32cbb142106559be3ef5e314f7f5aa40d8251495fba581c"
    "4a16d517a892241f8cffd8ae2e01d3ad3b4bda46ebc9de9a8f87d73a806f2fc8"
    "b1b437f70a2213287ccc3c89c7c3965607bf7ef00b2b975235417961a64c10fe"
    "bc2695888ab0a3fbc01894f2e1e5e95dd0dc1166645cec59427512f5749caa23"
    "0e86abbe2a02e767e644a26cc2939ff1f6fa36d250689e6271153dd640c4e20f"
    "8e83776b25053f0c30ea70b7a1e8a9658d271adb81b3a0f4457a19dfee783460"
)
S1 = bytes.fromhex(
    "55c263713bc847869f3cda5b29aafd778cc5940ca61a1300e3a8167240f9f842"
    "4426689681d9453e1076c6a78b3943e13ab5562ac06db3052266bfdc0bfa6248"
    "dd20110636c9c1cff62752bb69f5d4877f844cd29c57a4bc4f9adffed68d7aeb"
    "2b53d85ca11417fb23d57d3067730809eeb7703f61b2198e4ee54b938f5ddba9"
    "adf1ae2ecb0dfcf42d466e1d97e8d1e94d37a5755e839eab829db91ce0cd4989"
    "01b6bd5824a25f387899159050b895e4d091c7ceed0fb46fa0ccf0024a79c3de"
    "a3efea51e66b18ec1b2c80f774e7ff215a6a541e41319235c433070aba7e0e34"
    "88b1987cf33d606c7bcad31f3265042864be859b2f598ad7b025acaf1203e2f2"
)
"""S-boxes (document 2, 3.4.1)."""
D = (
    0x44D7, 0x26BC, 0x626B, 0x135E, 0x5789, 0x35E2, 0x7135, 0x09AF,
    0x4D78, 0x2F13, 0x6BC4, 0x1AF1, 0x5E26, 0x3C4D, 0x789A, 0x47AC,
)  # fmt: skip
"""Constants of the key loading (document 2, 3.5)."""

BOXES: Words = np.array([list(S0), list(S1)], np.uint32)
_D: Words64 = np.array(D, np.uint64)


def _initial_state(key: bytes, iv: bytes) -> list[int]:
    """s_i = k_i || d_i || iv_i (document 2, 3.5)."""
    return [k << 23 | d << 8 | v for k, d, v in zip(key, D, iv, strict=True)]


def keystream_plain(key: bytes, iv: bytes) -> Iterator[int]:
    """Keystream words of 32 bits, one by one, as the specification runs the cipher (document 2, 3.6)."""
    s = _initial_state(key, iv)
    r1 = r2 = 0

    def rotate(w: int, k: int) -> int:
        return (w << k | w >> (32 - k)) & MASK_32

    def substitute(w: int) -> int:
        return S0[w >> 24] << 24 | S1[w >> 16 & 255] << 16 | S0[w >> 8 & 255] << 8 | S1[w & 255]

    clock = 0
    while True:
        x0 = (s[15] >> 15) << 16 | s[14] & 0xFFFF
        x1 = (s[11] & 0xFFFF) << 16 | s[9] >> 15
        x2 = (s[7] & 0xFFFF) << 16 | s[5] >> 15
        x3 = (s[2] & 0xFFFF) << 16 | s[0] >> 15
        w = (x0 ^ r1) + r2 & MASK_32
        w1, w2 = r1 + x1 & MASK_32, r2 ^ x2
        u = (w1 << 16 | w2 >> 16) & MASK_32
        v = (w2 << 16 | w1 >> 16) & MASK_32
        r1 = substitute(u ^ rotate(u, 2) ^ rotate(u, 10) ^ rotate(u, 18) ^ rotate(u, 24))
        r2 = substitute(v ^ rotate(v, 8) ^ rotate(v, 14) ^ rotate(v, 22) ^ rotate(v, 30))
        if clock > INIT_CLOCKS:
            yield w ^ x3
        feedback = (s[15] << 15) + (s[13] << 17) + (s[10] << 21) + (s[4] << 20) + (s[0] << 8) + s[0]
        if clock < INIT_CLOCKS:
            feedback += w >> 1
        s = [*s[1:], feedback % MASK_31 or MASK_31]
        clock += 1


@njit(cache=True, nogil=True)
def _rotate(w: np.uint64, k: int) -> np.uint64:
    return ((w << np.uint64(k)) | (w >> np.uint64(32 - k))) & np.uint64(MASK_32)


@njit(cache=True, nogil=True)
def _substitute(boxes: Words, w: np.uint64) -> np.uint64:
    return (
        (np.uint64(boxes[0, w >> np.uint64(24)]) << np.uint64(24))
        | (np.uint64(boxes[1, (w >> np.uint64(16)) & np.uint64(255)]) << np.uint64(16))
        | (np.uint64(boxes[0, (w >> np.uint64(8)) & np.uint64(255)]) << np.uint64(8))
        | np.uint64(boxes[1, w & np.uint64(255)])
    )


@njit(cache=True, nogil=True)
def _fill_keystream(boxes: Words, state: Words64, out: Words) -> None:
    """Initialise from the LFSR `state` (16 cells, used up) and fill `out` with keystream words."""
    half = np.uint64(0xFFFF)
    word = np.uint64(MASK_32)
    modulus = np.uint64(MASK_31)
    r1 = np.uint64(0)
    r2 = np.uint64(0)
    for clock in range(INIT_CLOCKS + 1 + out.size):
        s0 = state[clock & 15]
        s15 = state[(clock + 15) & 15]
        x0 = ((s15 >> np.uint64(15)) << np.uint64(16)) | (state[(clock + 14) & 15] & half)
        x1 = ((state[(clock + 11) & 15] & half) << np.uint64(16)) | (state[(clock + 9) & 15] >> np.uint64(15))
        x2 = ((state[(clock + 7) & 15] & half) << np.uint64(16)) | (state[(clock + 5) & 15] >> np.uint64(15))
        x3 = ((state[(clock + 2) & 15] & half) << np.uint64(16)) | (s0 >> np.uint64(15))
        w = ((x0 ^ r1) + r2) & word
        w1 = (r1 + x1) & word
        w2 = r2 ^ x2
        u = ((w1 << np.uint64(16)) | (w2 >> np.uint64(16))) & word
        v = ((w2 << np.uint64(16)) | (w1 >> np.uint64(16))) & word
        r1 = _substitute(boxes, u ^ _rotate(u, 2) ^ _rotate(u, 10) ^ _rotate(u, 18) ^ _rotate(u, 24))
        r2 = _substitute(boxes, v ^ _rotate(v, 8) ^ _rotate(v, 14) ^ _rotate(v, 22) ^ _rotate(v, 30))
        feedback = (
            (s15 << np.uint64(15))
            + (state[(clock + 13) & 15] << np.uint64(17))
            + (state[(clock + 10) & 15] << np.uint64(21))
            + (state[(clock + 4) & 15] << np.uint64(20))
            + (s0 << np.uint64(8))
            + s0
        )
        if clock < INIT_CLOCKS:
            feedback += w >> np.uint64(1)
        elif clock > INIT_CLOCKS:
            out[clock - INIT_CLOCKS - 1] = w ^ x3
        feedback = (feedback & modulus) + (feedback >> np.uint64(31))
        feedback = (feedback & modulus) + (feedback >> np.uint64(31))
        state[clock & 15] = feedback


@njit(cache=True, nogil=True)
def _load(key: Octets, iv: Octets, state: Words64) -> None:
    """`_initial_state` in place."""
    for cell in range(16):
        state[cell] = (np.uint64(key[cell]) << np.uint64(23)) | (_D[cell] << np.uint64(8)) | np.uint64(iv[cell])


@njit(cache=True, nogil=True)
def _cipher_packets(boxes: Words, key: Octets, ivs: Octets, ends: Places, data: Octets) -> None:
    """Cipher packets that follow one another in `data` and end at `ends`, in place, each under its IV."""
    state = np.empty(16, np.uint64)
    stream = np.empty((data.size + 3) // 4, np.uint32)
    start = 0
    for packet in range(ends.size):
        end = ends[packet]
        _load(key, ivs[packet], state)
        words = stream[: (end - start + 3) // 4]
        _fill_keystream(boxes, state, words)
        for place in range(start, end):
            offset = place - start
            data[place] ^= np.uint8(words[offset >> 2] >> np.uint32(24 - 8 * (offset & 3)))
        start = end


@njit(cache=True, nogil=True)
def _mac(boxes: Words, key: Octets, iv: Octets, message: Octets, bits: int) -> np.uint64:
    """XOR of the keystream words that begin at the message's one bits and at its length, and the last (document 1, 4).

    The message's octets hold zeros behind its last bit.
    """
    state = np.empty(16, np.uint64)
    stream = np.empty((bits + 31) // 32 + 2, np.uint32)
    _load(key, iv, state)
    _fill_keystream(boxes, state, stream)
    tag = np.uint64(0)
    for place in range(message.size):
        index = place >> 2
        window = (np.uint64(stream[index]) << np.uint64(32)) | np.uint64(stream[index + 1])
        window = window << np.uint64(8 * (place & 3))
        octet = np.uint64(message[place])
        for bit in range(8):
            chosen = np.uint64(0) - ((octet >> np.uint64(7 - bit)) & np.uint64(1))
            tag ^= (window << np.uint64(bit)) & chosen
    index = bits >> 5
    window = (np.uint64(stream[index]) << np.uint64(32)) | np.uint64(stream[index + 1])
    tag ^= window << np.uint64(bits & 31)
    return (tag >> np.uint64(32)) ^ np.uint64(stream[-1])


def keystream(key: bytes, iv: bytes, n_words: int) -> Words:
    """Keystream words (n_words,) uint32 of a 16-octet key and a 16-octet IV."""
    out = np.empty(n_words, np.uint32)
    _fill_keystream(BOXES, np.array(_initial_state(key, iv), np.uint64), out)
    return out


class ZucCiphering:
    """128-EEA3 with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = np.frombuffer(key, np.uint8)

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        """Cipher or decipher the first `bit_length` bits; raises AlgorithmError (document 1, 3)."""
        bits = check_inputs(count, bearer, direction, data, bit_length)
        return first_bits(self._apply([count], bearer, direction, data[: (bits + 7) // 8], [(bits + 7) // 8]), bits)

    def apply_batch(self, counts: Sequence[int], bearer: int, direction: int, packets: Sequence[bytes]) -> list[bytes]:
        """Cipher or decipher packets (octets), each under its COUNT of 32 bits. Raises AlgorithmError."""
        return in_one_piece(self._apply, counts, bearer, direction, packets)

    def _apply(self, counts: Sequence[int], bearer: int, direction: int, data: bytes, ends: Sequence[int]) -> bytes:
        octets = np.array(memoryview(data))
        rest = bytes([bearer << 3 | direction << 2, 0, 0, 0])
        ivs = b"".join((count.to_bytes(4, "big") + rest) * 2 for count in counts)
        places = np.array(ends, np.int64)
        _cipher_packets(BOXES, self._key, np.frombuffer(ivs, np.uint8).reshape(-1, 16), places, octets)
        return octets.tobytes()


class ZucIntegrity:
    """128-EIA3 with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = np.frombuffer(key, np.uint8)

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        """MAC-I, 4 octets, over the first `bit_length` bits; raises AlgorithmError (document 1, 4)."""
        bits = check_inputs(count, bearer, direction, data, bit_length)
        half = count.to_bytes(4, "big") + bytes([bearer << 3, 0, 0, 0])
        second = bytearray(half)
        second[0] ^= direction << 7
        second[6] ^= direction << 7
        iv = np.frombuffer(half + bytes(second), np.uint8)
        message = np.frombuffer(first_bits(data, bits), np.uint8)
        return int(_mac(BOXES, self._key, iv, message, bits)).to_bytes(4, "big")
