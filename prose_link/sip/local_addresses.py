"""Where this user agent is reached, by transport; and by which transport a request goes (RFC 3261 18.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from prose_link.sip.errors import SipError
from prose_link.sip.message import Request, Via, to_octets
from prose_link.sip.transport import Hop, Transport

UDP_LIMIT_OCTETS: Final = 1300
"""The longest request that is sent by UDP (RFC 3261 18.1.1)."""


class LocalAddresses:
    """Host and port for Via, by transport.

    Args:
        local: the addresses.
        udp_limit_octets: the longest request that is sent by UDP.
    """

    def __init__(self, local: Mapping[Transport, tuple[str, int]], udp_limit_octets: int = UDP_LIMIT_OCTETS) -> None:
        self._local = dict(local)
        self._udp_limit_octets = udp_limit_octets

    def addressed(self, request: Request, hop: Hop, branch: str) -> tuple[Request, Hop, Hop | None]:
        """The request with its Via, the hop by its length, and what is left when that hop fails. Raises SipError."""
        sent = self.with_via(request, hop.transport, branch)
        if (
            hop.transport is Transport.UDP
            and Transport.TCP in self._local
            and len(to_octets(sent)) > self._udp_limit_octets
        ):
            return self.with_via(request, Transport.TCP, branch), replace(hop, transport=Transport.TCP), hop
        return sent, hop, None

    def with_via(self, request: Request, transport: Transport, branch: str) -> Request:
        """The request with a Via of this transport. Raises SipError where there is no address for it."""
        if transport not in self._local:
            raise SipError(f"no local address for {transport.value}")
        host, port = self._local[transport]
        via = Via(transport=transport.value, host=host, port=port, parameters=(("branch", branch), ("rport", None)))
        return replace(request, headers=request.headers.before(("Via", str(via))))
