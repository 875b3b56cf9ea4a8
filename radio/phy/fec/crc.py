"""Cyclic redundancy checks (TS 36.212 5.1.1).

The parity bits are the remainder of the message, as a polynomial over GF(2), divided by a generator polynomial; a
message with its parity bits appended leaves no remainder. The remainder is kept at the top of 32 bits whatever the
degree, so that one table-driven loop serves all three polynomials: an octet at a time for bits, eight octets at a time
for packed ones, with a table for each distance from the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from radio.arrays import Bits

_WORTH_PACKING = 1024
"""Bits from which on it is faster to pack them first."""

OctetTable = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A generator polynomial: its degree and its coefficients below the highest power."""

    n_bits: int
    coefficients: int


CRC24A = Polynomial(24, 0x864CFB)
"""g_CRC24A (TS 36.212 5.1.1)."""
CRC24B = Polynomial(24, 0x800063)
"""g_CRC24B (TS 36.212 5.1.1)."""
CRC16 = Polynomial(16, 0x1021)
"""g_CRC16 (TS 36.212 5.1.1)."""


@cache
def octet_table(poly: Polynomial) -> OctetTable:
    """Remainder of each octet, at the top of 32 bits whatever the degree. Returns uint32 (256,), read-only."""
    remainders = np.arange(256, dtype=np.uint64) << np.uint64(24)
    aligned = np.uint64(poly.coefficients << (32 - poly.n_bits))
    for _ in range(8):
        carry = (remainders >> np.uint64(31)).astype(bool)
        remainders = ((remainders << np.uint64(1)) & np.uint64(0xFFFFFFFF)) ^ np.where(carry, aligned, np.uint64(0))
    table = remainders.astype(np.uint32)
    table.flags.writeable = False
    return table


@cache
def octet_tables(poly: Polynomial) -> OctetTable:
    """Remainder of each octet with 0 to 7 octets of zero behind it, so that eight octets can be taken at a time.

    Returns uint32 (8, 256), the remainders at the top of 32 bits, read-only.
    """
    rows = [octet_table(poly)]
    for _ in range(7):
        rows.append((rows[-1] << np.uint32(8)) ^ rows[0][rows[-1] >> np.uint32(24)])
    tables = np.array(rows, dtype=np.uint32)
    tables.flags.writeable = False
    return tables


@njit(nogil=True)
def remainder_of_octets(octets: npt.NDArray[np.uint8], first: int, n_octets: int, tables: OctetTable) -> np.uint32:
    """Kernel: remainder of `n_octets` of `octets`, uint8 (n,), from `first` on.

    Returns a uint32 with the remainder in its top bits. `tables` are those of `octet_tables`.
    """
    r = np.uint32(0)
    whole = n_octets & ~7
    for i in range(first, first + whole, 8):
        r = np.uint32(
            tables[7, octets[i] ^ (r >> np.uint32(24))]
            ^ tables[6, octets[i + 1] ^ ((r >> np.uint32(16)) & np.uint32(255))]
            ^ tables[5, octets[i + 2] ^ ((r >> np.uint32(8)) & np.uint32(255))]
            ^ tables[4, octets[i + 3] ^ (r & np.uint32(255))]
            ^ tables[3, octets[i + 4]]
            ^ tables[2, octets[i + 5]]
            ^ tables[1, octets[i + 6]]
            ^ tables[0, octets[i + 7]]
        )
    for i in range(first + whole, first + n_octets):
        r = np.uint32(np.uint32(r << np.uint32(8)) ^ tables[0, (r >> np.uint32(24)) ^ octets[i]])
    return r


@njit(cache=True, nogil=True)
def remainder_of_bits(bits: Bits, table: OctetTable) -> np.uint32:
    """Kernel: remainder of `bits`, uint8 (n,), as a uint32 with the remainder in its top bits.

    Leading zeros fill the first octet; they do not change a remainder. `table` is that of `octet_table`.
    """
    remainder = np.uint32(0)
    octet = np.uint32(0)
    lead = bits.size & 7
    for i in range(lead):
        octet |= np.uint32(bits[i]) << np.uint32(lead - 1 - i)
    remainder = table[octet]
    for base in range(lead, bits.size, 8):
        octet = np.uint32(0)
        for i in range(8):
            octet |= np.uint32(bits[base + i]) << np.uint32(7 - i)
        remainder = np.uint32(np.uint32(remainder << np.uint32(8)) ^ table[(remainder >> np.uint32(24)) ^ octet])
    return remainder


@njit(cache=True, nogil=True)
def _remainder_of_whole(octets: npt.NDArray[np.uint8], tables: OctetTable) -> np.uint32:
    return remainder_of_octets(octets, 0, octets.size, tables)


def crc(bits: Bits, poly: Polynomial) -> int:
    """Parity bits of `bits` as a number, p_0 its most significant bit (TS 36.212 5.1.1).

    `bits` uint8 (n,), 0 or 1, any n.
    """
    if bits.size >= _WORTH_PACKING and bits.size % 8 == 0:
        return int(_remainder_of_whole(np.packbits(bits), octet_tables(poly))) >> (32 - poly.n_bits)
    unalterable = np.ascontiguousarray(bits).view()
    unalterable.flags.writeable = False  # one kernel for writeable and read-only bits alike
    return int(remainder_of_bits(unalterable, octet_table(poly))) >> (32 - poly.n_bits)


def crc_bits(bits: Bits, poly: Polynomial) -> Bits:
    """Parity bits of `bits`, p_0 first. Returns uint8 (poly.n_bits,) (TS 36.212 5.1.1)."""
    value = crc(bits, poly)
    return np.unpackbits(np.frombuffer(value.to_bytes(4, "big"), dtype=np.uint8))[32 - poly.n_bits :]


def attach_crc(bits: Bits, poly: Polynomial) -> Bits:
    """`bits` followed by their parity bits. Returns uint8 (n + poly.n_bits,) (TS 36.212 5.1.1)."""
    return np.concatenate([bits, crc_bits(bits, poly)])


def check_crc(bits: Bits, poly: Polynomial) -> bool:
    """Whether `bits`, uint8 (n,), with their parity bits at the end leave no remainder (TS 36.212 5.1.1)."""
    return crc(bits, poly) == 0
