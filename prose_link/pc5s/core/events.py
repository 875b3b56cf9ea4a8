"""Events of a PC5-S entity: typed objects that the owner takes with `next_event()`.

Layer-2 ids are integers, `peer` is the URI of the other end, `why` a short reason in words. No event holds a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from prose_link.pc5s.core.group_events import GroupEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSent:
    """The UE sent a DCR for the first time."""

    peer: str
    peer_l2: int
    request_hash: bytes
    octets: int
    """Size of the DCR."""
    mutual: str
    """Mutual authentication as the request asks for it: not_wanted, wanted or required."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """A DCR passed steps 1 to 13 of the responder; the UE answers it with an Accept."""

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
    """The cause in the Reject to the sender; None if there is no Reject."""
    why: str
    detail: str
    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRefused:
    """A DCA failed one of the initiator's checks; the request stays open."""

    step: int
    why: str
    detail: str
    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierMismatch:
    """A carrier and the message name different senders. The signed identity of the message counts and is shown."""

    carrier: str
    """Name of the carrier."""
    peer: str
    named: str
    """The sender that the carrier names."""
    peer_l2: int
    refused: bool
    """Whether policy drops this copy of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestYielded:
    """Both ends sent a request, and the peer's one has led to the link: the own request is wiped."""

    peer: str
    peer_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectReceived:
    """An unauthenticated Reject names an open request. Its cause is remembered; the request stays open."""

    peer: str
    peer_l2: int
    cause: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProvisional:
    """Responder: the link has keys, but no Confirm of the initiator yet. No user data is sent or accepted."""

    peer: str
    peer_l2: int
    kd_sess_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionalEnded:
    """Responder: a provisional link ended and is wiped. Another link with the peer exists or is coming up."""

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
    """Whether this UE sent the request."""
    mutual: bool
    """Whether both ends proved their identity with an I_MESSAGE."""
    eea: int
    eia: int
    null_algorithm: bool
    """Whether the ciphering or the integrity algorithm is null."""
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
    """An established link ended; it carries no user data from now on."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    why: str
    agreed: bool
    """Whether a Release of either end ended the link; else it was lost, or got no new keys in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyStarted:
    """This UE sent a Rekeying Request, or answered one of the peer's."""

    peer: str
    peer_l2: int
    kd_sess_id: int
    requester: bool
    """Whether this UE sent the Request."""
    new_kd: bool
    """With a new KD, not only new nonces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed:
    """The link now sends on a new context."""

    peer: str
    peer_l2: int
    old_kd_sess_id: int
    """KD-sess ID of the context before."""
    kd_sess_id: int
    new_kd: bool
    """With a new KD, not only new nonces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyFailed:
    """A rekey failed; the link continues on the context in use."""

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
    """The clock is further below the time floor than allowed: the UE sets up no link until the clock is right."""

    now_ntp_s: int
    floor_ntp_s: int
    """The last time known to be true, seconds since 1900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJumped:
    """Calendar clock and monotonic counter moved differently: the UE sets up no link until they agree again."""

    now_ntp_s: int
    step_s: int
    """How much further it moved, negative for back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockBackInStep:
    """The calendar clock agrees with the monotonic counter again."""

    now_ntp_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockApartFromKms:
    """The time of the home KMS is more than W from the own clock's: one of them is wrong."""

    now_ntp_s: int
    kms_ntp_s: int
    """The time that the KMS gave, seconds since 1900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysWiped:
    """A key period is over, by the home KMS or by 24 h of the time floor: its RSK, SSK and PVT are wiped."""

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
    """Events of dropped or refused messages were left out, because there were too many per second."""

    number: int
    """Number of events left out."""


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
