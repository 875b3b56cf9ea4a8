"""A pcapng writer (draft-ietf-opsawg-pcapng): named interfaces of several link types, a comment on each packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LINKTYPE_RAW = 101
"""Raw IP (tcpdump.org link-layer header types)."""
LINKTYPE_WIRESHARK_UPPER_PDU = 252
"""Wireshark exported PDU (tcpdump.org link-layer header types)."""
_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_ENHANCED_PACKET = 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_OPT_END = 0
_OPT_COMMENT = 1
_SHB_USER_APPLICATION = 4
_IF_NAME = 2
_IF_DESCRIPTION = 3
_IF_TSRESOL = 9
_NANOSECONDS = b"\x09"
_SNAP_LENGTH = 0
_LAST_TIME_NS = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One capture interface: pc5lab writes one for each layer of each UE."""

    name: str
    link_type: int
    description: str = ""


class PcapngWriter:
    """Writes packets to a file, interface by interface as they first appear.

    Args:
        path: the file to make; an existing one is replaced.
        application: what wrote it, for the section header.
    """

    def __init__(self, path: Path, application: str = "pc5lab") -> None:
        self._file: BinaryIO = path.open("wb")
        self._interfaces: dict[Interface, int] = {}
        body = struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1)
        self._block(_SECTION_HEADER, body + _options([(_SHB_USER_APPLICATION, application.encode())]))

    def write(self, interface: Interface, time_ns: int, data: bytes, comment: str = "") -> None:
        """Add one packet.

        Args:
            interface: where it was seen.
            time_ns: nanoseconds since the Unix epoch; held within what the format can say.
            data: its octets, of the interface's link type.
            comment: shown by Wireshark beside the packet.
        """
        index = self._index_of(interface)
        time_ns = min(max(time_ns, 0), _LAST_TIME_NS)
        head = struct.pack("<IIIII", index, time_ns >> 32, time_ns & 0xFFFF_FFFF, len(data), len(data))
        options = _options([(_OPT_COMMENT, comment.encode())]) if comment else b""
        self._block(_ENHANCED_PACKET, head + _padded(data) + options)

    def flush(self) -> None:
        """Hand what has been written to the system: it outlives this process."""
        self._file.flush()

    def close(self) -> None:
        """Write what is still held, and close the file."""
        self._file.close()

    def __enter__(self) -> PcapngWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _index_of(self, interface: Interface) -> int:
        if interface not in self._interfaces:
            self._interfaces[interface] = len(self._interfaces)
            options = [(_IF_NAME, interface.name.encode()), (_IF_TSRESOL, _NANOSECONDS)]
            if interface.description:
                options.insert(1, (_IF_DESCRIPTION, interface.description.encode()))
            body = struct.pack("<HHI", interface.link_type, 0, _SNAP_LENGTH)
            self._block(_INTERFACE_DESCRIPTION, body + _options(options))
        return self._interfaces[interface]

    def _block(self, kind: int, body: bytes) -> None:
        total = len(body) + 12
        self._file.write(struct.pack("<II", kind, total) + body + struct.pack("<I", total))


def _options(options: list[tuple[int, bytes]]) -> bytes:
    coded = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return coded + struct.pack("<HH", _OPT_END, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
