"""All calls of a user agent, of both directions: begins them, finds them, and hands to each the requests for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prose_link.sip.account import ALLOWED, Account
from prose_link.sip.admission import body_refusal, refusal_of
from prose_link.sip.dialog import dialog_id_of
from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.exchanges import Exchanges
from prose_link.sip.grammar import joined
from prose_link.sip.incoming_call import IncomingCall
from prose_link.sip.matching import invite_key
from prose_link.sip.message import call_id_of, cseq_of, from_of, to_of
from prose_link.sip.outgoing_call import OutgoingCall
from prose_link.sip.registration import Registration
from prose_link.sip.reports import CallOffered, UserAgentEvent
from prose_link.sip.responses import response_to
from prose_link.sip.session import Session
from prose_link.sip.transaction import RequestCame

MAX_CALLS: Final = 128
"""Calls that are held, of both directions."""

Fields = tuple[tuple[str, str], ...]


class Calls:
    """The calls of one user agent.

    Args:
        account: who calls and is called.
        registration: whose routes calls take.
        exchanges: sends requests.
        tell: takes events.
        random_bytes: for tags and Call-IDs.
        answer_within_s: how long the owner may leave an INVITE alone.
    """

    def __init__(
        self,
        account: Account,
        registration: Registration,
        exchanges: Exchanges,
        tell: Callable[[UserAgentEvent], None],
        random_bytes: Callable[[int], bytes],
        answer_within_s: float,
    ) -> None:
        self._account = account
        self._registration = registration
        self._exchanges = exchanges
        self._layer = exchanges.layer
        self._tell = tell
        self._random_bytes = random_bytes
        self._answer_within_s = answer_within_s
        self._outgoing: dict[int, OutgoingCall] = {}
        self._incoming: dict[int, IncomingCall] = {}
        self._numbers = 0

    def begin(self, target: str, fields: Fields, body: bytes, now_s: float) -> int:
        """Call a URI, and give the number of the call. Raises SipError where it can't go out."""
        self.forget_what_is_over()
        if self._is_full:
            raise SipError(f"{MAX_CALLS} calls are held")
        number = self._next_number()
        call = OutgoingCall(
            number,
            target,
            fields,
            body,
            account=self._account,
            registration=self._registration,
            exchanges=self._exchanges,
            tell=self._tell,
            random_bytes=self._random_bytes,
        )
        call.begin(now_s)
        self._outgoing[number] = call
        return number

    def find(self, call: int) -> OutgoingCall | IncomingCall | None:
        """A call by its number."""
        return self._outgoing.get(call) or self._incoming.get(call)

    def answerable(self, call: int) -> IncomingCall | Session:
        """What an answer or refusal is for: an INVITE that is offered, or a session. Raises SipError."""
        incoming = self._incoming.get(call)
        return incoming if incoming is not None and incoming.session is None else self.session(call)

    def session(self, call: int) -> Session:
        """The session of an answered call. Raises SipError."""
        incoming, outgoing = self._incoming.get(call), self._outgoing.get(call)
        session = incoming.session if incoming is not None else None
        if outgoing is not None:
            session = next((leg for leg in outgoing.legs.values() if not leg.is_over), None)
        if session is None:
            raise SipError(f"call {call} has no session")
        return session

    def registration_changed(self, *, is_good: bool, now_s: float) -> None:
        """Calls that wait for a new registration are made again, or have failed."""
        for call in list(self._outgoing.values()):
            if is_good:
                call.registered(now_s)
            else:
                call.registration_failed()

    def take_request(self, came: RequestCame, now_s: float) -> None:
        """Take a request of a peer. Never raises for what is in it."""
        request = came.request
        try:
            if request.method == "CANCEL":
                self._cancelled(came, now_s)
            elif to_of(request).tag is not None:
                self._take_in_dialog(came, now_s)
            elif request.method != "ACK":
                self._take_new(came, now_s)
        except MalformedMessage:
            self._respond(came, 400, now_s)

    def parts(self) -> list[OutgoingCall | IncomingCall | Session]:
        """All that has timers."""
        return [*self._outgoing.values(), *self._incoming.values(), *self._sessions()]

    def forget_what_is_over(self) -> None:
        """Calls that are over leave once their transaction is gone: until then late 2xx are acknowledged."""
        for number, call in list(self._outgoing.items()):
            if call.is_over and call.is_settled:
                del self._outgoing[number]
        for number, incoming in list(self._incoming.items()):
            if incoming.is_over and self._layer.state_of(incoming.key) is None:
                del self._incoming[number]

    @property
    def _is_full(self) -> bool:
        return len(self._incoming) + len(self._outgoing) >= MAX_CALLS

    def _take_in_dialog(self, came: RequestCame, now_s: float) -> None:
        wanted = dialog_id_of(came.request)
        session = next((one for one in self._sessions() if one.dialog.id == wanted and not one.is_over), None)
        if session is None:
            if came.request.method != "ACK":
                self._respond(came, 481, now_s)
            return
        refusal = body_refusal(came.request, self._account) if came.request.method == "INVITE" else None
        if refusal is not None:
            self._respond(came, refusal[0], now_s, *refusal[1])
        else:
            session.take(came, now_s)

    def _take_new(self, came: RequestCame, now_s: float) -> None:
        request = came.request
        refusal = refusal_of(request, self._account)
        if refusal is not None:
            self._respond(came, refusal[0], now_s, *refusal[1])
        elif request.method == "OPTIONS":
            self._respond(came, 200, now_s, ("Allow", joined(ALLOWED)), ("Accept", joined(self._account.accepts)))
        elif request.method != "INVITE":
            self._respond(came, 481, now_s)
        elif any(call.merge_key == _merge_key(came) for call in self._incoming.values()):
            self._respond(came, 482, now_s)
        elif self._is_full:
            self._respond(came, 486, now_s)
        else:
            number = self._next_number()
            self._incoming[number] = IncomingCall(
                number,
                came,
                account=self._account,
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

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers


def _merge_key(came: RequestCame) -> tuple[str, str, int]:
    return call_id_of(came.request), from_of(came.request).tag or "", cseq_of(came.request).number
