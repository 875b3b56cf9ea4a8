"""The output of `pc5lab capture show`: one line for each packet, its layer tree, or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapy.packet import Packet as Layer

from lab_scripts.capture.capture_file import read_packets
from lab_scripts.capture.comment import PacketComment, read_comment
from lab_scripts.capture.errors import CaptureError
from lab_scripts.capture.packet import Packet
from lab_scripts.dissectors.exported import layer_of
from lab_scripts.dissectors.summary import one_line, tree

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPacket:
    """A packet with the values of its comment and its dissected layers.

    `since_start_ns` counts from the file's first packet, None if the file holds no time of it.
    """

    packet: Packet
    since_start_ns: int | None
    comment: PacketComment | None
    layers: Layer

    @property
    def direction(self) -> str:
        """tx or rx, empty if the comment does not hold it."""
        return self.comment.direction if self.comment else ""

    def line(self) -> str:
        """Number, seconds since the first packet, interface, direction, summary."""
        seconds = "-" if self.since_start_ns is None else f"{self.since_start_ns / _NS:.6f}"
        name = self.packet.interface.name or "-"
        return f"{self.packet.number:6} {seconds:>12}  {name:<16} {self.direction or '-':<2}  {one_line(self.layers)}"

    def layer_tree(self) -> str:
        """Every layer and field, indented."""
        return str(self.layers.show(dump=True, indent=2)).rstrip()

    def json(self, *, verbose: bool) -> dict[str, Any]:
        """The packet as a JSON-ready mapping; with `verbose` the layers and the octets too."""
        comment = self.comment
        shown: dict[str, Any] = {
            "number": self.packet.number,
            "utc_ns": self.packet.time_ns,
            "interface": self.packet.interface.name,
            "link_type": self.packet.interface.link_type,
            "layer": layer_name(self.packet),
            "direction": self.direction or None,
            "subframe": comment.subframe if comment else None,
            "src_l2": f"{comment.src_l2:06x}" if comment and comment.src_l2 else None,
            "dst_l2": f"{comment.dst_l2:06x}" if comment and comment.dst_l2 else None,
            "lcid": comment.lcid or None if comment else None,
            "octets": len(self.packet.data),
            "summary": one_line(self.layers),
            "comment": self.packet.comment,
        }
        if verbose:
            shown |= {"layers": tree(self.layers), "hex": self.packet.data.hex()}
        return shown


def layer_name(packet: Packet) -> str:
    """The layer a packet was seen at: the last part of its interface's name."""
    return packet.interface.name.rpartition(".")[2]


def shown_packets(path: Path, *, layer: str = "", interface: str = "") -> Iterator[ShownPacket]:
    """The packets of a capture, of one layer or interface where asked for; `interface` may name just the UE.

    Raises:
        CaptureError: the file can't be read on, or holds no such interface or layer.
        OSError: the file can't be opened.
    """
    names: set[str] = set()
    start_ns, n_shown = None, 0
    for packet in read_packets(path):
        name = packet.interface.name
        names.add(name)
        start_ns = packet.time_ns if start_ns is None else start_ns
        if (layer and layer_name(packet) != layer) or (interface and interface not in (name, name.rpartition(".")[0])):
            continue
        n_shown += 1
        yield ShownPacket(
            packet=packet,
            since_start_ns=None if packet.time_ns is None or start_ns is None else packet.time_ns - start_ns,
            comment=read_comment(packet.comment),
            layers=layer_of(packet.interface.link_type, packet.data),
        )
    if (layer or interface) and not n_shown:
        raise CaptureError(
            f"{path} holds no packet of {' and '.join(filter(None, (layer, interface)))}",
            hint=f"its interfaces: {', '.join(sorted(names)) or 'none'}",
        )
