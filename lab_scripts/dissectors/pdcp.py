"""Scapy layers for PDCP PDUs of sidelink radio bearers, one-to-one and one-to-many (TS 36.323 6.2.10)."""

from __future__ import annotations

from typing import Any

from scapy.fields import (
    BitEnumField,
    BitField,
    ConditionalField,
    ShortField,
    XIntField,
    XShortField,
    XStrField,
    XStrLenField,
)
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP
from scapy.packet import Packet, Raw

from lab_scripts.dissectors.hearing_report import HearingReport
from lab_scripts.dissectors.pc5s import Pc5S

SDU_TYPES = {0: "IP", 1: "ARP", 2: "PC5-S", 3: "non-IP", 4: "hearing report"}
"""TS 36.323 6.3.14; 4 is reserved there, and the lab's own (PROFILE 9, H1)."""
IP_SDU, ARP_SDU, PC5_S_SDU, HEARING_REPORT_SDU = 0, 1, 2, 4
_HEADER_OCTETS, _MAC_I_OCTETS = 5, 4
_PGK_INDEX_BITS = 0x1F


def ip_layer(octets: bytes) -> type[Packet]:
    """The layer of an IP packet by its version; raw octets where there is no such version."""
    return {4: IP, 6: IPv6}.get(octets[0] >> 4, Raw) if octets else Raw


class _SlrbPdcp(Packet):
    """The data of a PDU in the clear is dissected by its SDU type."""

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        by_type = {ARP_SDU: ARP, PC5_S_SDU: Pc5S, HEARING_REPORT_SDU: HearingReport}
        if self.sdu_type == IP_SDU:
            by_type[IP_SDU] = ip_layer(payload)
        return by_type.get(self.sdu_type) or self.default_payload_class(payload)


class SlrbPdcp(_SlrbPdcp):
    """One-to-one PDU: with a KD-sess ID, data as on the air and MAC-I; without, the SDU as payload.

    A PDU with a PGK index, which stands in the reserved bits, becomes a `SlrbPdcpGroup`.
    """

    name = "PDCP SLRB one-to-one"
    fields_desc = [
        BitEnumField("sdu_type", 0, 3, SDU_TYPES),
        BitField("reserved", 0, 5),
        XShortField("kd_sess_id", 0),
        ShortField("sn", 0),
        ConditionalField(
            XStrLenField("data", b"", length_from=lambda packet: packet.data_octets),
            lambda packet: packet.kd_sess_id != 0,
        ),
        ConditionalField(XIntField("mac_i", 0), lambda packet: packet.kd_sess_id != 0),
    ]
    __slots__ = ["data_octets"]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_args: Any, **_kwargs: Any) -> type[Packet]:
        return SlrbPdcpGroup if _pkt and _pkt[0] & _PGK_INDEX_BITS else cls

    def pre_dissect(self, s: bytes) -> bytes:
        self.data_octets = max(0, len(s) - _HEADER_OCTETS - _MAC_I_OCTETS)
        return s


class SlrbPdcpGroup(_SlrbPdcp):
    """One-to-many PDU: header, data as on the air; in the clear PGK index, PTK identity and SN are all 0."""

    name = "PDCP SLRB one-to-many"
    fields_desc = [
        BitEnumField("sdu_type", 0, 3, SDU_TYPES),
        BitField("pgk_index", 1, 5),
        XShortField("ptk_id", 0),
        ShortField("sn", 0),
        XStrField("data", b""),
    ]
