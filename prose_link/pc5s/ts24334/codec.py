"""Encoding and decoding of the `ts24334` profile's messages (TS 24.334 11.4; IEIs as third-party code has them).

As strict as the `identity` profile's codec: what decodes encodes to the same octets, so that a signature over a message
without its Signature IE is over what its sender wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prose_link.pc5s.ts24334.messages import (
    ModeMessage,
    PlainReject,
    ProtectedAccept,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    SignedRequest,
)
from prose_link.pc5s.wire.elements import SIGNATURE
from prose_link.pc5s.wire.framing import Layout, bind, read_message, write_message
from prose_link.pc5s.wire.messages import Keepalive, KeepaliveAck, Release, ReleaseAccept
from prose_link.pc5s.wire.table import TS24334

LAYOUTS: Final[Mapping[type[ModeMessage], Layout]] = bind(
    TS24334,
    SignedRequest,
    ProtectedAccept,
    PlainReject,
    Keepalive,
    KeepaliveAck,
    Release,
    ReleaseAccept,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
)
"""How each message is written: the table's row, bound to the functions of each value."""


def encode(message: ModeMessage) -> bytes:
    """The octets of a message; raises MalformedMessage for values that have no encoding."""
    return write_message(message.TYPE, message, LAYOUTS[type(message)])


def encode_unsigned(message: SignedRequest | SecurityModeCommand) -> bytes:
    """The octets of a message without its Signature IE."""
    layout = tuple(bound for bound in LAYOUTS[type(message)] if bound.element.name != SIGNATURE.name)
    return write_message(message.TYPE, message, layout)


def decode(octets: bytes) -> ModeMessage:
    """The message in these octets. Raises MalformedMessage, and nothing else, for any other octets."""
    return read_message(octets, LAYOUTS)


def message_kind(octets: bytes) -> type[ModeMessage] | None:
    """The kind of a message by its first octet alone; None if the profile has no such type."""
    return next((kind for kind in LAYOUTS if octets and octets[0] == kind.TYPE), None)
