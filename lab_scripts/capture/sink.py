"""Turns PDU events of the UEs into packets of a capture: one interface for each layer of each UE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab_scripts.capture import exported_pdu
from lab_scripts.capture.pcapng import LINKTYPE_RAW, LINKTYPE_WIRESHARK_UPPER_PDU, Interface, PcapngWriter

_DISSECTOR_OF_LAYER = {
    "mib_sl": exported_pdu.MIB_SL,
    "discovery": exported_pdu.PC5_D,
    "pdcp": exported_pdu.SL_PDCP,
    "pc5s": exported_pdu.PC5_S,
    "mikey": exported_pdu.MIKEY,
}


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
    else:
        frame = exported_pdu.exported_pdu(_DISSECTOR_OF_LAYER[layer], data)
    interface = Interface(name=f"{source}.{layer}", link_type=link_type)
    writer.write(interface, event["utc_ns"], frame, _comment(event))


def _ue_number(source: str) -> int:
    """A small number for a UE's name: ue-a is 1, ue-b is 2."""
    return ord(source[-1]) - ord("a") + 1 if source[-1].isalpha() else 0


def _comment(event: Mapping[str, Any]) -> str:
    parts = [f"{event['source']} {event['direction']} {event['layer']}", f"subframe {event['subframe']}"]
    if event["src_l2"] or event["dst_l2"]:
        parts.append(f"{event['src_l2']:06x} > {event['dst_l2']:06x}")
    if event["lcid"]:
        parts.append(f"LCID {event['lcid']}")
    if event["note"]:
        parts.append(event["note"])
    return ", ".join(parts)
