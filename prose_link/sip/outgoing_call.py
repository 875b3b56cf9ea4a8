"""A call of ours, from INVITE to its outcome: forks, CANCEL, and the second attempt after a new registration.

The first 2xx makes the session. An INVITE that forked may bring more, from other ends: each is acknowledged, told, and
ended by BYE at once, so that what happens hangs on nothing but the order in which they come. A provisional response
that comes after the final one is late, and is ignored.

403, 404, 408, 5xx or a broken connection may mean that the core has forgotten this UE: the call waits for a new
registration and is made once more. Whatever comes then is its outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from prose_link.sip.account import ALLOWED, Account
from prose_link.sip.dialog import dialog_of_caller
from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.exchanges import NO_ANSWER, NO_CONNECTION, Exchange, Exchanges
from prose_link.sip.headers import Headers
from prose_link.sip.message import Request, Response, to_of
from prose_link.sip.registration import Registration
from prose_link.sip.reports import CallAnswered, CallProgressed, CallRefused, UserAgentEvent
from prose_link.sip.session import Session
from prose_link.sip.uri import NameAddr, parse_uri

MAX_LEGS: Final = 8
"""Ends of a fork that may answer one call; later ones are left to time out."""
FORGOTTEN: Final = frozenset({403, 404, 408})
"""Refusals that may mean a lost registration, beside all 5xx."""


class CallState(Enum):
    """Where a call of ours stands."""

    CALLING = auto()
    WAITING = auto()
    """For a new registration."""
    ANSWERED = auto()
    OVER = auto()


class OutgoingCall:
    """One call of ours.

    Args:
        call: the owner's number of it.
        target: the URI that is called.
        fields: header fields of the body, and others.
        body: of the INVITE.
        account: who calls.
        registration: whose routes it takes, and which is asked for anew.
        exchanges: sends requests.
        tell: takes events.
        random_bytes: for Call-ID and tag.
    """

    def __init__(
        self,
        call: int,
        target: str,
        fields: tuple[tuple[str, str], ...],
        body: bytes,
        *,
        account: Account,
        registration: Registration,
        exchanges: Exchanges,
        tell: Callable[[UserAgentEvent], None],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.call: Final = call
        self.target: Final = target
        self.state = CallState.CALLING
        self._fields = fields
        self._body = body
        self._account = account
        self._registration = registration
        self._exchanges = exchanges
        self._tell = tell
        self._random_bytes = random_bytes
        self._call_id = random_bytes(12).hex()
        self._local = NameAddr(uri=parse_uri(account.identity)).tagged(random_bytes(6).hex())
        self._remote = NameAddr(uri=parse_uri(target))
        self._number = 0
        self._exchange: Exchange | None = None
        self._has_retried = not account.registers
        self._first_refusal: tuple[int, Response | None] = (NO_ANSWER, None)
        self._cancel_wanted = False
        self._has_cancelled = False
        self._gives_up_s = 0.0
        self.legs: dict[str, Session] = {}
        """Sessions by the tag of their other end."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state is CallState.OVER or (
            self.state is CallState.ANSWERED and all(leg.is_over for leg in self.legs.values())
        )

    @property
    def is_settled(self) -> bool:
        """Whether its INVITE's transaction is gone, so that no answer can come late."""
        return self._exchange is None or self._exchanges.layer.state_of(self._exchange.key) is None

    def begin(self, now_s: float) -> None:
        """Send the INVITE. Raises SipError where it can't go out."""
        self._number += 1
        account = self._account
        routes = [account.proxy_route, *self._registration.service_route] if account.registers else []
        headers = Headers(
            [
                *(("Route", route) for route in routes),
                ("From", str(self._local)),
                ("To", str(self._remote)),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._number} INVITE"),
                ("Max-Forwards", "70"),
                ("Contact", f"<{account.contact}>"),
                ("P-Preferred-Identity", f"<{account.identity}>"),
                ("Allow", ", ".join(ALLOWED)),
                ("Accept", ", ".join(account.accepts)),
                *self._fields,
            ]
        )
        request = Request(method="INVITE", uri=self.target, headers=headers, body=self._body)
        self.state = CallState.CALLING
        self._gives_up_s = now_s + self._exchanges.layer.values.ringing_s
        hop = account.proxy if account.registers else self._exchanges.hop_of(request)
        self._exchange = self._exchanges.begin(request, hop, self._outcome, now_s)

    def hang_up(self, now_s: float) -> None:
        """End it, however far it is: CANCEL, or BYE to each end that has answered."""
        if self.state is CallState.ANSWERED:
            for leg in self.legs.values():
                leg.hang_up(now_s)
        elif self.state is CallState.WAITING:
            self._refused(*self._first_refusal)
        elif self.state is CallState.CALLING:
            self._cancel_wanted = True
            self._cancel(now_s)

    def registered(self, now_s: float) -> None:
        """A new registration is there: a call that waits for it is made again."""
        if self.state is CallState.WAITING:
            try:
                self.begin(now_s)
            except SipError:
                self._refused(NO_CONNECTION, None)

    def registration_failed(self) -> None:
        """No new registration: a call that waits for it has failed."""
        if self.state is CallState.WAITING:
            self._refused(*self._first_refusal)

    def next_timer(self) -> float | None:
        """When ringing has lasted too long."""
        return self._gives_up_s if self.state is CallState.CALLING else None

    def handle_timer(self, now_s: float) -> None:
        """Give up what has rung too long (timer C), and what not even a CANCEL has ended (RFC 3261 9.1)."""
        if self.state is not CallState.CALLING or now_s < self._gives_up_s:
            return
        if self._has_cancelled:
            self._refused(NO_ANSWER, None)
        else:
            self._cancel_wanted = True
            self._cancel(now_s)
            self._gives_up_s = now_s + self._exchanges.layer.values.timeout_s
            self._has_cancelled = True

    def _cancel(self, now_s: float) -> None:
        if not self._has_cancelled and self._exchange is not None and self._exchanges.cancel(self._exchange, now_s):
            self._has_cancelled = True
            self._gives_up_s = now_s + self._exchanges.layer.values.timeout_s

    def _outcome(self, exchange: Exchange, status: int, response: Response | None, now_s: float) -> None:
        if exchange is not self._exchange:
            return
        self._number = exchange.number
        if response is not None and response.is_success:
            self._answered(exchange, response, now_s)
        elif self.state is not CallState.CALLING:
            return
        elif status < 200 and response is not None:
            self._tell(CallProgressed(call=self.call, response=response))
            if self._cancel_wanted:
                self._cancel(now_s)
        elif self._may_be_forgotten(status):
            self._has_retried = True
            self._first_refusal = (status, response)
            self.state = CallState.WAITING
            self._registration.renew(now_s)
        else:
            self._refused(status, response)

    def _may_be_forgotten(self, status: int) -> bool:
        return not (self._has_retried or self._cancel_wanted) and (status in FORGOTTEN or 500 <= status < 600)

    def _answered(self, exchange: Exchange, response: Response, now_s: float) -> None:
        tag = to_of(response).tag or ""
        known = self.legs.get(tag)
        if known is not None:
            known.acknowledge(exchange.number)
            return
        if len(self.legs) >= MAX_LEGS:
            return
        try:
            dialog = dialog_of_caller(exchange.request, response)
        except MalformedMessage:
            return
        leg = Session(
            self.call,
            dialog,
            is_caller=True,
            contact=self._account.contact,
            exchanges=self._exchanges,
            tell=self._tell,
            random_bytes=self._random_bytes,
        )
        kept = not self.legs and self.state is CallState.CALLING and not self._cancel_wanted
        self.legs[tag] = leg
        leg.acknowledge(exchange.number)
        if not kept:
            leg.hang_up(now_s)
        if self.state is CallState.CALLING:
            self.state = CallState.ANSWERED
        if self._cancel_wanted:
            self._refused(487, response)
        else:
            self._tell(CallAnswered(call=self.call, response=response, kept=kept))

    def _refused(self, status: int, response: Response | None) -> None:
        self.state = CallState.OVER
        self._tell(CallRefused(call=self.call, status=status, response=response))
