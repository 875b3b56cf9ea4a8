"""An answered call: its dialog, its re-INVITEs in both directions, its ACKs, its end (RFC 3261 13 to 15).

The end that answers an INVITE repeats its 2xx until the ACK comes, T1 doubling to T2, and gives up at 64 * T1. The end
that asked acknowledges each 2xx, also a repeated one. While a re-INVITE of the UE is open, the peer's is answered by
491; an end that gets a 491 waits at random, the owner of the Call-ID longer, and asks again (RFC 3261 14.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from prose_link.sip.account import ALLOWED
from prose_link.sip.dialog import Dialog, contact_of
from prose_link.sip.errors import MalformedMessage, SipError
from prose_link.sip.exchanges import Exchange, Exchanges
from prose_link.sip.matching import Key
from prose_link.sip.message import Request, Response, cseq_of
from prose_link.sip.reports import (
    CallConfirmed,
    CallEnded,
    ReofferAnswered,
    Reoffered,
    ReofferRefused,
    UserAgentEvent,
)
from prose_link.sip.responses import response_to
from prose_link.sip.transaction import RequestCame
from prose_link.sip.transport import Outgoing

MAX_GLARES: Final = 4
"""Times that a re-INVITE goes out again after 491."""
REQUEST_PENDING: Final = 491
GONE: Final = (408, 481)
"""Responses within a dialog that end it (RFC 3261 12.2.1.2)."""


class RepeatedAnswer:
    """A 2xx that goes out until its ACK comes (RFC 3261 13.3.1.4)."""

    def __init__(self, key: Key, response: Response, number: int, t1_s: float, now_s: float) -> None:
        self.key: Final = key
        self.response: Final = response
        self.number: Final = number
        self._interval_s = t1_s
        self.due_s = now_s + t1_s
        self.ends_s: Final = now_s + 64 * t1_s

    def repeated(self, now_s: float, t2_s: float) -> None:
        """It has gone out again."""
        self._interval_s = min(2 * self._interval_s, t2_s)
        self.due_s = now_s + self._interval_s


class Session:
    """One call, from its first 2xx on.

    Args:
        call: the owner's number of it.
        dialog: as the 2xx has made it.
        is_caller: whether the Call-ID is ours.
        contact: our Contact, as a URI.
        exchanges: sends requests.
        tell: takes events.
        random_bytes: for waits after 491.
    """

    def __init__(
        self,
        call: int,
        dialog: Dialog,
        *,
        is_caller: bool,
        contact: str,
        exchanges: Exchanges,
        tell: Callable[[UserAgentEvent], None],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.call: Final = call
        self.dialog = dialog
        self.is_over = False
        self._is_caller = is_caller
        self._contact = contact
        self._exchanges = exchanges
        self._tell = tell
        self._random_bytes = random_bytes
        self._acks: dict[int, Outgoing] = {}
        self._answer: RepeatedAnswer | None = None
        self._offered: tuple[Key, Request] | None = None
        """A re-INVITE of the peer that waits for the owner."""
        self._asking: Exchange | None = None
        self._offer: tuple[tuple[tuple[str, str], ...], bytes] = ((), b"")
        self._glares = 0
        self._ask_again_s: float | None = None

    # What the owner does.

    def acknowledge(self, number: int) -> None:
        """Send the ACK of a 2xx, or send it again."""
        again = self._acks.get(number)
        if again is not None:
            self._exchanges.layer.send_again(again)
            return
        _, ack = self.dialog.request("ACK", number=number)
        self._acks = {number: self._exchanges.layer.send_ack(ack, self._exchanges.hop_of(ack))}

    def answer(self, key: Key, response: Response, number: int, now_s: float) -> None:
        """Send a 2xx, and repeat it until its ACK comes."""
        self._exchanges.layer.respond(key, response, now_s)
        self._answer = RepeatedAnswer(key, response, number, self._exchanges.layer.values.t1_s, now_s)

    def hang_up(self, now_s: float) -> None:
        """Send BYE. The session is over at once, whatever comes of it."""
        if self.is_over:
            return
        self.is_over = True
        self._drop_offered(now_s)
        self.dialog, bye = self.dialog.request("BYE")
        self._exchanges.begin(bye, self._exchanges.hop_of(bye), lambda *_: None, now_s)

    def reoffer(self, fields: tuple[tuple[str, str], ...], body: bytes, now_s: float) -> None:
        """Send a re-INVITE. Raises SipError while another one is open, in either direction."""
        if self.is_over or self._asking is not None or self._ask_again_s is not None or self._offered is not None:
            raise SipError(f"call {self.call} is over, or has an open re-INVITE")
        self._offer, self._glares = (fields, body), 0
        self._ask(now_s)

    def accept(self, fields: tuple[tuple[str, str], ...], body: bytes, now_s: float) -> None:
        """Answer a re-INVITE of the peer by 200. Raises SipError where there is none."""
        key, request = self._taken_offer()
        headers = (("Contact", f"<{self._contact}>"), ("Allow", ", ".join(ALLOWED)), *fields)
        self.answer(key, response_to(request, 200, headers=headers, body=body), cseq_of(request).number, now_s)

    def refuse(self, status: int, fields: tuple[tuple[str, str], ...], body: bytes, now_s: float) -> None:
        """Refuse a re-INVITE of the peer. Raises SipError where there is none."""
        key, request = self._taken_offer()
        self._exchanges.layer.respond(key, response_to(request, status, headers=fields, body=body), now_s)

    # What comes in.

    def take(self, came: RequestCame, now_s: float) -> None:
        """Take a request of the peer within the dialog."""
        request, number = came.request, cseq_of(came.request).number
        if request.method == "ACK":
            if self._answer is not None and number == self._answer.number:
                self._answer = None
                self._tell(CallConfirmed(call=self.call))
            return
        if self.dialog.remote_number is not None and number <= self.dialog.remote_number:
            self._respond(came, 500, now_s)
            return
        self.dialog = self.dialog.heard(number)
        match request.method:
            case "BYE":
                self._respond(came, 200, now_s)
                self._drop_offered(now_s)
                self.end("the peer hung up")
            case "INVITE":
                self._reinvited(came, now_s)
            case "OPTIONS":
                self._respond(came, 200, now_s)
            case _:
                self._respond(came, 501, now_s)

    def cancelled(self, key: Key, now_s: float) -> None:
        """The peer takes back a re-INVITE that still waits."""
        if self._offered is not None and self._offered[0] == key:
            self._drop_offered(now_s)

    def waits_for(self, key: Key) -> bool:
        """Whether a re-INVITE with this transaction waits for the owner."""
        return self._offered is not None and self._offered[0] == key

    def next_timer(self) -> float | None:
        """When something is due."""
        due = [self._answer.due_s, self._answer.ends_s] if self._answer is not None else []
        return min([*due, *([self._ask_again_s] if self._ask_again_s is not None else [])], default=None)

    def handle_timer(self, now_s: float) -> None:
        """Repeat the 2xx, give up on its ACK, or ask again after 491."""
        answer, layer = self._answer, self._exchanges.layer
        if answer is not None and answer.ends_s <= now_s:
            self._answer = None
            self.hang_up(now_s)
            self.end("no ACK has come")
        elif answer is not None and answer.due_s <= now_s:
            layer.respond(answer.key, answer.response, now_s)
            answer.repeated(now_s, layer.values.t2_s)
        if self._ask_again_s is not None and self._ask_again_s <= now_s:
            self._ask_again_s = None
            if not self.is_over:
                self._ask(now_s)

    def end(self, why: str) -> None:
        """The session is over."""
        self._answer = self._ask_again_s = None
        self.is_over = True
        self._tell(CallEnded(call=self.call, why=why))

    # Within.

    def _ask(self, now_s: float) -> None:
        fields, body = self._offer
        self.dialog, request = self.dialog.request("INVITE")
        headers = request.headers.adding(("Contact", f"<{self._contact}>"), ("Allow", ", ".join(ALLOWED)), *fields)
        request = replace(request, headers=headers, body=body)
        self._asking = self._exchanges.begin(request, self._exchanges.hop_of(request), self._outcome, now_s)

    def _outcome(self, exchange: Exchange, status: int, response: Response | None, now_s: float) -> None:
        if status < 200:
            return
        if response is not None and response.is_success:
            if exchange is self._asking:
                self._asking = None
                self.dialog = replace(
                    self.dialog, local_number=max(self.dialog.local_number, exchange.number)
                ).retargeted(_contact_or_none(response))
                self._tell(ReofferAnswered(call=self.call, response=response))
            self.acknowledge(exchange.number)
            return
        if exchange is not self._asking:
            return
        self._asking = None
        self.dialog = replace(self.dialog, local_number=max(self.dialog.local_number, exchange.number))
        if status == REQUEST_PENDING and self._glares < MAX_GLARES:
            self._glares += 1
            self._ask_again_s = now_s + glare_wait_s(self._random_bytes, is_caller=self._is_caller)
            return
        self._tell(ReofferRefused(call=self.call, status=status, response=response))
        if status in GONE:
            self.end(f"the peer answers {status}")

    def _reinvited(self, came: RequestCame, now_s: float) -> None:
        if self._asking is not None:
            self._respond(came, REQUEST_PENDING, now_s)
        elif self._offered is not None or self._answer is not None:
            self._respond(came, 500, now_s, ("Retry-After", str(1 + self._random_bytes(1)[0] % 10)))
        else:
            self.dialog = self.dialog.retargeted(_contact_or_none(came.request))
            self._offered = (came.key, came.request)
            self._tell(Reoffered(call=self.call, request=came.request))

    def _respond(self, came: RequestCame, status: int, now_s: float, *fields: tuple[str, str]) -> None:
        self._exchanges.layer.respond(came.key, response_to(came.request, status, headers=fields), now_s)

    def _taken_offer(self) -> tuple[Key, Request]:
        if self._offered is None:
            raise SipError(f"call {self.call} has no open re-INVITE of its peer")
        offered, self._offered = self._offered, None
        return offered

    def _drop_offered(self, now_s: float) -> None:
        if self._offered is not None:
            key, request = self._taken_offer()
            self._exchanges.layer.respond(key, response_to(request, 487), now_s)


def glare_wait_s(random_bytes: Callable[[int], bytes], *, is_caller: bool) -> float:
    """2.1 to 4 s for the owner of the Call-ID, else 0 to 2 s, in units of 10 ms (RFC 3261 14.1)."""
    steps = int.from_bytes(random_bytes(2))
    return 2.1 + (steps % 191) / 100 if is_caller else (steps % 201) / 100


def _contact_or_none(message: Request | Response) -> str | None:
    try:
        return contact_of(message)
    except MalformedMessage:
        return None
