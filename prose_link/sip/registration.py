"""The registration of a user agent: REGISTER, refresh in time, and what is learnt from it (RFC 3261 10, 3327, 3608).

The UE asks for Path, so that calls to it come by the proxy that it registered through. The 2xx brings the Service-Route
for its own requests and the identities that it may use. Nothing tells a UE that its registrar has forgotten it, so
durations are short, and `renew` registers anew after a short random wait: many UEs that lose one core at one time don't
come back at one time. Failures are tried again, at doubling distances.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from prose_link.sip.account import ALLOWED, Account
from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.exchanges import NO_CONNECTION, Exchange, Exchanges
from prose_link.sip.grammar import number, parameter
from prose_link.sip.headers import Headers
from prose_link.sip.message import Request, Response
from prose_link.sip.reports import Deregistered, Registered, RegistrationFailed, UserAgentEvent
from prose_link.sip.uri import NameAddr, parse_uri, same_uri

JITTER_S: Final = 2.0
"""Longest random wait before a registration that a failure has asked for; of this lab."""
FIRST_RETRY_S: Final = 2.0
LONGEST_RETRY_S: Final = 60.0
LATEST_REFRESH_S: Final = 600.0
"""A long registration is refreshed so long before its end, a short one at its half (TS 24.229's rule)."""
MAX_SERVICE_ROUTES: Final = 8
INTERVAL_TOO_BRIEF: Final = 423


class RegistrationState(Enum):
    """Where a registration stands."""

    OUT = auto()
    REGISTERING = auto()
    REGISTERED = auto()
    LEAVING = auto()


class Registration:
    """One Contact at one registrar.

    Args:
        exchanges: sends requests.
        account: who registers.
        tell: takes its events.
        random_bytes: for Call-ID, tag and jitter.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        account: Account,
        tell: Callable[[UserAgentEvent], None],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._exchanges = exchanges
        self._account = account
        self._tell = tell
        self._random_bytes = random_bytes
        self.state = RegistrationState.OUT
        self.service_route: tuple[str, ...] = ()
        self.associated: tuple[str, ...] = ()
        self._call_id = random_bytes(12).hex()
        self._tag = random_bytes(6).hex()
        self._number = 0
        self._expires_s = account.expires_s
        self._due_s: float | None = None
        self._valid_until_s = 0.0
        self._failures = 0
        self._pending: Exchange | None = None

    @property
    def is_good(self) -> bool:
        """Whether the registrar holds the Contact, as far as it is known here."""
        return self.state is RegistrationState.REGISTERED

    def begin(self, now_s: float) -> None:
        """Register now."""
        self._failures = 0
        self._send(self._expires_s, now_s)

    def renew(self, now_s: float) -> None:
        """Register anew after a short random wait: the core seems to have forgotten this UE."""
        if self.state in (RegistrationState.REGISTERED, RegistrationState.OUT) and self._pending is None:
            self._due_s = now_s + JITTER_S * self._fraction()

    def end(self, now_s: float) -> None:
        """Give the registration up."""
        self._due_s = None
        if self.state is RegistrationState.OUT:
            return
        self.state = RegistrationState.LEAVING
        self._send(0, now_s)

    def next_timer(self) -> float | None:
        """When the next REGISTER is due."""
        return self._due_s

    def handle_timer(self, now_s: float) -> None:
        """Register again where it is due."""
        if self._due_s is not None and self._due_s <= now_s:
            self._send(self._expires_s, now_s)

    def _send(self, expires_s: int, now_s: float) -> None:
        self._due_s = None
        self._number += 1
        account = self._account
        address = NameAddr(uri=parse_uri(account.address_of_record))
        headers = Headers(
            [
                ("From", str(address.tagged(self._tag))),
                ("To", str(address)),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._number} REGISTER"),
                ("Max-Forwards", "70"),
                ("Contact", f"<{account.contact}>"),
                ("Expires", str(expires_s)),
                ("Supported", "path"),
                ("Allow", ", ".join(ALLOWED)),
            ]
        )
        request = Request(method="REGISTER", uri=account.registrar, headers=headers)
        if self.state is not RegistrationState.LEAVING and self.state is not RegistrationState.REGISTERED:
            self.state = RegistrationState.REGISTERING
        try:
            self._pending = self._exchanges.begin(request, account.proxy, self._outcome, now_s)
        except SipError as error:
            self._failed(NO_CONNECTION, str(error), now_s)

    def _outcome(self, exchange: Exchange, status: int, response: Response | None, now_s: float) -> None:
        if exchange is not self._pending or status < 200:
            return
        self._pending = None
        self._number = exchange.number
        if self.state is RegistrationState.LEAVING:
            self.state = RegistrationState.OUT
            self.service_route = self.associated = ()
            self._tell(Deregistered())
        elif response is not None and response.is_success:
            self._registered(response, now_s)
        elif response is not None and status == INTERVAL_TOO_BRIEF and self._takes_longer(response):
            self._send(self._expires_s, now_s)
        else:
            why = exchange.why or (response.reason if response is not None else "no answer")
            self._failed(status, why, now_s)

    def _registered(self, response: Response, now_s: float) -> None:
        try:
            expires_s = self._granted_s(response)
            routes = tuple(response.headers.values("Service-Route"))[:MAX_SERVICE_ROUTES]
            associated = tuple(str(one.uri) for one in response.headers.addresses("P-Associated-URI"))
        except MalformedMessage as error:
            self._failed(response.status, str(error), now_s)
            return
        if not expires_s:
            self._failed(response.status, "the registrar holds no binding of this Contact", now_s)
            return
        self.state = RegistrationState.REGISTERED
        self.service_route, self.associated = routes, associated
        self._failures = 0
        self._valid_until_s = now_s + expires_s
        self._due_s = now_s + max(expires_s / 2, expires_s - LATEST_REFRESH_S)
        self._tell(Registered(expires_s=expires_s, associated=associated, service_route=routes))

    def _granted_s(self, response: Response) -> int:
        """How long the registrar keeps our Contact; 0 where it has none of it."""
        ours = parse_uri(self._account.contact)
        for contact in response.headers.addresses("Contact"):
            if same_uri(contact.uri, ours):
                said = parameter(contact.parameters, "expires") or response.headers.first("Expires")
                return self._expires_s if said is None else number(said, 1 << 32, "expires")
        return 0

    def _takes_longer(self, response: Response) -> bool:
        try:
            least_s = number(response.headers.one("Min-Expires"), 1 << 31, "Min-Expires")
        except MalformedMessage:
            return False
        longer = least_s > self._expires_s
        self._expires_s = max(self._expires_s, least_s)
        return longer

    def _failed(self, status: int, why: str, now_s: float) -> None:
        """A refresh that failed leaves the registration in force until its end, unless the registrar refused it."""
        self._failures += 1
        if self.state is not RegistrationState.REGISTERED or now_s >= self._valid_until_s or 400 <= status < 408:
            self.state = RegistrationState.OUT
            self.service_route = self.associated = ()
        wait_s = min(FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 8), LONGEST_RETRY_S)
        again_in_s = wait_s * (0.5 + self._fraction() / 2)
        self._due_s = now_s + again_in_s
        self._tell(RegistrationFailed(status=status, why=why, again_in_s=again_in_s))

    def _fraction(self) -> float:
        """From 0 to 1, at random."""
        return int.from_bytes(self._random_bytes(4)) / (1 << 32)
