"""What a PC5-S entity tells its owner: typed events, taken with `next_event()`.

Layer-2 ids are integers, `peer` is the URI of the other end, `why` a short reason in words; no event holds a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from prose_link.pc5s.core.group_events import GroupEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSent:
    """A DCR was put out for the first time. `request_hash` is HR; `octets` the size of the DCR."""

    peer: str
    peer_l2: int
    request_hash: bytes
    octets: int
    mutual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """A DCR passed steps 1-13 of the responder; the Accept of `accept_octets` octets goes out."""

    peer: str
    peer_l2: int
    request_hash: bytes
    octets: int
    accept_octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """A DCR failed at `step` of the responder's checks; `cause` is the one told to the sender, None for silence."""

    step: int
    cause: int | None
    why: str
    detail: str
    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRefused:
    """A DCA failed at `step` of the initiator's checks; the request goes on."""

    step: int
    why: str
    detail: str
    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestYielded:
    """Both ends asked at once and the peer's request stands: own request is wiped, this end answers as responder."""

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
class LinkEstablished:
    """The link carries user data. `mutual`: both ends proved themselves by an I_MESSAGE of their own.

    `peer_link_local`: the 16 octets of the peer's link-local IPv6 address as its DCR or DCA gave it, None if it gave
    none; `ip_versions`: those that both ends offered.
    """

    peer: str
    peer_l2: int
    kd_sess_id: int
    initiator: bool
    mutual: bool
    eea: int
    eia: int
    null_algorithm: bool
    peer_link_local: bytes | None
    ip_versions: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailed:
    """A link didn't come up; its keys are wiped. `cause` is the remembered one of a Reject, if any."""

    peer: str
    peer_l2: int
    cause: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReleased:
    """An established link ended; no user data from now on. `agreed`: by a Release of either end; else it was lost."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    why: str
    agreed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyStarted:
    """A Rekeying Request was put out, or one of the peer's answered."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    requester: bool
    new_kd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed:
    """The link now sends on a new context."""

    peer: str
    peer_l2: int
    old_kd_sess_id: int
    kd_sess_id: int
    new_kd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyFailed:
    """A rekey came to nothing; the context in use goes on."""

    peer: str
    peer_l2: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBelowFloor:
    """The clock is further below the time floor than it may be: no set-up until it is right."""

    now_ntp_s: int
    floor_ntp_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJumped:
    """The calendar clock moved by `step_s` more than the monotonic counter did: no set-up until it is back in step."""

    now_ntp_s: int
    step_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBackInStep:
    """The calendar clock agrees with the monotonic counter again."""

    now_ntp_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockApartFromKms:
    """The home KMS tells a time more than W from the own clock's: one of them is wrong."""

    now_ntp_s: int
    kms_ntp_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysWiped:
    """A key period is over by the home KMS's word, or has been by the time floor for 24 h: RSK, SSK, PVT are gone."""

    kms: str
    key_period: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A PDU was dropped and counted. `message` is its type in words."""

    src_l2: int
    lcid: int
    message: str
    why: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsHeldBack:
    """So many events of dropped or refused messages were not told, since they came faster than anybody can read."""

    number: int


Event: TypeAlias = (
    RequestSent
    | RequestReceived
    | RequestRefused
    | AcceptRefused
    | RequestYielded
    | RejectReceived
    | LinkProvisional
    | LinkEstablished
    | LinkFailed
    | LinkReleased
    | RekeyStarted
    | Rekeyed
    | RekeyFailed
    | ClockBelowFloor
    | ClockJumped
    | ClockBackInStep
    | ClockApartFromKms
    | KeysWiped
    | Dropped
    | EventsHeldBack
    | GroupEvent
)
