"""The KMS on the network: HTTPS with TLS 1.3; enrolment takes a one-time token, all else a client certificate.

Two faces of one core: JSON, and the XML interface of TS 33.180 Annex D.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from aiohttp import web

from security.kms import annex_d
from security.kms.errors import KmsConfigError, KmsProtocolError, KmsRefusal
from security.kms.issue_queue import Answers, IssueQueue
from security.kms.protocol import (
    HTTP_STATUS,
    MAX_REQUEST_OCTETS,
    PATH_ENROL,
    PATH_KEYS,
    PATH_PARAMETERS,
    EnrolRequest,
    KeysRequest,
    KeysResponse,
    Message,
    Refusal,
    RefusalResponse,
    decode,
    encode,
)
from security.kms.service import KeyOrder, KmsService
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
        self._issue_queue = IssueQueue(self._issue)
        self._waiting = 0
        self._runner: web.AppRunner | None = None

    async def start(self, *, host: str, port: int, shared_port: bool = False) -> str:
        """Listen and return the URL; port 0 takes a free one. Raises KmsConfigError where that can't be.

        `shared_port`: other workers listen on the same port, and the system spreads connections among them.
        """
        identity = self._service.ca.issue_server(_names_for(host), now=self._service.clocks.wall())
        tls = server_context(identity, self._service.ca.certificate_pem)
        self._runner = web.AppRunner(
            self._application(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_GRACE_S
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=tls, reuse_port=shared_port or None)
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
            await asyncio.get_running_loop().run_in_executor(self._executor, self._service.checkpoint)
        self._executor.shutdown(wait=True)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_OCTETS, middlewares=[self._refusals])
        application.router.add_post(PATH_ENROL, self._enrol)
        application.router.add_get(PATH_PARAMETERS, self._parameters, allow_head=False)
        application.router.add_post(PATH_KEYS, self._keys)
        for path in (
            annex_d.PATH_KEYPROV,
            f"{annex_d.PATH_KEYPROV}/{{uri}}",
            f"{annex_d.PATH_KEYPROV}/{{uri}}/{{time}}",
        ):
            application.router.add_post(path, self._xml_keyprov)
        application.router.add_post(annex_d.PATH_INIT, self._xml_init)
        for path in (annex_d.PATH_CERTCACHE, f"{annex_d.PATH_CERTCACHE}/{{held}}"):
            application.router.add_post(path, self._xml_certcache)
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
        return _answer(await self._keys_for(KeyOrder(fingerprint=fingerprint, uri=form.uri)))

    async def _xml_init(self, request: web.Request) -> web.Response:
        fingerprint, asked = await self._xml_request(request)
        own, *_ = await self._work(lambda: self._service.trusted_domains(fingerprint))
        return _answer_xml(annex_d.init_response(asked, own, now=self._service.clocks.wall()))

    async def _xml_keyprov(self, request: web.Request) -> web.Response:
        fingerprint, asked = await self._xml_request(request)
        uri, period = annex_d.identity_and_period(
            asked, request.match_info.get("uri"), request.match_info.get("time"), self._service.authority.domain
        )
        keys = await self._keys_for(KeyOrder(fingerprint=fingerprint, uri=uri, period_no=period))
        now = self._service.clocks.wall()
        return _answer_xml(annex_d.keyprov_response(asked, keys, self._service.authority.domain, now=now))

    async def _xml_certcache(self, request: web.Request) -> web.Response:
        fingerprint, asked = await self._xml_request(request)
        held = annex_d.cache_number(request.match_info.get("held"))
        domains = await self._work(lambda: self._service.trusted_domains(fingerprint))
        return _answer_xml(annex_d.certcache_response(asked, domains, held=held, now=self._service.clocks.wall()))

    async def _xml_request(self, request: web.Request) -> tuple[str, annex_d.KmsRequest]:
        fingerprint = _client_fingerprint(request)
        asked = annex_d.parse_request(await request.read())
        annex_d.check_request(
            asked, kms_uri=self._service.authority.domain.uri, host=request.host, path=request.rel_url.raw_path
        )
        return fingerprint, asked

    async def _keys_for(self, order: KeyOrder) -> KeysResponse:
        response = await self._issue_queue.ask(order)
        periods = [key_set.key_period_no for key_set in response.key_sets]
        self._emit({"event": "kms-keys-issued", "uri": response.uri, "periods": periods})
        return response

    async def _issue(self, orders: Sequence[KeyOrder]) -> Answers:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._service.issue, orders)

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
        """Turn everything that goes wrong into a refusal; only the reason leaves, no traceback."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await handler(request)
        except KmsRefusal as exc:
            return self._refuse(request, Refusal(exc.code), str(exc))
        except KmsProtocolError as exc:
            return self._refuse(request, Refusal.BAD_REQUEST, str(exc))
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, Refusal.BAD_REQUEST, f"a request has at most {MAX_REQUEST_OCTETS} octets")
        except web.HTTPException as exc:
            return self._refuse(request, Refusal.BAD_REQUEST, f"{request.method} {request.path[:100]}: {exc.reason}")
        except TimeoutError:
            return self._refuse(request, Refusal.BUSY, "the request took too long")
        except Exception as exc:
            self._emit({"event": "kms-failed", "error": type(exc).__name__, "message": str(exc)[:300]})
            return self._refuse(request, Refusal.INTERNAL, "the KMS failed; its operator's log says why")

    def _refuse(self, request: web.Request, refusal: Refusal, message: str) -> web.Response:
        self._emit({"event": "kms-refused", "refusal": refusal.value, "message": message})
        if request.path.startswith(annex_d.ROOT):
            own, now = self._service.authority.domain.uri, self._service.clocks.wall()
            text = f"{refusal.value}: {message[:500]}"
            response = _answer_xml(annex_d.error_response(own, HTTP_STATUS[refusal], text, now=now))
        else:
            response = _answer(RefusalResponse(refusal=refusal, message=message[:500]))
        response.set_status(HTTP_STATUS[refusal])
        return response


def ending_signals() -> tuple[signal.Signals, ...]:
    """The signals that end the service: SIGHUP is not among them where it is ignored, as under nohup(1)."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if ignored else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def serve_until_signalled(
    service: KmsService,
    *,
    host: str,
    port: int,
    emit: EventSink,
    shared_port: bool = False,
    until_readable: int | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; emits `kms-serving` with the URL when ready and `kms-stopped` at the end.

    `until_readable`: a file descriptor that ends the service as well, such as the sentinel of a parent process.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    if until_readable is not None:
        loop.add_reader(until_readable, stop.set)
    server = KmsServer(service, emit=emit)
    url = await server.start(host=host, port=port, shared_port=shared_port)
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


def _answer_xml(document: bytes) -> web.Response:
    return web.Response(
        body=document, content_type="application/xml", charset="utf-8", headers={"Cache-Control": "no-store"}
    )
