"""A reader of classic pcap files (draft-ietf-opsawg-pcap), in either byte order, micro- or nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.packet import Packet
from lab_scripts.capture.pcapng import Interface

_MAGICS = {0xA1B2C3D4: (1_000, 0), 0xA1B23C4D: (1, 0), 0xA1B2CD34: (1_000, 8)}
"""Magic number -> nanoseconds of a tick, octets that a patched libpcap puts behind each packet's header."""
_FILE_HEADER_OCTETS, _PACKET_HEADER_OCTETS = 24, 16
_FCS_IS_TOLD = 1 << 27
_LINKTYPE_ETHERNET = 1
_MAX_PACKET_OCTETS = 1 << 24


def is_pcap(head: bytes) -> bool:
    """Whether a file that begins so is a classic pcap file."""
    return any(magic in _MAGICS for magic in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")))


def pcap_packets(path: Path, file: BinaryIO) -> Iterator[Packet]:
    """The packets of a pcap file in order, as far as it can be read; `path` is for messages.

    Raises CaptureError where the reading stops: cut short or damaged.
    """
    header = file.read(_FILE_HEADER_OCTETS)
    if len(header) < _FILE_HEADER_OCTETS:
        raise CaptureError(f"{path}: the file is cut short (within its header)")
    order = "<" if int.from_bytes(header[:4], "little") in _MAGICS else ">"
    magic, _, _, _, _, _, network = struct.unpack(f"{order}IHHIIII", header)
    tick_ns, extra = _MAGICS[magic]
    link_type = network & 0xFFFF
    fcs_octets = 2 * (network >> 28) if network & _FCS_IS_TOLD and link_type == _LINKTYPE_ETHERNET else 0
    interface = Interface(name="", link_type=link_type)
    offset, number = _FILE_HEADER_OCTETS, 0
    while head := file.read(_PACKET_HEADER_OCTETS + extra):
        number += 1
        if len(head) < _PACKET_HEADER_OCTETS + extra:
            raise CaptureError(f"{path}: the file is cut short (packet {number} at octet {offset})")
        seconds, ticks, length, _ = struct.unpack_from(f"{order}IIII", head)
        if length > _MAX_PACKET_OCTETS:
            raise CaptureError(f"{path}: a packet of {length} octets (packet {number} at octet {offset})")
        data = file.read(length)
        if len(data) < length:
            raise CaptureError(f"{path}: the file is cut short (packet {number} at octet {offset})")
        offset += len(head) + length
        yield Packet(
            number=number,
            interface=interface,
            time_ns=seconds * 1_000_000_000 + ticks * tick_ns,
            data=data[: max(0, length - fcs_octets)],
        )
