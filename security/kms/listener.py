"""The KMS's listening sockets: they accept connections, close junk, begin handshakes, and close what the door chooses.

A connection has no TLS state until its first octets look like a ClientHello: they are examined in the socket, and junk
is closed there. A few handshakes are begun at a time, the newest first: under a flood of them a new client does not
wait for all the others. The TLS context can be changed at any time; open connections keep theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from asyncio import sslproto
from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web

from security.kms.connection import KmsConnection
from security.kms.door import Closing, Door, Guest, Stage, Wait
from security.kms.refusal_reports import RefusalReports
from security.kms_wire.errors import KmsConfigError

BACKLOG: Final = 4096
"""Connections that wait for accept; the system may allow fewer. One dropped there costs its client a second."""
ACCEPTS_AT_ONCE: Final = 256
HANDSHAKES_AT_ONCE: Final = 2
SWEEP_INTERVAL_S: Final = 0.25
TLS_CLOSE_S: Final = 1.0
TLS_BUFFER_OCTETS: Final = 32 * 1024
"""Read buffer of a connection's TLS. asyncio's own 256 KiB are more than all that a request of the KMS holds."""
DESCRIPTORS_PAUSE_S: Final = 0.1
HELLO_BEGINS: Final = b"\x16\x03"
"""Content type handshake and the major version of every TLS record (RFC 8446 5.1)."""
CLIENT_HELLO: Final = 1
HELLO_TYPE_AT: Final = 5
NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Accepts connections for an aiohttp server and reports them to the door."""

    def __init__(self, manager: web.Server, *, context: ssl.SSLContext, door: Door, reports: RefusalReports) -> None:
        self._manager = manager
        self._context = context
        self._door = door
        self._reports = reports
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._closers: dict[Guest, Callable[[], None]] = {}
        self._hellos: dict[Guest, socket.socket] = {}
        self._handshakes: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._pumping = False

    async def open(self, host: str, port: int, *, shared_port: bool) -> int:
        """Listen; return the port. Raises KmsConfigError if that fails."""
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, kind, protocol, _, address in dict.fromkeys(found):
                bound = (address[0], port, *address[2:])
                listening = socket.socket(family, kind, protocol)
                self._sockets.append(listening)
                listening.setblocking(False)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if shared_port:
                    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind(bound)
                listening.listen(BACKLOG)
                port = listening.getsockname()[1]
        except OSError as exc:
            self.stop_accepting()
            raise KmsConfigError(f"can't listen on {host} port {port}: {exc.strerror}") from exc
        for listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)
        sslproto.SSLProtocol.max_size = TLS_BUFFER_OCTETS
        self._sweep()
        return port

    def use(self, context: ssl.SSLContext) -> None:
        """Use another TLS context for new connections."""
        self._context = context

    def stop_accepting(self) -> None:
        """Close the listening sockets and the connections that have not finished TLS."""
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()
        for guest in tuple(self._door.guests()):
            if guest.stage in (Stage.SILENT, Stage.HANDSHAKING):
                self._close(guest)

    async def stop(self) -> None:
        """Close all remaining connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for guest in tuple(self._door.guests()):
            self._close(guest)
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=TLS_CLOSE_S)

    def connected(self, guest: Guest, fingerprint: str | None, abort: Callable[[], None]) -> None:
        """See DoorKeeper."""
        self._closers[guest] = abort
        stage = Stage.ANONYMOUS if fingerprint is None else Stage.CERTIFIED
        self._close_all(self._door.advance(guest, stage, holder=fingerprint, now_s=self._loop.time()))

    def vouched_for(self, guest: Guest, user: str) -> None:
        """Note that a connection without a certificate showed a good access token."""
        if guest.stage is Stage.ANONYMOUS:
            holder = f"token of {user}"
            self._close_all(self._door.advance(guest, Stage.CERTIFIED, holder=holder, now_s=self._loop.time()))

    def waits_for(self, guest: Guest, wait: Wait) -> None:
        """See DoorKeeper."""
        self._door.waits_for(guest, wait, now_s=self._loop.time())

    def gone(self, guest: Guest) -> None:
        """See DoorKeeper."""
        self._door.leave(guest)
        self._closers.pop(guest, None)

    def malformed(self, message: str) -> None:
        """See DoorKeeper."""
        self._reports.refused("bad-request", message, now_s=self._loop.time())

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                connection, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno in NO_DESCRIPTORS:
                    self._without_descriptors(listening)
                return
            connection.setblocking(False)
            guest, closings = self._door.enter(str(peer[0]), now_s=self._loop.time())
            self._closers[guest] = partial(self._close_silent, guest, connection)
            self._loop.add_reader(connection, self._first_octets, guest, connection)
            self._close_all(closings)

    def _without_descriptors(self, listening: socket.socket) -> None:
        """Handle the lack of file descriptors: make room, and pause, since the socket stays readable."""
        closing = self._door.oldest_silent()
        if closing is not None:
            self._close_all((closing,))
        self._loop.remove_reader(listening)
        self._loop.call_later(DESCRIPTORS_PAUSE_S, self._listen_again, listening)

    def _listen_again(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _first_octets(self, guest: Guest, connection: socket.socket) -> None:
        try:
            octets = connection.recv(HELLO_TYPE_AT + 1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            octets = b""
        if not octets:
            self._close(guest)
        elif not _begins_a_hello(octets):
            self._close_all((Closing(guest=guest, why="not-tls"),))
        else:
            self._loop.remove_reader(connection)
            self._door.waits_for(guest, Wait.TURN, now_s=self._loop.time())
            self._hellos[guest] = connection
            if not self._pumping:
                self._pumping = True
                self._loop.call_soon(self._begin_handshakes)

    def _begin_handshakes(self) -> None:
        """Begin a few handshakes, newest first, and let other tasks run before the next ones."""
        wait_s = 0.0
        for _ in range(HANDSHAKES_AT_ONCE):
            guest, wait_s = self._next_hello()
            if guest is None:
                break
            connection = self._hellos.pop(guest)
            self._closers[guest] = partial(_shut, connection)
            task = self._loop.create_task(self._handshake(guest, connection))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)
            self._close_all(self._door.advance(guest, Stage.HANDSHAKING, now_s=self._loop.time()))
        self._pumping = bool(self._hellos)
        if self._pumping:
            self._loop.call_later(wait_s, self._begin_handshakes)

    def _next_hello(self) -> tuple[Guest | None, float]:
        """The newest connection whose handshake may begin now, or the time until there is one."""
        waits: dict[str, float] = {}
        for guest in reversed(self._hellos):
            if guest.address not in waits:
                waits[guest.address] = self._door.handshake_in(guest, now_s=self._loop.time())
                if not waits[guest.address]:
                    return guest, 0.0
        return None, min(waits.values(), default=0.0)

    async def _handshake(self, guest: Guest, connection: socket.socket) -> None:
        protocol = KmsConnection(self._manager, loop=self._loop, guest=guest, keeper=self)
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=2 * self._door.limits.handshake_s,
                ssl_shutdown_timeout=TLS_CLOSE_S,
            )
        except OSError as exc:
            if guest in self._closers:
                self._reports.at_the_door(_why_tls_failed(exc), guest.address)
            self.gone(guest)

    def _sweep(self) -> None:
        now_s = self._loop.time()
        self._close_all(self._door.overdue(now_s))
        self._reports.flush(now_s=now_s)
        self._sweeper = self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _close_all(self, closings: tuple[Closing, ...]) -> None:
        for closing in closings:
            if closing.why != f"{Wait.NEXT_REQUEST}-timeout":
                self._reports.at_the_door(closing.why, closing.guest.address)
            self._close(closing.guest)

    def _close(self, guest: Guest) -> None:
        self._door.leave(guest)
        close = self._closers.pop(guest, None)
        if close is not None:
            close()

    def _close_silent(self, guest: Guest, connection: socket.socket) -> None:
        self._hellos.pop(guest, None)
        self._loop.remove_reader(connection)
        connection.close()


def _begins_a_hello(octets: bytes) -> bool:
    if octets[: len(HELLO_BEGINS)] != HELLO_BEGINS[: len(octets)]:
        return False
    return len(octets) <= HELLO_TYPE_AT or octets[HELLO_TYPE_AT] == CLIENT_HELLO


def _shut(connection: socket.socket) -> None:
    """End a connection whose socket the event loop has: its reader sees the end and closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _why_tls_failed(exc: OSError) -> str:
    return f"tls-{exc.reason.lower().replace('_', '-')}" if isinstance(exc, ssl.SSLError) and exc.reason else "tls-cut"
