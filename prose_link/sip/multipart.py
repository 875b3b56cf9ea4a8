"""Bodies of several parts (RFC 2046 5.1, RFC 5621): taken apart and put together, octet for octet.

A part is fields and octets; what it holds is not looked into, so that a part may itself be a multipart. The line end
before a boundary belongs to the boundary. A body that is made here ends each part without one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from prose_link.sip.errors import BodyError, MalformedMessage
from prose_link.sip.grammar import Parameters, is_token, parameter, read_parameters, write_parameters
from prose_link.sip.headers import Headers

MAX_PARTS: Final = 8
"""Parts of one body; a bound of this lab."""
MAX_BOUNDARY_OCTETS: Final = 70
"""RFC 2046 5.1.1."""
_MAX_PART_FIELDS: Final = 16


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type with its parameters; `kind` in lower case, as `application/sdp`."""

    kind: str
    parameters: Parameters = ()

    def __str__(self) -> str:
        """As it is written in a message."""
        return self.kind + write_parameters(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a body, or a body that has but one."""

    content_type: ContentType
    body: bytes
    required: bool = True
    """Its handling (RFC 5621 8.2): a receiver that does not know it has to refuse the whole message."""
    disposition: str = ""
    fields: Headers = field(default_factory=Headers)
    """Its other fields."""


def parse_content_type(text: str) -> ContentType:
    """A media type. Raises BodyError."""
    kind, semicolon, rest = text.partition(";")
    main, slash, sub = kind.strip(" \t").partition("/")
    main, sub = main.strip(" \t"), sub.strip(" \t")
    if not (slash and is_token(main) and is_token(sub)):
        raise BodyError(f"no media type: {text[:60]!r}")
    try:
        return ContentType(f"{main}/{sub}".lower(), read_parameters(semicolon + rest))
    except MalformedMessage as error:
        raise BodyError(f"Content-Type: {error}") from error


def content_type_of(headers: Headers) -> ContentType:
    """Content-Type of a message or part; text/plain where it does not stand (RFC 2046 5.1). Raises BodyError."""
    line = headers.first("Content-Type")
    return parse_content_type(line) if line is not None else ContentType("text/plain")


def parse_multipart(body: bytes, content_type: ContentType) -> list[Part]:
    """The parts of a body. Raises BodyError for one without its boundary or end, and for more than MAX_PARTS."""
    boundary = parameter(content_type.parameters, "boundary")
    if not content_type.kind.startswith("multipart/") or not boundary or len(boundary) > MAX_BOUNDARY_OCTETS:
        raise BodyError(f"no multipart with a boundary: {content_type}")
    pieces = _pieces(body, b"--" + boundary.encode("utf-8", "surrogateescape"))
    return [_part(piece) for piece in pieces]


def _pieces(body: bytes, dashes: bytes) -> list[bytes]:
    """What stands between delimiter lines."""
    text = b"\r\n" + body
    delimiter = b"\r\n" + dashes
    pieces: list[bytes] = []
    begin: int | None = None
    at = text.find(delimiter)
    while at >= 0:
        line_end = text.find(b"\r\n", at + len(delimiter))
        rest = text[at + len(delimiter) : line_end if line_end >= 0 else len(text)]
        is_last = rest.startswith(b"--")
        if is_last or (line_end >= 0 and not rest.strip(b" \t")):
            if begin is not None:
                pieces.append(text[begin:at])
            if is_last:
                return _checked(pieces)
            begin = line_end + 2
            if len(pieces) >= MAX_PARTS:
                raise BodyError(f"more than {MAX_PARTS} parts")
            at = text.find(delimiter, line_end)
        else:
            at = text.find(delimiter, at + 1)
    raise BodyError("a multipart without its last boundary")


def _checked(pieces: list[bytes]) -> list[bytes]:
    if not pieces:
        raise BodyError("a multipart without a part")
    return pieces


def _part(piece: bytes) -> Part:
    head, found, body = (b"", b"\r\n", piece[2:]) if piece.startswith(b"\r\n") else piece.partition(b"\r\n\r\n")
    if not found:
        raise BodyError("a part without an end of its fields")
    lines = head.decode("utf-8", "surrogateescape").replace("\r\n ", " ").replace("\r\n\t", " ")
    fields: list[tuple[str, str]] = []
    for line in lines.split("\r\n") if lines else []:
        name, colon, value = line.partition(":")
        if not colon or not is_token(name.strip(" \t")) or len(fields) == _MAX_PART_FIELDS:
            raise BodyError(f"a part's field: {line[:60]!r}")
        fields.append((name.strip(" \t"), value.strip(" \t")))
    headers = Headers(fields)
    disposition, parameters = _disposition(headers.first("Content-Disposition") or "")
    return Part(
        content_type=content_type_of(headers),
        body=body,
        required=(parameter(parameters, "handling") or "required").lower() != "optional",
        disposition=disposition,
        fields=headers.without("Content-Type", "Content-Disposition"),
    )


def _disposition(text: str) -> tuple[str, Parameters]:
    kind, semicolon, rest = text.partition(";")
    try:
        return kind.strip(" \t").lower(), read_parameters(semicolon + rest)
    except MalformedMessage as error:
        raise BodyError(f"Content-Disposition: {error}") from error


def write_multipart(parts: Sequence[Part], random_bytes: Callable[[int], bytes]) -> tuple[ContentType, bytes]:
    """The type and the octets of a multipart/mixed body; its boundary stands in no part."""
    boundary = "pc5lab-" + random_bytes(8).hex()
    while any(boundary.encode() in part.body for part in parts):
        boundary = "pc5lab-" + random_bytes(8).hex()
    lines = []
    for part in parts:
        fields = [f"Content-Type: {part.content_type}"]
        if part.disposition:
            fields.append(f"Content-Disposition: {part.disposition}{'' if part.required else ';handling=optional'}")
        fields += [f"{name}: {value}" for name, value in part.fields]
        head = "\r\n".join([f"--{boundary}", *fields, "", ""])
        lines.append(head.encode("utf-8", "surrogateescape") + part.body + b"\r\n")
    body = b"".join(lines) + f"--{boundary}--\r\n".encode()
    return ContentType("multipart/mixed", (("boundary", boundary),)), body


def parts_of(body: bytes, content_type: ContentType) -> list[Part]:
    """The parts of any body: one that is no multipart is its only part. Raises BodyError."""
    if content_type.kind.startswith("multipart/"):
        return parse_multipart(body, content_type)
    return [Part(content_type=content_type, body=body)]
