"""Session descriptions (RFC 8866) as far as an offer and answer of keys needs them (RFC 3264, RFC 4567).

What is offered here has no media: an offer may have none (RFC 3264 5), and none of what the keys protect is carried
by RTP. An I_MESSAGE with no crypto session (#CS 0) fits that, since RFC 4567 7.1 counts two sessions for each media
line. The answer to an offer with media refuses each of them by port 0 (RFC 3264 6).

Key management: exactly one `a=key-mgmt:mikey` at session level, and no `key-mgmt` anywhere else. RFC 4567 4.1.4 has
the offerer put the list of offered protocols into the MIKEY message (General Extension "SDP IDs"), against a carrier
that takes the better ones away. This lab does not: it would make the I_MESSAGE differ by carrier, while the profile
wants the same octets on all of them. Nothing is lost by that, because one protocol and one line is all that is ever
offered or taken: there is nothing to bid down to, and an offer without it is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from prose_link.sip.errors import BodyError
from prose_link.sip.multipart import ContentType

SDP: Final = ContentType("application/sdp")
KEY_MGMT: Final = "key-mgmt"
"""RFC 4567 3.1."""
MIKEY: Final = "mikey"
"""RFC 4567 8.3; protocol identifiers are compared with case (3.1)."""
MAX_LINES: Final = 512
"""Lines of a description; a bound of this lab."""

_LINE: Final = re.compile(r"(?P<type>[a-z])=(?P<value>[^\r\n\0]+)")
_ORIGIN: Final = re.compile(r"\S+ (?P<id>\d{1,20}) (?P<version>\d{1,20}) IN IP[46] \S+")
_MEDIA: Final = re.compile(r"\S+ \d{1,5}(?:/\d+)? \S+(?: \S+)+")
_ORDER: Final = "vosiuepcbtrzka"
_KEY_MGMT: Final = re.compile(rf"{KEY_MGMT}:[ ]?(?P<protocol>[A-Za-z0-9]+) (?P<data>[A-Za-z0-9+/]+={{0,2}})")


class KeyManagementError(BodyError):
    """A description whose key management is not exactly one `mikey` at session level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A media line and what follows it."""

    line: str
    attributes: tuple[str, ...] = ()

    @property
    def refused(self) -> str:
        """The same line with port 0."""
        kind, _, rest = self.line.split(" ", 2)
        return f"{kind} 0 {rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A session description."""

    origin: str
    name: str = "-"
    timing: str = "0 0"
    connection: str | None = None
    attributes: tuple[str, ...] = ()
    """Those at session level, without their `a=`."""
    media: tuple[Media, ...] = ()

    @property
    def version(self) -> int:
        """The version in the origin line: one more with each change (RFC 3264 8)."""
        return int(self.origin.split(" ")[2])


def parse_sdp(octets: bytes) -> Description:
    """A description; lines may end with LF alone (RFC 8866 5). Raises BodyError."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError("a session description that is no UTF-8") from error
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) > MAX_LINES:
        raise BodyError(f"a session description of {len(lines)} lines")
    fields = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise BodyError(f"no line of a session description: {line[:60]!r}")
        fields.append((match["type"], match["value"]))
    first_media = next((n for n, (kind, _) in enumerate(fields) if kind == "m"), len(fields))
    session, rest = fields[:first_media], fields[first_media:]
    return _description(session, _media(rest))


def _description(session: list[tuple[str, str]], media: tuple[Media, ...]) -> Description:
    kinds = [kind for kind, _ in session]
    values = dict(reversed(session))
    if kinds[:2] != ["v", "o"] or values["v"] != "0" or not {"s", "t"} <= values.keys():
        raise BodyError("a session description without its v=0, o, s and t lines")
    places = [_ORDER.find(kind) for kind in kinds]
    if -1 in places or any(kinds.count(kind) > 1 for kind in "vosc"):
        raise BodyError("a session description with a line that has no place there")
    if not _ORIGIN.fullmatch(values["o"]):
        raise BodyError(f"no origin: {values['o'][:60]!r}")
    return Description(
        origin=values["o"],
        name=values["s"],
        timing=values["t"],
        connection=values.get("c"),
        attributes=tuple(value for kind, value in session if kind == "a"),
        media=media,
    )


def _media(fields: list[tuple[str, str]]) -> tuple[Media, ...]:
    found: list[tuple[str, list[str]]] = []
    for kind, value in fields:
        if kind == "m":
            if not _MEDIA.fullmatch(value):
                raise BodyError(f"no media line: {value[:60]!r}")
            found.append((value, []))
        elif kind == "a":
            found[-1][1].append(value)
        elif kind not in "icbk":
            raise BodyError(f"a line {kind}= below a media line")
    return tuple(Media(line=line, attributes=tuple(attributes)) for line, attributes in found)


def write_sdp(description: Description) -> bytes:
    """The octets of a description."""
    lines = ["v=0", f"o={description.origin}", f"s={description.name}"]
    if description.connection is not None:
        lines.append(f"c={description.connection}")
    lines += [f"t={description.timing}", *(f"a={one}" for one in description.attributes)]
    for media in description.media:
        lines += [f"m={media.line}", *(f"a={one}" for one in media.attributes)]
    return "".join(line + "\r\n" for line in lines).encode()


def key_management(i_message: bytes) -> str:
    """The attribute that carries a MIKEY message (RFC 4567 3.1)."""
    return f"{KEY_MGMT}:{MIKEY} {base64.b64encode(i_message).decode('ascii')}"


def offer(host: str, session: int, version: int, i_message: bytes | None) -> Description:
    """An offer or an answer without media from an IPv4 address or name; with a MIKEY message, or without."""
    family = "IP6" if ":" in host else "IP4"
    return Description(
        origin=f"- {session} {version} IN {family} {host}",
        connection=f"IN {family} {host}",
        attributes=() if i_message is None else (key_management(i_message),),
    )


def answer(offered: Description, host: str, session: int, version: int, i_message: bytes | None) -> Description:
    """The answer to an offer: each of its media is refused."""
    made = offer(host, session, version, i_message)
    return Description(
        origin=made.origin,
        connection=made.connection,
        attributes=made.attributes,
        media=tuple(Media(line=one.refused) for one in offered.media),
    )


def mikey_of(description: Description) -> bytes | None:
    """The MIKEY message of a description, None where it has no key management at all.

    Raises KeyManagementError for several lines, for one at a media line, for another protocol, for what is no base64.
    """
    below = [one for media in description.media for one in media.attributes if _is_key_mgmt(one)]
    at_session = [one for one in description.attributes if _is_key_mgmt(one)]
    if below or len(at_session) > 1:
        raise KeyManagementError(f"{len(at_session)} key-mgmt lines at session level, {len(below)} at media")
    if not at_session:
        return None
    match = _KEY_MGMT.fullmatch(at_session[0])
    if match is None or match["protocol"] != MIKEY:
        raise KeyManagementError(f"no key-mgmt:mikey with base64: {at_session[0][:40]!r}")
    try:
        return base64.b64decode(match["data"], validate=True)
    except binascii.Error as error:
        raise KeyManagementError(f"key-mgmt: {error}") from error


def _is_key_mgmt(attribute: str) -> bool:
    return attribute.partition(":")[0].lower() == KEY_MGMT
