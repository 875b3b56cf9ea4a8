"""A UE's side of the KMS: enrol once, then fetch parameters and keys; nothing is accepted unchecked."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
from pydantic import ValidationError

from security.device.provisioning import Provisioning, check_provisioning
from security.device.store import KeyStore
from security.errors import SecurityError
from security.identifiers import canonical_identity
from security.kms_wire.errors import KmsProtocolError, KmsRefusal, KmsTimeout, KmsUnreachable
from security.kms_wire.protocol import (
    MAX_RESPONSE_OCTETS,
    PATH_ENROL,
    PATH_KEYS,
    PATH_PARAMETERS,
    EnrolRequest,
    EnrolResponse,
    KeysRequest,
    KeysResponse,
    Message,
    ParametersResponse,
    RefusalResponse,
    decode,
    encode,
    explain,
)
from security.kms_wire.tls import ClientRequest, TlsIdentity, client_context

TIMEOUT_S: Final = 8.0
RETRY_S: Final = 0.05
CONNECT_ATTEMPTS: Final = 6
"""A KMS under attack may cut a connection before TLS stands, to make room; nothing was asked then."""

M = TypeVar("M", bound=Message)


class _NotConnected(KmsUnreachable):
    """The connection was reset before anything was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsClient:
    """Talks to one KMS under one lab CA, with a client certificate once there is one."""

    url: str
    ca_pem: bytes
    identity: TlsIdentity | None = field(default=None, repr=False)

    async def enrol(self, token: str) -> TlsIdentity:
        """Trade a one-time token for a client certificate.

        Raises KmsRefusal, KmsUnreachable, KmsProtocolError, TlsIdentityError.
        """
        request = ClientRequest.create("pc5lab UE")
        try:
            form = EnrolRequest(token=token, csr_pem=request.csr_pem.decode())
        except ValidationError as exc:
            raise KmsProtocolError(f"enrolment: {explain(exc)}") from None
        async with self._connection() as connection:
            response = await self._ask(connection, "POST", PATH_ENROL, EnrolResponse, form)
        return request.complete(response.certificate_pem.encode())

    async def fetch(self, uri: str) -> Provisioning:
        """Fetch and check everything for one identity: parameters, key sets of every open period, deny list.

        Raises KmsRefusal (not provisioned, revoked), KeySetRejected, KmsUnreachable, KmsProtocolError; IdentityError.
        """
        request = KeysRequest(uri=canonical_identity(uri))
        async with self._connection() as connection:
            parameters = await self._ask(connection, "GET", PATH_PARAMETERS, ParametersResponse)
            keys = await self._ask(connection, "POST", PATH_KEYS, KeysResponse, request)
        return await asyncio.to_thread(check_provisioning, parameters, keys, uri=uri)

    def _connection(self) -> aiohttp.ClientSession:
        """One connection for all that is asked in one contact."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context(self.ca_pem, self.identity)),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )

    async def _ask(
        self, connection: aiohttp.ClientSession, method: str, path: str, form: type[M], body: Message | None = None
    ) -> M:
        data = encode(body) if body is not None else None
        for attempt in range(1, CONNECT_ATTEMPTS):
            try:
                return await self._ask_once(connection, method, path, form, data)
            except _NotConnected:
                await asyncio.sleep(RETRY_S * attempt)
        return await self._ask_once(connection, method, path, form, data)

    async def _ask_once(
        self, connection: aiohttp.ClientSession, method: str, path: str, form: type[M], data: bytes | None
    ) -> M:
        try:
            async with connection.request(method, self.url + path, data=data, allow_redirects=False) as response:
                octets = await _bounded(response)
                if response.status != HTTPStatus.OK:
                    raise self._refusal(response.status, octets)
                return decode(form, octets)
        except aiohttp.ClientConnectorError as exc:
            kind = _NotConnected if isinstance(exc.os_error, ConnectionResetError) else KmsUnreachable
            raise kind(f"KMS {self.url}: {_reason(exc)}") from exc
        except TimeoutError as exc:
            raise KmsTimeout(f"KMS {self.url}: no answer within {TIMEOUT_S:g} s") from exc
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as exc:
            raise KmsUnreachable(f"KMS {self.url}: {_reason(exc)}") from exc

    def _refusal(self, status: int, octets: bytes) -> SecurityError:
        try:
            refusal = decode(RefusalResponse, octets)
        except KmsProtocolError:
            return KmsUnreachable(f"{self.url} answers with HTTP status {status} and not as a KMS does")
        return KmsRefusal(refusal.refusal, f"KMS {self.url} refuses: {refusal.message}")


async def provision(store: KeyStore, *, url: str, ca_pem: bytes, token: str) -> Provisioning:
    """Enrol unless the store holds a certificate, fetch the keys of the store's identity, check and keep them.

    Raises what `KmsClient` raises, and StoreError.
    """
    if store.tls_identity is None:
        store.keep_certificate(await KmsClient(url=url, ca_pem=ca_pem).enrol(token))
    provisioning = await KmsClient(url=url, ca_pem=ca_pem, identity=store.tls_identity).fetch(store.identity)
    store.keep(provisioning)
    return provisioning


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    octets = b""
    async for part in response.content.iter_chunked(65536):
        octets += part
        if len(octets) > MAX_RESPONSE_OCTETS:
            raise KmsProtocolError(f"the KMS sends more than {MAX_RESPONSE_OCTETS} octets")
    return octets


def _reason(exc: Exception) -> str:
    match exc:
        case aiohttp.InvalidURL():
            return "not a URL"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not one of the lab CA's"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return f"TLS failed ({exc})"
        case aiohttp.ClientConnectorError():
            return f"can't connect ({exc.os_error.strerror or exc.os_error}); is `pc5lab kms serve` running?"
        case _:
            return f"{exc}" or type(exc).__name__
