"""Deciphers the protected PDCP PDUs of a capture with the keys of its security contexts.

A PDU shows KD-sess ID and SN, its packet's comment the link's layer-2 ids and the logical channel, and a key log has a
line for each context. Together they give keys, COUNT, BEARER and DIRECTION. MAC-I says whether the key is right: what
does not verify is not written. The result is the capture with a packet behind each PDU that was opened; PDUs that
could not be opened are counted by reason.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.comment import PacketComment, read_comment
from lab_scripts.capture.keylog import KeyedContext, KeyLog
from lab_scripts.capture.packet import Packet
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from lab_scripts.dissectors.exported import layer_of
from lab_scripts.dissectors.pdcp import IP_SDU, PC5_S_SDU, SlrbPdcp
from lab_scripts.dissectors.summary import pdu_of

_HEADER_OCTETS = 5
_BEARER_BITS = 0x1F


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptionCounts:
    """Results for a capture's packets; `protected` PDCP PDUs are decrypted, or lack keys, or fail MAC-I."""

    packets: int
    protected: int
    decrypted: int
    without_key: int
    wrong_mac_i: int
    without_link: int
    """Protected PDUs whose comment does not say on which link and logical channel they came."""


def decrypt_capture(source: Path, key_log: KeyLog, out: Path) -> DecryptionCounts:
    """Copy a capture and put each opened SDU behind its PDU, as a packet of an interface of its own.

    IP packets stand on `<UE>.ip-decrypted` (link type 101), PC5-S messages on `<UE>.pc5s-decrypted`. A PDU is opened
    only where its MAC-I verifies.

    Raises:
        CaptureError: `source` can't be read to its end; `out` then holds what came before.
        OSError: a file can't be opened.
    """
    counts: Counter[str] = Counter()
    with PcapngWriter(out, application="pc5lab capture decrypt") as writer:
        for packet in read_packets(source):
            counts["packets"] += 1
            writer.write(packet.interface, packet.time_ns or 0, packet.data, packet.comment)
            for interface, data, comment in _opened(packet, key_log, counts):
                writer.write(interface, packet.time_ns or 0, data, comment)
    return DecryptionCounts(**{name: counts[name] for name in DecryptionCounts.__slots__})


def _opened(packet: Packet, key_log: KeyLog, counts: Counter[str]) -> Iterator[tuple[Interface, bytes, str]]:
    pdu = pdu_of(layer_of(packet.interface.link_type, packet.data))
    if not isinstance(pdu, SlrbPdcp) or not pdu.kd_sess_id:
        return
    counts["protected"] += 1
    comment = read_comment(packet.comment)
    if comment is None or not comment.lcid:
        counts["without_link"] += 1
        return
    context = key_log.find(comment.src_l2, comment.dst_l2, pdu.kd_sess_id)
    if context is None:
        counts["without_key"] += 1
        return
    sdu = open_pdu(pdu, context, comment.lcid)
    if sdu is None:
        counts["wrong_mac_i"] += 1
        return
    counts["decrypted"] += 1
    yield from _frame(pdu.sdu_type, sdu, context, comment)


def open_pdu(pdu: SlrbPdcp, context: KeyedContext, lcid: int) -> bytes | None:
    """The SDU of a protected PDU, None where MAC-I doesn't verify (TS 36.323 5.6.2, 5.7)."""
    count, bearer = pdu.kd_sess_id << 16 | pdu.sn, lcid & _BEARER_BITS
    sdu = context.ciphering.apply(count, bearer, context.direction, pdu.data)
    header = bytes(pdu)[:_HEADER_OCTETS]
    mac_i = context.integrity.mac(count, bearer, context.direction, header + sdu)
    return sdu if hmac.compare_digest(mac_i, int(pdu.mac_i).to_bytes(4, "big")) else None


def _frame(
    sdu_type: int, sdu: bytes, context: KeyedContext, comment: PacketComment
) -> Iterator[tuple[Interface, bytes, str]]:
    keys = context.keys
    note = f"opened with KD-sess ID {keys.kd_sess_id:04x}, EEA{keys.eea}, EIA{keys.eia}"
    if sdu_type == IP_SDU:
        layer, link_type, frame = "ip-decrypted", LINKTYPE_RAW, sdu
    elif sdu_type == PC5_S_SDU:
        layer, link_type = "pc5s-decrypted", LINKTYPE_WIRESHARK_UPPER_PDU
        frame = exported_pdu.exported_pdu(exported_pdu.PC5_S, sdu)
    else:
        return
    interface = Interface(name=f"{comment.source}.{layer}", link_type=link_type)
    yield interface, frame, replace(comment, layer=layer, note=note).text()
