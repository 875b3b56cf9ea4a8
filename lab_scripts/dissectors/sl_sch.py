"""Scapy layer for SL-SCH MAC PDUs: subheaders, SDUs as RLC UM layers, padding (TS 36.321 6.1.6, 6.2.4)."""

from __future__ import annotations

from scapy.fields import (
    BitEnumField,
    BitField,
    ConditionalField,
    MultipleTypeField,
    PacketListField,
    X3BytesField,
    XShortField,
    XStrField,
)
from scapy.packet import Packet, Raw

from lab_scripts.dissectors.rlc_um import RlcUm

PADDING = 31
LCIDS = {28: "PC5-S, not protected", 29: "PC5-S, security mode", 30: "PC5-S, protected", PADDING: "padding"}
"""TS 36.321 table 6.2.4-1."""
VERSIONS = {1: "group", 2: "unicast", 3: "24-bit DST"}
WIDE_DST = 3
_LONG_FORMAT_FROM = 128


def _has_length(subheader: Packet) -> bool:
    return bool(subheader.e and subheader.lcid != PADDING)


class MacSubheader(Packet):
    """R/R/E/LCID, with F and L unless it is the last or padding. `e`, `f` and `length` follow from the PDU if None."""

    name = "MAC subheader"
    fields_desc = [
        BitField("reserved", 0, 2),
        BitField("e", None, 1),
        BitEnumField("lcid", 1, 5, LCIDS),
        ConditionalField(BitField("f", None, 1), _has_length),
        ConditionalField(
            MultipleTypeField([(BitField("length", None, 15), lambda packet: packet.f)], BitField("length", None, 7)),
            _has_length,
        ),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s

    def completed(self, is_last: bool, sdu_octets: int) -> MacSubheader:
        """A copy with what was left open filled in."""
        done = self.copy()
        if done.e is None:
            done.e = int(not is_last)
        if _has_length(done):
            if done.length is None:
                done.length = sdu_octets
            if done.f is None:
                done.f = int(done.length >= _LONG_FORMAT_FROM)
        return done


class Subheaders(PacketListField):
    """MAC subheaders up to the one whose E is 0."""

    def addfield(self, pkt: Packet, s: bytes, val: list[MacSubheader]) -> bytes:
        sdus = iter(pkt.sdus)
        for i, subheader in enumerate(val):
            octets = 0 if subheader.lcid == PADDING else len(bytes(next(sdus, b"")))
            s += bytes(subheader.completed(i == len(val) - 1, octets))
        return s


class Sdus(PacketListField):
    """The SDUs that the subheaders announce, in their order; the last one's length is what is left."""

    def getfield(self, pkt: Packet, s: bytes) -> tuple[bytes, list[Packet]]:
        sdus: list[Packet] = []
        for subheader in pkt.subheaders:
            if not isinstance(subheader, MacSubheader) or subheader.lcid == PADDING:
                continue
            length = subheader.length if subheader.e else len(s)
            sdus.append(_sdu(s[:length]))
            s = s[length:]
        return s, sdus


class SlSchMac(Packet):
    """SL-SCH MAC PDU: SL-SCH subheader, `subheaders`, `sdus` in the same order without those of padding, padding."""

    name = "SL-SCH MAC"
    fields_desc = [
        BitEnumField("version", 2, 4, VERSIONS),
        BitField("reserved", 0, 4),
        X3BytesField("src", 0),
        MultipleTypeField([(X3BytesField("dst", 0), lambda packet: packet.version == WIDE_DST)], XShortField("dst", 0)),
        Subheaders("subheaders", [], next_cls_cb=lambda packet, done, last, rest: _next_subheader(last)),
        Sdus("sdus", []),
        XStrField("padding", b""),
    ]


def _next_subheader(last: Packet | None) -> type[Packet] | None:
    return MacSubheader if last is None or last.e else None


def _sdu(octets: bytes) -> Packet:
    try:
        return RlcUm(octets)
    except Exception:  # Scapy's fields raise whatever they met
        return Raw(octets)
