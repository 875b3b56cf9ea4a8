"""One HTTP connection of the KMS: bounded parsing, reports of its state to the door, answers in the KMS's forms."""

from __future__ import annotations

import hashlib
import io
import ssl
from asyncio import AbstractEventLoop, BaseTransport, Transport
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from security.kms.door import Guest, Wait
from security.kms_wire.protocol import HTTP_STATUS, Refusal, RefusalResponse, encode

MAX_REQUEST_LINE: Final = 2048
MAX_HEADER_OCTETS: Final = 8190
"""Most octets of one header field: room for an access token."""
MAX_HEADERS: Final = 32
READ_AHEAD_OCTETS: Final = 16 * 1024
PART_OCTETS: Final = 64 * 1024
LINGER_S: Final = 0.5
KEEPALIVE_S: Final = 3600.0
"""Not the effective limit: the door closes idle connections long before."""


class DoorKeeper(Protocol):
    """The reports of a connection."""

    def connected(self, guest: Guest, fingerprint: str | None, abort: Callable[[], None]) -> None:
        """The TLS handshake is complete; `fingerprint` of the client's certificate, if it showed one."""

    def waits_for(self, guest: Guest, wait: Wait) -> None:
        """The kind of input that the connection waits for."""

    def gone(self, guest: Guest) -> None:
        """The connection is closed."""

    def malformed(self, message: str) -> None:
        """A request could not be read as HTTP."""


class KmsConnection(RequestHandler):
    """aiohttp's connection, which reports its state to the door."""

    def __init__(self, manager: web.Server, *, loop: AbstractEventLoop, guest: Guest, keeper: DoorKeeper) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=MAX_REQUEST_LINE,
            max_field_size=MAX_HEADER_OCTETS,
            max_headers=MAX_HEADERS,
            read_bufsize=READ_AHEAD_OCTETS,
            auto_decompress=False,
        )
        self.guest = guest
        self._keeper = keeper

    def connection_made(self, transport: BaseTransport) -> None:
        """Handle the completion of TLS."""
        super().connection_made(transport)
        self._keeper.connected(self.guest, client_fingerprint(transport), cast("Transport", transport).abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the end of the connection."""
        self._keeper.gone(self.guest)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process octets: the first ones of a request start its deadline."""
        if self.guest.wait is Wait.NEXT_REQUEST:
            self._keeper.waits_for(self.guest, Wait.HEADER)
        super().data_received(data)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; the client has a bounded time to read it."""
        self._keeper.waits_for(self.guest, Wait.READING)
        try:
            sent = await super().finish_response(request, resp, start_time)
            await self._drain_helper()
            return sent
        finally:
            self._keeper.waits_for(self.guest, Wait.NEXT_REQUEST)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer octets that are not HTTP, or too long, with a refusal; the only record is an event."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        refusal = Refusal.BAD_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else Refusal.INTERNAL
        kind = type(exc).__name__ if exc is not None else "error"
        self._keeper.malformed(f"not an HTTP request that the KMS takes ({kind})")
        body = encode(RefusalResponse(refusal=refusal, message="the request is not HTTP/1.1, or its head is too long"))
        response = web.Response(status=HTTP_STATUS[refusal], body=body, content_type="application/json")
        response.force_close()
        return response


def answer(octets: bytes, content_type: str, *, charset: str | None = None) -> web.Response:
    """An answer that no cache keeps. A long one is sent in parts, each when the client has read those before."""
    return web.Response(
        body=io.BytesIO(octets) if len(octets) > PART_OCTETS else octets,
        content_type=content_type,
        charset=charset,
        headers={"Cache-Control": "no-store"},
    )


def client_fingerprint(transport: BaseTransport | None) -> str | None:
    """SHA-256 of the client's certificate, which TLS has verified against the lab CA; None without one."""
    tls: Any = transport.get_extra_info("ssl_object") if transport is not None else None
    certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
    return hashlib.sha256(certificate).hexdigest() if certificate else None
