"""The sockets of the IMS carrier: UDP, TCP and TLS, none of which ever waits.

One address and port takes datagrams and connections; for longer requests a connection is opened from the same address.
A connection is named by the hop at its other end, so that an answer finds the one that its request came by.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from prose_link.carriers.ims.connection import Connection
from prose_link.pc5s.wire.party import CarrierError
from prose_link.sip.message import MAX_MESSAGE_OCTETS
from prose_link.sip.transport import Hop, Outgoing, Received, Transport

MAX_CONNECTIONS: Final = 64
"""Connections that are open at one time; the one that has said nothing for longest makes room."""
MAX_DATAGRAMS: Final = 256
"""Datagrams of one call, at most."""

Watcher = Callable[[str, Hop, bytes], None]
"""Is shown each message: "tx" or "rx", the other end, the octets."""


class SipEdge:
    """The sockets of one UE. Raises CarrierError where its address can't be had.

    Args:
        host: its address.
        port: its port, for datagrams and connections; 0 for one that is free.
        tls: for connections to a TLS server; None where there are none.
        tls_name: the name in the server's certificate.
        watcher: is shown each message.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, tls_name: str, watcher: Watcher) -> None:
        self._host = host
        self._tls = tls
        self._tls_name = tls_name
        self._watcher = watcher
        self._udp, self._listener = _bound(host, port)
        self.port: Final = int(self._udp.getsockname()[1])
        self._connections: dict[Hop, Connection] = {}
        self._failed: deque[Hop] = deque(maxlen=MAX_CONNECTIONS)
        self._lost: deque[Hop] = deque(maxlen=MAX_CONNECTIONS)

    @property
    def is_open(self) -> bool:
        """Whether it has its sockets."""
        return self._udp.fileno() >= 0

    def send(self, outgoing: Outgoing, now_s: float) -> None:
        """Send a message. What can't be carried is told by `failed`."""
        if not self.is_open:
            return
        self._watcher("tx", outgoing.to, outgoing.octets)
        if outgoing.to.transport is Transport.UDP:
            try:
                self._udp.sendto(outgoing.octets, (outgoing.to.host, outgoing.to.port))
            except BlockingIOError:
                return
            except OSError:
                self._failed.append(outgoing.to)
            return
        connection = self._connections.get(outgoing.to)
        if connection is None and outgoing.otherwise is not None:
            connection = self._connection(outgoing.otherwise, now_s)
        elif connection is None:
            connection = self._connection(outgoing.to, now_s)
        if connection is not None:
            connection.send(outgoing.octets)

    def receive(self, now_s: float) -> list[Received]:
        """The messages that have come since the last call."""
        if not self.is_open:
            return []
        taken = self._datagrams()
        self._accept(now_s)
        for connection in list(self._connections.values()):
            taken += [Received(octets, connection.hop) for octets in connection.receive(now_s)]
            if connection.fault:
                self._drop(connection)
        for received in taken:
            self._watcher("rx", received.source, received.octets)
        return taken

    def failed(self) -> list[Hop]:
        """Hops that a message could not be carried to, each once."""
        return _emptied(self._failed)

    def lost(self) -> list[Hop]:
        """Hops whose connection is gone, each once."""
        return _emptied(self._lost)

    def close(self) -> None:
        """Close every socket; may be called twice."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._udp.close()
        self._listener.close()

    def _datagrams(self) -> list[Received]:
        taken = []
        for _ in range(MAX_DATAGRAMS):
            try:
                octets, (host, port) = self._udp.recvfrom(MAX_MESSAGE_OCTETS)
            except OSError:
                break
            if octets.strip(b"\r\n\0"):
                taken.append(Received(octets, Hop(Transport.UDP, host, port)))
        return taken

    def _accept(self, now_s: float) -> None:
        with suppress(OSError):
            sock, (host, port) = self._listener.accept()
            _prepare(sock)
            self._keep(Connection(sock, Hop(Transport.TCP, host, port), now_s))

    def _connection(self, hop: Hop, now_s: float) -> Connection | None:
        """The connection with a hop, which is opened where there is none; None where it can't be."""
        held = self._connections.get(hop)
        if held is not None:
            return held
        if hop.transport is Transport.TLS and self._tls is None:
            self._failed.append(hop)
            return None
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            _prepare(sock)
            sock.bind((self._host, 0))
            sock.connect_ex((hop.host, hop.port))
            if hop.transport is Transport.TLS and self._tls is not None:
                sock = self._tls.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=self._tls_name)
        except OSError:
            sock.close()
            self._failed.append(hop)
            return None
        return self._keep(Connection(sock, hop, now_s))

    def _keep(self, connection: Connection) -> Connection:
        while len(self._connections) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._connections.values())))
        self._connections[connection.hop] = connection
        return connection

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._connections.pop(connection.hop, None)
        self._lost.append(connection.hop)


def _emptied(queue: deque[Hop]) -> list[Hop]:
    taken = list(dict.fromkeys(queue))
    queue.clear()
    return taken


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _bound(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A socket for datagrams and one for connections, at one address and port. Raises CarrierError."""
    fault: OSError | None = None
    for _ in range(8 if port == 0 else 1):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            udp.bind((host, port))
            udp.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, udp.getsockname()[1]))
            listener.listen(MAX_CONNECTIONS)
            listener.setblocking(False)
        except OSError as error:
            fault = error
            udp.close()
            listener.close()
        else:
            return udp, listener
    raise CarrierError(f"carriers.ims: {host}:{port} can't be had: {fault}")
