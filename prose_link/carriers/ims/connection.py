"""One stream of SIP, over TCP or TLS, that never waits: what can't be written yet is kept, within a bound."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from prose_link.sip.framing import StreamFramer
from prose_link.sip.transport import Hop

MAX_QUEUED_OCTETS: Final = 1 << 18
"""What a connection keeps that its other end does not take; more ends it."""
PATIENCE_S: Final = 30.0
"""How long a message may stay unfinished, and a connection unconnected, before it is closed (RFC 4475 3.1.2.2)."""
_READ_OCTETS: Final = 1 << 16
_READS: Final = 8
"""Reads of one call, at most: one peer keeps no other waiting."""


class Connection:
    """A connection that is open or opening.

    Args:
        sock: non-blocking, connected or connecting.
        hop: its other end.
        now_s: the time.
    """

    def __init__(self, sock: socket.socket, hop: Hop, now_s: float) -> None:
        self.sock: Final = sock
        self.hop: Final = hop
        self.fault = ""
        """Why it is over; empty while it is not."""
        self._framer = StreamFramer()
        self._queue = bytearray()
        self._shakes_hands = isinstance(sock, ssl.SSLSocket)
        self._idle_since_s = now_s
        self._has_spoken = False

    def send(self, octets: bytes) -> None:
        """Write what can be written, and keep the rest."""
        if len(self._queue) + len(octets) > MAX_QUEUED_OCTETS:
            self.fault = f"{len(self._queue)} octets wait for {self.hop}"
            return
        self._queue += octets
        self.flush()

    def flush(self) -> None:
        """Go on writing."""
        try:
            if self._shakes_hands and isinstance(self.sock, ssl.SSLSocket):
                self.sock.do_handshake()
                self._shakes_hands = False
            while self._queue:
                written = self.sock.send(self._queue)
                self._has_spoken = True
                del self._queue[:written]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            if not _is_connecting(error):
                self.fault = str(error)

    def receive(self, now_s: float) -> list[bytes]:
        """The messages that are whole now."""
        self.flush()
        messages: list[bytes] = []
        try:
            for _ in range(_READS):
                octets = self.sock.recv(_READ_OCTETS)
                if not octets:
                    self.fault = "the other end has closed"
                    break
                self._has_spoken = True
                messages += self._framer.feed(octets)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            if not _is_connecting(error):
                self.fault = str(error)
        if self._framer.fault is not None:
            self.fault = self._framer.fault
        if messages or not (self._framer.held_octets or self._shakes_hands or not self._has_spoken):
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s > PATIENCE_S:
            self.fault = f"nothing whole within {PATIENCE_S:g} s"
        return messages

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def _is_connecting(error: OSError) -> bool:
    """Whether the error says no more than that the connection is not there yet."""
    return isinstance(error, BlockingIOError) or error.errno in (107, 115)  # ENOTCONN, EINPROGRESS
