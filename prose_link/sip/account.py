"""Who a user agent is: its identities, its registrar, its way into the network, and what bodies it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from prose_link.sip.digest import Credentials
from prose_link.sip.transport import Hop, Transport

ALLOWED: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
"""Methods that this user agent takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One user agent's standing."""

    identity: str
    """The public identity that requests are made as: a `tel:` or `sip:` URI (IMPU)."""
    address_of_record: str
    """The `sip:` URI that is registered; the same person as `identity`."""
    registrar: str
    """Request-URI of REGISTER, as `sip:ims.test`."""
    credentials: Credentials = field(repr=False)
    proxy: Hop
    """The first hop of all that is not in a dialog: the P-CSCF."""
    contact_host: str
    contact_port: int
    expires_s: int = 600
    accepts: tuple[str, ...] = ("application/sdp", "multipart/mixed")
    """Media types of bodies that can be taken."""
    registers: bool = True
    """Whether there is a registrar to register with."""

    @property
    def contact(self) -> str:
        """The URI of Contact."""
        way = "" if self.proxy.transport is Transport.UDP else f";transport={self.proxy.transport.value.lower()}"
        return f"sip:{self.contact_host}:{self.contact_port}{way}"

    @property
    def proxy_route(self) -> str:
        """The value of Route that names the proxy."""
        way = "" if self.proxy.transport is Transport.UDP else f";transport={self.proxy.transport.value.lower()}"
        return f"<sip:{self.proxy.host}:{self.proxy.port}{way};lr>"
