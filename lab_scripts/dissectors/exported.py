"""Scapy layer for link type 252, Wireshark exported PDUs: hands the PDU to the layer its dissector name stands for."""

from __future__ import annotations

from scapy.config import conf
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.pcapng import LINKTYPE_WIRESHARK_UPPER_PDU
from lab_scripts.dissectors.layer2 import MibSlOctets, Pc5Discovery, SlrbPdcp, SlSchMac
from lab_scripts.dissectors.mikey import Mikey
from lab_scripts.dissectors.pc5s import Pc5S

LAYERS: dict[str, type[Packet]] = {
    exported_pdu.MIB_SL: MibSlOctets,
    exported_pdu.MIKEY: Mikey,
    exported_pdu.MAC: SlSchMac,
    exported_pdu.PC5_S: Pc5S,
    exported_pdu.SL_PDCP: SlrbPdcp,
    exported_pdu.PC5_D: Pc5Discovery,
}


class ExportedPdu(Packet):
    """The tags are taken off; `dissector` is the name found in them."""

    name = "Exported PDU"
    fields_desc: list[object] = []

    def do_dissect(self, s: bytes) -> bytes:
        try:
            self.dissector, pdu = exported_pdu.split_exported_pdu(s)
            if self.dissector == exported_pdu.MAC:
                pdu = exported_pdu.split_mac_lte_context(pdu)
        except ValueError:
            self.dissector, pdu = "", s
        self.raw_packet_cache = None
        return pdu

    def guess_payload_class(self, payload: bytes) -> type[Packet]:  # noqa: ARG002
        return LAYERS.get(self.dissector, Raw)


def register() -> None:
    """Let Scapy's readers use these layers."""
    conf.l2types.register(LINKTYPE_WIRESHARK_UPPER_PDU, ExportedPdu)


def layer_of(link_type: int, octets: bytes) -> Packet:
    """A captured frame as Scapy layers."""
    if link_type == LINKTYPE_WIRESHARK_UPPER_PDU:
        return ExportedPdu(octets)
    return IPv6(octets) if octets[:1] and octets[0] >> 4 == 6 else IP(octets)
