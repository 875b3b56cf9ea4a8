"""What a PC5-S entity tells its owner: typed events, taken with `next_event()`.

Layer-2 ids are integers, `peer` is the URI of the other end, `why` a short reason in words; no event holds a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from prose_link.pc5s.core.group_events import GroupEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSent:
    """A DCR was put out for the first time."""

    peer: str
    peer_l2: int
    request_hash: bytes
    octets: int
    """Size of the DCR."""
    mutual: str
    """What the request asks of mutual authentication: not_wanted, wanted or required."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """A DCR passed steps 1-13 of the responder; the Accept goes out."""

    peer: str
    peer_l2: int
    request_hash: bytes
    octets: int
    """Size of the DCR."""
    accept_octets: int
    """Size of the DCA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """A DCR failed one of the responder's checks."""

    step: int
    cause: int | None
    """The cause that the sender is told; None for silence."""
    why: str
    detail: str
    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRefused:
    """A DCA failed one of the initiator's checks; the request goes on."""

    step: int
    why: str
    detail: str
    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierMismatch:
    """A carrier names another sender than the message does. What counts, and is shown, is the signed identity."""

    carrier: str
    """Name of the carrier."""
    peer: str
    named: str
    """Whom the carrier names."""
    peer_l2: int
    refused: bool
    """This copy was dropped, since policy has it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestYielded:
    """Both ends asked at once and the peer's request has led to the link: own request is wiped."""

    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectReceived:
    """An unauthenticated Reject that matches an open request: remembered, no more."""

    peer: str
    peer_l2: int
    cause: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProvisional:
    """Responder: keys exist, the initiator has yet to confirm; no user data either way."""

    peer: str
    peer_l2: int
    kd_sess_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalEnded:
    """Responder: a provisional link ended and its keys are wiped; another link with the peer is coming up or stands."""

    peer: str
    peer_l2: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEstablished:
    """The link carries user data."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    initiator: bool
    """This UE sent the request."""
    mutual: bool
    """Both ends proved themselves by an I_MESSAGE of their own."""
    eea: int
    eia: int
    null_algorithm: bool
    """Ciphering or integrity is a null algorithm."""
    peer_link_local: bytes | None
    """The 16 octets of the peer's link-local IPv6 address as its DCR or DCA gave it; None if it gave none."""
    ip_versions: frozenset[int]
    """Versions of IP that both ends offered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailed:
    """A link didn't come up; its keys are wiped."""

    peer: str
    peer_l2: int
    cause: int | None
    """The remembered cause of a Reject, None without one."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReleased:
    """An established link ended; no user data from now on."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    why: str
    agreed: bool
    """By a Release of either end; else the link was lost, or could not go on without new keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyStarted:
    """A Rekeying Request was put out, or one of the peer's answered."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    requester: bool
    """This UE asked for it."""
    new_kd: bool
    """With a new KD, not only new nonces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed:
    """The link now sends on a new context."""

    peer: str
    peer_l2: int
    old_kd_sess_id: int
    """Of the context before."""
    kd_sess_id: int
    new_kd: bool
    """With a new KD, not only new nonces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyFailed:
    """A rekey came to nothing; the context in use goes on."""

    peer: str
    peer_l2: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKeysRunOut:
    """The link's key period ends within a day, and this UE has no keys of the next one.

    A contact with the KMS before `link_ends_ntp_s` lets the link go on; without one it ends then.
    """

    peer: str
    peer_l2: int
    period_ends_ntp_s: int
    """The end of the earlier key period of both ends, seconds since 1900."""
    link_ends_ntp_s: int
    """Until when what was made with its keys is accepted, seconds since 1900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBelowFloor:
    """The clock is further below the time floor than it may be: no set-up until it is right."""

    now_ntp_s: int
    floor_ntp_s: int
    """The last time known to be true, seconds since 1900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJumped:
    """The calendar clock moved otherwise than the monotonic counter did: no set-up until it is back in step."""

    now_ntp_s: int
    step_s: int
    """How much further it moved, negative for back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBackInStep:
    """The calendar clock agrees with the monotonic counter again."""

    now_ntp_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockApartFromKms:
    """The home KMS tells a time more than W from the own clock's: one of them is wrong."""

    now_ntp_s: int
    kms_ntp_s: int
    """What the KMS told, seconds since 1900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysWiped:
    """A key period is over by the home KMS's word, or has been by the time floor for 24 h: RSK, SSK, PVT are gone."""

    kms: str
    key_period: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A PDU was dropped and counted."""

    src_l2: int
    lcid: int
    message: str
    """Type of the PC5-S message, in words."""
    why: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsHeldBack:
    """Events of dropped or refused messages were not told, since they came faster than anybody can read."""

    number: int
    """How many."""


Event: TypeAlias = (
    RequestSent
    | RequestReceived
    | RequestRefused
    | AcceptRefused
    | CarrierMismatch
    | RequestYielded
    | RejectReceived
    | LinkProvisional
    | ProvisionalEnded
    | LinkEstablished
    | LinkFailed
    | LinkReleased
    | RekeyStarted
    | Rekeyed
    | RekeyFailed
    | LinkKeysRunOut
    | ClockBelowFloor
    | ClockJumped
    | ClockBackInStep
    | ClockApartFromKms
    | KeysWiped
    | Dropped
    | EventsHeldBack
    | GroupEvent
)
