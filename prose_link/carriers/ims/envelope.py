"""PC5-S messages as bodies of SIP: the I_MESSAGE in the session description, the rest beside it (PROFILE 12).

A Request or Accept goes as multipart/mixed: `application/sdp`, whose `a=key-mgmt:mikey` holds the I_MESSAGE, and
`application/vnd.pc5lab.pc5s`, which holds the message with the I_MESSAGE's whole information element cut out. The
element has one place in each form of the table of messages, so it is put back there and the octets are those that were
sent. A Reject has no I_MESSAGE and is the body of a refusal as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire import elements as e
from prose_link.pc5s.wire.elements import Element
from prose_link.pc5s.wire.ies import MalformedMessage, read_user_info
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import HEADER_OCTETS, IDENTITY
from prose_link.sip.errors import BodyError
from prose_link.sip.multipart import ContentType, Part, parts_of, write_multipart
from prose_link.sip.sdp import SDP, Description, answer, mikey_of, offer, parse_sdp, write_sdp

PC5S: Final = ContentType("application/vnd.pc5lab.pc5s")
"""Media type of a PC5-S message; of this lab, not registered."""
ACCEPTED: Final = (SDP.kind, "multipart/mixed", PC5S.kind)
"""What a UE takes as bodies."""


class EnvelopeError(ProseLinkError):
    """A body that holds no message of the profile, or a message that has no envelope."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body with its type."""

    content_type: ContentType
    octets: bytes

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The header fields that it needs."""
        return ("Content-Type", str(self.content_type)), ("MIME-Version", "1.0")


@dataclass(frozen=True, slots=True)
class Opened:
    """What a body held."""

    message: bytes
    description: Description


def cut(message: bytes) -> tuple[bytes, bytes | None]:
    """A message without the element of its I_MESSAGE, and the I_MESSAGE. Raises EnvelopeError."""
    begin, end = _place(message)
    if begin == end:
        return message, None
    return message[:begin] + message[end:], message[begin + 1 + e.I_MESSAGE.format.length_octets : end]


def join(rest: bytes, i_message: bytes | None) -> bytes:
    """The message again. Raises EnvelopeError where it holds an I_MESSAGE already, or has no place for one."""
    begin, end = _place(rest)
    if begin != end:
        raise EnvelopeError("an I_MESSAGE beside the session description")
    if i_message is None:
        return rest
    if len(i_message) not in e.I_MESSAGE.lengths:
        raise EnvelopeError(f"an I_MESSAGE of {len(i_message)} octets")
    element = bytes([e.I_MESSAGE.iei]) + len(i_message).to_bytes(e.I_MESSAGE.format.length_octets) + i_message
    return rest[:begin] + element + rest[begin:]


def sender_of(message: bytes) -> str:
    """The identity that a Request or Accept gives for its sender; "" where it is malformed."""
    wanted = e.USER_INFO if message[:1] == bytes([MessageType.REQUEST]) else e.USER_INFO_IE
    try:
        for element, begin, end in _elements(message):
            if element.name == wanted.name:
                return read_user_info(message[begin:end])
    except (EnvelopeError, MalformedMessage):
        return ""
    return ""


def request_body(message: bytes, host: str, session: int, random_bytes: Callable[[int], bytes]) -> Body:
    """The offer that a Request makes. Raises EnvelopeError for one without I_MESSAGE."""
    rest, i_message = cut(message)
    if i_message is None:
        raise EnvelopeError("a Request without an I_MESSAGE has nothing to offer")
    return _body(offer(host, session, 1, i_message), rest, random_bytes)


def accept_body(
    message: bytes, offered: Description, host: str, session: int, random_bytes: Callable[[int], bytes]
) -> Body:
    """The answer that an Accept makes, with or without an I_MESSAGE of its own. Raises EnvelopeError."""
    rest, i_message = cut(message)
    return _body(answer(offered, host, session, 1, i_message), rest, random_bytes)


def open_body(octets: bytes, content_type: ContentType, kind: MessageType) -> Opened:
    """The message in the body of an INVITE or of its 200. Raises EnvelopeError.

    Args:
        octets: the body.
        content_type: what it says it is.
        kind: the message that is due; a Request has to have an I_MESSAGE.
    """
    try:
        parts = parts_of(octets, content_type)
        description = parse_sdp(_one(parts, SDP.kind))
        rest = _one(parts, PC5S.kind)
        i_message = mikey_of(description)
    except BodyError as error:
        raise EnvelopeError(str(error)) from error
    if kind is MessageType.REQUEST and i_message is None:
        raise EnvelopeError("an offer without key-mgmt")
    if rest[:1] != bytes([kind]):
        raise EnvelopeError(f"no {kind.words} in the part {PC5S.kind}")
    return Opened(join(rest, i_message), description)


def _one(parts: list[Part], kind: str) -> bytes:
    found = [part.body for part in parts if part.content_type.kind == kind]
    if len(found) != 1:
        raise EnvelopeError(f"{len(found)} parts of {kind}")
    return found[0]


def _body(description: Description, rest: bytes, random_bytes: Callable[[int], bytes]) -> Body:
    parts = [
        Part(content_type=SDP, body=write_sdp(description), disposition="session"),
        Part(content_type=PC5S, body=rest, disposition="render"),
    ]
    return Body(*write_multipart(parts, random_bytes))


def _place(message: bytes) -> tuple[int, int]:
    """Where the I_MESSAGE's element begins and ends, both the same where it is not there. Raises EnvelopeError."""
    begin = HEADER_OCTETS
    for element, _, end in _elements(message):
        if element.name == e.I_MESSAGE.name:
            return begin, end
        begin = end
    raise EnvelopeError("a message that has no I_MESSAGE in any form")


def _elements(message: bytes) -> list[tuple[Element, int, int]]:
    """Each element of the message's form with the places where its value begins and ends. Raises EnvelopeError.

    An element that is left out has its place with nothing in it; so has an I_MESSAGE that was cut out.
    """
    form = next((form for kind, form in IDENTITY.items() if message[:1] == bytes([kind])), None)
    if form is None:
        raise EnvelopeError(f"no PC5-S message: {message[:1].hex()}")
    found, at = [], HEADER_OCTETS
    for element in form:
        is_left_out = element.optional or element.name == e.I_MESSAGE.name
        if is_left_out and message[at : at + 1] != bytes([element.iei]):
            found.append((element, at, at))
            continue
        has_identifier, n_length = element.format.has_identifier, element.format.length_octets
        if has_identifier and message[at : at + 1] != bytes([element.iei]):
            raise EnvelopeError(f"{element.name} expected at octet {at}")
        value = at + has_identifier + n_length
        length = int.from_bytes(message[value - n_length : value]) if n_length else element.lengths.start
        at = value + length
        if at > len(message):
            raise EnvelopeError(f"cut short at octet {len(message)}")
        found.append((element, value, at))
    if at != len(message):
        raise EnvelopeError(f"{len(message) - at} octets after the last element")
    return found
