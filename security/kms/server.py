"""The KMS on the network: HTTPS with TLS 1.3; enrolment takes a one-time token, all else a client certificate."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from aiohttp import web

from security.kms.errors import KmsConfigError, KmsProtocolError, KmsRefusal
from security.kms.protocol import (
    HTTP_STATUS,
    MAX_REQUEST_OCTETS,
    PATH_ENROL,
    PATH_KEYS,
    PATH_PARAMETERS,
    EnrolRequest,
    KeysRequest,
    Message,
    Refusal,
    RefusalResponse,
    decode,
    encode,
)
from security.kms.service import KmsService
from security.kms.tls import LOOPBACK_NAMES, server_context

MAX_WAITING_REQUESTS: Final = 64
REQUEST_TIMEOUT_S: Final = 10.0
SHUTDOWN_GRACE_S: Final = 2.0

EventSink = Callable[[Mapping[str, Any]], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


class KmsServer:
    """One serving worker. Events go to `emit` as JSON-ready mappings; they hold no keys and no tokens."""

    def __init__(self, service: KmsService, *, emit: EventSink) -> None:
        self._service = service
        self._emit = emit
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kms")
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    async def start(self, *, host: str, port: int) -> str:
        """Listen and return the URL; port 0 takes a free one. Raises KmsConfigError where that can't be."""
        identity = self._service.ca.issue_server(_names_for(host), now=self._service.clocks.wall())
        tls = server_context(identity, self._service.ca.certificate_pem)
        self._runner = web.AppRunner(
            self._application(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_GRACE_S
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls)
        try:
            await site.start()
        except OSError as exc:
            await self.stop()
            raise KmsConfigError(f"can't listen on {host} port {port}: {exc.strerror}") from exc
        bound_port = self._runner.addresses[0][1]
        return f"https://{f'[{host}]' if ':' in host else host}:{bound_port}"

    async def stop(self) -> None:
        """Finish what is being answered, within a grace time, and close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._executor.shutdown(wait=True)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_OCTETS, middlewares=[self._refusals])
        application.router.add_post(PATH_ENROL, self._enrol)
        application.router.add_get(PATH_PARAMETERS, self._parameters, allow_head=False)
        application.router.add_post(PATH_KEYS, self._keys)
        return application

    async def _enrol(self, request: web.Request) -> web.Response:
        form = decode(EnrolRequest, await request.read())
        response = await self._work(lambda: self._service.enrol(form))
        self._emit({"event": "kms-enrolled", "user": response.user})
        return _answer(response)

    async def _parameters(self, request: web.Request) -> web.Response:
        fingerprint = _client_fingerprint(request)
        return _answer(await self._work(lambda: self._service.parameters(fingerprint)))

    async def _keys(self, request: web.Request) -> web.Response:
        fingerprint = _client_fingerprint(request)
        form = decode(KeysRequest, await request.read())
        response = await self._work(lambda: self._service.keys(fingerprint, form))
        periods = [key_set.key_period_no for key_set in response.key_sets]
        self._emit({"event": "kms-keys-issued", "uri": response.uri, "periods": periods})
        return _answer(response)

    async def _work(self, call: Callable[[], T]) -> T:
        """Run a blocking call on the worker thread, or refuse when too many wait for it."""
        if self._waiting >= MAX_WAITING_REQUESTS:
            raise KmsRefusal(Refusal.BUSY, "too many requests at once; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        finally:
            self._waiting -= 1

    @web.middleware
    async def _refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn everything that goes wrong into a refusal in JSON; only the reason leaves, no traceback."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await handler(request)
        except KmsRefusal as exc:
            return self._refuse(Refusal(exc.code), str(exc))
        except KmsProtocolError as exc:
            return self._refuse(Refusal.BAD_REQUEST, str(exc))
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(Refusal.BAD_REQUEST, f"a request has at most {MAX_REQUEST_OCTETS} octets")
        except web.HTTPException as exc:
            return self._refuse(Refusal.BAD_REQUEST, f"{request.method} {request.path[:100]}: {exc.reason}")
        except TimeoutError:
            return self._refuse(Refusal.BUSY, "the request took too long")
        except Exception as exc:
            self._emit({"event": "kms-failed", "error": type(exc).__name__, "message": str(exc)[:300]})
            return self._refuse(Refusal.INTERNAL, "the KMS failed; its operator's log says why")

    def _refuse(self, refusal: Refusal, message: str) -> web.Response:
        self._emit({"event": "kms-refused", "refusal": refusal.value, "message": message})
        response = _answer(RefusalResponse(refusal=refusal, message=message[:500]))
        response.set_status(HTTP_STATUS[refusal])
        return response


async def serve_until_signalled(service: KmsService, *, host: str, port: int, emit: EventSink) -> None:
    """Serve until SIGTERM or SIGINT; emits `kms-serving` with the URL when ready and `kms-stopped` at the end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = KmsServer(service, emit=emit)
    url = await server.start(host=host, port=port)
    try:
        emit(
            {
                "event": "kms-serving",
                "url": url,
                "kms": service.authority.domain.uri,
                "lab_deterministic": service.parameters_form.lab_deterministic,
            }
        )
        await stop.wait()
    finally:
        await server.stop()
    emit({"event": "kms-stopped"})


def _client_fingerprint(request: web.Request) -> str:
    """SHA-256 of the client's certificate, which TLS has verified against the lab CA; raises KmsRefusal without one."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
    if not certificate:
        raise KmsRefusal(Refusal.CERTIFICATE_NEEDED, "show the client certificate that enrolment gave you")
    return hashlib.sha256(certificate).hexdigest()


def _names_for(host: str) -> tuple[str, ...]:
    return LOOPBACK_NAMES if host in LOOPBACK_NAMES else (*LOOPBACK_NAMES, host)


def _answer(message: Message) -> web.Response:
    return web.Response(body=encode(message), content_type="application/json", headers={"Cache-Control": "no-store"})
