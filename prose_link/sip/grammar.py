"""Pieces of SIP's grammar that many header fields share: tokens, quoted strings, parameters, lists (RFC 3261 25.1).

Text of header fields is str that was decoded from UTF-8 with `surrogateescape`, so that any octets survive unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from prose_link.sip.errors import MalformedMessage

TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
"""`token`."""
HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?)"
"""`host`: a name, an IPv4 address, or an IPv6 address in brackets."""
QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
"""`quoted-string`, its quotes included."""
LIMIT_PARAMETERS: Final = 64
"""Parameters that a value may have, at most; a bound of this lab."""

_TOKEN_ONLY: Final = re.compile(TOKEN)
_QUOTED_ONLY: Final = re.compile(QUOTED, re.DOTALL)
_BARE_IPV6: Final = r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]+"
"""RFC 5118 4.5: `received` may have one without its brackets."""
_PARAMETER: Final = re.compile(
    rf"[ \t]*;[ \t]*(?P<name>{TOKEN})(?:[ \t]*=[ \t]*(?P<value>{QUOTED}|{_BARE_IPV6}|{TOKEN}|{HOST}))?[ \t]*", re.DOTALL
)

Parameters = tuple[tuple[str, str | None], ...]
"""Names in lower case with their values in order; None where a parameter has no value."""


def is_token(text: str) -> bool:
    """Whether a text is a `token`."""
    return _TOKEN_ONLY.fullmatch(text) is not None


def read_parameters(text: str) -> Parameters:
    """The parameters in `;name=value;name`, to the end of the text. Raises MalformedMessage."""
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or len(found) == LIMIT_PARAMETERS:
            raise MalformedMessage(f"no list of parameters: {text[at : at + 40]!r}")
        value = match["value"]
        found.append((match["name"].lower(), unquoted(value) if value is not None else None))
        at = match.end()
    return tuple(found)


def write_parameters(parameters: Parameters) -> str:
    """`;name=value` for each; values that are no token and no host are quoted."""
    return "".join(f";{name}" if value is None else f";{name}={_worded(value)}" for name, value in parameters)


def parameter(parameters: Parameters, name: str) -> str | None:
    """The value of a parameter: "" where it stands without one, None where it does not stand."""
    return next((value or "" for have, value in parameters if have == name), None)


def leading_quoted(text: str) -> str | None:
    """The quoted string at the beginning of a text, quotes included; None where there is none with its end."""
    match = _QUOTED_ONLY.match(text)
    return match[0] if match else None


def unquoted(text: str) -> str:
    """What a quoted string says; any other text as it is."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text.startswith('"') else text


def quoted(text: str) -> str:
    """A text as a quoted string."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def split_list(text: str, separator: str = ",") -> list[str]:
    """The parts between separators that stand outside of quotes and angle brackets, white space stripped.

    Raises MalformedMessage for a quote or bracket without its end, and for an empty part.
    """
    parts, begin, at, in_brackets = [], 0, 0, False
    while at < len(text):
        char = text[at]
        if char == '"' and not in_brackets:
            match = _QUOTED_ONLY.match(text, at)
            if match is None:
                raise MalformedMessage(f"a quote without its end: {text[at : at + 40]!r}")
            at = match.end()
            continue
        if char in "<>":
            if in_brackets == (char == "<"):
                raise MalformedMessage(f"an angle bracket without its other: {text[:40]!r}")
            in_brackets = char == "<"
        elif char == separator and not in_brackets:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    if in_brackets:
        raise MalformedMessage(f"an angle bracket without its end: {text[:40]!r}")
    parts.append(text[begin:])
    stripped = [part.strip(" \t") for part in parts]
    if not all(stripped):
        raise MalformedMessage(f"nothing between two separators: {text[:40]!r}")
    return stripped


def joined(values: Iterable[str]) -> str:
    """A list as one value."""
    return ", ".join(values)


def number(text: str, below: int, what: str) -> int:
    """A decimal number of a header field; raises MalformedMessage for anything else, and from `below` on."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) >= below:
        raise MalformedMessage(f"{what}: {text[:30]!r} is no number below {below}")
    return int(text)


def _worded(value: str) -> str:
    return value if re.fullmatch(rf"{TOKEN}|{HOST}", value) else quoted(value)
