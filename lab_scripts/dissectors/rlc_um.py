"""Scapy layer for UMD PDUs with a 5-bit sequence number (TS 36.322 6.2.1.3)."""

from __future__ import annotations

from typing import Any

from scapy.fields import BitEnumField, BitField, Field, PacketListField
from scapy.packet import Packet, Raw

from lab_scripts.dissectors.pdcp import SlrbPdcp

FRAMING = {0: "whole", 1: "first", 2: "last", 3: "middle"}
"""FI (TS 36.322 6.2.2.6): bit 1 the first octet does not begin an SDU, bit 0 the last one does not end one."""
_NOT_FIRST, _NOT_LAST = 2, 1
_E_LI_BITS = 12


class RlcSegment(Raw):
    """A data field element that is a part of an SDU."""

    name = "RLC SDU segment"


class LengthIndicators(Field[list[int], bytes]):
    """E and LI pairs of 12 bits, as many as E says, padded to octets (TS 36.322 6.2.1.3)."""

    islist = 1

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, list[int]]:
        lengths: list[int] = []
        more = bool(pkt.e)
        while more:
            bit = _E_LI_BITS * len(lengths)
            pair = s[bit // 8 : bit // 8 + 2]
            if len(pair) < 2:
                raise ValueError("the length indicators run past the end")
            e_li = int.from_bytes(pair, "big") >> (4 - bit % 8) & 0xFFF
            more = bool(e_li & 0x800)
            lengths.append(e_li & 0x7FF)
        return s[-(-_E_LI_BITS * len(lengths) // 8) :], lengths

    def addfield(self, pkt: Packet, s: bytes, val: list[int] | None) -> bytes:
        lengths = _lengths_of(pkt) if val is None else val
        bits = "".join(f"{i + 1 < len(lengths):b}{length:011b}" for i, length in enumerate(lengths))
        bits += "0" * (-len(bits) % 8)
        return s + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


class Elements(PacketListField):
    """Data field elements: a whole SDU as a PDCP layer, a part of one as a segment."""

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, list[Packet]]:
        parts, at = [], 0
        for length in pkt.li:
            parts.append(s[at : at + length])
            at += length
        parts.append(s[at:])
        return b"", [_element(part, pkt.fi, i == 0, i == len(parts) - 1) for i, part in enumerate(parts)]


class RlcUm(Packet):
    """UMD PDU: `li` the length indicators, `elements` the data field elements. `e` and `li` follow from `elements`."""

    name = "RLC UM"
    fields_desc = [
        BitEnumField("fi", 0, 2, FRAMING),
        BitField("e", None, 1),
        BitField("sn", 0, 5),
        LengthIndicators("li", None),
        Elements("elements", []),
    ]

    def self_build(self) -> bytes:
        if self.e is None:
            complete = self.copy()
            complete.e = int(len(self.elements) > 1)
            return bytes(complete.self_build())
        return bytes(super().self_build())

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def _lengths_of(pdu: Any) -> list[int]:
    return [len(bytes(element)) for element in pdu.elements[:-1]]


def _element(octets: bytes, fi: int, is_first: bool, is_last: bool) -> Packet:
    if (is_first and fi & _NOT_FIRST) or (is_last and fi & _NOT_LAST):
        return RlcSegment(octets)
    try:
        return SlrbPdcp(octets)
    except Exception:  # Scapy's fields raise whatever they met
        return Raw(octets)
