"""UMD PDU with a 5-bit sequence number: header, length indicators, data field elements (TS 36.322 6.2.1.3).

One fixed octet (FI, E, SN), then a 12-bit extension part (E, length) for each element but the last, two of them in
three octets, then the elements. FI says whether the first element begins an SDU and whether the last one ends one; each
element in between is a whole SDU. The last element's length is what is left. Decoding refuses a length of zero, which
is reserved, and elements that run past the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from radio.errors import RadioError

SN_MODULUS = 32
"""5-bit SN: what STCH uses (TS 36.322 6.2.2.3)."""
MAX_LI = 2047
"""An 11-bit length indicator: a longer element must be the last of its PDU (TS 36.322 6.2.2.5)."""
_E_LI_BITS = 12


class RlcPduError(RadioError):
    """Octets that are no UMD PDU, or elements that fit none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UmdPdu:
    """FI as two flags: whether the first octet starts an SDU and whether the last one ends one."""

    sn: int
    starts: bool
    ends: bool
    elements: tuple[bytes, ...]


def umd_header_octets(n_elements: int) -> int:
    """Octets of the header in front of `n_elements` data field elements."""
    return 1 + (_E_LI_BITS * (n_elements - 1) + 7) // 8


def encode_umd(pdu: UmdPdu) -> bytes:
    """The PDU's octets. Raises RlcPduError: SN out of range, no element, an empty or a too long one."""
    if not 0 <= pdu.sn < SN_MODULUS or not pdu.elements or not all(pdu.elements):
        raise RlcPduError(f"no UMD PDU has SN {pdu.sn} and elements of {[len(e) for e in pdu.elements]} octets")
    lengths = [len(element) for element in pdu.elements[:-1]]
    if lengths and max(lengths) > MAX_LI:
        raise RlcPduError(f"an element of {max(lengths)} octets can't have another after it")
    extension = bool(lengths)
    first = (not pdu.starts) << 7 | (not pdu.ends) << 6 | extension << 5 | pdu.sn
    return bytes((first,)) + _encode_lengths(lengths) + b"".join(pdu.elements)


def _encode_lengths(lengths: Sequence[int]) -> bytes:
    bits = 0
    for i, length in enumerate(lengths):
        more = i + 1 < len(lengths)
        bits = bits << _E_LI_BITS | more << 11 | length
    n_octets = umd_header_octets(len(lengths) + 1) - 1
    return (bits << 8 * n_octets - _E_LI_BITS * len(lengths)).to_bytes(n_octets, "big")


def decode_umd(octets: bytes) -> UmdPdu:
    """The UMD PDU in `octets`. Raises RlcPduError: cut short, or a length that is zero or too great."""
    if not octets:
        raise RlcPduError("an empty UMD PDU")
    lengths = _decode_lengths(octets) if octets[0] & 0x20 else []
    offset = umd_header_octets(len(lengths) + 1)
    elements = []
    for length in lengths:
        elements.append(octets[offset : offset + length])
        offset += length
    if offset >= len(octets):
        raise RlcPduError(f"the elements of a UMD PDU of {len(octets)} octets run past its end")
    return UmdPdu(
        sn=octets[0] & 0x1F,
        starts=not octets[0] & 0x80,
        ends=not octets[0] & 0x40,
        elements=(*elements, octets[offset:]),
    )


def _decode_lengths(octets: bytes) -> list[int]:
    lengths: list[int] = []
    more = True
    while more:
        bit_offset = 8 + _E_LI_BITS * len(lengths)
        pair = octets[bit_offset // 8 : bit_offset // 8 + 2]
        if len(pair) < 2:
            raise RlcPduError("the length indicators run past the end")
        e_li = int.from_bytes(pair, "big") >> (4 - bit_offset % 8) & 0xFFF
        more, length = bool(e_li & 0x800), e_li & MAX_LI
        if not length:
            raise RlcPduError("a length indicator of 0 is reserved")
        lengths.append(length)
    return lengths
