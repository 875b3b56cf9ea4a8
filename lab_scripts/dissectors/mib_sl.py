"""Scapy layers for the broadcast message of the sidelink: MIB-SL and its V2X form (TS 36.331 6.5.2, UPER)."""

from __future__ import annotations

from scapy.fields import BitEnumField, BitField, XBitField
from scapy.packet import Packet


class MibSl(Packet):
    """MasterInformationBlock-SL, 40 bits (TS 36.331 6.5.2)."""

    name = "MIB-SL"
    fields_desc = [
        BitEnumField("sl_bandwidth", 3, 3, {0: "n6", 1: "n15", 2: "n25", 3: "n50", 4: "n75", 5: "n100"}),
        BitEnumField("tdd_config_sl", 0, 3, {0: "none", **{n + 1: f"sa{n}" for n in range(7)}}),
        BitField("direct_frame_number", 0, 10),
        BitField("direct_subframe_number", 0, 4),
        BitField("in_coverage", 0, 1),
        XBitField("reserved", 0, 19),
    ]


class MibSlV2x(Packet):
    """MasterInformationBlock-SL-V2X-r14, 48 bits (TS 36.331 6.5.2)."""

    name = "MIB-SL-V2X"
    fields_desc = [*MibSl.fields_desc[:-1], XBitField("reserved", 0, 27)]
