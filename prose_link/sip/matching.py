"""What requests are matched by, where they came from, where responses go (RFC 3261 17.2.3, 18.2; RFC 3581)."""

from __future__ import annotations

from dataclasses import replace

from prose_link.sip.message import MAGIC_COOKIE, Request, Via, call_id_of, cseq_of, from_of
from prose_link.sip.transport import Hop, Transport

Key = tuple[str, ...]
"""What a message is matched by (RFC 3261 17.1.3, 17.2.3)."""


def server_key(request: Request, via: Via) -> Key:
    """What a request is matched by (RFC 3261 17.2.3). Raises MalformedMessage."""
    method = "INVITE" if request.method == "ACK" else request.method
    host, port = via.sent_by
    if via.branch.startswith(MAGIC_COOKIE):
        return via.branch, host, str(port), method
    tag = from_of(request).tag or ""
    return "RFC 2543", call_id_of(request), str(cseq_of(request).number), tag, str(via), method


def invite_key(cancel: Key) -> Key:
    """The key of the INVITE that a CANCEL is for."""
    return (*cancel[:-1], "INVITE")


def marked_with_source(request: Request, via: Via, source: Hop) -> Request:
    """The request with where it came from in its topmost Via (RFC 3261 18.2.1, RFC 3581 4)."""
    changed = via
    if via.host.strip("[]").lower() != source.host or any(name == "rport" for name, _ in via.parameters):
        changed = changed.setting("received", source.host)
    if any(name == "rport" for name, _ in via.parameters):
        changed = changed.setting("rport", str(source.port))
    values = request.headers.values("Via")
    others = [("Via", value) for value in values[1:]]
    rest = request.headers.without("Via")
    return replace(request, headers=rest.before(("Via", str(changed)), *others))


def way_back(via: Via, source: Hop) -> tuple[Hop, Hop | None]:
    """Where responses go (RFC 3261 18.2.2, RFC 3581 4), and where else."""
    said = replace(source, port=via.port or (5061 if source.transport is Transport.TLS else 5060))
    if source.transport.is_reliable:
        return source, said if said != source else None
    asked = any(name == "rport" for name, _ in via.parameters)
    return (source if asked else said), None


def plain(text: str) -> str:
    """A text as it may stand in a quoted string of a header field, shortened."""
    return "".join(char if 32 <= ord(char) < 127 and char not in '"\\' else "?" for char in text)[:120]
