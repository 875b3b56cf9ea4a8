"""Scapy layers for PC5 signalling, made from the table of messages: both profiles, and the relay frame.

`Pc5S() / DirectConnectionRequest(..., ies=[TargetUserInfoIe(...), ...])`: the message type follows from the message.
There is a class for each type, named after it. Any message may carry elements with an identifier, known or not.
"""

from __future__ import annotations

from typing import Any

from scapy.fields import ByteEnumField, ShortField
from scapy.packet import Packet, bind_layers

from lab_scripts.dissectors.mikey import Mikey
from lab_scripts.dissectors.pc5s_fields import class_name, fields_of
from lab_scripts.dissectors.pc5s_ies import ies
from prose_link.pc5s.wire.elements import Shown
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import heading_of


class Pc5S(Packet):
    """Message type and sequence number; the rest by type."""

    name = "PC5-S"
    fields_desc = [
        ByteEnumField("message_type", 1, MessageType.words_by_number()),
        ShortField("sequence_number", 0),
    ]


def _layer(kind: MessageType) -> type[Packet]:
    nested = {Shown.I_MESSAGE: Mikey, Shown.PC5S: Pc5S}
    heading = [field for element in heading_of(kind) for field in fields_of(element, nested)]
    members = {"name": kind.words, "fields_desc": [*heading, ies()], "__module__": __name__}
    return type(class_name(kind.words), (Packet,), members)


BODIES: dict[MessageType, type[Packet]] = {kind: _layer(kind) for kind in MessageType}
"""The layer of what follows the header, by message type."""
_BY_NAME = {layer.__name__: layer for layer in BODIES.values()}

for _kind, _body in BODIES.items():
    bind_layers(Pc5S, _body, message_type=int(_kind))


def __getattr__(name: str) -> Any:
    """The layers by name."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise AttributeError(f"no PC5-S message {name!r}: there are {', '.join(sorted(_BY_NAME))}") from None


def __dir__() -> list[str]:
    return [*globals(), *_BY_NAME]
