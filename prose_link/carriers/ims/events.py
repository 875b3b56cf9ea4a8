"""What the IMS carrier tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImsRegistered:
    """The IMS has registered this UE, or has done so again."""

    expires_s: int
    """How long it holds, if nothing renews it."""
    associated: tuple[str, ...]
    """The identities that the UE may use there (P-Associated-URI)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImsRegistrationFailed:
    """The IMS has not registered this UE; it is tried again."""

    status: int
    """Status of SIP: 408 where nothing came, 503 where there is no connection."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImsCallRefused:
    """A Request by IMS was not answered by an Accept. Only its way is over: the Request lives by its own timers."""

    peer: str
    status: int
    """Status of SIP: 488 is a refusal by the other UE, most others come from the core."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImsBodyRefused:
    """A body by IMS held no message of the profile: nothing of it was handed on."""

    named: str
    """Whom the core names as its sender; empty where it names no identity."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SipMessageSeen:
    """One SIP message as it left a UE or came to it: what captures are made of."""

    direction: str
    """tx or rx."""
    transport: str
    """udp, tcp or tls."""
    local: str
    """Address and port of the UE's end."""
    remote: str
    """Address and port of the other end."""
    data: bytes
    """The octets of the message."""


ImsEvent = ImsRegistered | ImsRegistrationFailed | ImsCallRefused | ImsBodyRefused | SipMessageSeen
