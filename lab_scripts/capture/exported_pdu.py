"""Frames of link type 252 (Wireshark exported PDU): a dissector's name, then the PDU.

Source: Wireshark's epan/exported_pdu.h tag list and packet-mac-lte.h context tags.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

_TAG_END = 0
_TAG_DISSECTOR_NAME = 12
_MAC_FDD = 1
_MAC_UPLINK = 0
_SL_RNTI = 8
_MAC_TAG_UE_ID = 0x03
_MAC_TAG_SYSFRAME = 0x04
_MAC_TAG_CRC_STATUS = 0x07
_MAC_TAG_PAYLOAD = 0x01

MIB_SL = "lte_rrc.sbcch_sl_bch"
MIB_SL_V2X = "lte_rrc.sbcch_sl_bch.v2x"
MIKEY = "mikey"
MAC = "mac-lte-framed"
PC5_S = "prose.pc5s"
SL_PDCP = "prose.slpdcp"
PC5_D = "prose.pc5d"
HEARING_REPORT = "prose.hearing"
SIP = "sip"

_TAG_IPV4_SRC, _TAG_IPV4_DST = 20, 21
_TAG_PORT_TYPE, _TAG_SRC_PORT, _TAG_DST_PORT = 24, 25, 26
_PORT_TYPES = {"udp": 3, "tcp": 2, "tls": 2}
"""EXP_PDU_PT_*; what TLS carries is shown as TCP."""


def exported_pdu(dissector: str, pdu: bytes) -> bytes:
    """One frame of link type 252 that Wireshark hands to `dissector`."""
    name = dissector.encode()
    padded = name + bytes(-len(name) % 4)
    tags = struct.pack("!HH", _TAG_DISSECTOR_NAME, len(padded)) + padded + struct.pack("!HH", _TAG_END, 0)
    return tags + pdu


def sip_message(octets: bytes, *, transport: str, source: str, destination: str) -> bytes:
    """A frame of one SIP message with its addresses, so that Wireshark draws its flow.

    Args:
        octets: the message.
        transport: udp, tcp or tls.
        source: IPv4 address and port, as 127.0.0.1:5060.
        destination: the same.
    """
    tags = _tag(_TAG_DISSECTOR_NAME, SIP.encode() + bytes(-len(SIP) % 4))
    for text, address, port in ((source, _TAG_IPV4_SRC, _TAG_SRC_PORT), (destination, _TAG_IPV4_DST, _TAG_DST_PORT)):
        host, _, number = text.rpartition(":")
        tags += _tag(address, IPv4Address(host).packed) + _tag(port, int(number).to_bytes(4))
    tags += _tag(_TAG_PORT_TYPE, _PORT_TYPES[transport].to_bytes(4))
    return tags + _tag(_TAG_END, b"") + octets


def _tag(tag: int, value: bytes) -> bytes:
    return struct.pack("!HH", tag, len(value)) + value


def mac_lte_framed(pdu: bytes, *, subframe: int, ue_number: int, crc_ok: bool = True) -> bytes:
    """A frame that Wireshark's MAC-LTE dissector takes as a sidelink SL-SCH PDU, with its context.

    Wireshark 4.0 shows every header field right, but calls a PDU without padding malformed where no LCID is 1..10:
    it looks for no SDUs of PC5-S.

    Args:
        pdu: the MAC PDU.
        subframe: the subframe counter; DFN and subframe number are taken from it.
        ue_number: small number of the UE, shown as UEId.
        crc_ok: verdict of the transport block's CRC.
    """
    dfn, subframe_number = subframe // 10 % 1024, subframe % 10
    context = bytes((_MAC_FDD, _MAC_UPLINK, _SL_RNTI))
    context += struct.pack("!BH", _MAC_TAG_UE_ID, ue_number)
    context += struct.pack("!BH", _MAC_TAG_SYSFRAME, dfn << 4 | subframe_number)
    context += struct.pack("!BB", _MAC_TAG_CRC_STATUS, int(crc_ok))
    return exported_pdu(MAC, context + bytes((_MAC_TAG_PAYLOAD,)) + pdu)


def exported_parts(frame: bytes) -> tuple[str, bytes]:
    """The dissector's name and the PDU of a frame of link type 252; no name where its tags give none or break off."""
    name, at = "", 0
    while at + 4 <= len(frame):
        tag, length = struct.unpack_from("!HH", frame, at)
        value = frame[at + 4 : at + 4 + length]
        at += 4 + length
        if tag == _TAG_END:
            return name, frame[at:]
        if tag == _TAG_DISSECTOR_NAME:
            name = value.rstrip(b"\0").decode("ascii", "replace")
    return "", b""
