"""A call of another user, from INVITE to our answer: ringing, 200 or a refusal, and the caller's CANCEL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prose_link.sip.account import ALLOWED, Account
from prose_link.sip.dialog import dialog_of_callee
from prose_link.sip.errors import SipError
from prose_link.sip.exchanges import Exchanges
from prose_link.sip.message import Request, call_id_of, cseq_of, from_of
from prose_link.sip.reports import CallEnded, UserAgentEvent
from prose_link.sip.responses import response_to
from prose_link.sip.session import Session
from prose_link.sip.transaction import RequestCame

NO_OWNER: Final = 480
"""What a call is answered that the owner has left alone for too long."""


class IncomingCall:
    """One call of another user. Raises MalformedMessage for an INVITE that can make no dialog.

    Args:
        call: the owner's number of it.
        came: the INVITE.
        account: who is called.
        exchanges: sends responses.
        tell: takes events.
        random_bytes: for our tag.
        ends_s: when it is refused if the owner has said nothing.
    """

    def __init__(
        self,
        call: int,
        came: RequestCame,
        *,
        account: Account,
        exchanges: Exchanges,
        tell: Callable[[UserAgentEvent], None],
        random_bytes: Callable[[int], bytes],
        ends_s: float,
    ) -> None:
        self.call: Final = call
        self.key: Final = came.key
        self.request: Final[Request] = came.request
        self.tag: Final = random_bytes(6).hex()
        self._dialog = dialog_of_callee(came.request, self.tag)
        self._account = account
        self._exchanges = exchanges
        self._tell = tell
        self._random_bytes = random_bytes
        self._ends_s = ends_s
        self._is_open = True
        self.session: Session | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return not self._is_open and (self.session is None or self.session.is_over)

    @property
    def merge_key(self) -> tuple[str, str, int]:
        """What copies of the INVITE by other ways share (RFC 3261 8.2.2.2)."""
        return call_id_of(self.request), from_of(self.request).tag or "", cseq_of(self.request).number

    def ring(self, now_s: float) -> None:
        """Send 180."""
        self._respond(180, (("Contact", f"<{self._account.contact}>"),), b"", now_s)

    def accept(self, fields: tuple[tuple[str, str], ...], body: bytes, now_s: float) -> None:
        """Answer by 200. Raises SipError where the INVITE is not open any more."""
        self._close()
        self.session = Session(
            self.call,
            self._dialog,
            is_caller=False,
            contact=self._account.contact,
            exchanges=self._exchanges,
            tell=self._tell,
            random_bytes=self._random_bytes,
        )
        headers = [("Record-Route", value) for value in self.request.headers.lines("Record-Route")]
        headers += [("Contact", f"<{self._account.contact}>"), ("Allow", ", ".join(ALLOWED)), *fields]
        response = response_to(self.request, 200, to_tag=self.tag, headers=headers, body=body)
        self.session.answer(self.key, response, cseq_of(self.request).number, now_s)

    def refuse(self, status: int, fields: tuple[tuple[str, str], ...], body: bytes, now_s: float) -> None:
        """Answer by a refusal. Raises SipError where the INVITE is not open any more."""
        self._close()
        self._respond(status, fields, body, now_s)

    def cancelled(self, now_s: float) -> None:
        """The caller takes the INVITE back; an answer that has gone out stands (RFC 3261 9.2)."""
        if self._is_open:
            self.refuse(487, (), b"", now_s)
            self._tell(CallEnded(call=self.call, why="the caller took it back"))

    def hang_up(self, now_s: float) -> None:
        """End it, however far it is."""
        if self._is_open:
            self.refuse(NO_OWNER, (), b"", now_s)
        elif self.session is not None:
            self.session.hang_up(now_s)

    def next_timer(self) -> float | None:
        """When an unanswered INVITE is refused."""
        return self._ends_s if self._is_open else None

    def handle_timer(self, now_s: float) -> None:
        """Refuse what was not answered."""
        if self._is_open and self._ends_s <= now_s:
            self.refuse(NO_OWNER, (), b"", now_s)
            self._tell(CallEnded(call=self.call, why="it was not answered in time"))

    def _close(self) -> None:
        if not self._is_open:
            raise SipError(f"call {self.call} has been answered or taken back")
        self._is_open = False

    def _respond(self, status: int, fields: tuple[tuple[str, str], ...], body: bytes, now_s: float) -> None:
        routes = (
            [("Record-Route", value) for value in self.request.headers.lines("Record-Route")] if status < 300 else []
        )
        response = response_to(self.request, status, to_tag=self.tag, headers=[*routes, *fields], body=body)
        self._exchanges.layer.respond(self.key, response, now_s)
