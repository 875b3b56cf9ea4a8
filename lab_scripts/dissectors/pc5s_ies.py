"""Scapy layers for the information elements of PC5 signalling, made from the table of messages.

There is a class for each element with an identifier, named after its title: `LinkL2IdIe`, `IMessageIe`.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import FieldLenField, PacketListField, XByteField, XStrLenField
from scapy.packet import Packet

from lab_scripts.dissectors.mikey import Mikey
from lab_scripts.dissectors.pc5s_fields import class_name, fields_of
from prose_link.pc5s.wire.elements import Element, Shown
from prose_link.pc5s.wire.table import elements_by_iei


class Ie(Packet):
    """An information element with its identifier."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class UnknownIe(Ie):
    """An IE of an identifier not known here, taken as TLV."""

    name = "unknown IE"
    fields_desc = [
        XByteField("iei", 0),
        FieldLenField("length", None, fmt="B", length_of="value"),
        XStrLenField("value", b"", length_from=lambda packet: packet.length),
    ]


def _layer(element: Element) -> type[Ie]:
    fields = [XByteField("iei", element.iei), *fields_of(element, {Shown.I_MESSAGE: Mikey})]
    members = {"name": element.title, "fields_desc": fields, "__module__": __name__}
    return type(f"{class_name(element.title)}Ie", (Ie,), members)


IES: dict[int, type[Ie]] = {iei: _layer(element) for iei, element in elements_by_iei().items()}
"""The layer of each identifier."""
_BY_NAME = {layer.__name__: layer for layer in IES.values()}


def __getattr__(name: str) -> Any:
    """The layers by name."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise AttributeError(f"no information element {name!r}: there are {', '.join(sorted(_BY_NAME))}") from None


def __dir__() -> list[str]:
    return [*globals(), *_BY_NAME]


def ies() -> PacketListField:
    """The elements with identifier of a message, each by its identifier."""
    return PacketListField("ies", [], next_cls_cb=_next_ie)


def _next_ie(_message: Packet, _done: list[Packet], _last: Any, rest: bytes) -> type[Ie] | None:
    return IES.get(rest[0], UnknownIe) if rest else None
