"""Scapy layers for link type 252: Wireshark exported PDUs, and the context in front of a MAC-LTE PDU.

Sources: Wireshark's wsutil/exported_pdu_tlvs.h (tags) and epan/dissectors/packet-mac-lte.h (context).
"""

from __future__ import annotations

from scapy.config import conf
from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    FieldLenField,
    MultipleTypeField,
    PacketListField,
    ShortEnumField,
    StrLenField,
    XShortField,
    XStrLenField,
)
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Ether, Loopback
from scapy.layers.ppp import PPP
from scapy.packet import Packet, Raw, bind_bottom_up

from lab_scripts.dissectors.discovery import Pc5Discovery
from lab_scripts.dissectors.mib_sl import MibSl, MibSlV2x
from lab_scripts.dissectors.mikey import Mikey
from lab_scripts.dissectors.pc5s import Pc5S
from lab_scripts.dissectors.pdcp import SlrbPdcp, ip_layer
from lab_scripts.dissectors.sl_sch import SlSchMac

LINKTYPE_EXPORTED_PDU = 252
_MIKEY_PORT = 2269
LINKS: dict[int, tuple[type[Packet], int]] = {
    0: (Loopback, 4),
    1: (Ether, 14),
    9: (PPP, 4),
    108: (Loopback, 4),
    113: (CookedLinux, 16),
    276: (CookedLinuxV2, 20),
}
"""Link types of other people's captures (tcpdump.org link-layer header types): layer, octets of its header."""
_RAW_IP = (12, 14, 101, 228, 229)
END, DISSECTOR_NAME = 0, 12
UE_ID, SYSFRAME, CRC_STATUS, CARRIER, PAYLOAD = 0x03, 0x04, 0x07, 0x0A, 0x01
_TWO_OCTETS = (0x02, UE_ID, SYSFRAME)
SL_RNTI = 8


class ExportedTag(Packet):
    """Tag, length, value padded to four octets."""

    name = "exported PDU tag"
    fields_desc = [
        ShortEnumField("tag", DISSECTOR_NAME, {END: "end", DISSECTOR_NAME: "dissector", 33: "column text"}),
        FieldLenField("length", None, length_of="value"),
        MultipleTypeField(
            [(StrLenField("value", b"", length_from=lambda packet: packet.length), lambda p: p.tag == DISSECTOR_NAME)],
            XStrLenField("value", b"", length_from=lambda packet: packet.length),
        ),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class MacLteContext(Packet):
    """mac-lte-framed: what a MAC-LTE PDU does not say of itself; the tags in the order this lab writes them."""

    name = "MAC-LTE context"
    fields_desc = [
        ByteEnumField("radio_type", 1, {1: "FDD", 2: "TDD"}),
        ByteEnumField("direction", 0, {0: "uplink", 1: "downlink"}),
        ByteEnumField("rnti_type", SL_RNTI, {7: "SL-BCH-RNTI", SL_RNTI: "SL-RNTI"}),
        PacketListField("tags", [], next_cls_cb=lambda packet, done, last, rest: _next_context_tag(rest)),
        ByteField("payload_tag", PAYLOAD),
    ]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return SlSchMac if self.rnti_type == SL_RNTI else self.default_payload_class(payload)


class MacLteTag(Packet):
    """A tag and its value, whose length the tag implies."""

    name = "MAC-LTE tag"
    fields_desc = [
        ByteEnumField(
            "tag",
            UE_ID,
            {0x02: "RNTI", UE_ID: "UE id", SYSFRAME: "SFN and subframe", CRC_STATUS: "CRC status", CARRIER: "carrier"},
        ),
        ConditionalField(XShortField("value", 0), lambda packet: packet.tag in _TWO_OCTETS),
        ConditionalField(ByteField("octet", 0), lambda packet: packet.tag not in _TWO_OCTETS),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


def _next_context_tag(rest: bytes) -> type[Packet] | None:
    return MacLteTag if rest and rest[0] in (*_TWO_OCTETS, CRC_STATUS, CARRIER) else None


class ExportedPdu(Packet):
    """Tags up to the end tag, then the PDU as the layer its dissector's name stands for."""

    name = "exported PDU"
    fields_desc = [
        PacketListField("tags", [], next_cls_cb=lambda packet, done, last, rest: None if _is_end(last) else ExportedTag)
    ]

    @property
    def dissector(self) -> str:
        """The dissector's name, empty where no tag gives one."""
        names = [tag.value for tag in self.tags if isinstance(tag, ExportedTag) and tag.tag == DISSECTOR_NAME]
        return bytes(names[0]).rstrip(b"\0").decode("ascii", "replace") if names else ""

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        return LAYERS.get(self.dissector, Raw)


def _is_end(tag: Packet | None) -> bool:
    return isinstance(tag, ExportedTag) and tag.tag == END


LAYERS: dict[str, type[Packet]] = {
    "lte_rrc.sbcch_sl_bch": MibSl,
    "lte_rrc.sbcch_sl_bch.v2x": MibSlV2x,
    "mac-lte-framed": MacLteContext,
    "mikey": Mikey,
    "prose.pc5s": Pc5S,
    "prose.slpdcp": SlrbPdcp,
    "prose.pc5d": Pc5Discovery,
}
"""Dissector's name -> layer of its PDU."""


for _transport in (UDP, TCP):
    bind_bottom_up(_transport, Mikey, dport=_MIKEY_PORT)
    bind_bottom_up(_transport, Mikey, sport=_MIKEY_PORT)


def register() -> None:
    """Let Scapy's own readers (`rdpcap`, `sniff(offline=...)`) use these layers."""
    conf.l2types.register(LINKTYPE_EXPORTED_PDU, ExportedPdu)


def layer_of(link_type: int, octets: bytes) -> Packet:
    """A captured frame as layers; as raw octets where it can't be dissected."""
    kind: type[Packet] = Raw
    if link_type == LINKTYPE_EXPORTED_PDU:
        kind = ExportedPdu
    elif link_type in _RAW_IP:
        kind = ip_layer(octets)
    elif link_type in LINKS:
        link, header_octets = LINKS[link_type]
        kind = link if len(octets) >= header_octets else Raw
    try:
        return kind(octets)
    except Exception:  # Scapy's fields raise whatever they met
        return Raw(octets)
