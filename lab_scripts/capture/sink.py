"""Turns PDU events of the UEs into packets of a capture: one interface for each layer of each UE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.comment import PacketComment
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter

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

    Each packet is with the system before the next event, so that a killed process leaves a whole file.
    """

    def __init__(self, path: Path) -> None:
        self._writer = PcapngWriter(path)
        self._writer.flush()

    def take(self, event: Mapping[str, Any]) -> None:
        """Write one event's PDU, if it has one."""
        if event["event"] == "pdu-seen":
            _write_packet(self._writer, event)
            self._writer.flush()

    def __enter__(self) -> CaptureSink:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._writer.close()


def write_capture(path: Path, events: Iterable[Mapping[str, Any]]) -> int:
    """Write the PDU events among `events` to a pcapng file; returns how many packets it holds."""
    count = 0
    with PcapngWriter(path) as writer:
        for event in events:
            if event["event"] == "pdu-seen":
                _write_packet(writer, event)
                count += 1
    return count


def _write_packet(writer: PcapngWriter, event: Mapping[str, Any]) -> None:
    layer, source, data = event["layer"], event["source"], bytes.fromhex(event["data"])
    link_type = LINKTYPE_WIRESHARK_UPPER_PDU
    if layer == "ip":
        link_type, frame = LINKTYPE_RAW, data
    elif layer == "mac":
        frame = exported_pdu.mac_lte_framed(data, subframe=event["subframe"], ue_number=_ue_number(source))
    elif layer == "mib_sl" and len(data) > _MIB_SL_OCTETS:
        frame = exported_pdu.exported_pdu(exported_pdu.MIB_SL_V2X, data)
    else:
        frame = exported_pdu.exported_pdu(_DISSECTOR_OF_LAYER[layer], data)
    interface = Interface(name=f"{source}.{layer}", link_type=link_type)
    comment = PacketComment(
        source=source,
        direction=event["direction"],
        layer=layer,
        subframe=event["subframe"],
        src_l2=event["src_l2"],
        dst_l2=event["dst_l2"],
        lcid=event["lcid"],
        note=event["note"],
    )
    writer.write(interface, event["utc_ns"], frame, comment.text())


def _ue_number(source: str) -> int:
    """A small number for a UE's name: 1 for ue-a, 2 for ue-b, 12 for ue-12; 0 for other names."""
    suffix = source.rpartition("-")[2]
    if suffix.isdecimal():
        return int(suffix) & 0xFFFF
    return ord(suffix) - ord("a") + 1 if len(suffix) == 1 and "a" <= suffix <= "z" else 0
