"""Scapy layer for hearing reports, which go between the ends of a link as PDCP SDUs of type 4 (PROFILE 9, H1)."""

from __future__ import annotations

from scapy.fields import BitField, ByteField, PacketListField, ShortField, XByteField
from scapy.packet import Packet


class ReportedGrant(Packet):
    """A grant that the sender of the report hears, as its SCI announced it."""

    name = "Reported grant"
    fields_desc = [
        ShortField("n_pscch", 0),
        ShortField("riv", 0),
        ByteField("i_trp", 0),
        XByteField("group_destination_id", 0),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class HearingReport(Packet):
    """Which grants a receiver hears; `loses_blocks` asks the UE that is told to move."""

    name = "Hearing report"
    fields_desc = [
        ByteField("version", 1),
        BitField("spare", 0, 6),
        BitField("needs_reports", 0, 1),
        BitField("loses_blocks", 0, 1),
        ShortField("period_in_cycle", 0),
        PacketListField("grants", [], ReportedGrant),
    ]
