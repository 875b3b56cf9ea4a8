"""What a user agent checks before it looks into a request outside of dialogs, in the order of RFC 3261 8.2."""

from __future__ import annotations

from typing import Final

from prose_link.sip.account import ALLOWED, Account
from prose_link.sip.errors import BodyError, MalformedMessage
from prose_link.sip.grammar import joined
from prose_link.sip.headers import Headers
from prose_link.sip.matching import plain
from prose_link.sip.message import Request
from prose_link.sip.multipart import content_type_of, parts_of
from prose_link.sip.uri import OtherUri, parse_uri
from prose_link.sip.validity import METHODS

Refusal = tuple[int, tuple[tuple[str, str], ...]]
"""Status and fields of the response."""
SCHEMES: Final = ("sip", "sips", "tel")
"""Of Request-URIs."""


def refusal_of(request: Request, account: Account) -> Refusal | None:
    """Why a request can't be taken; None for one that can."""
    if request.method not in ALLOWED:
        return (405 if request.method in METHODS else 501), (("Allow", joined(ALLOWED)),)
    uri = parse_uri(request.uri)
    if isinstance(uri, OtherUri) and uri.scheme not in SCHEMES:
        return 416, ()
    wanted = request.headers.values("Require")
    if wanted:
        return 420, (("Unsupported", joined(wanted)),)
    if request.method == "INVITE" and not _takes_sdp(request.headers):
        return 406, (("Warning", '399 pc5lab "an answer here is application/sdp"'),)
    return body_refusal(request, account)


def body_refusal(request: Request, account: Account) -> Refusal | None:
    """Why a body can't be taken: its type, its encoding, or a required part that is not known here (RFC 5621 8.2)."""
    if not request.body:
        return None
    accepted = ("Accept", joined(account.accepts))
    if request.headers.first("Content-Encoding") not in (None, "", "identity"):
        return 415, (accepted, ("Accept-Encoding", "identity"))
    try:
        content_type = content_type_of(request.headers)
        if content_type.kind not in account.accepts:
            return 415, (accepted,)
        parts = parts_of(request.body, content_type)
    except BodyError as error:
        return 400, (("Warning", f'399 pc5lab "{plain(str(error))}"'),)
    if any(part.required and part.content_type.kind not in account.accepts for part in parts):
        return 415, (accepted,)
    return None


def _takes_sdp(headers: Headers) -> bool:
    """Whether an answer of application/sdp is welcome; it is where Accept says nothing (RFC 3261 20.1)."""
    try:
        ranges = [value.partition(";")[0].strip(" \t").lower() for value in headers.values("Accept")]
    except MalformedMessage:
        return True
    return not ranges or any(one in ("application/sdp", "application/*", "*/*") for one in ranges)
