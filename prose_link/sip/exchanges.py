"""Requests of ours with their answers: challenges are met on the way, so that a user sees only what comes of it.

A challenge (401, 407) makes the request go out again with the next CSeq, once a realm, once more where the server says
that the nonce was stale (RFC 3261 22.2, RFC 7616 3.5). A response goes to the function that began the exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from prose_link.sip.account import Account
from prose_link.sip.digest import Challenge, authorization, choose
from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.matching import Key
from prose_link.sip.message import CSeq, Request, Response, cseq_of
from prose_link.sip.transaction import Heard, ResponseCame, TimedOut
from prose_link.sip.transaction_layer import TransactionLayer
from prose_link.sip.transport import Hop, Transport
from prose_link.sip.uri import SipUri, parse_name_addr, parse_uri

NO_ANSWER: Final = 408
NO_CONNECTION: Final = 503
"""What a timeout and a failed transport count as (RFC 3261 8.1.3.1)."""
MAX_ATTEMPTS: Final = 3
"""Times that one request goes out because of challenges."""

UNAUTHORIZED: Final = 401
_CHALLENGES: Final = {
    UNAUTHORIZED: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}

Outcome = Callable[["Exchange", int, Response | None, float], None]
"""Called with status and response for each response but 100; the response is None where none came."""


class Exchange:
    """One request under way, and what it became after challenges."""

    def __init__(self, request: Request, hop: Hop, outcome: Outcome) -> None:
        self.request = request
        self.hop: Final = hop
        self.outcome: Final = outcome
        self.key: Key = ()
        self.attempts = 1
        self.why = ""
        """Why a challenge could not be met."""

    @property
    def number(self) -> int:
        """CSeq of the request as it went out last."""
        return cseq_of(self.request).number


class Exchanges:
    """All exchanges of a user agent.

    Args:
        layer: its transactions.
        account: whose credentials meet challenges.
        random_bytes: for cnonces.
    """

    def __init__(self, layer: TransactionLayer, account: Account, random_bytes: Callable[[int], bytes]) -> None:
        self.layer: Final = layer
        self._account = account
        self._random_bytes = random_bytes
        self._by_key: dict[Key, Exchange] = {}
        self._known: Challenge | None = None
        self._uses = 0

    def begin(self, request: Request, hop: Hop, outcome: Outcome, now_s: float) -> Exchange:
        """Send a request. Raises SipError where it can't go out."""
        exchange = Exchange(self._with_known_nonce(request), hop, outcome)
        exchange.key = self.layer.send_request(exchange.request, hop, now_s)
        self._by_key[exchange.key] = exchange
        return exchange

    def cancel(self, exchange: Exchange, now_s: float) -> bool:
        """Send CANCEL; False while there is no provisional response yet."""
        return self.layer.cancel(exchange.key, now_s) is not None

    def take(self, heard: Heard, now_s: float) -> None:
        """Take what the layer has heard about a request of ours."""
        exchange = self._by_key.get(heard.key)
        if exchange is None:
            return
        if isinstance(heard, ResponseCame):
            response = heard.response
            if response.status == 100 or self._meets_challenge(exchange, response, now_s):
                return
            exchange.outcome(exchange, response.status, response, now_s)
        else:
            status = NO_ANSWER if isinstance(heard, TimedOut) else NO_CONNECTION
            exchange.outcome(exchange, status, None, now_s)

    def forget_what_is_over(self) -> None:
        """Forget exchanges whose transaction is gone."""
        for key in [key for key in self._by_key if self.layer.state_of(key) is None]:
            del self._by_key[key]

    def _with_known_nonce(self, request: Request) -> Request:
        """A REGISTER that answers the registrar's last challenge beforehand (RFC 7616 3.6); AKA needs a new one."""
        credentials = self._account.credentials
        if request.method != "REGISTER" or self._known is None or credentials.usim is not None:
            return request
        self._uses += 1
        value = authorization(
            self._known,
            credentials,
            method=request.method,
            uri=request.uri,
            count=self._uses,
            cnonce=self._random_bytes(8).hex(),
        )
        return replace(request, headers=request.headers.adding(("Authorization", value)))

    def _meets_challenge(self, exchange: Exchange, response: Response, now_s: float) -> bool:
        if response.status not in _CHALLENGES or exchange.attempts >= MAX_ATTEMPTS:
            return False
        asked, answered = _CHALLENGES[response.status]
        credentials = self._account.credentials
        try:
            challenge = choose(response.headers.lines(asked), has_usim=credentials.usim is not None)
            if exchange.attempts > 1 and not (challenge.stale or credentials.usim):
                exchange.why = "the registrar does not take these credentials"
                return False
            value = authorization(
                challenge,
                credentials,
                method=exchange.request.method,
                uri=exchange.request.uri,
                count=1,
                cnonce=self._random_bytes(8).hex(),
            )
            again = exchange.request.headers.without(answered, "CSeq").adding(
                ("CSeq", str(CSeq(exchange.number + 1, exchange.request.method))), (answered, value)
            )
            request = replace(exchange.request, headers=again)
            key = self.layer.send_request(request, exchange.hop, now_s)
        except SipError as error:
            exchange.why = str(error)
            return False
        exchange.request, exchange.key = request, key
        if response.status == UNAUTHORIZED:
            self._known, self._uses = challenge, 1
        exchange.attempts += 1
        self._by_key[key] = exchange
        return True

    def hop_of(self, request: Request) -> Hop:
        """Where a request within a dialog goes: its first route, or its Request-URI (RFC 3261 8.1.2).

        Names are not resolved: a host that is no address is left to the proxy.
        """
        routes = request.headers.values("Route")
        try:
            uri = parse_name_addr(routes[0]).uri if routes else parse_uri(request.uri)
        except MalformedMessage:
            return self._account.proxy
        proxy = self._account.proxy
        if not isinstance(uri, SipUri):
            return proxy
        host = uri.host.strip("[]")
        try:
            ip_address(host)
        except ValueError:
            return proxy
        said = (uri.parameter("transport") or "").upper()
        if uri.scheme == "sips" or said == "TLS":
            transport = Transport.TLS
        elif said == "TCP":
            transport = Transport.TCP
        else:
            transport = Transport.UDP
        if (host, uri.port) == (proxy.host, proxy.port) and not said:
            return proxy
        return Hop(transport, host, uri.port or (5061 if transport is Transport.TLS else 5060))
