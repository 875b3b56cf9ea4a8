"""Cuts the messages out of a stream by Content-Length (RFC 3261 18.3); drops keep-alives of empty lines (RFC 5626)."""

from __future__ import annotations

from typing import Final

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.message import MAX_MESSAGE_OCTETS, content_length_of, parse

_END: Final = b"\r\n\r\n"


class StreamFramer:
    """One direction of one connection. What has a fault is to be closed: its messages can't be told apart any more."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.fault: str | None = None
        """Why nothing more can be cut out of this stream; None while all is well."""

    @property
    def held_octets(self) -> int:
        """Octets of a message that is not whole yet."""
        return len(self._held)

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that are whole now. What has no length or is too long sets `fault` and drops the rest."""
        if self.fault is not None:
            return []
        self._held += octets
        messages = []
        try:
            while (whole := self._next()) is not None:
                messages.append(whole)
        except MalformedMessage as error:
            self.fault = str(error)
            self._held.clear()
        return messages

    def _next(self) -> bytes | None:
        """The next whole message. Raises MalformedMessage."""
        while self._held[:2] == b"\r\n":
            del self._held[:2]
        end = self._held.find(_END, 0, MAX_MESSAGE_OCTETS)
        if end < 0:
            if len(self._held) >= MAX_MESSAGE_OCTETS:
                raise MalformedMessage(f"no end of header fields within {MAX_MESSAGE_OCTETS} octets")
            return None
        head = bytes(self._held[: end + len(_END)])
        length = content_length_of(parse(head).headers)
        if length is None:
            raise MalformedMessage("a message without Content-Length on a stream")
        whole = len(head) + length
        if whole > MAX_MESSAGE_OCTETS:
            raise MalformedMessage(f"a message of {whole} octets is longer than {MAX_MESSAGE_OCTETS}")
        if len(self._held) < whole:
            return None
        message = bytes(self._held[:whole])
        del self._held[:whole]
        return message
