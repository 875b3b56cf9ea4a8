"""The handlers of the XML face: caller, request and keys; answers and errors in the schema's form (TS 33.180 Annex D).

The face translates. It decides who the caller is and whether the request is well-formed, its own and in time; what the
caller may have is decided by the core (`service`), as for the JSON face. Every request passes the same checks, in this
order (`_asking`; TS 33.180 5.3.3, D.2.2):

1. The caller: by an access token, if the KMS takes tokens and the request has one, else by the client certificate of
   the connection. A connection that showed a good token is no longer anonymous.
2. The body is read within a bounded time, and the core is asked for the caller's identities.
3. A body that is there must be a KmsRequest that names this KMS, the host and path to which it was sent, and a UserUri
   that is an identity of the caller. Its time, if it has one, must be within the window of either clock, the wall's or
   the lab's. Deployed clients send empty bodies too: then the identity is the one in the URL, or the caller's only one.
4. Transport keys, if they are used: the request's TrK-ID says which the client holds, a signature is verified under the
   keys that it names, and it may be required. A client with older keys gets the newer ones in the answer.

Only then is the request served: Init, KeyProv, CertCache, and the map of telephone numbers, which is the project's own.
Cert, Lookup and Redirect are not offered, and are answered as not found after the same checks. Keys leave after their
line in the audit log is committed.

A refusal is a KmsResponse too. It names sender and URL as far as the request got, and its reason. If it is for want of
a good credential, and tokens are taken, WWW-Authenticate says so (RFC 6750 3).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol, TypeVar

from aiohttp import web

from security.errors import SecurityError
from security.identifiers import NTP_EPOCH, canonical_identity
from security.kms import annex_d, annex_d_responses, xml_signature
from security.kms.access_tokens import AccessTokens, bearer_token
from security.kms.annex_d_keys import TransportKeys, number_named, transport_keys
from security.kms.annex_d_responses import AnnexDOptions, Protection
from security.kms.connection import answer, client_fingerprint
from security.kms.number_map import statements_for
from security.kms.service import Caller, KeyOrder, KmsService
from security.kms_wire.errors import KmsProtocolError, KmsRefusal
from security.kms_wire.protocol import HTTP_STATUS, KeysResponse, Refusal

ASKED: Final = web.RequestKey("asked", annex_d.KmsRequest)
"""The known data of a request that is refused."""

T = TypeVar("T")


class RequestWorker(Protocol):
    """The interface of the face to the server that runs it."""

    async def body(self, request: web.Request) -> bytes:
        """A request's body."""

    async def work(self, request: web.Request, call: Callable[[], T]) -> T:
        """Run a blocking call on the worker thread."""

    async def keys_for(self, order: KeyOrder) -> KeysResponse:
        """Keys, written to the audit log."""

    def vouch(self, request: web.Request, user: str) -> None:
        """Note that the connection of a request showed a good access token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """A request that has passed all checks."""

    caller: Caller
    request: annex_d.KmsRequest
    protection: Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnexDFace:
    """Handlers of the XML face."""

    service: KmsService
    worker: RequestWorker
    options: AnnexDOptions
    tokens: AccessTokens | None = None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the face under its root; what it doesn't offer (Cert, Lookup, Redirect) is not found."""
        for path in (
            annex_d.PATH_KEYPROV,
            f"{annex_d.PATH_KEYPROV}/{{uri}}",
            f"{annex_d.PATH_KEYPROV}/{{uri}}/{{time}}",
        ):
            router.add_post(path, self._keyprov)
        router.add_post(annex_d.PATH_INIT, self._init)
        for path in (annex_d.PATH_CERTCACHE, f"{annex_d.PATH_CERTCACHE}/{{held}}"):
            router.add_post(path, self._certcache)
        router.add_post(f"{annex_d.PATH_MAP}/{{numbers}}", self._map)
        router.add_post(f"{annex_d.ROOT}/{{other:.*}}", self._not_offered)

    async def _init(self, request: web.Request) -> web.Response:
        asking = await self._asking(request)
        own, *_ = await self.worker.work(request, lambda: self.service.trusted_domains(asking.caller))
        return self._answer(
            annex_d_responses.init_response(asking.request, own, now=self._now(), protection=asking.protection)
        )

    async def _keyprov(self, request: web.Request) -> web.Response:
        asking = await self._asking(request)
        domain = self.service.authority.domain
        uri, period = annex_d.identity_and_period(
            asking.request, request.match_info.get("uri"), request.match_info.get("time"), domain
        )
        keys = await self.worker.keys_for(KeyOrder(fingerprint=asking.caller, uri=uri, period_no=period))
        return self._answer(
            annex_d_responses.keyprov_response(
                asking.request, keys, domain, now=self._now(), protection=asking.protection
            )
        )

    async def _certcache(self, request: web.Request) -> web.Response:
        asking = await self._asking(request)
        held = annex_d.cache_number(request.match_info.get("held"))
        domains = await self.worker.work(request, lambda: self.service.trusted_domains(asking.caller))
        return self._answer(
            annex_d_responses.certcache_response(
                asking.request, domains, held=held, now=self._now(), protection=asking.protection
            )
        )

    async def _map(self, request: web.Request) -> web.Response:
        asking = await self._asking(request)
        numbers = annex_d.numbers_named(request.match_info["numbers"])
        _, statements = await self.worker.work(request, lambda: statements_for(self.service, asking.caller, numbers))
        kms_uri = self.service.authority.domain.uri
        return self._answer(
            annex_d_responses.map_response(
                asking.request, statements, kms_uri=kms_uri, now=self._now(), protection=asking.protection
            )
        )

    async def _not_offered(self, request: web.Request) -> web.Response:
        await self._asking(request)
        name = request.match_info["other"].partition("/")[0][:40]
        raise KmsRefusal(Refusal.NOT_FOUND, f"this KMS does not offer the request {name}")

    def refusal(self, request: web.Request, refusal: Refusal, message: str) -> web.Response:
        """A KmsResponse with the reason of a refusal; it names caller and subject as far as they are known."""
        asked = request.get(ASKED)
        document = annex_d_responses.error_response(
            self.service.authority.domain.uri,
            HTTP_STATUS[refusal],
            f"{refusal.value}: {message[:500]}",
            now=self._now(),
            user_uri=asked.user_uri if asked else _printable(request.match_info.get("uri", "")),
            client_req_url=asked.client_req_url if asked else _url(request),
        )
        response = self._answer(document)
        if HTTP_STATUS[refusal] == HTTPStatus.UNAUTHORIZED and self.tokens is not None:
            invalid = ', error="invalid_token"' if refusal is Refusal.ACCESS_TOKEN_INVALID else ""
            response.headers["WWW-Authenticate"] = f'Bearer realm="KMS"{invalid}'
        return response

    async def _asking(self, request: web.Request) -> _Asking:
        """Make all checks of a request before it is served (TS 33.180 5.3.3, D.2.2)."""
        caller = await self._caller(request)
        body = await self.worker.body(request)
        user, identities = await self.worker.work(request, lambda: self.service.identities(caller))
        own = self.service.authority.domain.uri
        if body.strip():
            asked = request[ASKED] = annex_d.parse_request(body)
            annex_d.check_request(asked, kms_uri=own, host=request.host, path=request.rel_url.raw_path)
            annex_d.check_time(asked, self._clocks(), window_s=self.options.time_window_s)
            _check_own(asked.user_uri, user, identities)
        else:
            uri = _user_uri(request.match_info.get("uri"), user, identities)
            asked = request[ASKED] = annex_d.empty_request(user_uri=uri, kms_uri=own, url=_url(request))
        return _Asking(caller=caller, request=asked, protection=self._protection(asked, user, body))

    async def _caller(self, request: web.Request) -> Caller:
        """The caller of a request: by a client certificate, or by an access token if they are allowed."""
        token = bearer_token(request.headers.get("Authorization")) if self.tokens is not None else None
        if self.tokens is not None and token is not None:
            holder = await self.tokens.holder(token)
            caller = await self.worker.work(request, lambda: self.service.token_user(holder))
            self.worker.vouch(request, caller.name)
            return caller
        fingerprint = client_fingerprint(request.transport)
        if fingerprint is None:
            also = " or an access token" if self.tokens is not None else ""
            raise KmsRefusal(Refusal.CERTIFICATE_NEEDED, f"show the client certificate that enrolment gave you{also}")
        return fingerprint

    def _protection(self, asked: annex_d.KmsRequest, user: str, body: bytes) -> Protection:
        """The keys of the answer. Raises KmsRefusal if a required signature is missing or bad."""
        if not self.options.uses_transport_keys:
            return Protection(options=self.options)
        present = self.options.transport_key_number
        held = self._transport_keys(user, number_named(asked.trk_id, user=user, present=present))
        self._check_signature(body, user)
        newer = self._transport_keys(user, present) if held.number != present else None
        return Protection(options=self.options, held=held, newer=newer)

    def _check_signature(self, body: bytes, user: str) -> None:
        name = xml_signature.key_name(body) if body.strip() else None
        if name is None:
            if self.options.require_signed_requests:
                raise KmsRefusal(Refusal.NOT_AUTHORISED, "requests must be signed (SignedKmsRequest)")
            return
        keys = self._transport_keys(user, number_named(name, user=user, present=self.options.transport_key_number))
        try:
            xml_signature.verify(body, message="KmsRequest", key=keys.ink if name == keys.ink_id else keys.trk)
        except KmsProtocolError as exc:
            raise KmsRefusal(Refusal.NOT_AUTHORISED, str(exc)) from exc

    def _transport_keys(self, user: str, number: int) -> TransportKeys:
        return transport_keys(self.service.authority, user, number)

    def _clocks(self) -> tuple[dt.datetime, dt.datetime]:
        lab = NTP_EPOCH + dt.timedelta(seconds=self.service.clocks.lab_ntp_s())
        return self._now(), lab

    def _now(self) -> dt.datetime:
        return self.service.clocks.wall()

    def _answer(self, document: bytes) -> web.Response:
        return answer(document, self.options.content_type.value, charset="utf-8")


def _check_own(user_uri: str, user: str, identities: tuple[str, ...]) -> None:
    try:
        own = canonical_identity(user_uri) in identities
    except SecurityError as exc:
        raise KmsProtocolError(f"KmsRequest: UserUri: {exc}") from exc
    if not own:
        raise KmsRefusal(Refusal.NOT_AUTHORISED, f"user {user}: UserUri {user_uri[:100]} is not an identity of it")


def _user_uri(named: str | None, user: str, identities: tuple[str, ...]) -> str:
    """The identity for an empty request: the one in its URL, or the user's only one."""
    if named is not None:
        _check_own(named, user, identities)
        return canonical_identity(named)
    if not identities:
        raise KmsRefusal(Refusal.NOT_AUTHORISED, f"user {user} has no identity at this KMS")
    if len(identities) > 1:
        raise KmsProtocolError("a user with several identities names one: in the URL, or as UserUri in a KmsRequest")
    return identities[0]


def _url(request: web.Request) -> str:
    return _printable(f"https://{request.host}{request.rel_url.raw_path}"[:1000])


def _printable(text: str) -> str:
    return "".join(character for character in text[:1000] if character.isprintable())
