"""Binding of ZeroMQ endpoints, with errors that name the fault."""

from __future__ import annotations

import socket
from pathlib import Path

import zmq

from radio.errors import RadioError

_MAX_UNIX_PATH = 107


class EndpointError(RadioError):
    """An endpoint that can't be used."""


class EndpointBusy(EndpointError):
    """Another program serves on the endpoint."""


def bind(zmq_socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind and return the endpoint with its port filled in; raises EndpointBusy, EndpointError."""
    if endpoint.startswith("ipc://"):
        _check_unix_path(Path(endpoint.removeprefix("ipc://")))
    try:
        zmq_socket.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise EndpointBusy(f"{endpoint} is busy: another process serves there") from None
        raise EndpointError(f"can't serve on {endpoint!r}: {error.strerror}") from None
    return zmq_socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _check_unix_path(path: Path) -> None:
    """Check that no process answers on a path: ZeroMQ would take it from its owner without an error."""
    if len(str(path).encode()) > _MAX_UNIX_PATH:
        raise EndpointError(
            f"the path of ipc://{path} is longer than the {_MAX_UNIX_PATH} octets a Unix socket can have"
        )
    if not path.parent.is_dir():
        raise EndpointError(f"can't serve on ipc://{path}: there is no folder {path.parent}")
    if path.exists() and not path.is_socket():
        raise EndpointError(f"can't serve on ipc://{path}: the path holds something that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise EndpointBusy(f"ipc://{path} is busy: another process serves there")
