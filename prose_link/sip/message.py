"""Requests and responses: from octets, into octets, and the fields that every one of them has.

Parsing has two steps. `parse` finds start line, fields and body; it fails only where there is no SIP message at all.
What is wrong inside is found by `validity.fault_of`, so that a bad request can still be answered. Fields are text that
keeps octets that are no UTF-8; a body is octets, and may hold anything.

Over UDP a message is a datagram: what its Content-Length does not count is noise, and a body that is shorter than
counted is a fault. On streams `framing.StreamFramer` cuts messages out by Content-Length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.grammar import HOST, TOKEN, Parameters, number, parameter, read_parameters, write_parameters
from prose_link.sip.headers import Headers
from prose_link.sip.uri import NameAddr, parse_name_addr

VERSION: Final = "SIP/2.0"
MAX_MESSAGE_OCTETS: Final = 65_535
"""What a datagram can hold; messages on streams have no more."""
MAX_FIELDS: Final = 256
"""Header fields of a message; a bound of this lab."""
CSEQ_END: Final = 1 << 31
"""RFC 3261 8.1.1.5."""
MAGIC_COOKIE: Final = "z9hG4bK"
"""RFC 3261 8.1.1.7."""

_REQUEST_LINE: Final = re.compile(rf"(?P<method>{TOKEN}) (?P<uri>.*) (?P<version>SIP/[0-9]+\.[0-9]+) *", re.IGNORECASE)
"""What is no URI between its spaces is found by `validity`; spaces at the end are ignored (RFC 4475 3.1.2.10)."""
_STATUS_LINE: Final = re.compile(
    r"(?P<version>SIP/[0-9]+\.[0-9]+) (?P<status>[0-9]{3,20})(?: (?P<reason>.*))?", re.DOTALL | re.IGNORECASE
)
_FIELD: Final = re.compile(rf"(?P<name>{TOKEN})[ \t]*:[ \t]*(?P<value>.*)", re.DOTALL)
_VIA: Final = re.compile(
    rf"(?P<protocol>SIP[ \t]*/[ \t]*2\.0)[ \t]*/[ \t]*(?P<transport>{TOKEN})[ \t]+"
    rf"(?P<host>{HOST})(?:[ \t]*:[ \t]*(?P<port>[0-9]+))?[ \t]*(?P<parameters>;.*)?",
    re.DOTALL | re.IGNORECASE,
)
_CSEQ: Final = re.compile(rf"(?P<number>[0-9]+)[ \t]+(?P<method>{TOKEN})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; `uri` is the Request-URI as it stands."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    version: str = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response."""

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    version: str = VERSION

    @property
    def is_provisional(self) -> bool:
        """1xx."""
        return self.status < 200

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300


Message = Request | Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """One value of Via."""

    transport: str
    host: str
    port: int | None = None
    parameters: Parameters = ()

    def __str__(self) -> str:
        """As it is written in a message."""
        port = f":{self.port}" if self.port is not None else ""
        return f"{VERSION}/{self.transport} {self.host}{port}{write_parameters(self.parameters)}"

    @property
    def branch(self) -> str:
        """The transaction's identifier, "" where there is none."""
        return parameter(self.parameters, "branch") or ""

    @property
    def sent_by(self) -> tuple[str, int | None]:
        """Host in lower case, and port."""
        return self.host.lower(), self.port

    def setting(self, name: str, value: str | None) -> Via:
        """The same with a parameter set."""
        others = tuple(one for one in self.parameters if one[0] != name)
        return replace(self, parameters=(*others, (name, value)))


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number and method."""

    number: int
    method: str

    def __str__(self) -> str:
        """As it is written in a message."""
        return f"{self.number} {self.method}"


def parse_via(text: str) -> Via:
    """One value of Via. Raises MalformedMessage."""
    match = _VIA.fullmatch(text)
    if match is None:
        raise MalformedMessage(f"Via: {text[:60]!r}")
    port = number(match["port"], 1 << 16, "Via: its port") if match["port"] else None
    parameters = read_parameters(match["parameters"] or "")
    return Via(transport=match["transport"].upper(), host=match["host"], port=port, parameters=parameters)


def parse_cseq(text: str) -> CSeq:
    """The value of CSeq. Raises MalformedMessage."""
    match = _CSEQ.fullmatch(text)
    if match is None:
        raise MalformedMessage(f"CSeq: {text[:40]!r}")
    return CSeq(number(match["number"], CSEQ_END, "CSeq"), match["method"])


def top_via(message: Message) -> Via:
    """The first value of Via. Raises MalformedMessage."""
    values = message.headers.values("Via")
    if not values:
        raise MalformedMessage("Via is missing")
    return parse_via(values[0])


def cseq_of(message: Message) -> CSeq:
    """CSeq. Raises MalformedMessage."""
    return parse_cseq(message.headers.one("CSeq"))


def from_of(message: Message) -> NameAddr:
    """From. Raises MalformedMessage."""
    return parse_name_addr(message.headers.one("From"))


def to_of(message: Message) -> NameAddr:
    """To. Raises MalformedMessage."""
    return parse_name_addr(message.headers.one("To"))


def call_id_of(message: Message) -> str:
    """Call-ID. Raises MalformedMessage."""
    return message.headers.one("Call-ID")


def content_length_of(headers: Headers) -> int | None:
    """Content-Length, None where it does not stand. Raises MalformedMessage for several and for what is no length."""
    if headers.first("Content-Length") is None:
        return None
    return number(headers.one("Content-Length"), 1 << 31, "Content-Length")


def parse(octets: bytes) -> Message:
    """The message in a datagram, or in what a framer has cut out. Raises MalformedMessage.

    The body is what Content-Length counts, as far as it is there; `validity` finds the difference.
    """
    octets = octets.lstrip(b"\r\n")
    head, found, rest = octets.partition(b"\r\n\r\n")
    if not found or len(octets) > MAX_MESSAGE_OCTETS:
        raise MalformedMessage(f"{len(octets)} octets without an end of header fields, or too many")
    start, _, lines = head.decode("utf-8", "surrogateescape").partition("\r\n")
    headers = _fields(lines)
    try:
        length = content_length_of(headers)
    except MalformedMessage:
        length = 0
    body = rest if length is None else rest[:length]
    request = _REQUEST_LINE.fullmatch(start)
    if request is not None:
        return Request(
            method=request["method"], uri=request["uri"], headers=headers, body=body, version=request["version"].upper()
        )
    status = _STATUS_LINE.fullmatch(start)
    if status is None:
        raise MalformedMessage(f"no start line of SIP: {start[:60]!r}")
    reason = status["reason"] or ""
    return Response(
        status=int(status["status"]), reason=reason, headers=headers, body=body, version=status["version"].upper()
    )


def to_octets(message: Message) -> bytes:
    """The octets of a message; its Content-Length is counted here."""
    if isinstance(message, Request):
        start = f"{message.method} {message.uri} {message.version}"
    else:
        start = f"{message.version} {message.status} {message.reason}"
    fields = [f"{name}: {value}" for name, value in message.headers.without("Content-Length")]
    head = "\r\n".join([start, *fields, f"Content-Length: {len(message.body)}", "", ""])
    return head.encode("utf-8", "surrogateescape") + message.body


def _fields(lines: str) -> Headers:
    """Header fields, folded lines joined."""
    if not lines:
        return Headers()
    unfolded = re.sub(r"\r\n[ \t]+", " ", lines).split("\r\n")
    if len(unfolded) > MAX_FIELDS:
        raise MalformedMessage(f"{len(unfolded)} header fields are more than {MAX_FIELDS}")
    fields = []
    for line in unfolded:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise MalformedMessage(f"no header field: {line[:60]!r}")
        fields.append((match["name"], match["value"].strip(" \t")))
    return Headers(fields)
