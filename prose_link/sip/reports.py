"""What a user agent reports to its owner."""

from __future__ import annotations

from dataclasses import dataclass

from prose_link.sip.message import Request, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The registrar has taken the Contact, or taken it again."""

    expires_s: int
    associated: tuple[str, ...]
    """Identities that this registration may use (P-Associated-URI, RFC 7315); the first is the default."""
    service_route: tuple[str, ...]
    """Routes of requests to come (RFC 3608)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationFailed:
    """No registration; another attempt follows, unless there is nothing left to try."""

    status: int
    """The last response; 408 where none came, 503 where the connection failed."""
    why: str
    again_in_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregistered:
    """The registration has been given up on request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOffered:
    """Another user calls: to be answered by `accept` or `refuse`."""

    call: int
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProgressed:
    """A provisional response to a call of ours, 100 left out."""

    call: int
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """A 2xx to a call of ours. It has been acknowledged."""

    call: int
    response: Response
    kept: bool
    """False for the answer of another branch of a fork than the first: its dialog has been ended at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused:
    """A call of ours has failed."""

    call: int
    status: int
    response: Response | None
    """None where no answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfirmed:
    """The caller has acknowledged our answer."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """An answered call, or one that was offered to us, is over."""

    call: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reoffered:
    """A re-INVITE of the peer: to be answered by `accept` or `refuse`."""

    call: int
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ReofferAnswered:
    """A 2xx to a re-INVITE of ours."""

    call: int
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ReofferRefused:
    """A re-INVITE of ours was refused; the session goes on as it was."""

    call: int
    status: int
    response: Response | None


UserAgentEvent = (
    Registered
    | RegistrationFailed
    | Deregistered
    | CallOffered
    | CallProgressed
    | CallAnswered
    | CallRefused
    | CallConfirmed
    | CallEnded
    | Reoffered
    | ReofferAnswered
    | ReofferRefused
)
