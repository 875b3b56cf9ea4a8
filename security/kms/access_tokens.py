"""Access tokens on the XML face (RFC 6750, TS 33.180 5.1): the user of a token, from a file or from the token's issuer.

A client may show a bearer token instead of a client certificate. The KMS can't read the token: it looks up the user for
whom the token was made. An operator's plan names one of two places.

* A token file holds the SHA-256 of each token, its user, and perhaps an end. Before each look-up the file's inode, time
  and length are compared, and a changed file is read again, so that removing a line ends its token at once. While the
  file can't be read, no token is good.
* Introspection (RFC 7662) asks the issuer. The answer counts only if `active` is the JSON value true, the claim holds a
  name, the end lies in the future and the scope is there, if one is asked for. All else is a no. A yes is remembered
  for 30 s at most, so that a token that its issuer has revoked is good for no longer; a no for 5 s, so that a client
  that repeats a bad token doesn't make the KMS flood the issuer.

An issuer that doesn't answer, or answers in another form, has said nothing about the token. The request is then refused
as `busy` and nothing is remembered. Tokens and the client's secret are sent to it under HTTPS only (or plain HTTP on
loopback), and redirects are not followed, since they would carry the token to another place. Questions at once, their
time, the length of answers and the number of those remembered are bounded.

A token is a password: it is compared and remembered by its SHA-256 only, and is never in a message or an event.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, Protocol
from urllib.parse import quote_plus, urlsplit

import aiohttp
from pydantic import AwareDatetime, Field

from security.at_rest.bounded_file import read_bounded
from security.kms_wire.errors import KmsConfigError, KmsProtocolError, KmsRefusal
from security.kms_wire.protocol import Message, Refusal, UserName, decode

MAX_SECRET_OCTETS: Final = 64 * 1024

MAX_TOKEN: Final = 8000
MAX_FILE_OCTETS: Final = 4 * 1024 * 1024
MAX_TOKENS: Final = 10_000
INTROSPECTION_TIMEOUT_S: Final = 3.0
MAX_INTROSPECTIONS: Final = 8
MAX_ANSWER_OCTETS: Final = 16 * 1024
GOOD_FOR_S: Final = 30.0
"""Time for which an issuer's positive answer is remembered; a revoked token is good no longer than that."""
BAD_FOR_S: Final = 5.0
MAX_REMEMBERED: Final = 1024

_SCHEME = "bearer "


class AccessTokens(Protocol):
    """Finds the user of an access token."""

    async def holder(self, token: str) -> str:
        """A user's name or one of its identities. Raises KmsRefusal."""


class TokenLine(Message):
    """One token of a token file."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    user: UserName
    not_after: AwareDatetime | None = None


class TokenFile(Message):
    """A file of tokens, by their SHA-256."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    tokens: Annotated[tuple[TokenLine, ...], Field(max_length=MAX_TOKENS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenPlan:
    """The place where access tokens are looked up: `token_file`, or `introspection_url` (RFC 7662)."""

    token_file: Path | None = None
    introspection_url: str | None = None
    client_id: str | None = None
    client_secret_file: Path | None = None
    ca_file: Path | None = None
    claim: str = "username"
    scope: str | None = None

    def open(self, wall: Callable[[], dt.datetime]) -> AccessTokens:
        """Open the look-up. Raises KmsConfigError if it can't be opened."""
        if self.token_file is not None and self.introspection_url is None:
            return FileTokens(path=self.token_file, wall=wall)
        if self.introspection_url is not None and self.token_file is None:
            return Introspection.of(self, wall)
        raise KmsConfigError("access tokens come from a token file or from an introspection URL: name one of them")


def bearer_token(header: str | None) -> str | None:
    """The token of an Authorization header; None without one. Raises KmsRefusal if it is no bearer token."""
    if header is None:
        return None
    token = header[len(_SCHEME) :].strip()
    if not header.lower().startswith(_SCHEME) or not token or len(token) > MAX_TOKEN or not token.isprintable():
        raise KmsRefusal(Refusal.ACCESS_TOKEN_INVALID, "the Authorization header holds no bearer token")
    return token


class FileTokens:
    """Tokens in a file, which is read again when it changes: removing a line ends its token."""

    def __init__(self, *, path: Path, wall: Callable[[], dt.datetime]) -> None:
        self._path = path
        self._wall = wall
        self._seen: tuple[int, ...] | None = None
        self._lines: dict[str, TokenLine] = {}
        self._refresh()

    async def holder(self, token: str) -> str:
        """The user of a token."""
        self._refresh()
        line = self._lines.get(_digest(token))
        if line is None or (line.not_after is not None and line.not_after <= self._wall()):
            raise _invalid("the access token is unknown or has ended")
        return line.user

    def _refresh(self) -> None:
        """Read the file if it changed. Raises KmsConfigError. While the file can't be read no token is good."""
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return
            self._seen, self._lines = None, {}
            if state.st_size > MAX_FILE_OCTETS:
                raise KmsConfigError(f"{self._path}: more than {MAX_FILE_OCTETS} octets")
            self._lines = {line.sha256: line for line in read_token_file(self._path).tokens}
            self._seen = seen
        except OSError as exc:
            self._seen, self._lines = None, {}
            raise KmsConfigError(f"{self._path}: {exc.strerror}") from exc


def read_token_file(path: Path) -> TokenFile:
    """Read a token file; raises KmsConfigError, OSError."""
    try:
        return decode(TokenFile, read_bounded(path, MAX_FILE_OCTETS))
    except KmsProtocolError as exc:
        raise KmsConfigError(f"{path}: {exc}") from exc


@dataclass(slots=True, kw_only=True)
class Introspection:
    """Asks a token's issuer (RFC 7662) and remembers its answers for a short time."""

    url: str
    claim: str
    scope: str | None
    wall: Callable[[], dt.datetime]
    credentials: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | bool = True
    _remembered: OrderedDict[str, tuple[float, str | None]] = field(default_factory=OrderedDict, repr=False)
    _asking: int = 0

    @classmethod
    def of(cls, plan: AccessTokenPlan, wall: Callable[[], dt.datetime]) -> Introspection:
        """Check the plan; raises KmsConfigError."""
        url = str(plan.introspection_url)
        parts = urlsplit(url)
        loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise KmsConfigError(f"introspection URL {url}: tokens travel under https only (http on loopback)")
        return cls(
            url=url,
            claim=plan.claim,
            scope=plan.scope,
            wall=wall,
            credentials=_credentials(plan),
            tls=_trust(plan.ca_file),
        )

    async def holder(self, token: str) -> str:
        """The value of `claim` in the issuer's answer."""
        digest, now_s = _digest(token), self.wall().timestamp()
        remembered = self._remembered.get(digest)
        if remembered is None or remembered[0] <= now_s:
            if self._asking >= MAX_INTROSPECTIONS:
                raise KmsRefusal(Refusal.BUSY, "too many access tokens are being looked up; try again")
            self._asking += 1
            try:
                remembered = self._judged(await self._ask(token), now_s)
            finally:
                self._asking -= 1
            self._remembered[digest] = remembered
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        if remembered[1] is None:
            raise _invalid("the issuer of the access token does not say that it is good here")
        return remembered[1]

    async def _ask(self, token: str) -> dict[str, Any]:
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {"Accept": "application/json"}
        if self.credentials is not None:
            headers["Authorization"] = self.credentials
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=INTROSPECTION_TIMEOUT_S)) as session,
                session.post(self.url, data=form, headers=headers, ssl=self.tls, allow_redirects=False) as response,
            ):
                octets = await response.content.read(MAX_ANSWER_OCTETS)
                answer = json.loads(octets) if response.status == HTTPStatus.OK and response.content.at_eof() else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise KmsRefusal(Refusal.BUSY, "the issuer of access tokens does not answer as RFC 7662 says; try again")
        return answer

    def _judged(self, answer: dict[str, Any], now_s: float) -> tuple[float, str | None]:
        """The time until which an answer holds, and the user of its token (None: not good)."""
        holder, ends_s = answer.get(self.claim), answer.get("exp", now_s + GOOD_FOR_S)
        scopes = answer.get("scope", "")
        good = (
            answer.get("active") is True
            and isinstance(holder, str)
            and 0 < len(holder) <= 252
            and isinstance(ends_s, int | float)
            and ends_s > now_s
            and (self.scope is None or (isinstance(scopes, str) and self.scope in scopes.split()))
        )
        return (min(ends_s, now_s + GOOD_FOR_S), holder) if good else (now_s + BAD_FOR_S, None)


def _credentials(plan: AccessTokenPlan) -> str | None:
    """The Authorization header of the introspection client (RFC 6749 2.3.1)."""
    if plan.client_id is None:
        return None
    if plan.client_secret_file is None:
        raise KmsConfigError("the introspection client has no secret file")
    try:
        secret = read_bounded(plan.client_secret_file, MAX_SECRET_OCTETS).decode().strip()
        pair = f"{quote_plus(plan.client_id)}:{quote_plus(secret)}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    except (OSError, ValueError) as exc:
        raise KmsConfigError(f"{plan.client_secret_file}: can't be read as a secret") from exc


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as exc:
        raise KmsConfigError(f"{ca_file}: can't be read as CA certificates") from exc


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _invalid(why: str) -> KmsRefusal:
    return KmsRefusal(Refusal.ACCESS_TOKEN_INVALID, why)
