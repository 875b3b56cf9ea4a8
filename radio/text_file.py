"""The one reader of text that people write or export: UTF-8 with or without a byte order mark, UTF-16, any line end.

Editors and shells of some systems put a byte order mark in front of UTF-8, or write UTF-16; a parser then complains of
the first character of a file that looks faultless. Everything here is read as it is meant. What can't be text is named:
where it stops being text, and what it looks like. Files are bounded in size before they are decoded.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from radio.errors import RadioError

MAX_TEXT_OCTETS = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, the longer one first where one begins with another (Unicode 23.8)."""
_LOOKED_AT = 64


class TextError(RadioError):
    """Octets that are no text, or more of them than a text of its kind has."""


def read_text(path: Path, *, max_octets: int = MAX_TEXT_OCTETS) -> str:
    r"""The text of a file, line ends as \n, without a byte order mark.

    Raises:
        TextError: no text, or more than `max_octets`; names the file.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        octets = file.read(max_octets + 1)
    if len(octets) > max_octets:
        raise TextError(f"{path} has more than {max_octets} octets: not a file of this kind")
    try:
        return decode_text(octets)
    except TextError as error:
        raise TextError(f"{path}: {error}") from None


def decode_text(octets: bytes) -> str:
    r"""Octets as text, line ends as \n, without a byte order mark. Raises TextError."""
    encoding, mark = encoding_of(octets)
    try:
        text = octets[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise TextError(
            f"not {encoding.upper()} text: octet {octets[len(mark) + error.start]:02x} at offset "
            f"{len(mark) + error.start}; save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise TextError(f"not text: a NUL character at character {text.index(chr(0))}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def encoding_of(octets: bytes) -> tuple[str, bytes]:
    """The encoding of a text and its byte order mark, b"" where it has none."""
    for mark, encoding in _MARKS:
        if octets.startswith(mark):
            return encoding, mark
    head = octets[:_LOOKED_AT]
    if len(head) >= 4 and not len(octets) % 2:
        even, odd = head[0::2], head[1::2]
        if not any(odd) and all(even):
            return "utf-16-le", b""
        if not any(even) and all(odd):
            return "utf-16-be", b""
    return "utf-8", b""
