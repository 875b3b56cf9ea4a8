"""Fixed-width bit fields of control messages, most significant bit first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from radio.arrays import Bits
from radio.errors import RadioError


class BitFieldError(RadioError):
    """A field has a value outside its width, or a message has the wrong length."""


def pack_fields(fields: Iterable[tuple[str, int, int]]) -> Bits:
    """Bits of (name, value, width) fields one after another, uint8 (sum of widths,), most significant bit first.

    Raises BitFieldError for a value that does not fit into its width.
    """
    text = []
    for name, value, width in fields:
        if not 0 <= value < 1 << width:
            raise BitFieldError(f"{name} = {value} does not fit in {width} bits")
        if width:
            text.append(f"{value:0{width}b}")
    return np.frombuffer("".join(text).encode("ascii"), dtype=np.uint8) - np.uint8(ord("0"))


def unpack_fields(bits: Bits, widths: Sequence[int]) -> list[int]:
    """Values of consecutive fields of the given widths in bits, from `bits`, uint8 (sum of widths,).

    The most significant bit of each field comes first. Raises BitFieldError unless `bits` has exactly that length.
    """
    if bits.size != sum(widths):
        raise BitFieldError(f"message of {bits.size} bits where {sum(widths)} are expected")
    number = bits_to_int(bits)
    left = bits.size
    values = []
    for width in widths:
        left -= width
        values.append(number >> left & ((1 << width) - 1))
    return values


def bits_to_int(bits: Bits) -> int:
    """The unsigned integer whose binary digits are `bits`, uint8 (n,), most significant bit first."""
    return int.from_bytes(np.packbits(bits).tobytes(), "big") >> (-bits.size % 8)


def bits_to_bytes(bits: Bits) -> bytes:
    """Octets of `bits`, uint8 (n,): the first bit is the most significant one; zeros fill the last octet."""
    return np.packbits(bits).tobytes()


def bytes_to_bits(octets: bytes) -> Bits:
    """Bits of `octets`, uint8 (8 * n,), the top bit of each octet first."""
    return np.unpackbits(np.frombuffer(octets, dtype=np.uint8))
