"""Encoding and decoding of the `identity` profile's messages by their rows of the table (PROFILE 3).

Decoding is strict: IEs in the listed order, nothing repeated, nothing unknown, nothing after the last. So a message
that decodes encodes to the same octets, and `encode_head` of it is what the sender hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prose_link.pc5s.wire.elements import CONFIRMATION, I_MESSAGE, KEY_PROOF
from prose_link.pc5s.wire.framing import Layout, bind, read_message, write_message
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import (
    DirectAccept,
    DirectReject,
    DirectRequest,
    Keepalive,
    KeepaliveAck,
    Message,
    MessageType,
    Purpose,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
    Release,
    ReleaseAccept,
)
from prose_link.pc5s.wire.table import IDENTITY
from security.groups.keying import PGK_INDEX_BITS

LAYOUTS: Final[Mapping[type[Message], Layout]] = bind(
    IDENTITY,
    DirectRequest,
    DirectAccept,
    DirectReject,
    Keepalive,
    KeepaliveAck,
    Release,
    ReleaseAccept,
    RekeyingRequest,
    RekeyingResponse,
    RekeyingTrigger,
)
"""How each message is written: the table's row, bound to the functions of each value."""
_PROOFS: Final = (I_MESSAGE.name, KEY_PROOF.name, CONFIRMATION.name)
_TYPES: Final[Mapping[int, MessageType]] = {int(kind): kind for kind in IDENTITY}


def encode(message: Message) -> bytes:
    """The octets of a message; raises MalformedMessage for values that have no encoding."""
    _check_together(message)
    return write_message(message.TYPE, message, LAYOUTS[type(message)])


def encode_head(message: Message) -> bytes:
    """The octets before the I_MESSAGE IE, or before the key confirmation where there is no I_MESSAGE (PROFILE 4)."""
    _check_together(message)
    head = tuple(bound for bound in LAYOUTS[type(message)] if bound.element.name not in _PROOFS)
    return write_message(message.TYPE, message, head)


def decode(octets: bytes) -> Message:
    """The message in these octets. Raises MalformedMessage, and nothing else, for any other octets."""
    message = read_message(octets, LAYOUTS)
    _check_together(message)
    return message


def message_type(octets: bytes) -> MessageType | None:
    """The type of a message by its first octet alone; None if the profile has no such type."""
    return _TYPES.get(octets[0]) if octets else None


def _check_together(message: Message) -> None:
    """Check conditions between the fields of a message."""
    match message:
        case DirectRequest():
            _check_group_parts(message)
        case DirectAccept() if message.key_proof is not None and message.i_message is None:
            raise MalformedMessage("a Key proof goes with an I_MESSAGE, and only with it")
        case Keepalive() if (message.confirmation is not None) != (message.counter == 0):
            raise MalformedMessage("a Confirm has counter 0, a Keepalive any other")


def _check_group_parts(request: DirectRequest) -> None:
    """Check that the group elements, and their values, fit the purpose of the message (PROFILE 11)."""
    purpose, info = request.profile.purpose, request.group_info
    if (info is not None) != (purpose is not Purpose.ONE_TO_ONE):
        raise MalformedMessage("Group info goes with the purposes of groups, and only with them")
    if purpose is not Purpose.GROUP and (request.request_hash is not None or request.members_out is not None):
        raise MalformedMessage("Request hash and Group members out go with a group's key, and only with it")
    if info is None:
        return
    if purpose is Purpose.GROUP and not info.pgk_id & PGK_INDEX_BITS:
        raise MalformedMessage("Group info: a reserved value")
    if purpose is Purpose.GROUP_ASK and (info.pgk_id & ~PGK_INDEX_BITS or info.expiry_ntp_s or info.eea or info.mode):
        raise MalformedMessage("Group info of an ask: a reserved value")
