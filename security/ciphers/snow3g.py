"""SNOW 3G, and 128-EEA1 and 128-EIA1 on it (ETSI/SAGE UEA2 & UIA2 documents 1 and 2, TS 33.401 B.1.2, B.2.2).

A shift register of sixteen 32-bit words over GF(2^32) and a machine of three registers with two S-boxes; key and
initialisation vector are mixed in 32 clocks whose output goes back into the register, then each clock gives a word of
keystream. Multiplications by alpha and the S-boxes are tables that are computed from their definitions when the module
is loaded. 128-EIA1 takes five words of keystream and evaluates the message as a polynomial over GF(2^64) at a point of
the keystream.

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
ALL_ONES = 0xFFFFFFFF


def _mulx(v: int, c: int) -> int:
    """MULx (document 2, 3.1.1)."""
    return (v << 1) & 0xFF ^ (c if v & 0x80 else 0)


def _mulx_pow(v: int, i: int, c: int) -> int:
    """MULxPOW (document 2, 3.1.2)."""
    for _ in range(i):
        v = _mulx(v, c)
    return v


def _multiply(a: int, b: int, polynomial: int) -> int:
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= _mulx_pow(a, bit, polynomial)
    return product


def _power(x: int, exponent: int, polynomial: int) -> int:
    result = 1
    while exponent:
        if exponent & 1:
            result = _multiply(result, x, polynomial)
        x = _multiply(x, x, polynomial)
        exponent >>= 1
    return result


def _rijndael_box() -> list[int]:
    """SR: inversion modulo x^8+x^4+x^3+x+1, then the affine map of AES (document 2, 5.1.1)."""
    box = []
    for x in range(256):
        inverse = _power(x, 254, 0x1B)
        rotations = (inverse, *((inverse << k | inverse >> (8 - k)) & 0xFF for k in (1, 2, 3, 4)))
        value = 0x63
        for rotation in rotations:
            value ^= rotation
        box.append(value)
    return box


def _dickson_box() -> list[int]:
    """SQ: a Dickson polynomial modulo x^8+x^6+x^5+x^3+1 (document 2, 5.1.2)."""
    box = []
    for x in range(256):
        value = 0x25
        for exponent in (1, 9, 13, 15, 33, 41, 45, 47, 49):
            value ^= _power(x, exponent, 0x69)
        box.append(value)
    return box


def _substitution_tables(box: list[int], c: int) -> list[list[int]]:
    """S1 or S2 as four tables of words, one for each octet of the input (document 2, 3.3.1, 3.3.2)."""
    tables = []
    for position in range(4):
        shift = 8 * position
        column = []
        for s in box:
            word = (_mulx(s, c) << 24) | (_mulx(s, c) ^ s) << 16 | s << 8 | s
            column.append((word >> shift | word << (32 - shift)) & ALL_ONES)
        tables.append(column)
    return tables


def _alpha_table(exponents: tuple[int, int, int, int]) -> list[int]:
    """MULalpha or DIValpha (document 2, 3.4.2, 3.4.3)."""
    table = []
    for c in range(256):
        octets = bytes(_mulx_pow(c, exponent, 0xA9) for exponent in exponents)
        table.append(int.from_bytes(octets, "big"))
    return table


TABLES: Words = np.array(
    [
        _alpha_table((23, 245, 48, 239)),
        _alpha_table((16, 39, 6, 64)),
        *_substitution_tables(_rijndael_box(), 0x1B),
        *_substitution_tables(_dickson_box(), 0x69),
    ],
    dtype=np.uint32,
)
"""MULalpha, DIValpha, S1 by octet, S2 by octet."""


def _initial_state(key: bytes, iv: tuple[int, int, int, int]) -> list[int]:
    """The LFSR before initialisation; `iv` is (IV0, IV1, IV2, IV3) (document 2, 4.1)."""
    k3, k2, k1, k0 = (int.from_bytes(key[i : i + 4], "big") for i in (0, 4, 8, 12))
    low = [word ^ ALL_ONES for word in (k0, k1, k2, k3)] + [k0, k1, k2, k3]
    high = [word ^ ALL_ONES for word in (k0, k1, k2, k3)] + [k0, k1, k2, k3]
    for index, word in ((7, iv[0]), (4, iv[1]), (2, iv[2]), (1, iv[3])):
        high[index] ^= word
    return low + high


def keystream_plain(key: bytes, iv: tuple[int, int, int, int]) -> Iterator[int]:
    """Keystream words of 32 bits, one by one, as the specification runs the cipher (document 2, 4)."""
    s = _initial_state(key, iv)
    r1 = r2 = r3 = 0
    mul, div = TABLES[0].tolist(), TABLES[1].tolist()
    s1, s2 = TABLES[2:6].tolist(), TABLES[6:10].tolist()

    def substitute(tables: list[list[int]], w: int) -> int:
        return tables[0][w >> 24] ^ tables[1][w >> 16 & 255] ^ tables[2][w >> 8 & 255] ^ tables[3][w & 255]

    clock = 0
    while True:
        f = (s[15] + r1 & ALL_ONES) ^ r2
        r1, r2, r3 = r2 + (r3 ^ s[5]) & ALL_ONES, substitute(s1, r1), substitute(s2, r2)
        if clock > INIT_CLOCKS:
            yield f ^ s[0]
        v = (s[0] << 8) & ALL_ONES ^ mul[s[0] >> 24] ^ s[2] ^ s[11] >> 8 ^ div[s[11] & 255]
        if clock < INIT_CLOCKS:
            v ^= f
        s = [*s[1:], v]
        clock += 1


@njit(cache=True, nogil=True)
def _fill_keystream(tables: Words, state: Words, out: Words) -> None:
    """Initialise from the LFSR `state` (16 words, used up) and fill `out` with keystream words."""
    r1 = np.uint32(0)
    r2 = np.uint32(0)
    r3 = np.uint32(0)
    for clock in range(INIT_CLOCKS + 1 + out.size):
        s0 = state[clock & 15]
        s11 = state[(clock + 11) & 15]
        f = np.uint32(np.uint32(state[(clock + 15) & 15] + r1) ^ r2)
        total = np.uint32(r2 + np.uint32(r3 ^ state[(clock + 5) & 15]))
        r3 = np.uint32(
            tables[6, r2 >> np.uint32(24)]
            ^ tables[7, (r2 >> np.uint32(16)) & np.uint32(255)]
            ^ tables[8, (r2 >> np.uint32(8)) & np.uint32(255)]
            ^ tables[9, r2 & np.uint32(255)]
        )
        r2 = np.uint32(
            tables[2, r1 >> np.uint32(24)]
            ^ tables[3, (r1 >> np.uint32(16)) & np.uint32(255)]
            ^ tables[4, (r1 >> np.uint32(8)) & np.uint32(255)]
            ^ tables[5, r1 & np.uint32(255)]
        )
        r1 = total
        v = np.uint32(
            np.uint32(s0 << np.uint32(8))
            ^ tables[0, s0 >> np.uint32(24)]
            ^ state[(clock + 2) & 15]
            ^ (s11 >> np.uint32(8))
            ^ tables[1, s11 & np.uint32(255)]
        )
        if clock < INIT_CLOCKS:
            v = np.uint32(v ^ f)
        elif clock > INIT_CLOCKS:
            out[clock - INIT_CLOCKS - 1] = np.uint32(f ^ s0)
        state[clock & 15] = v


@njit(cache=True, nogil=True)
def _load(key: Words, iv0: np.uint32, iv1: np.uint32, iv2: np.uint32, iv3: np.uint32, state: Words) -> None:
    """`_initial_state` in place; `key` is K3, K2, K1, K0."""
    for index in range(4):
        word = key[3 - index]
        state[index] = ~word
        state[index + 4] = word
        state[index + 8] = ~word
        state[index + 12] = word
    state[15] ^= iv0
    state[12] ^= iv1
    state[10] ^= iv2
    state[9] ^= iv3


@njit(cache=True, nogil=True)
def _cipher_packets(tables: Words, key: Words, counts: Words, second: np.uint32, ends: Places, data: Octets) -> None:
    """Cipher packets that follow one another in `data` and end at `ends`, in place, each under its COUNT."""
    state = np.empty(16, np.uint32)
    stream = np.empty((data.size + 3) // 4, np.uint32)
    start = 0
    for packet in range(counts.size):
        end = ends[packet]
        _load(key, second, counts[packet], second, counts[packet], state)
        words = stream[: (end - start + 3) // 4]
        _fill_keystream(tables, state, words)
        for place in range(start, end):
            offset = place - start
            data[place] ^= np.uint8(words[offset >> 2] >> np.uint32(24 - 8 * (offset & 3)))
        start = end


@njit(cache=True, nogil=True)
def _multiples(p: np.uint64) -> Words64:
    """n * x^(4i) * p modulo x^64 + x^4 + x^3 + x + 1 at [i, n]: products by nibbles (document 1, 4.3)."""
    table = np.zeros((16, 16), np.uint64)
    value = p
    for i in range(16):
        for bit in range(4):
            step = 1 << bit
            for n in range(step):
                table[i, step + n] = table[i, n] ^ value
            carry = value >> np.uint64(63)
            value = (value << np.uint64(1)) ^ (carry * np.uint64(0x1B))
    return table


@njit(cache=True, nogil=True)
def _multiply_64(v: np.uint64, multiples: Words64) -> np.uint64:
    """v * p of the multiples of p."""
    product = np.uint64(0)
    for i in range(16):
        product ^= multiples[i, (v >> np.uint64(4 * i)) & np.uint64(15)]
    return product


@njit(cache=True, nogil=True)
def _evaluate(message: Octets, bits: int, z: Words) -> np.uint64:
    """The polynomial over 64-bit blocks of the message, at P, then at Q with the length (document 1, 5.3)."""
    p = (np.uint64(z[0]) << np.uint64(32)) | np.uint64(z[1])
    q = (np.uint64(z[2]) << np.uint64(32)) | np.uint64(z[3])
    multiples = _multiples(p)
    value = np.uint64(0)
    for start in range(0, message.size, 8):
        block = np.uint64(0)
        for place in range(start, min(start + 8, message.size)):
            block |= np.uint64(message[place]) << np.uint64(56 - 8 * (place - start))
        value = _multiply_64(value ^ block, multiples)
    return _multiply_64(value ^ np.uint64(bits), _multiples(q))


@njit(cache=True, nogil=True)
def _mac(tables: Words, key: Words, iv: Words, message: Octets, bits: int) -> np.uint64:
    """MAC-I over a message whose octets hold zeros after its last bit (document 1, 5.3)."""
    state = np.empty(16, np.uint32)
    z = np.empty(5, np.uint32)
    _load(key, iv[0], iv[1], iv[2], iv[3], state)
    _fill_keystream(tables, state, z)
    return (_evaluate(message, bits, z) >> np.uint64(32)) ^ np.uint64(z[4])


def keystream(key: bytes, iv: tuple[int, int, int, int], n_words: int) -> Words:
    """Keystream words (n_words,) uint32 of a 16-octet key and (IV0, IV1, IV2, IV3)."""
    out = np.empty(n_words, np.uint32)
    _fill_keystream(TABLES, np.array(_initial_state(key, iv), np.uint32), out)
    return out


class Snow3gCiphering:
    """128-EEA1 with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = np.frombuffer(key, ">u4").astype(np.uint32)

    def apply(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        """Cipher or decipher the first `bit_length` bits; raises AlgorithmError (document 1, 4.4)."""
        bits = check_inputs(count, bearer, direction, data, bit_length)
        return first_bits(self._apply([count], bearer, direction, data[: (bits + 7) // 8], [(bits + 7) // 8]), bits)

    def apply_batch(self, counts: Sequence[int], bearer: int, direction: int, packets: Sequence[bytes]) -> list[bytes]:
        """Cipher or decipher packets (octets), each under its COUNT of 32 bits. Raises AlgorithmError."""
        return in_one_piece(self._apply, counts, bearer, direction, packets)

    def _apply(self, counts: Sequence[int], bearer: int, direction: int, data: bytes, ends: Sequence[int]) -> bytes:
        octets = np.array(memoryview(data))
        second = np.uint32(bearer << 27 | direction << 26)
        places = np.array(ends, np.int64)
        _cipher_packets(TABLES, self._key, np.array(counts, np.uint32), second, places, octets)
        return octets.tobytes()


class Snow3gIntegrity:
    """128-EIA1 with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = np.frombuffer(key, ">u4").astype(np.uint32)

    def mac(self, count: int, bearer: int, direction: int, data: bytes, bit_length: int | None = None) -> bytes:
        """MAC-I, 4 octets, over the first `bit_length` bits; raises AlgorithmError (document 1, 5.4)."""
        bits = check_inputs(count, bearer, direction, data, bit_length)
        fresh = bearer << 27
        iv = np.array((fresh ^ direction << 15, count ^ direction << 31, fresh, count), np.uint32)
        message = np.frombuffer(first_bits(data, bits), np.uint8)
        return int(_mac(TABLES, self._key, iv, message, bits)).to_bytes(4, "big")
