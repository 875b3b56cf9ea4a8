"""A SIP user agent, sans-IO: registers, calls and is called (RFC 3261, with the parts of IMS that a UE needs).

It stands on the transaction layer and is made of a registration and of calls, each in a file of its own. This file
hands to each what is for it: responses to the exchange that asked, requests to the session of their dialog, INVITEs and
all else to the checks of `admission`. The shape is that of every protocol entity (`prose_link.entity_protocol`); beside the
calls of that port the edge says by `transport_failed` what it could not carry.

Bounds: transactions, calls, legs of a fork, events and messages that wait. Whatever a peer sends, nothing raises.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from prose_link.instant import Instant
from prose_link.sip.account import ALLOWED, Account
from prose_link.sip.admission import body_refusal, refusal_of
from prose_link.sip.dialog import dialog_id_of
from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.events import CallOffered, Registered, RegistrationFailed, UserAgentEvent
from prose_link.sip.exchanges import Exchanges
from prose_link.sip.grammar import joined
from prose_link.sip.incoming_call import IncomingCall
from prose_link.sip.message import call_id_of, cseq_of, from_of, to_of
from prose_link.sip.outgoing_call import OutgoingCall
from prose_link.sip.registration import Registration
from prose_link.sip.responses import response_to
from prose_link.sip.session import Session
from prose_link.sip.timers import TimerValues
from prose_link.sip.transaction import RequestCame, ResponseCame
from prose_link.sip.transaction_layer import UDP_LIMIT_OCTETS, TransactionLayer, invite_key
from prose_link.sip.transport import Hop, Outgoing, Received, Transport

MAX_CALLS: Final = 128
"""Calls that are held, of both directions."""
MAX_EVENTS: Final = 1024
"""Events that wait for the owner; the oldest makes room."""
ANSWER_WITHIN_S: Final = 60.0
"""How long the owner may leave an INVITE alone."""

Fields = tuple[tuple[str, str], ...]


class UserAgent:
    """One user agent.

    Args:
        account: who it is.
        local: host and port that others reach it at, by transport.
        random_bytes: for tags, branches, Call-IDs and random waits.
        values: durations.
        udp_limit_octets: the longest request that goes by UDP.
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
        self._random_bytes = random_bytes
        self._layer = TransactionLayer(local, random_bytes, values, udp_limit_octets)
        self._exchanges = Exchanges(self._layer, account, random_bytes)
        self._events: deque[UserAgentEvent] = deque(maxlen=MAX_EVENTS)
        self._registration = Registration(self._exchanges, account, self._tell, random_bytes)
        self._outgoing: dict[int, OutgoingCall] = {}
        self._incoming: dict[int, IncomingCall] = {}
        self._answer_within_s = answer_within_s
        self._calls = 0

    @property
    def is_registered(self) -> bool:
        """Whether the registrar holds the Contact, as far as it is known here."""
        return self._registration.is_good

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
        self._make_room()
        number = self._next_call()
        call = OutgoingCall(
            number,
            target,
            fields,
            body,
            account=self.account,
            registration=self._registration,
            exchanges=self._exchanges,
            tell=self._tell,
            random_bytes=self._random_bytes,
        )
        call.begin(now.mono_s)
        self._outgoing[number] = call
        return number

    def ring(self, call: int, now: Instant) -> None:
        """Tell the caller that the call has arrived. Raises SipError for a call that nobody has offered."""
        self._offered(call).ring(now.mono_s)

    def accept(self, call: int, fields: Fields, body: bytes, now: Instant) -> None:
        """Answer a call or a re-INVITE by 200. Raises SipError where nothing is open."""
        incoming = self._incoming.get(call)
        if incoming is not None and incoming.session is None:
            incoming.accept(fields, body, now.mono_s)
        else:
            self._session(call).accept(fields, body, now.mono_s)

    def refuse(self, call: int, status: int, fields: Fields, body: bytes, now: Instant) -> None:
        """Refuse a call or a re-INVITE. Raises SipError where nothing is open."""
        incoming = self._incoming.get(call)
        if incoming is not None and incoming.session is None:
            incoming.refuse(status, fields, body, now.mono_s)
        else:
            self._session(call).refuse(status, fields, body, now.mono_s)

    def reoffer(self, call: int, fields: Fields, body: bytes, now: Instant) -> None:
        """Send a re-INVITE. Raises SipError where the call is over or another one is open."""
        self._session(call).reoffer(fields, body, now.mono_s)

    def hang_up(self, call: int, now: Instant) -> None:
        """End a call, however far it is; one that is over already stays so."""
        held = self._outgoing.get(call) or self._incoming.get(call)
        if held is not None:
            held.hang_up(now.mono_s)
            self._forget_what_is_over()

    # What the edge does.

    def receive(self, received: Received, now: Instant) -> None:
        """Take a message. Never raises for what is in it."""
        self._layer.receive(received, now.mono_s)
        self._take_heard(now.mono_s)

    def transport_failed(self, hop: Hop, now: Instant) -> None:
        """A message to this hop could not be carried, or its connection is gone."""
        self._layer.transport_failed(hop, now.mono_s)
        self._take_heard(now.mono_s)

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
        due += [part.next_timer() for part in self._parts()]
        return min((one for one in due if one is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do what is due by now."""
        self._layer.handle_timer(now.mono_s)
        self._take_heard(now.mono_s)
        self._registration.handle_timer(now.mono_s)
        for part in self._parts():
            part.handle_timer(now.mono_s)
        self._forget_what_is_over()

    def next_event(self) -> UserAgentEvent | None:
        """The oldest event, None if there is none."""
        return self._events.popleft() if self._events else None

    # Within.

    def _tell(self, event: UserAgentEvent) -> None:
        self._events.append(event)

    def _take_heard(self, now_s: float) -> None:
        while (heard := self._layer.next_heard()) is not None:
            if isinstance(heard, RequestCame):
                self._take_request(heard, now_s)
            elif isinstance(heard, ResponseCame) or heard.is_client:
                had = len(self._events)
                self._exchanges.take(heard, now_s)
                self._wake_calls(list(self._events)[had:], now_s)
        self._forget_what_is_over()

    def _wake_calls(self, events: list[UserAgentEvent], now_s: float) -> None:
        for event in events:
            for call in list(self._outgoing.values()):
                if isinstance(event, Registered):
                    call.registered(now_s)
                elif isinstance(event, RegistrationFailed):
                    call.registration_failed()

    def _take_request(self, came: RequestCame, now_s: float) -> None:
        request = came.request
        try:
            if request.method == "CANCEL":
                self._cancelled(came, now_s)
            elif to_of(request).tag is not None:
                self._take_in_dialog(came, now_s)
            elif request.method != "ACK":
                self._take_new(came, now_s)
        except MalformedMessage as error:
            self._respond(came, 400, now_s, ("Warning", f'399 pc5lab "{type(error).__name__}"'))

    def _take_in_dialog(self, came: RequestCame, now_s: float) -> None:
        wanted = dialog_id_of(came.request)
        session = next((one for one in self._sessions() if one.dialog.id == wanted and not one.is_over), None)
        if session is None:
            if came.request.method != "ACK":
                self._respond(came, 481, now_s)
            return
        refusal = body_refusal(came.request, self.account) if came.request.method == "INVITE" else None
        if refusal is not None:
            self._respond(came, refusal[0], now_s, *refusal[1])
        else:
            session.take(came, now_s)

    def _take_new(self, came: RequestCame, now_s: float) -> None:
        request = came.request
        refusal = refusal_of(request, self.account)
        if refusal is not None:
            self._respond(came, refusal[0], now_s, *refusal[1])
        elif request.method == "OPTIONS":
            self._respond(came, 200, now_s, ("Allow", joined(ALLOWED)), ("Accept", joined(self.account.accepts)))
        elif request.method != "INVITE":
            self._respond(came, 481, now_s)
        elif any(call.merge_key == _merge_key(came) for call in self._incoming.values()):
            self._respond(came, 482, now_s)
        elif len(self._incoming) + len(self._outgoing) >= MAX_CALLS:
            self._respond(came, 486, now_s)
        else:
            number = self._next_call()
            self._incoming[number] = IncomingCall(
                number,
                came,
                account=self.account,
                exchanges=self._exchanges,
                tell=self._tell,
                random_bytes=self._random_bytes,
                ends_s=now_s + self._answer_within_s,
            )
            self._tell(CallOffered(call=number, request=request))

    def _cancelled(self, came: RequestCame, now_s: float) -> None:
        key = invite_key(came.key)
        incoming = next((call for call in self._incoming.values() if call.key == key), None)
        session = next((one for one in self._sessions() if one.waits_for(key)), None)
        self._respond(came, 200 if self._layer.state_of(key) is not None else 481, now_s)
        if session is not None:
            session.cancelled(key, now_s)
        elif incoming is not None:
            incoming.cancelled(now_s)

    def _respond(self, came: RequestCame, status: int, now_s: float, *fields: tuple[str, str]) -> None:
        tag = self._random_bytes(6).hex()
        self._layer.respond(came.key, response_to(came.request, status, to_tag=tag, headers=fields), now_s)

    def _sessions(self) -> list[Session]:
        answered = [call.session for call in self._incoming.values() if call.session is not None]
        return [*answered, *(leg for call in self._outgoing.values() for leg in call.legs.values())]

    def _parts(self) -> list[OutgoingCall | IncomingCall | Session]:
        return [*self._outgoing.values(), *self._incoming.values(), *self._sessions()]

    def _session(self, call: int) -> Session:
        incoming, outgoing = self._incoming.get(call), self._outgoing.get(call)
        session = incoming.session if incoming is not None else None
        if outgoing is not None:
            session = next((leg for leg in outgoing.legs.values() if not leg.is_over), None)
        if session is None:
            raise SipError(f"call {call} has no session")
        return session

    def _offered(self, call: int) -> IncomingCall:
        incoming = self._incoming.get(call)
        if incoming is None or incoming.session is not None:
            raise SipError(f"call {call} is not offered")
        return incoming

    def _next_call(self) -> int:
        self._calls += 1
        return self._calls

    def _make_room(self) -> None:
        self._forget_what_is_over()
        if len(self._outgoing) + len(self._incoming) >= MAX_CALLS:
            raise SipError(f"{MAX_CALLS} calls are held")

    def _forget_what_is_over(self) -> None:
        """Calls that are over leave once their transaction is gone: until then late 2xx are acknowledged."""
        for number, call in list(self._outgoing.items()):
            if call.is_over and call.is_settled:
                del self._outgoing[number]
        for number, incoming in list(self._incoming.items()):
            if incoming.is_over and self._layer.state_of(incoming.key) is None:
                del self._incoming[number]


def _merge_key(came: RequestCame) -> tuple[str, str, int]:
    return call_id_of(came.request), from_of(came.request).tag or "", cseq_of(came.request).number
