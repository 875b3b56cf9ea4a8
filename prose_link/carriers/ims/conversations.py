"""The calls of one UE in the IMS: which Request each of them carries, which one waits for an answer, what came by them.

A Request that goes out again while its INVITE is under way is that INVITE: SIP repeats for itself. A new Request to a
peer whose session still stands goes in it by re-INVITE (RFC 4567 4.1.2), so it reaches the same end of a fork; where
the session turns out to be gone it is sent in an INVITE of its own. A session is ended some time after its answer: it
has brought what it was for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from prose_link.carriers.ims.envelope import PC5S, Body, EnvelopeError, accept_body, open_body, request_body
from prose_link.carriers.ims.events import ImsBodyRefused, ImsCallRefused
from prose_link.carriers.ims.naming import asserted_in
from prose_link.instant import Instant
from prose_link.pc5s.wire.messages import MessageType
from prose_link.sip.errors import BodyError, SipError
from prose_link.sip.message import Request, Response
from prose_link.sip.multipart import content_type_of
from prose_link.sip.reports import (
    CallAnswered,
    CallEnded,
    CallOffered,
    CallRefused,
    ReofferAnswered,
    Reoffered,
    ReofferRefused,
    UserAgentEvent,
)
from prose_link.sip.sdp import Description
from prose_link.sip.user_agent import UserAgent

MAX_UNDER_WAY: Final = 32
"""Requests that wait for their answer, at most."""
NOT_UNDERSTOOD: Final = ("Warning", '306 pc5lab "Attribute not understood"')
"""What goes with a 488 (RFC 4567 4.1.2, RFC 3261 20.43)."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """A call of ours."""

    peer: str
    message: bytes
    open: bool = True
    """The last Request has no answer yet."""
    ends_s: float = 0.0
    names: tuple[str, ...] = ()
    """Whom the core has asserted for the other end; it says so once a dialog."""


@dataclass(slots=True, kw_only=True)
class Offered:
    """A call of another user."""

    description: Description
    open: bool = True
    ends_s: float = 0.0
    names: tuple[str, ...] = ()


class HandOn(Protocol):
    """Takes a message that has come, where an answer to it goes, and whom the core has asserted as its sender."""

    def __call__(self, message: bytes, address: str | int, names: tuple[str, ...], /) -> None:
        """Queue it for the UE."""


class Conversations:
    """All calls of one UE.

    Args:
        agent: makes and takes calls.
        host: address of this UE, for session descriptions.
        uris: identity -> URI that is called in its place.
        hold_s: how long a session stands after its answer.
        random_bytes: for boundaries and session numbers.
        hand_on: takes messages.
        tell: takes events.
    """

    def __init__(
        self,
        agent: UserAgent,
        *,
        host: str,
        uris: Mapping[str, str],
        hold_s: float,
        random_bytes: Callable[[int], bytes],
        hand_on: HandOn,
        tell: Callable[[object], None],
    ) -> None:
        self._agent = agent
        self._host = host
        self._uris = uris
        self._hold_s = hold_s
        self._random_bytes = random_bytes
        self._hand_on = hand_on
        self._tell = tell
        self._asked: dict[int, Asked] = {}
        self._offered: dict[int, Offered] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more Requests can be sent for now."""
        return sum(one.open for one in self._asked.values()) >= MAX_UNDER_WAY

    def octets_under_way(self, peer: object) -> int:
        """Octets of Requests to a peer that have no answer yet."""
        return sum(len(one.message) for one in self._asked.values() if one.open and one.peer == peer)

    def ask(self, peer: str, message: bytes, now: Instant) -> None:
        """Call a peer with a Request. Raises SipError and EnvelopeError."""
        if message[:1] != bytes([MessageType.REQUEST]):
            raise EnvelopeError("a call begins with a Request only")
        if any(one.open and (one.peer, one.message) == (peer, message) for one in self._asked.values()):
            return
        body = request_body(message, self._host, self._session_number(), self._random_bytes)
        standing = next((call for call, one in self._asked.items() if one.peer == peer and not one.open), None)
        if standing is not None:
            try:
                self._agent.reoffer(standing, body.fields, body.octets, now)
            except SipError:
                self._forget(standing, now)
            else:
                self._asked[standing] = Asked(peer=peer, message=message, names=self._asked[standing].names)
                return
        self._call(peer, message, body, now)

    def _call(self, peer: str, message: bytes, body: Body, now: Instant) -> None:
        """Raises SipError."""
        call = self._agent.call(self._uris.get(peer, peer), body.fields, body.octets, now)
        self._asked[call] = Asked(peer=peer, message=message)

    def answer(self, call: int, message: bytes, now: Instant) -> None:
        """Answer a call by an Accept or a Reject. Raises SipError and EnvelopeError."""
        offered = self._offered.get(call)
        if offered is None or not offered.open:
            raise SipError(f"call {call} waits for no answer")
        if message[:1] == bytes([MessageType.ACCEPT]):
            body = accept_body(message, offered.description, self._host, self._session_number(), self._random_bytes)
            self._agent.accept(call, body.fields, body.octets, now)
        elif message[:1] == bytes([MessageType.REJECT]):
            fields = (NOT_UNDERSTOOD, *Body(PC5S, message).fields)
            self._agent.refuse(call, 488, fields, message, now)
        else:
            raise EnvelopeError("a call is answered by an Accept or a Reject")
        offered.open = False
        offered.ends_s = now.mono_s + 2 * self._hold_s

    def _session_number(self) -> int:
        """A number for the origin line (RFC 8866 5.2)."""
        return int.from_bytes(self._random_bytes(7))

    def take(self, event: UserAgentEvent, now: Instant) -> None:
        """Take what the user agent tells of a call."""
        match event:
            case CallOffered(call=call, request=request) | Reoffered(call=call, request=request):
                self._offered_to_us(call, request, now)
            case CallAnswered(call=call, response=response) | ReofferAnswered(call=call, response=response):
                self._answered(call, response, now)
            case CallRefused(call=call, status=status, response=response):
                self._refused(call, status, response)
                self._asked.pop(call, None)
            case ReofferRefused(call=call, status=status, response=response):
                self._reoffer_refused(call, status, response, now)
            case CallEnded(call=call):
                self._asked.pop(call, None)
                self._offered.pop(call, None)

    def hang_up_all(self, now: Instant) -> None:
        """End every call."""
        for call in (*self._asked, *self._offered):
            self._forget(call, now)

    def _offered_to_us(self, call: int, request: Request, now: Instant) -> None:
        try:
            opened = open_body(request.body, content_type_of(request.headers), MessageType.REQUEST)
        except (EnvelopeError, BodyError) as error:
            self._agent.refuse(call, 488, (NOT_UNDERSTOOD,), b"", now)
            self._offered.pop(call, None)
            self._tell(ImsBodyRefused(named=", ".join(asserted_in(request.headers)), why=str(error)))
            return
        held = self._offered.get(call)
        names = asserted_in(request.headers) or (held.names if held is not None else ())
        self._offered[call] = Offered(description=opened.description, names=names)
        self._agent_rings(call, now)
        self._hand_on(opened.message, call, names)

    def _agent_rings(self, call: int, now: Instant) -> None:
        """180 to a new call; a re-INVITE does not ring."""
        try:
            self._agent.ring(call, now)
        except SipError:
            return

    def _answered(self, call: int, response: Response, now: Instant) -> None:
        asked = self._asked.get(call)
        if asked is None:
            self._agent.hang_up(call, now)
            return
        asked.open = False
        asked.names = asserted_in(response.headers) or asked.names
        asked.ends_s = now.mono_s + self._hold_s
        try:
            opened = open_body(response.body, content_type_of(response.headers), MessageType.ACCEPT)
        except (EnvelopeError, BodyError) as error:
            self._tell(ImsBodyRefused(named=", ".join(asserted_in(response.headers)), why=str(error)))
            return
        self._hand_on(opened.message, asked.peer, asked.names)

    def _refused(self, call: int, status: int, response: Response | None) -> None:
        asked = self._asked.get(call)
        if asked is None:
            return
        if response is not None and _holds_a_reject(response):
            self._hand_on(response.body, asked.peer, asserted_in(response.headers) or asked.names)
        why = response.reason if response is not None else "no answer"
        self._tell(ImsCallRefused(peer=asked.peer, status=status, why=why))

    def _reoffer_refused(self, call: int, status: int, response: Response | None, now: Instant) -> None:
        """End the session, as RFC 4567 4.1.2 wants it; where it was gone already, send the Request in a new call."""
        asked = self._asked.get(call)
        if asked is None:
            return
        self._forget(call, now)
        if status not in (408, 481):
            self._asked[call] = asked
            self._refused(call, status, response)
            del self._asked[call]
            return
        try:
            body = request_body(asked.message, self._host, self._session_number(), self._random_bytes)
            self._call(asked.peer, asked.message, body, now)
        except (SipError, EnvelopeError) as error:
            self._tell(ImsCallRefused(peer=asked.peer, status=status, why=str(error)))

    def end_what_has_stood(self, now: Instant) -> None:
        """End sessions some time after their answer."""
        standing: list[tuple[int, Asked | Offered]] = [*self._asked.items(), *self._offered.items()]
        for call, one in standing:
            if not one.open and one.ends_s <= now.mono_s:
                self._forget(call, now)

    def _forget(self, call: int, now: Instant) -> None:
        self._agent.hang_up(call, now)
        self._asked.pop(call, None)
        self._offered.pop(call, None)


def _holds_a_reject(response: Response) -> bool:
    try:
        kind = content_type_of(response.headers).kind
    except BodyError:
        return False
    return kind == PC5S.kind and response.body[:1] == bytes([MessageType.REJECT])
