"""What a UE's configuration says of the IMS: its P-CSCF, its home, its subscription."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from prose_link.pc5s.wire.party import CarrierError
from prose_link.sip.transport import Transport

_HEX_KEY = r"^([0-9a-f]{32})?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImsOptions:
    """Set-ups by IMS: the UE registers at a P-CSCF, calls by INVITE, and is called."""

    proxy: str = "127.0.0.20"
    """IPv4 address of the P-CSCF; no names are resolved."""
    proxy_port: Annotated[int, Field(ge=1, le=65535)] = 5060
    """Its port: 5061 is the usual one for tls."""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    """How the UE reaches it. By udp, requests over 1300 octets are sent by TCP (RFC 3261 18.1.1)."""
    ca_file: str = ""
    """PEM file with the authorities that the P-CSCF's certificate may come from; needed for tls."""
    proxy_name: str = ""
    """Name in the P-CSCF's certificate; empty: its address."""
    host: str = "127.0.0.1"
    """IPv4 address of this UE on the network, which its Contact names; each UE has its own."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port for datagrams and connections; 0: one that is free."""
    domain: str = "ims.test"
    """Home domain: the realm of the registrar."""
    address_of_record: str = ""
    """The `sip:` URI that is registered (IMPU); empty: the UE's identity at the home domain."""
    user_name: str = ""
    """Name of the subscription (IMPI); empty: that of the address of record."""
    password: str = field(default="", repr=False)
    """Password of the subscription, for Digest by MD5 or SHA-256."""
    usim_k: Annotated[str, Field(pattern=_HEX_KEY)] = field(default="", repr=False)
    """Subscriber key K, 32 hex digits: the UE answers AKAv1-MD5 by Milenage instead of a password."""
    usim_opc: Annotated[str, Field(pattern=_HEX_KEY)] = field(default="", repr=False)
    """Operator variant key OPc, 32 hex digits."""
    expires_s: Annotated[int, Field(ge=10, le=86400)] = 300
    """How long a registration is asked for. Nothing tells a UE that its registrar forgot it, so it should be short."""
    hold_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long a session stands after its answer: another Request meanwhile goes in it, by re-INVITE."""
    peers: Mapping[str, str] = field(default_factory=dict)
    """Identity -> SIP URI at which that UE is called without any core. Not empty: this UE does not register."""

    @property
    def sip_transport(self) -> Transport:
        """The transport to the P-CSCF."""
        return Transport(self.transport.upper())

    def checked(self) -> ImsOptions:
        """The same; raises CarrierError for what does not go together."""
        if self.transport == "tls" and not self.ca_file:
            raise CarrierError("carriers.ims: transport tls needs ca_file")
        if bool(self.usim_k) != bool(self.usim_opc):
            raise CarrierError("carriers.ims: usim_k and usim_opc come together")
        return self
