"""Responses as a user agent makes them: copied fields, reason phrases (RFC 3261 8.2.6, 21)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prose_link.sip.headers import Headers
from prose_link.sip.message import Message, Request, Response

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    603: "Decline",
}
"""RFC 3261 21."""
_COPIED: Final = ("Via", "From", "To", "Call-ID", "CSeq")


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """A response to a request that may have faults: fields that it lacks are left out.

    Args:
        request: what is answered.
        status: its code.
        reason: its phrase; None for the usual one.
        to_tag: our tag, added to To where the request has none there.
        headers: further fields.
        body: octets; their Content-Type is among `headers`.
    """
    fields = [(name, value) for name, value in _copied(request) if status != 100 or name != "Timestamp"]
    if to_tag:
        fields = [(name, _tagged(value, to_tag) if name == "To" else value) for name, value in fields]
    phrase = REASONS.get(status, "") if reason is None else reason
    return Response(status=status, reason=phrase, headers=Headers([*fields, *headers]), body=body)


def _copied(message: Message) -> list[tuple[str, str]]:
    return [(name, value) for name, value in message.headers if name in _COPIED]


def _tagged(to: str, tag: str) -> str:
    """To with our tag; the request has been checked, so a tag stands behind the address if at all."""
    after = to.rpartition(">")[2] if ">" in to else to
    return to if ";tag=" in after.replace(" ", "").lower() else f"{to};tag={tag}"
