"""MIKEY messages in every usual form: octets, base64, hex, dumps, SDP, SIP, captured frames.

The form of a text is recognised in this order: an SDP attribute or MIME part; a dump with offsets (xxd, hexdump, od,
`tshark -x`); a stream of hex digits with whatever stands between them; base64 of either alphabet. A dump of a whole
frame is looked through as a capture is. The error for other texts names the character, its place and the reason.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from itertools import islice

from lab_scripts.capture.mikey_finder import MikeyFinder, in_text
from radio.text_file import TextError, decode_text
from security.mikey import MikeyError

_VERSION = b"\x01"
_ATTRIBUTE = re.compile(r"key-mgmt:[ \t]*(?P<protocol>[\w.-]+)[ \t]*", re.IGNORECASE)
_CONTINUED = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}|[A-Za-z0-9+/_-]*={1,2}")
_DUMP_LINE = re.compile(
    r"[ \t]*(?P<offset>(?:0x)?[0-9A-Fa-f]{4,16}):?[ \t]+"
    r"(?P<hex>(?:[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8})"
    r"(?:[ \t]{1,2}-?[ \t]?(?:[0-9A-Fa-f]{2}){1,4}(?![^ \t\n]))*)"
    r"(?P<text>(?:[ \t]*\||[ \t]{2,}|[ \t]+>).*)?[ \t]*"
)
_HEADING = re.compile(r".*\([0-9]+ bytes\):[ \t]*")
"""Heading that tshark puts above each dump of a frame."""
_LAST_OFFSET = re.compile(r"[ \t]*(?:0x)?[0-9A-Fa-f]{4,16}:?[ \t]*")
_BETWEEN_HEX = re.compile(r"0[xX](?=[0-9A-Fa-f])|\\x|[\s,;:{}()\[\]\"'<>-]+|\bb(?=['\"])")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=_-]")
_BEGINS = re.compile(r"\s*(?:[Mm][Ii][Kk][Ee][Yy]\s|AR)")
"""How a line of base64 begins that is a message by itself: version 1."""
_LINK_TYPES_TRIED = (1, 101, 113, 276, 0)
_LEAST_HEX_DIGITS = 8
_MAX_ATTRIBUTES = 256
_MAX_DUMPED_OCTETS = 1 << 20
_MAX_LINES = 10_000


class NoMikeyText(MikeyError):
    """A text that holds no MIKEY message, or not just one."""


def mikey_message(content: bytes) -> bytes:
    """The one MIKEY message in a file's content. Raises MikeyError, which names what is wrong."""
    messages = mikey_messages(content)
    if len(messages) > 1:
        raise NoMikeyText(f"{len(messages)} MIKEY messages stand in it: hand them in one by one")
    return messages[0]


def mikey_messages(content: bytes) -> list[bytes]:
    """Each MIKEY message in a file's content once, in order. Raises MikeyError where there is none."""
    if content[:1] == _VERSION:
        return [content]
    if not content.strip():
        raise NoMikeyText("neither MIKEY octets nor text: it is empty")
    try:
        text = decode_text(content)
    except TextError as error:
        raise NoMikeyText(f"neither MIKEY octets, which begin with 01, nor {str(error).removeprefix('not ')}") from None
    found = [message for message in _messages(text) if message]
    if not found:
        raise NoMikeyText("no MIKEY message stands in it")
    return list(dict.fromkeys(found))


def _messages(text: str) -> Iterator[bytes]:
    if _ATTRIBUTE.search(text):
        yield from _attributes(text)
        return
    if "application/mikey" in text.lower():
        yield from in_text(text.encode())
        return
    dumps = _dumps(text)
    if dumps:
        yield from _from_dumps(dumps)
        return
    digits = _BETWEEN_HEX.sub("", text)
    if _HEX.fullmatch(digits) and len(digits) >= _LEAST_HEX_DIGITS:
        if len(digits) % 2:
            raise NoMikeyText(f"{len(digits)} hex digits, an odd number: one is missing, or one too many")
        yield from _from_frame(bytes.fromhex(digits), "the hex")
        return
    lines = [line for line in text.split("\n") if line.strip()]
    if 1 < len(lines) <= _MAX_LINES and all(_BEGINS.match(line) for line in lines):
        for line in lines:
            yield _base64(line)
        return
    yield _base64(text)


def _attributes(text: str) -> Iterator[bytes]:
    """Of each key-mgmt attribute its base64, which may go on over lines that are nothing but base64."""
    matches = list(islice(_ATTRIBUTE.finditer(text), _MAX_ATTRIBUTES + 1))
    if len(matches) > _MAX_ATTRIBUTES:
        raise NoMikeyText(f"more than {_MAX_ATTRIBUTES} key-mgmt attributes")
    for match in matches:
        if match["protocol"].lower() != "mikey":
            continue
        first, *others = text[match.end() :].split("\n")
        gathered = [first.split()[0] if first.split() else ""]
        for line in others:
            if not _CONTINUED.fullmatch(line.strip()):
                break
            gathered.append(line.strip())
        yield _base64("".join(gathered))
    if not re.search(r"key-mgmt:[ \t]*mikey", text, re.IGNORECASE):
        raise NoMikeyText("its key-mgmt attributes are of another protocol than mikey")


def _dumps(text: str) -> list[str]:
    """The dumps in a text, one or more; none where it is no text of dumps. What headings there are is left out."""
    dumps: list[list[str]] = []
    for line in (line for line in text.split("\n") if line.strip()):
        if _HEADING.fullmatch(line):
            continue
        match = _DUMP_LINE.fullmatch(line)
        if match and int(match["offset"], 16) == 0:
            dumps.append([])
        if not dumps:
            return []
        dumps[-1].append(line)
    return ["\n".join(lines) for lines in dumps]


def _from_dumps(dumps: list[str]) -> Iterator[bytes]:
    """The messages in dumps, some of which may hold other data."""
    found: list[bytes] = []
    problem: NoMikeyText | None = None
    for dump in dumps:
        try:
            found += _from_frame(_dumped(dump), "the dump")
        except NoMikeyText as error:
            problem = problem or error
    if problem and not found:
        raise problem
    yield from found


def _dumped(dump: str) -> bytes:
    """The octets of a dump with offsets."""
    lines = dump.split("\n")
    matches = [_DUMP_LINE.fullmatch(line) for line in lines]
    octets, words = bytearray(), False
    row = b""
    repeats = False
    is_octal = _is_octal([match["offset"] for match in matches if match])
    for line, match in zip(lines, matches, strict=True):
        if line.strip() == "*":
            repeats = True
            continue
        if match is None:
            if _LAST_OFFSET.fullmatch(line):
                continue
            raise NoMikeyText(f"a dump with a line that is none: {line.strip()[:40]!r}")
        offset = int(match["offset"], 8 if is_octal else 16)
        if offset > _MAX_DUMPED_OCTETS:
            raise NoMikeyText(f"a dump that goes on to octet {offset:#x}: no MIKEY message is so long")
        while repeats and row and len(octets) < offset:
            octets += row
        repeats = False
        if offset != len(octets):
            raise NoMikeyText(f"a dump with a gap: the line at {match['offset']} follows {len(octets):#x} octets")
        groups = match["hex"].replace("-", " ").split()
        words = words or (len(groups[0]) == 4 and ":" not in line.split()[0])
        row = bytes.fromhex("".join(groups))
        octets += row
    return _unswapped(bytes(octets)) if words else bytes(octets)


def _is_octal(offsets: list[str]) -> bool:
    """Whether a dump's offsets are octal, as `od` writes them: rows of 16 octets are 20 apart."""
    return len(offsets) > 1 and offsets[1].lstrip("0") == "20"


def _unswapped(octets: bytes) -> bytes:
    """Octets of a dump by words of 16 bits, which `hexdump` and `od` write with the second octet first."""
    if octets[:1] == _VERSION or len(octets) < 2 or octets[1:2] != _VERSION:
        return octets
    return bytes(octets[place ^ 1] for place in range(len(octets) // 2 * 2))


def _from_frame(octets: bytes, what: str) -> Iterator[bytes]:
    """The octets themselves if they may be MIKEY, else the messages that they carry as a captured frame."""
    if octets[:1] == _VERSION:
        yield octets
        return
    for link_type in _LINK_TYPES_TRIED:
        finder = MikeyFinder()
        found = [*finder.take(link_type, octets), *finder.finish()]
        if found:
            yield from found
            return
    inside = list(in_text(octets))
    if not inside:
        raise NoMikeyText(
            f"{what} is neither a MIKEY message, which begins with 01 (this: {octets[:4].hex(' ')}), nor a frame "
            "with one"
        )
    yield from inside


def _base64(text: str) -> bytes:
    bare = re.sub(r"^[\s\"']*(?:mikey\s)?", "", text, flags=re.IGNORECASE)
    bare = re.sub(r"[\s\"';]+", "", bare)
    wrong = _NOT_BASE64.search(bare)
    if wrong:
        raise NoMikeyText(
            f"neither MIKEY octets, hex nor base64: the character {wrong[0]!r} is of none of them (after "
            f"{wrong.start()} that could be base64)"
        )
    digits = bare.rstrip("=")
    if "=" in digits:
        raise NoMikeyText(f"base64 with padding in its middle, after {digits.index('=')} characters: two texts in one?")
    if len(digits) % 4 == 1:
        raise NoMikeyText(f"base64 of {len(digits)} characters is cut short: that is no whole number of octets")
    if not digits:
        raise NoMikeyText("neither MIKEY octets nor base64: there is nothing to read")
    usual = digits.replace("-", "+").replace("_", "/")
    return base64.b64decode(usual + "=" * (-len(usual) % 4))
