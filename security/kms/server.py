"""The KMS on the network: HTTPS with TLS 1.3; enrolment takes a one-time token, all else a client certificate.

Two faces of one core: JSON, and the XML interface of TS 33.180 Annex D, which may take access tokens as well. The
server joins the event loop, the thread of the core, and the limits between them; what a caller may have is decided by
the core (`service`).

A request takes this way:

1. `door` and `listener` admit its connection and close those that wait too long.
2. A request whose connection has shown neither a certificate nor a good access token takes its turn at a bounded pace.
   So guesses at enrolment tokens, and floods, are slow.
3. The handler finds the caller, reads the body, and decodes it strictly.
4. The core works on the one thread of the executor, because it waits for the database; the loop goes on meanwhile.
   Anonymous and certified requests that wait for it are counted apart, each with a limit. A request beyond it is
   refused as `busy`, so that clients without a certificate can't fill the queue of those that have one.
5. Keys go through `issue_queue`, which commits the audit lines of a batch before any of its keys leaves.
6. Whatever is raised becomes a refusal in the form of the request's face. A refusal of the KMS keeps its reason. An
   error that nothing expected is told to the operator by an event, and to the client as `internal` alone.

Each request has a time limit over all of this. The server's certificate is looked at again at an interval: a renewed
one is used for new connections without a restart, and a bad one is reported while the old one stays in use.

At the end the server accepts no more connections, lets open answers finish within a grace time, checkpoints the
database, and reports the refusals since the last report.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import web

from security.errors import SecurityError
from security.kms import annex_d
from security.kms.access_tokens import AccessTokenPlan
from security.kms.annex_d_face import AnnexDFace
from security.kms.annex_d_responses import PLAIN, AnnexDOptions
from security.kms.anonymous_pace import AnonymousPace
from security.kms.connection import KmsConnection, answer, client_fingerprint
from security.kms.door import DEFAULT_LIMITS, Door, DoorLimits, Stage, Wait
from security.kms.events import (
    EventSink,
    KmsCertificateNotRenewed,
    KmsCertificateRenewed,
    KmsEnrolled,
    KmsFailed,
    KmsKeysIssued,
    KmsServing,
    KmsStopped,
)
from security.kms.issue_queue import Answers, IssueQueue
from security.kms.listener import Listener
from security.kms.number_map import statements_for
from security.kms.refusal_reports import RefusalReports
from security.kms.server_certificate import CertificateFiles, CertificateSource, IssuedCertificate, ShownCertificate
from security.kms.service import KeyOrder, KmsService
from security.kms_wire.errors import KmsConfigError, KmsProtocolError, KmsRefusal
from security.kms_wire.protocol import (
    HTTP_STATUS,
    MAX_REQUEST_OCTETS,
    PATH_ENROL,
    PATH_KEYS,
    PATH_MAP,
    PATH_PARAMETERS,
    EnrolRequest,
    KeysRequest,
    KeysResponse,
    MapRequest,
    MapResponse,
    Message,
    Refusal,
    RefusalResponse,
    decode,
    encode,
)
from security.kms_wire.tls import LOOPBACK_NAMES

MAX_WAITING_REQUESTS: Final = 64
MAX_WAITING_ANONYMOUS: Final = 8
REQUEST_TIMEOUT_S: Final = 10.0
SHUTDOWN_GRACE_S: Final = 2.0
CERTIFICATE_LOOK_S: Final = 30.0
"""Interval of the checks whether the server's certificate is due or its files have changed."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options of a serving KMS. `certificate_files`: chain and key (PEM) instead of a certificate of the lab CA."""

    limits: DoorLimits = DEFAULT_LIMITS
    annex_d: AnnexDOptions = PLAIN.options
    access_tokens: AccessTokenPlan | None = None
    certificate_files: tuple[Path, Path] | None = None


DEFAULT_OPTIONS: Final = ServerOptions()


class KmsServer:
    """One serving worker. Events go to `emit`; they hold no keys and no tokens."""

    def __init__(self, service: KmsService, *, emit: EventSink, options: ServerOptions = DEFAULT_OPTIONS) -> None:
        self._service = service
        self._emit = emit
        self._options = options
        self._door = Door(options.limits)
        self._reports = RefusalReports(emit)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kms")
        self._issue_queue = IssueQueue(self._issue)
        self._waiting = {Stage.ANONYMOUS: 0, Stage.CERTIFIED: 0}
        self._pace = AnonymousPace()
        self._runner: web.AppRunner | None = None
        self._listener: Listener | None = None
        self._certificates: CertificateSource | None = None
        self._looking: asyncio.Task[None] | None = None
        tokens = options.access_tokens.open(service.clocks.wall) if options.access_tokens is not None else None
        self._xml = AnnexDFace(service=service, worker=self, options=options.annex_d, tokens=tokens)

    async def start(self, *, host: str, port: int, shared_port: bool = False) -> str:
        """Listen and return the URL; port 0 takes a free one. Raises KmsConfigError if that fails.

        `shared_port`: other workers listen on the same port, and the system distributes connections among them.
        """
        shown = self._first_certificate(host)
        self._runner = web.AppRunner(
            self._application(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_GRACE_S
        )
        await self._runner.setup()
        if self._runner.server is None:
            raise KmsConfigError("the HTTP server did not start")
        self._listener = Listener(self._runner.server, context=shown.context, door=self._door, reports=self._reports)
        try:
            bound_port = await self._listener.open(host, port, shared_port=shared_port)
        except KmsConfigError:
            await self.stop()
            raise
        self._looking = asyncio.create_task(self._look_at_certificate_again())
        return f"https://{f'[{host}]' if ':' in host else host}:{bound_port}"

    async def stop(self) -> None:
        """Finish the open answers, within a grace time, and close."""
        if self._looking is not None:
            self._looking.cancel()
        if self._listener is not None:
            self._listener.stop_accepting()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            await asyncio.get_running_loop().run_in_executor(self._executor, self._service.checkpoint)
        if self._listener is not None:
            await self._listener.stop()
        self._reports.flush(now_s=asyncio.get_running_loop().time(), last=True)
        self._executor.shutdown(wait=True)

    def look_at_certificate(self) -> bool:
        """Use a newer certificate for new connections, if there is one. Returns whether there was."""
        if self._certificates is None or self._listener is None:
            return False
        try:
            shown = self._certificates.renewed()
        except (SecurityError, OSError) as exc:
            self._emit(KmsCertificateNotRenewed(why=str(exc)))
            return False
        if shown is None:
            return False
        self._listener.use(shown.context)
        not_after = shown.certificate.not_valid_after_utc.isoformat()
        self._emit(KmsCertificateRenewed(fingerprint=shown.fingerprint, not_after=not_after))
        return True

    async def body(self, request: web.Request) -> bytes:
        """A request's body; the client has a bounded time to send it."""
        self._waits_for(request, Wait.BODY)
        octets = await request.read()
        self._waits_for(request, Wait.NOTHING)
        return octets

    async def work(self, request: web.Request, call: Callable[[], T]) -> T:
        """Run a blocking call on the worker thread, or refuse when too many wait for it."""
        stage = Stage.CERTIFIED if _stage(request) is Stage.CERTIFIED else Stage.ANONYMOUS
        most = MAX_WAITING_REQUESTS if stage is Stage.CERTIFIED else MAX_WAITING_ANONYMOUS
        if self._waiting[stage] >= most:
            raise KmsRefusal(Refusal.BUSY, "too many requests at once; try again")
        self._waiting[stage] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        finally:
            self._waiting[stage] -= 1

    async def keys_for(self, order: KeyOrder) -> KeysResponse:
        """Keys, written to the audit log before they leave."""
        response = await self._issue_queue.ask(order)
        periods = tuple(key_set.key_period_no for key_set in response.key_sets)
        self._emit(KmsKeysIssued(uri=response.uri, periods=periods))
        return response

    def vouch(self, request: web.Request, user: str) -> None:
        """Note that the connection of a request showed a good access token: it is no longer anonymous."""
        if self._listener is not None and isinstance(request.protocol, KmsConnection):
            self._listener.vouched_for(request.protocol.guest, user)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_OCTETS, middlewares=[self._refusals])
        application.router.add_post(PATH_ENROL, self._enrol)
        application.router.add_get(PATH_PARAMETERS, self._parameters, allow_head=False)
        application.router.add_post(PATH_KEYS, self._keys)
        application.router.add_post(PATH_MAP, self._map)
        self._xml.add_routes(application.router)
        return application

    async def _enrol(self, request: web.Request) -> web.Response:
        form = decode(EnrolRequest, await self.body(request))
        response = await self.work(request, lambda: self._service.enrol(form))
        self._emit(KmsEnrolled(user=response.user))
        return _answer(response)

    async def _parameters(self, request: web.Request) -> web.Response:
        fingerprint = _needed_fingerprint(request)
        return _answer(await self.work(request, lambda: self._service.parameters(fingerprint)))

    async def _keys(self, request: web.Request) -> web.Response:
        fingerprint = _needed_fingerprint(request)
        form = decode(KeysRequest, await self.body(request))
        return _answer(await self.keys_for(KeyOrder(fingerprint=fingerprint, uri=form.uri)))

    async def _map(self, request: web.Request) -> web.Response:
        fingerprint = _needed_fingerprint(request)
        form = decode(MapRequest, await self.body(request))
        now_ntp_s, statements = await self.work(
            request, lambda: statements_for(self._service, fingerprint, form.numbers)
        )
        return _answer(MapResponse(time_ntp_s=now_ntp_s, statements=tuple(one.hex() for one in statements)))

    async def _issue(self, orders: Sequence[KeyOrder]) -> Answers:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._service.issue, orders)

    def _waits_for(self, request: web.Request, wait: Wait) -> None:
        if self._listener is not None and isinstance(request.protocol, KmsConnection):
            self._listener.waits_for(request.protocol.guest, wait)

    def _first_certificate(self, host: str) -> ShownCertificate:
        if self._options.certificate_files is not None:
            chain, key = self._options.certificate_files
            self._certificates = CertificateFiles(chain, key, ca_pem=self._service.ca.certificate_pem)
        else:
            self._certificates = IssuedCertificate(self._service.ca, _names_for(host), wall=self._service.clocks.wall)
        shown = self._certificates.renewed()
        if shown is None:
            raise KmsConfigError("there is no certificate to serve with")
        return shown

    async def _look_at_certificate_again(self) -> None:
        while True:
            await asyncio.sleep(CERTIFICATE_LOOK_S)
            self.look_at_certificate()

    async def _anonymous_turn(self) -> None:
        """Wait until a request without a certificate may be served; raises KmsRefusal for too many."""
        wait_s = self._pace.wait_s(asyncio.get_running_loop().time())
        if wait_s is None:
            raise KmsRefusal(Refusal.BUSY, "too many requests without a certificate; try again")
        if wait_s:
            await asyncio.sleep(wait_s)

    @web.middleware
    async def _refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every exception into a refusal; only the reason leaves the KMS, no traceback."""
        self._waits_for(request, Wait.NOTHING)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                if _stage(request) is Stage.ANONYMOUS:
                    await self._anonymous_turn()
                return await handler(request)
        except KmsRefusal as exc:
            return self._refuse(request, Refusal(exc.code), str(exc))
        except KmsProtocolError as exc:
            return self._refuse(request, Refusal.BAD_REQUEST, str(exc))
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(request, Refusal.BAD_REQUEST, f"a request has at most {MAX_REQUEST_OCTETS} octets")
        except web.HTTPException as exc:
            return self._refuse(request, Refusal.BAD_REQUEST, f"{request.method} {request.path[:100]}: {exc.reason}")
        except (ConnectionError, web.RequestPayloadError):
            return self._refuse(request, Refusal.BAD_REQUEST, "the request's body is broken off or malformed")
        except TimeoutError:
            return self._refuse(request, Refusal.BUSY, "the request took too long")
        except Exception as exc:
            self._emit(KmsFailed(error=type(exc).__name__, message=str(exc)[:300]))
            return self._refuse(request, Refusal.INTERNAL, "the KMS failed; its operator's log says why")

    def _refuse(self, request: web.Request, refusal: Refusal, message: str) -> web.Response:
        self._reports.refused(refusal.value, message, now_s=asyncio.get_running_loop().time())
        if request.path.startswith(annex_d.ROOT):
            response = self._xml.refusal(request, refusal, message)
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
    options: ServerOptions = DEFAULT_OPTIONS,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; emits `KmsServing` with the URL when ready and `KmsStopped` at the end.

    `until_readable`: a file descriptor that ends the service as well, such as the sentinel of a parent process.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, stop.set)
    if until_readable is not None:
        loop.add_reader(until_readable, stop.set)
    server = KmsServer(service, emit=emit, options=options)
    url = await server.start(host=host, port=port, shared_port=shared_port)
    try:
        emit(
            KmsServing(
                url=url,
                kms=service.authority.domain.uri,
                lab_deterministic=service.parameters_form.lab_deterministic,
            )
        )
        await stop.wait()
    finally:
        await server.stop()
    emit(KmsStopped())


def _needed_fingerprint(request: web.Request) -> str:
    fingerprint = client_fingerprint(request.transport)
    if fingerprint is None:
        raise KmsRefusal(Refusal.CERTIFICATE_NEEDED, "show the client certificate that enrolment gave you")
    return fingerprint


def _stage(request: web.Request) -> Stage | None:
    return request.protocol.guest.stage if isinstance(request.protocol, KmsConnection) else None


def _names_for(host: str) -> tuple[str, ...]:
    return LOOPBACK_NAMES if host in LOOPBACK_NAMES else (*LOOPBACK_NAMES, host)


def _answer(message: Message) -> web.Response:
    return answer(encode(message), "application/json")
