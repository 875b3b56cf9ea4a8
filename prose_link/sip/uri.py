"""URIs of SIP: `sip:` and `sips:` taken apart, all others (`tel:` above all) kept whole; addresses with names around.

A URI in angle brackets may have parameters and headers of its own. One without has none: what follows its first
semicolon belongs to the header field, and a question mark can't stand in it (RFC 3261 20.10).
Percent escapes stay as they were written and are undone once, in comparisons (RFC 3261 19.1.2, 19.1.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.grammar import (
    HOST,
    Parameters,
    is_token,
    leading_quoted,
    number,
    parameter,
    quoted,
    read_parameters,
    unquoted,
    write_parameters,
)

_ESCAPED: Final = r"%[0-9A-Fa-f]{2}"
_UNRESERVED: Final = r"A-Za-z0-9\-_.!~*'()"
_SIP: Final = re.compile(
    rf"(?P<scheme>sips?):(?:(?P<user>(?:[{_UNRESERVED}&=+$,;?/]|{_ESCAPED})+)"
    rf"(?::(?P<password>(?:[{_UNRESERVED}&=+$,]|{_ESCAPED})*))?@)?"
    rf"(?P<host>{HOST})(?::(?P<port>[0-9]+))?"
    rf"(?P<parameters>(?:;(?:[{_UNRESERVED}\[\]/:&+$]|{_ESCAPED})+(?:=(?:[{_UNRESERVED}\[\]/:&+$]|{_ESCAPED})+)?)*)"
    rf"(?:\?(?P<headers>(?:[{_UNRESERVED}\[\]/?:+$&=]|{_ESCAPED})+))?",
    re.IGNORECASE,
)
_OTHER: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+\-.]*):(?P<rest>[^\s<>\"\\^`{|}]+)")
_MUST_AGREE: Final = ("user", "ttl", "method", "maddr", "transport")
"""Parameters that make two URIs differ where only one has them (RFC 3261 19.1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipUri:
    """A `sip:` or `sips:` URI."""

    scheme: str = "sip"
    user: str | None = None
    password: str | None = None
    host: str
    port: int | None = None
    parameters: Parameters = ()
    headers: str = ""
    """What stands behind the question mark."""

    def __str__(self) -> str:
        """As it is written in a message."""
        password = f":{self.password}" if self.password is not None else ""
        user = f"{self.user}{password}@" if self.user is not None else ""
        port = f":{self.port}" if self.port is not None else ""
        parameters = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.parameters)
        return f"{self.scheme}:{user}{self.host}{port}{parameters}{'?' if self.headers else ''}{self.headers}"

    def parameter(self, name: str) -> str | None:
        """The value of a parameter, its escapes undone: "" where it has none, None where it does not stand."""
        return parameter(
            tuple((unquote(have).lower(), value and unquote(value)) for have, value in self.parameters), name
        )

    @property
    def is_loose_router(self) -> bool:
        """Whether a route of it is a loose one (RFC 3261 19.1.1)."""
        return self.parameter("lr") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUri:
    """A URI of another scheme: its inside is none of SIP's business."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        """As it is written in a message."""
        return f"{self.scheme}:{self.rest}"


Uri = SipUri | OtherUri


def parse_uri(text: str) -> Uri:
    """A URI; raises MalformedMessage."""
    match = _SIP.fullmatch(text)
    if match is not None:
        port = number(match["port"], 1 << 16, "a port") if match["port"] is not None else None
        return SipUri(
            scheme=match["scheme"].lower(),
            user=match["user"],
            password=match["password"],
            host=match["host"],
            port=port,
            parameters=_uri_parameters(match["parameters"]),
            headers=match["headers"] or "",
        )
    other = _OTHER.fullmatch(text)
    if other is None or other["scheme"].lower() in ("sip", "sips"):
        raise MalformedMessage(f"no URI: {text[:60]!r}")
    return OtherUri(scheme=other["scheme"].lower(), rest=other["rest"])


def parse_sip_uri(text: str) -> SipUri:
    """A `sip:` or `sips:` URI; raises MalformedMessage for any other."""
    uri = parse_uri(text)
    if not isinstance(uri, SipUri):
        raise MalformedMessage(f"no SIP URI: {text[:60]!r}")
    return uri


def _uri_parameters(text: str) -> Parameters:
    pairs = [part.partition("=") for part in text.split(";")[1:]]
    names = [name.lower() for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise MalformedMessage(f"a parameter twice in a URI: {text[:60]!r}")
    return tuple((name.lower(), value if equals else None) for name, equals, value in pairs)


def same_uri(one: Uri, other: Uri) -> bool:
    """Whether two URIs are equivalent (RFC 3261 19.1.4)."""
    if not (isinstance(one, SipUri) and isinstance(other, SipUri)):
        return str(one) == str(other)
    if (one.scheme, one.host.lower(), one.port) != (other.scheme, other.host.lower(), other.port):
        return False
    if _unescaped(one.user) != _unescaped(other.user) or _unescaped(one.password) != _unescaped(other.password):
        return False
    if sorted(one.headers.split("&")) != sorted(other.headers.split("&")):
        return False
    ours, theirs = _by_name(one), _by_name(other)
    shared = (ours.keys() & theirs.keys()) | {name for name in _MUST_AGREE if name in ours or name in theirs}
    return all(name in ours and name in theirs and ours[name] == theirs[name] for name in shared)


def _by_name(uri: SipUri) -> dict[str, bytes]:
    return {unquote(name).lower(): unquote_to_bytes(value or "").lower() for name, value in uri.parameters}


def _unescaped(text: str | None) -> bytes | None:
    return None if text is None else unquote_to_bytes(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """An address with its name before and its header parameters behind: From, To, Contact, Route and their like."""

    uri: Uri
    name: str = ""
    parameters: Parameters = ()

    def __str__(self) -> str:
        """As it is written in a message, always with brackets."""
        name = f"{quoted(self.name)} " if self.name else ""
        return f"{name}<{self.uri}>{write_parameters(self.parameters)}"

    @property
    def tag(self) -> str | None:
        """The tag of From and To."""
        return parameter(self.parameters, "tag") or None

    def tagged(self, tag: str) -> NameAddr:
        """The same with a tag."""
        others = tuple(one for one in self.parameters if one[0] != "tag")
        return replace(self, parameters=(*others, ("tag", tag)))


def parse_name_addr(text: str) -> NameAddr:
    """One address, in either form. Raises MalformedMessage."""
    name = leading_quoted(text)
    if name is not None or "<" in text:
        before, bracket, rest = text[len(name or "") :].partition("<")
        uri, end, after = rest.partition(">")
        words = before.split()
        if not (bracket and end) or (words and (name is not None or not all(map(is_token, words)))):
            raise MalformedMessage(f"no address: {text[:60]!r}")
        shown = unquoted(name) if name is not None else " ".join(words)
        return NameAddr(uri=parse_uri(uri), name=shown, parameters=read_parameters(after.strip(" \t")))
    uri, semicolon, after = text.partition(";")
    uri = uri.strip(" \t")
    if "?" in uri or "," in uri:
        raise MalformedMessage(f"a URI that needs angle brackets: {text[:60]!r}")
    return NameAddr(uri=parse_uri(uri), parameters=read_parameters(semicolon + after))
