"""Turns PDUs and SIP messages of the UEs into packets of a capture: one interface for each layer of each UE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.comment import PacketComment
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter
from lab_scripts.events.selection import AnyEvent, is_of
from prose_link.carriers.ims.events import SipMessageSeen
from prose_link.event_stream import PduSeen, TimedEvent

_DISSECTOR_OF_LAYER = {
    "mib_sl": exported_pdu.MIB_SL,
    "discovery": exported_pdu.PC5_D,
    "pdcp": exported_pdu.SL_PDCP,
    "pc5s": exported_pdu.PC5_S,
    "mikey": exported_pdu.MIKEY,
}
_MIB_SL_OCTETS = 5


class CaptureSink:
    """Takes events as they come and writes the PDU events among them; use as a context manager.

    Each packet is written to the system before the next event, so that a killed process leaves a complete file.
    """

    def __init__(self, path: Path) -> None:
        self._writer = PcapngWriter(path)
        self._writer.flush()

    def take(self, timed: AnyEvent) -> None:
        """Write one event's PDU, if it has one."""
        if is_of(timed, PduSeen):
            _write_packet(self._writer, timed)
            self._writer.flush()
        elif is_of(timed, SipMessageSeen):
            _write_sip(self._writer, timed)
            self._writer.flush()

    def __enter__(self) -> CaptureSink:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._writer.close()


def write_capture(path: Path, events: Iterable[AnyEvent]) -> int:
    """Write the PDU events among `events` to a pcapng file; returns how many packets it holds."""
    packets = 0
    with PcapngWriter(path) as writer:
        for timed in events:
            if is_of(timed, PduSeen):
                _write_packet(writer, timed)
            elif is_of(timed, SipMessageSeen):
                _write_sip(writer, timed)
            else:
                continue
            packets += 1
    return packets


def _write_packet(writer: PcapngWriter, timed: TimedEvent[PduSeen]) -> None:
    pdu, source = timed.event, timed.source
    layer, data = pdu.layer, pdu.data
    link_type = LINKTYPE_WIRESHARK_UPPER_PDU
    if layer == "ip":
        link_type, frame = LINKTYPE_RAW, data
    elif layer == "mac":
        frame = exported_pdu.mac_lte_framed(data, subframe=pdu.subframe, ue_number=_ue_number(source))
    elif layer == "mib_sl" and len(data) > _MIB_SL_OCTETS:
        frame = exported_pdu.exported_pdu(exported_pdu.MIB_SL_V2X, data)
    else:
        frame = exported_pdu.exported_pdu(_DISSECTOR_OF_LAYER[layer], data)
    interface = Interface(name=f"{source}.{layer}", link_type=link_type)
    comment = PacketComment(
        source=source,
        direction=pdu.direction,
        layer=layer,
        subframe=pdu.subframe,
        src_l2=pdu.src_l2,
        dst_l2=pdu.dst_l2,
        lcid=pdu.lcid,
        note=pdu.note,
    )
    writer.write(interface, timed.utc_ns, frame, comment.text())


def _write_sip(writer: PcapngWriter, timed: TimedEvent[SipMessageSeen]) -> None:
    seen = timed.event
    ends = (seen.local, seen.remote) if seen.direction == "tx" else (seen.remote, seen.local)
    frame = exported_pdu.sip_message(seen.data, transport=seen.transport, source=ends[0], destination=ends[1])
    interface = Interface(name=f"{timed.source}.sip", link_type=LINKTYPE_WIRESHARK_UPPER_PDU)
    note = f"{seen.transport} {ends[0]} > {ends[1]}"
    comment = PacketComment(source=timed.source, direction=seen.direction, layer="sip", subframe=0, note=note)
    writer.write(interface, timed.utc_ns, frame, comment.text())


def _ue_number(source: str) -> int:
    """A small number for a UE's name: 1 for ue-a, 2 for ue-b, 12 for ue-12; 0 for other names."""
    suffix = source.rpartition("-")[2]
    if suffix.isdecimal():
        return int(suffix) & 0xFFFF
    return ord(suffix) - ord("a") + 1 if len(suffix) == 1 and "a" <= suffix <= "z" else 0
