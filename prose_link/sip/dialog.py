"""Dialogs: what two user agents remember of each other between requests (RFC 3261 12).

A dialog is made by the first response with a tag, at either end: route set, remote target and numbers stand from then
on. Its route set never changes; its target does with each re-INVITE. It is a value: what changes it gives another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from prose_link.sip.errors import MalformedMessage
from prose_link.sip.headers import Headers
from prose_link.sip.message import CSeq, Request, Response, call_id_of, cseq_of, from_of, to_of
from prose_link.sip.uri import NameAddr, SipUri, parse_sip_uri, parse_uri

DialogId = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """One dialog."""

    call_id: str
    local: NameAddr
    """Our address with our tag."""
    remote: NameAddr
    """The peer's address with its tag, if it has one."""
    remote_target: str
    """URI of the peer's Contact."""
    route_set: tuple[str, ...] = ()
    """Values of Route, in the order that a request of ours has them."""
    local_number: int
    """CSeq of our last request."""
    remote_number: int | None
    """CSeq of the peer's last request; None before the first."""

    @property
    def id(self) -> DialogId:
        """What its requests are matched by."""
        return self.call_id, self.local.tag or "", self.remote.tag or ""

    def heard(self, number: int, contact: str | None = None) -> Dialog:
        """After a request of the peer, with its Contact where it refreshes the target (RFC 3261 12.2.2)."""
        return replace(self, remote_number=number, remote_target=contact or self.remote_target)

    def retargeted(self, contact: str | None) -> Dialog:
        """After a 2xx to our re-INVITE (RFC 3261 12.2.1.2)."""
        return replace(self, remote_target=contact or self.remote_target)

    def request(self, method: str, *, number: int | None = None) -> tuple[Dialog, Request]:
        """A request within the dialog, and the dialog after it (RFC 3261 12.2.1.1).

        Args:
            method: of the request.
            number: its CSeq: that of the INVITE for an ACK; None for the next one.
        """
        cseq = self.local_number + 1 if number is None else number
        uri, routes = self._way()
        headers = Headers(
            [
                *(("Route", route) for route in routes),
                ("From", str(self.local)),
                ("To", str(self.remote)),
                ("Call-ID", self.call_id),
                ("CSeq", str(CSeq(cseq, method))),
                ("Max-Forwards", "70"),
            ]
        )
        after = self if number is not None else replace(self, local_number=cseq)
        return after, Request(method=method, uri=uri, headers=headers)

    def _way(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route: loose routing, or strict where the first proxy knows no better."""
        if not self.route_set:
            return self.remote_target, ()
        first = parse_sip_uri(_uri_of(self.route_set[0]))
        if first.is_loose_router:
            return self.remote_target, self.route_set
        return str(first), (*self.route_set[1:], f"<{self.remote_target}>")


def dialog_of_caller(request: Request, response: Response) -> Dialog:
    """The dialog that a response to our INVITE makes. Raises MalformedMessage where it lacks tag or Contact."""
    remote = to_of(response)
    if remote.tag is None:
        raise MalformedMessage("a response without tag makes no dialog")
    return Dialog(
        call_id=call_id_of(request),
        local=from_of(request),
        remote=remote,
        remote_target=contact_of(response),
        route_set=tuple(reversed(_record_routes(response))),
        local_number=cseq_of(request).number,
        remote_number=None,
    )


def dialog_of_callee(request: Request, local_tag: str) -> Dialog:
    """The dialog that our answer to an INVITE makes. Raises MalformedMessage where the request lacks a Contact."""
    return Dialog(
        call_id=call_id_of(request),
        local=to_of(request).tagged(local_tag),
        remote=from_of(request),
        remote_target=contact_of(request),
        route_set=tuple(_record_routes(request)),
        local_number=0,
        remote_number=cseq_of(request).number,
    )


def dialog_id_of(request: Request) -> DialogId:
    """The dialog that a request of the peer says it belongs to. Raises MalformedMessage."""
    return call_id_of(request), to_of(request).tag or "", from_of(request).tag or ""


def contact_of(message: Request | Response) -> str:
    """The URI of the only Contact. Raises MalformedMessage."""
    contacts = message.headers.addresses("Contact")
    if len(contacts) != 1 or not isinstance(contacts[0].uri, SipUri):
        raise MalformedMessage(f"{len(contacts)} Contacts where one SIP URI is due")
    return str(contacts[0].uri)


def _record_routes(message: Request | Response) -> list[str]:
    routes = message.headers.values("Record-Route")
    for route in routes:
        parse_sip_uri(_uri_of(route))
    return routes


def _uri_of(route: str) -> str:
    inside = route.partition("<")[2].partition(">")[0] or route
    parse_uri(inside)
    return inside
