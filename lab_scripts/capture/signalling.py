"""The PC5-S messages of a capture, as they were on the air, and MIKEY messages of other protocols.

PC5-S stands in the clear, or inside protected PDCP PDUs. MIKEY may also be in IP: UDP, TCP, SDP, SIP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab_scripts.capture.comment import read_comment
from lab_scripts.capture.mikey_finder import MikeyFinder
from lab_scripts.capture.packet import Packet
from lab_scripts.capture.pcapng import LINKTYPE_WIRESHARK_UPPER_PDU
from lab_scripts.dissectors.exported import layer_of
from lab_scripts.dissectors.mikey import Mikey
from lab_scripts.dissectors.pc5s import Pc5S
from lab_scripts.dissectors.pdcp import PC5_S_SDU, SlrbPdcp
from lab_scripts.dissectors.summary import pdu_of

_PDCP_HEADER_OCTETS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedSignalling:
    """A protected PDCP PDU that carries PC5-S: its octets, its link and its logical channel."""

    src_l2: int
    dst_l2: int
    lcid: int
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalling:
    """The PC5-S of a capture, each message once however often it was sent or seen, in order of appearance."""

    messages: tuple[bytes, ...]
    """PC5-S messages in the clear."""
    protected: tuple[ProtectedSignalling, ...]
    i_messages: tuple[bytes, ...]
    """MIKEY messages that stand as frames of their own, or in IP."""
    looked_into: str = ""
    """A description of the IP traffic that was searched for them."""


def read_signalling(packets: Iterable[Packet]) -> Signalling:
    """Collect the PC5-S of packets; other packets, and those of an unknown link, are skipped."""
    messages: dict[bytes, None] = {}
    protected: dict[ProtectedSignalling, None] = {}
    i_messages: dict[bytes, None] = {}
    finder = MikeyFinder()
    for packet in packets:
        i_messages.update(dict.fromkeys(finder.take(packet.interface.link_type, packet.data)))
        if packet.interface.link_type != LINKTYPE_WIRESHARK_UPPER_PDU:
            continue
        match pdu_of(layer_of(packet.interface.link_type, packet.data)):
            case Pc5S() as message:
                messages[bytes(message.original)] = None
            case Mikey() as i_message:
                i_messages[bytes(i_message.original)] = None
            case SlrbPdcp() as pdu if pdu.sdu_type == PC5_S_SDU and not pdu.kd_sess_id:
                messages[bytes(pdu.original)[_PDCP_HEADER_OCTETS:]] = None
            case SlrbPdcp() as pdu if pdu.sdu_type == PC5_S_SDU:
                found = _protected(packet, bytes(pdu.original))
                protected.update({found: None} if found else {})
    i_messages.update(dict.fromkeys(finder.finish()))
    return Signalling(
        messages=tuple(messages),
        protected=tuple(protected),
        i_messages=tuple(i_messages),
        looked_into=finder.what_was_seen(),
    )


def _protected(packet: Packet, octets: bytes) -> ProtectedSignalling | None:
    comment = read_comment(packet.comment)
    if comment is None or not comment.lcid:
        return None
    return ProtectedSignalling(src_l2=comment.src_l2, dst_l2=comment.dst_l2, lcid=comment.lcid, octets=octets)
