"""Scapy layers for layer 2 of the sidelink: SL-SCH MAC, RLC UM, PDCP of SLRBs, PC5_DISCOVERY.

TS 36.321 6.1.6, TS 36.322 6.2.1.3, TS 36.323 6.2.10, TS 24.334 11.2.5.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    BitEnumField,
    BitField,
    ConditionalField,
    FieldListField,
    PacketListField,
    ShortField,
    X3BytesField,
    XByteField,
    XIntField,
    XShortField,
    XStrField,
    XStrFixedLenField,
    XStrLenField,
)
from scapy.packet import NoPayload, Packet, Raw

from lab_scripts.dissectors.pc5s import Pc5S

PADDING = 31
LCIDS = {28: "PC5-S unprotected", 29: "PC5-S security mode", 30: "PC5-S protected", PADDING: "padding"}
SDU_TYPES = {0: "IP", 1: "ARP", 2: "PC5-S", 3: "non-IP"}
_SIGNALLING = 2


class _Leaf(Packet):
    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class MacSubheader(_Leaf):
    """R/R/E/LCID, with F and L unless it is the last or padding."""

    name = "MAC subheader"
    fields_desc = [
        BitField("reserved", 0, 2),
        BitField("e", 0, 1),
        BitEnumField("lcid", 1, 5, LCIDS),
        ConditionalField(BitField("f", 0, 1), lambda packet: packet.e and packet.lcid != PADDING),
        ConditionalField(BitField("length", 0, 7), lambda packet: packet.e and packet.lcid != PADDING and not packet.f),
        ConditionalField(
            BitField("long_length", 0, 15), lambda packet: packet.e and packet.lcid != PADDING and packet.f
        ),
    ]

    def sdu_octets(self, rest: int) -> int:
        """Octets of the SDU this subheader announces; `rest` for the last one."""
        if self.lcid == PADDING and self.e:
            return 0
        if not self.e:
            return rest
        return int(self.long_length if self.f else self.length)


class RlcUm(_Leaf):
    """UMD PDU with 5-bit SN; `elements` are the data field elements, as octets."""

    name = "RLC UM"
    fields_desc = [
        BitEnumField("fi", 0, 2, {0: "whole", 1: "first", 2: "last", 3: "middle"}),
        BitField("e", 0, 1),
        BitField("sn", 0, 5),
        FieldListField("li", [], ShortField("", 0), length_from=lambda packet: 0),
        XStrField("data", b""),
    ]

    def do_dissect(self, s: bytes) -> bytes:
        first = s[0]
        self.fields.update(fi=first >> 6, e=first >> 5 & 1, sn=first & 0x1F)
        lengths, octets = _length_indicators(s[1:]) if self.fields["e"] else ([], 0)
        self.fields.update(li=lengths, data=s[1 + octets :])
        self.raw_packet_cache = s
        return b""

    def elements(self) -> list[bytes]:
        """The data field elements the length indicators cut the data into."""
        parts, at = [], 0
        for length in self.li:
            parts.append(self.data[at : at + length])
            at += length
        return [*parts, self.data[at:]]


def _length_indicators(octets: bytes) -> tuple[list[int], int]:
    lengths, bit, more = [], 0, True
    bits = int.from_bytes(octets, "big")
    total = 8 * len(octets)
    while more and bit + 12 <= total:
        word = bits >> (total - bit - 12) & 0xFFF
        more = bool(word & 0x800)
        lengths.append(word & 0x7FF)
        bit += 12
    return lengths, (bit + 7) // 8


class SlSchMac(Packet):
    """SL-SCH MAC PDU: `subheaders`, and `sdus` as RLC UM layers in the same order, padding left out."""

    name = "SL-SCH MAC"
    fields_desc = [
        BitEnumField("version", 2, 4, {1: "group", 2: "unicast", 3: "24-bit DST"}),
        BitField("reserved", 0, 4),
        X3BytesField("src", 0),
        ConditionalField(XShortField("dst", 0), lambda packet: packet.version != 3),
        ConditionalField(X3BytesField("dst_24", 0), lambda packet: packet.version == 3),
        PacketListField(
            "subheaders", [], MacSubheader, next_cls_cb=lambda packet, done, last, rest: _next_subheader(last)
        ),
        PacketListField("sdus", [], RlcUm, next_cls_cb=lambda packet, done, last, rest: None),
    ]

    def post_dissection(self, pkt: Packet) -> None:
        rest = bytes(self.payload)
        sdus: list[Any] = []
        for subheader in self.subheaders:
            octets = subheader.sdu_octets(len(rest))
            if subheader.lcid != PADDING:
                sdus.append(RlcUm(rest[:octets]) if octets else Raw(b""))
            rest = rest[octets:]
        self.sdus = sdus


def _next_subheader(last: Any) -> type[Packet] | None:
    return MacSubheader if last is None or last.e else None


class SlrbPdcp(Packet):
    """One-to-one PDCP PDU of an SLRB; the data of a protected one stays as it is."""

    name = "PDCP SLRB"
    fields_desc = [
        BitEnumField("sdu_type", 0, 3, SDU_TYPES),
        BitField("pgk_index", 0, 5),
        XShortField("kd_sess_id", 0),
        ShortField("sn", 0),
        ConditionalField(
            XStrLenField("ciphered", b"", length_from=lambda packet: packet.data_octets),
            lambda packet: packet.kd_sess_id != 0,
        ),
        ConditionalField(XIntField("mac_i", 0), lambda packet: packet.kd_sess_id != 0),
    ]

    def pre_dissect(self, s: bytes) -> bytes:
        self.data_octets = max(0, len(s) - 9)
        return s

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return Pc5S if self.sdu_type == _SIGNALLING and not self.kd_sess_id else self.default_payload_class(payload)


class Pc5Discovery(Packet):
    """PC5_DISCOVERY: 29 octets."""

    name = "PC5_DISCOVERY"
    fields_desc = [
        BitEnumField("discovery_type", 2, 2, {1: "open", 2: "restricted"}),
        BitEnumField(
            "content_type",
            6,
            4,
            {0: "announce", 1: "query", 4: "relay", 5: "relay solicit", 6: "group", 7: "group solicit"},
        ),
        BitEnumField("model", 1, 2, {1: "A", 2: "B"}),
        XStrFixedLenField("body", bytes(23), 23),
        XIntField("mic", 0),
        XByteField("utc_counter_lsb", 0),
    ]

    def default_payload_class(self, payload: bytes) -> type[Packet]:  # noqa: ARG002
        return NoPayload


class MibSlOctets(Packet):
    """MIB-SL, octet-aligned fields only up to the frame number (TS 36.331 6.5.2)."""

    name = "MIB-SL"
    fields_desc = [
        BitEnumField("sl_bandwidth", 3, 3, {0: "n6", 1: "n15", 2: "n25", 3: "n50", 4: "n75", 5: "n100"}),
        BitField("tdd_config_sl", 0, 3),
        BitField("direct_frame_number", 0, 10),
        BitField("direct_subframe_number", 0, 4),
        BitField("in_coverage", 0, 1),
        BitField("reserved", 0, 19),
    ]
