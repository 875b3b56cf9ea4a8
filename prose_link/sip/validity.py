"""What is wrong with a message that could be parsed, and how a request with that fault is answered.

The checks are those that hold for every element: mandatory fields, fields that stand once, grammar of what the core
reads, Content-Length, version, method against CSeq (RFC 3261 8.1.1, 8.2, 18.3, 20; RFC 4475 says what of it is asked).
A response with a fault is dropped, a request is answered with the status of its fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.grammar import number
from prose_link.sip.headers import SINGLE
from prose_link.sip.message import (
    MAGIC_COOKIE,
    VERSION,
    Message,
    Request,
    Response,
    call_id_of,
    content_length_of,
    cseq_of,
    from_of,
    parse_via,
    to_of,
    top_via,
)
from prose_link.sip.uri import SipUri, parse_uri

BAD_REQUEST: Final = 400
NOT_IMPLEMENTED: Final = 501
VERSION_NOT_SUPPORTED: Final = 505
METHODS: Final = frozenset(
    {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "SUBSCRIBE", "NOTIFY", "REFER",
     "MESSAGE", "PUBLISH"}
)  # fmt: skip
"""Methods of RFC 3261 and of its registered extensions; another one is unknown."""
_ADDRESSES: Final = ("Route", "Record-Route", "Path", "Service-Route", "P-Asserted-Identity")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and the status that says so."""

    status: int
    why: str


def fault_of(message: Message) -> Fault | None:
    """The first fault of a message, None for a good one. A response's fault has no status that is sent to any peer."""
    if message.version != VERSION:
        return Fault(VERSION_NOT_SUPPORTED, f"version {message.version}")
    for check in _CHECKS:
        try:
            check(message)
        except MalformedMessage as error:
            return Fault(BAD_REQUEST, str(error))
    if isinstance(message, Request) and cseq_of(message).method != message.method:
        status = BAD_REQUEST if message.method in METHODS else NOT_IMPLEMENTED
        return Fault(status, f"CSeq is of {cseq_of(message).method}, the request of {message.method}")
    return None


def _stand_once(message: Message) -> None:
    for name in SINGLE:
        if len(message.headers.lines(name)) > 1:
            raise MalformedMessage(f"{name} stands several times")


def _core_fields(message: Message) -> None:
    from_of(message)
    to_of(message)
    cseq_of(message)
    if not call_id_of(message):
        raise MalformedMessage("Call-ID is empty")


def _vias(message: Message) -> None:
    top_via(message)
    for value in message.headers.values("Via"):
        if parse_via(value).branch == MAGIC_COOKIE:
            raise MalformedMessage("a branch of nothing but the magic cookie")


def _length(message: Message) -> None:
    length = content_length_of(message.headers)
    if length is not None and length != len(message.body):
        raise MalformedMessage(f"Content-Length {length}, and {len(message.body)} octets of body")


def _addresses(message: Message) -> None:
    for name in _ADDRESSES:
        message.headers.addresses(name)
    if message.headers.lines("Contact") != ["*"]:
        message.headers.addresses("Contact")


def _request_uri(message: Message) -> None:
    if isinstance(message, Request):
        uri = parse_uri(message.uri)
        if isinstance(uri, SipUri) and uri.headers:
            raise MalformedMessage("a Request-URI with headers")


def _scalars(message: Message) -> None:
    hops = message.headers.first("Max-Forwards")
    if hops is not None:
        number(hops, 256, "Max-Forwards")


def _status(message: Message) -> None:
    if isinstance(message, Response) and not 100 <= message.status < 700:
        raise MalformedMessage(f"status {message.status}")


_CHECKS: Final[tuple[Callable[[Message], None], ...]] = (
    _stand_once,
    _vias,
    _core_fields,
    _length,
    _request_uri,
    _addresses,
    _scalars,
    _status,
)
