"""A UE's side of the KMS: enrol once, then fetch parameters and keys; everything is checked before it is accepted.

A contact is one TLS connection. Enrolment trades a one-time token for a client certificate. A fetch asks for the public
parameters, the key sets of all open periods and the statements about telephone numbers. `provisioning` checks every key
with the equations of the RFCs before the store gets it. A connection that is reset before a request was sent is opened
again; all other failures end the contact.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
from pydantic import ValidationError

from security.device.provisioning import NumbersFetched, Provisioning, check_provisioning
from security.device.store import KeyStore
from security.errors import SecurityError
from security.identifiers import canonical_identity
from security.kms_wire.errors import KmsProtocolError, KmsRefusal, KmsTimeout, KmsUnreachable
from security.kms_wire.protocol import (
    MAX_NUMBERS,
    MAX_RESPONSE_OCTETS,
    PATH_ENROL,
    PATH_KEYS,
    PATH_MAP,
    PATH_PARAMETERS,
    EnrolRequest,
    EnrolResponse,
    KeysRequest,
    KeysResponse,
    MapRequest,
    MapResponse,
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
"""Attempts to connect: a KMS under attack may close a connection during the handshake, before any request was sent."""

M = TypeVar("M", bound=Message)


class _NotConnected(KmsUnreachable):
    """The connection was reset before a request was sent."""


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

    async def fetch(self, uri: str, numbers: Collection[str] = ()) -> Provisioning:
        """Fetch and check everything for one identity: parameters, key sets of every open period, deny list.

        The result includes the KMS's statements about telephone numbers, unchecked; if they are missing, the keys are
        still valid. Raises KmsRefusal (not provisioned, revoked), KeySetRejected, KmsUnreachable, KmsProtocolError;
        IdentityError.
        """
        request = KeysRequest(uri=canonical_identity(uri))
        async with self._connection() as connection:
            parameters = await self._ask(connection, "GET", PATH_PARAMETERS, ParametersResponse)
            keys = await self._ask(connection, "POST", PATH_KEYS, KeysResponse, request)
            fetched = await self._try_numbers(connection, numbers) if numbers else None
        got = await asyncio.to_thread(check_provisioning, parameters, keys, uri=uri)
        return replace(got, numbers=fetched)

    async def fetch_numbers(self, numbers: Collection[str]) -> tuple[int, NumbersFetched]:
        """The KMS's time (NTP s) and its statements about telephone numbers, unchecked.

        Asks for the first `MAX_NUMBERS` of them. Raises KmsRefusal, KmsUnreachable, KmsProtocolError.
        """
        async with self._connection() as connection:
            return await self._ask_numbers(connection, numbers)

    async def _ask_numbers(
        self, connection: aiohttp.ClientSession, numbers: Collection[str]
    ) -> tuple[int, NumbersFetched]:
        asked = tuple(dict.fromkeys(numbers))[:MAX_NUMBERS]
        try:
            form = MapRequest(numbers=asked)
        except ValidationError as exc:
            raise KmsProtocolError(f"numbers: {explain(exc)}") from None
        answer = await self._ask(connection, "POST", PATH_MAP, MapResponse, form)
        statements = tuple(bytes.fromhex(one) for one in answer.statements)
        return answer.time_ntp_s, NumbersFetched(asked=asked, statements=statements)

    async def _try_numbers(self, connection: aiohttp.ClientSession, numbers: Collection[str]) -> NumbersFetched:
        """Like `fetch_numbers`, but a KMS without statements is no error."""
        try:
            return (await self._ask_numbers(connection, numbers))[1]
        except (KmsRefusal, KmsUnreachable, KmsProtocolError) as exc:
            return NumbersFetched(asked=tuple(dict.fromkeys(numbers))[:MAX_NUMBERS], why=str(exc))

    def _connection(self) -> aiohttp.ClientSession:
        """One connection for all requests of one contact."""
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


async def provision(
    store: KeyStore, *, url: str, ca_pem: bytes, token: str, numbers: Collection[str] = ()
) -> Provisioning:
    """Enrol unless the store holds a certificate; fetch the keys of the store's identity, check and store them.

    The statements about these numbers, and about all numbers in the store, are fetched too. Raises what `KmsClient`
    raises, and StoreError.
    """
    if store.tls_identity is None:
        store.keep_certificate(await KmsClient(url=url, ca_pem=ca_pem).enrol(token))
    client = KmsClient(url=url, ca_pem=ca_pem, identity=store.tls_identity)
    provisioning = await client.fetch(store.identity, numbers_of_interest(store, numbers))
    keep_all(store, provisioning)
    return provisioning


def numbers_of_interest(store: KeyStore, numbers: Collection[str]) -> tuple[str, ...]:
    """These numbers, then those that the store holds statements of."""
    return tuple(dict.fromkeys((*numbers, *store.numbers())))


def keep_all(store: KeyStore, got: Provisioning) -> None:
    """Write keys, then statements of the identity map, to the disk. Raises StoreError, RecordError."""
    store.keep(got)
    if got.numbers is not None:
        store.keep_statements(got.numbers.statements, asked=got.numbers.asked, now_ntp_s=got.time_ntp_s)


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
