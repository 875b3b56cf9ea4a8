"""A SIP user agent, sans-IO: registers, calls and is called (RFC 3261, with the parts of IMS that a UE needs).

It stands on the transaction layer and is made of a registration and of calls, each in a file of its own. This file
hands to each what is for it: responses to the exchange that asked, requests to the calls. The shape is that of every
protocol entity (`prose_link.entity_protocol`); beside the calls of that port the edge says by `transport_failed` and
`connection_lost` what it could not carry.

Bounds: transactions, calls, legs of a fork, events and messages that wait. Whatever a peer sends, nothing raises.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from prose_link.instant import Instant
from prose_link.sip.account import Account
from prose_link.sip.calls import Calls, Fields
from prose_link.sip.errors import SipError
from prose_link.sip.exchanges import Exchanges
from prose_link.sip.incoming_call import IncomingCall
from prose_link.sip.local_addresses import UDP_LIMIT_OCTETS
from prose_link.sip.registration import Registration
from prose_link.sip.reports import Registered, RegistrationFailed, UserAgentEvent
from prose_link.sip.timers import TimerValues
from prose_link.sip.transaction import RequestCame
from prose_link.sip.transaction_layer import TransactionLayer
from prose_link.sip.transport import Hop, Outgoing, Received, Transport

MAX_EVENTS: Final = 1024
"""Events that wait for the owner; the oldest makes room."""
ANSWER_WITHIN_S: Final = 60.0
"""How long the owner may leave an INVITE alone."""


class UserAgent:
    """One user agent.

    Args:
        account: who it is.
        local: host and port that others reach it at, by transport.
        random_bytes: for tags, branches, Call-IDs and random waits.
        values: durations.
        udp_limit_octets: the longest request that is sent by UDP.
        answer_within_s: how long the owner may leave an INVITE alone.
    """

    def __init__(
        self,
        account: Account,
        local: Mapping[Transport, tuple[str, int]],
        random_bytes: Callable[[int], bytes],
        *,
        values: TimerValues | None = None,
        udp_limit_octets: int = UDP_LIMIT_OCTETS,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self.account: Final = account
        self._layer = TransactionLayer(local, random_bytes, values, udp_limit_octets)
        self._exchanges = Exchanges(self._layer, account, random_bytes)
        self._events: deque[UserAgentEvent] = deque(maxlen=MAX_EVENTS)
        self._registration_news: list[bool] = []
        self._registration = Registration(self._exchanges, account, self._tell, random_bytes)
        self._calls = Calls(account, self._registration, self._exchanges, self._tell, random_bytes, answer_within_s)

    @property
    def is_registered(self) -> bool:
        """Whether the registrar holds the Contact, as far as it is known here."""
        return self._registration.is_good

    @property
    def associated(self) -> tuple[str, ...]:
        """The identities that the registration may use."""
        return self._registration.associated

    @property
    def dropped(self) -> Mapping[str, int]:
        """Messages that were dropped, by the reason."""
        return Counter(self._layer.dropped)

    # What the owner does.

    def register(self, now: Instant) -> None:
        """Register; the outcome is an event, and the registration is refreshed from then on."""
        self._registration.begin(now.mono_s)

    def deregister(self, now: Instant) -> None:
        """Give the registration up."""
        self._registration.end(now.mono_s)

    def call(self, target: str, fields: Fields, body: bytes, now: Instant) -> int:
        """Call a URI, and give the number of the call. Raises SipError where it can't go out.

        Args:
            target: the URI.
            fields: Content-Type of the body, and what else there is to say.
            body: octets.
            now: the time.
        """
        return self._calls.begin(target, fields, body, now.mono_s)

    def ring(self, call: int, now: Instant) -> None:
        """Tell the caller that the call has arrived. Raises SipError for a call that was not offered."""
        offered = self._calls.answerable(call)
        if not isinstance(offered, IncomingCall):
            raise SipError(f"call {call} has been answered")
        offered.ring(now.mono_s)

    def accept(self, call: int, fields: Fields, body: bytes, now: Instant) -> None:
        """Answer a call or a re-INVITE by 200. Raises SipError where nothing is open."""
        self._calls.answerable(call).accept(fields, body, now.mono_s)

    def refuse(self, call: int, status: int, fields: Fields, body: bytes, now: Instant) -> None:
        """Refuse a call or a re-INVITE. Raises SipError where nothing is open."""
        self._calls.answerable(call).refuse(status, fields, body, now.mono_s)

    def reoffer(self, call: int, fields: Fields, body: bytes, now: Instant) -> None:
        """Send a re-INVITE. Raises SipError where the call is over or another one is open."""
        self._calls.session(call).reoffer(fields, body, now.mono_s)

    def hang_up(self, call: int, now: Instant) -> None:
        """End a call, however far it is; one that is over already stays so."""
        held = self._calls.find(call)
        if held is not None:
            held.hang_up(now.mono_s)
            self._settle(now.mono_s)

    # What the edge does.

    def receive(self, received: Received, now: Instant) -> None:
        """Take a message. Never raises for what is in it."""
        self._layer.receive(received, now.mono_s)
        self._settle(now.mono_s)

    def transport_failed(self, hop: Hop, now: Instant) -> None:
        """A message to this hop could not be carried."""
        self._layer.transport_failed(hop, now.mono_s)
        self._settle(now.mono_s)

    def connection_lost(self, hop: Hop, now: Instant) -> None:
        """A connection is gone: where it was that to the proxy, calls to us can't come any more."""
        self.transport_failed(hop, now)
        if hop == self.account.proxy and self.account.registers:
            self._registration.renew(now.mono_s)

    def pdus_to_send(self, now: Instant) -> list[Outgoing]:  # noqa: ARG002
        """What is to be sent, in order; each once."""
        return self._layer.messages_to_send()

    def next_timer(self) -> float | None:
        """When `handle_timer` is due, None if nothing runs."""
        due = [self._layer.next_timer(), self._registration.next_timer()]
        due += [part.next_timer() for part in self._calls.parts()]
        return min((one for one in due if one is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do what is due by now."""
        self._layer.handle_timer(now.mono_s)
        self._registration.handle_timer(now.mono_s)
        self._settle(now.mono_s)
        for part in self._calls.parts():
            part.handle_timer(now.mono_s)
        self._settle(now.mono_s)

    def next_event(self) -> UserAgentEvent | None:
        """The oldest event, None if there is none."""
        return self._events.popleft() if self._events else None

    # Within.

    def _tell(self, event: UserAgentEvent) -> None:
        self._events.append(event)
        if isinstance(event, Registered | RegistrationFailed):
            self._registration_news.append(isinstance(event, Registered))

    def _settle(self, now_s: float) -> None:
        """Hand on what the layer has heard, until nothing more comes of it."""
        while True:
            heard = self._layer.next_heard()
            if heard is None and not self._registration_news:
                break
            if isinstance(heard, RequestCame):
                self._calls.take_request(heard, now_s)
            elif heard is not None:
                self._exchanges.take(heard, now_s)
            while self._registration_news:
                self._calls.registration_changed(is_good=self._registration_news.pop(0), now_s=now_s)
        self._calls.forget_what_is_over()
        self._exchanges.forget_what_is_over()
