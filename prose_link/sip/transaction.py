"""One transaction: carries out the rows of its table, keeps its timers and the message that it repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prose_link.sip.matching import Key
from prose_link.sip.message import Request, Response, to_octets, to_of
from prose_link.sip.timers import RELIABLE_UNUSED, Timer, TimerValues, duration_s
from prose_link.sip.transaction_tables import Action, Cue, Machine, State
from prose_link.sip.transport import Hop, Outgoing


@dataclass(frozen=True, slots=True)
class RequestCame:
    """A new request, or the ACK of a 2xx: then `key` names no transaction that could be answered."""

    key: Key
    request: Request
    source: Hop


@dataclass(frozen=True, slots=True)
class ResponseCame:
    """A response to a request of ours."""

    key: Key
    response: Response
    source: Hop


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No answer came to a request of ours, or no ACK to a refusal."""

    key: Key
    is_client: bool


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """The transport could not carry a message of this transaction."""

    key: Key
    is_client: bool


Heard = RequestCame | ResponseCame | TimedOut | TransportFailed


class Transaction:
    """One transaction of a client or server.

    Args:
        machine: which of the four.
        key: what it is matched by.
        request: ours, with its Via, or the peer's.
        hop: where its messages go.
        values: durations.
        otherwise: where a response goes when its connection is gone; where a request goes that the hop can't carry.
    """

    def __init__(
        self,
        machine: Machine,
        key: Key,
        request: Request,
        hop: Hop,
        values: TimerValues,
        otherwise: Hop | None = None,
    ) -> None:
        self.machine: Final = machine
        self.key: Final = key
        self.request = request
        self.hop = hop
        self.otherwise = otherwise
        self.state = machine.initial
        self._values = values
        self._deadlines_s: dict[Timer, float] = {}
        self._repeats: dict[Timer, int] = {}
        self._last: bytes | None = None
        self.outgoing: list[Outgoing] = []
        self.heard: list[Heard] = []

    @property
    def is_client(self) -> bool:
        """Whether the request is ours."""
        return self.machine.initial is State.CALLING or self.machine.name == "other client"

    def begin(self, now_s: float) -> None:
        """Send the request of a client, and start what runs from the beginning."""
        self._deadlines_s.clear()
        self._repeats.clear()
        if self.is_client:
            self._last = to_octets(self.request)
            self._repeat()
        for timer in self.machine.start:
            self._start(timer, now_s)

    def next_timer(self) -> float | None:
        """When the next timer runs out, on the monotonic clock."""
        return min(self._deadlines_s.values(), default=None)

    def handle_timer(self, now_s: float) -> None:
        """Do what is due, in the order of the deadlines."""
        while self._deadlines_s:
            timer = min(self._deadlines_s, key=lambda one: self._deadlines_s[one])
            if self._deadlines_s[timer] > now_s:
                return
            due_s = self._deadlines_s.pop(timer)
            self.take(timer, None, max(due_s, now_s))

    def take(
        self, cue: Cue | Timer, message: Request | Response | None, now_s: float, source: Hop | None = None
    ) -> bool:
        """Carry out the row of a cue; False where it has none in this state."""
        row = self.machine.table.get((self.state, cue))
        if row is None:
            return False
        self.state = row.to
        for timer in row.stop:
            self._deadlines_s.pop(timer, None)
        if row.to is State.TERMINATED:
            self._deadlines_s.clear()
        for action in row.actions:
            self._do(action, message, source)
        for timer in row.start:
            self._start(timer, now_s)
        return True

    def _start(self, timer: Timer, now_s: float) -> None:
        if self.hop.transport.is_reliable and timer in RELIABLE_UNUSED:
            return
        repeats = self._repeats.get(timer, -1) + 1
        self._repeats[timer] = repeats
        self._deadlines_s[timer] = now_s + duration_s(
            timer,
            self._values,
            reliable=self.hop.transport.is_reliable,
            repeats=repeats,
            settled=self.state is State.PROCEEDING,
        )

    def _do(self, action: Action, message: Request | Response | None, source: Hop | None) -> None:
        match action:
            case Action.TELL:
                self._tell(message, source)
            case Action.SEND:
                if isinstance(message, Response):
                    self._last = to_octets(message)
                self._repeat()
            case Action.REPEAT:
                self._repeat()
            case Action.ACKNOWLEDGE:
                if isinstance(message, Response):
                    self.outgoing.append(Outgoing(to_octets(ack_of_failure(self.request, message)), self.hop))
            case Action.TELL_TIMEOUT:
                self.heard.append(TimedOut(self.key, self.is_client))
            case Action.TELL_ERROR:
                self.heard.append(TransportFailed(self.key, self.is_client))

    def _tell(self, message: Request | Response | None, source: Hop | None) -> None:
        if isinstance(message, Response):
            self.heard.append(ResponseCame(self.key, message, source or self.hop))
        elif isinstance(message, Request):
            self.heard.append(RequestCame(self.key, message, source or self.hop))

    def _repeat(self) -> None:
        if self._last is not None:
            self.outgoing.append(Outgoing(self._last, self.hop, None if self.is_client else self.otherwise))


def ack_of_failure(request: Request, response: Response) -> Request:
    """The ACK that the transaction itself sends for a final response other than 2xx (RFC 3261 17.1.1.3)."""
    headers = request.headers
    number = headers.one("CSeq").split()[0]
    fields = [("Via", headers.values("Via")[0])]
    fields += [("Route", route) for route in headers.lines("Route")]
    fields += [
        ("From", headers.one("From")),
        ("To", str(to_of(response))),
        ("Call-ID", headers.one("Call-ID")),
        ("CSeq", f"{number} ACK"),
        ("Max-Forwards", "70"),
    ]
    return Request(method="ACK", uri=request.uri, headers=type(headers)(fields))


def cancel_of(invite: Request) -> Request:
    """The CANCEL of an INVITE as it went out: the same Via, routes, From, To and number (RFC 3261 9.1)."""
    headers = invite.headers
    kept = [(name, value) for name, value in headers if name in ("Route", "From", "To", "Call-ID")]
    number = headers.one("CSeq").split()[0]
    fields = [("Via", headers.values("Via")[0]), *kept, ("CSeq", f"{number} CANCEL"), ("Max-Forwards", "70")]
    return Request(method="CANCEL", uri=invite.uri, headers=type(headers)(fields))
