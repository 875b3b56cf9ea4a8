"""The port between the entity and a link profile: how links get their keys, and what is said on them.

A profile is one way to make a link: its messages, its set-up, its contexts and how they are renewed. The entity knows
no profile by name. It is given makers of profiles, asks each profile what it claims, and hands every PDU, timer and
wish to exactly one. So a profile is added by a folder with a `profile.py`, and by a line in `pc5s/profiles.py`.

Who calls what, and when:

1. **A PDU without a context** (LCID 28): the entity asks every taker of PDUs, the profiles and the groups, how surely
   it claims the PDU. `claims` looks at the octets and at open requests; it changes nothing. The one with the surest
   claim gets the PDU by `receive`, and nobody else sees it.
2. **A PDU that names a context**: the context belongs to a link, the link to a profile, and that profile's
   `receive_on_link` gets the PDU after PDCP has verified it. A PDU may bring the keys for itself: where PDCP knows no
   context, `make_context_from` is asked of the profile that claims the PDU.
3. **Timers** of a link go to its profile's `handle_timer`, which handles those that it has of its own and leaves the
   others to the part that all profiles share.
4. **User data** that PDCP has verified shows that the peer lives: `note_verified`. Whether it may go up is a question
   that changes nothing: `admits`.
5. **Wishes** of the owner: `connect`, `renew`, `ask_for_renewal`. `settle` says that a link is about to end.

Peer input never raises out of a profile; it becomes an event of the entity's outbox.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Protocol

from prose_link.instant import Instant
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.policy import Profile
from prose_link.pc5s.core.timers import Timer
from prose_link.pc5s.wire.party import Party
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.link.context import SecurityContext


class Claim(IntEnum):
    """How surely a PDU belongs to one of its takers; the greater the surer."""

    NONE = 0
    """It is none of its PDUs."""
    BY_TYPE = 1
    """Logical channel and message type are its own; the rest may be anything."""
    BY_FORM = 2
    """It reads as one of its messages and of nobody else's, or it answers one of its own open messages."""


class PduTaker(Protocol):
    """Whatever takes PDUs that came without a context: a profile, or the groups."""

    def claims(self, pdu: ReceivedPdu) -> Claim:
        """How surely a PDU is for this one. Changes nothing."""

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a PDU that this one claims. Whatever is wrong with it becomes an event."""


class LinkProfile(PduTaker, Protocol):
    """One way to make links and to keep them."""

    @property
    def name(self) -> Profile:
        """What policy calls it; each of its links carries this name."""

    @property
    def protected_lcids(self) -> frozenset[int]:
        """The logical channels on which it takes PC5-S under a context (TS 36.321 6.2.4)."""

    def message_name(self, octets: bytes) -> str:
        """The type of a message in words; empty where this profile has no such type."""

    def run(self, link: Link, event: Enum, now: Instant, why: str = "") -> bool:
        """Run one of its links through its state table; False if the event has no effect in the link's state."""

    def connect(self, party: Party, now: Instant) -> None:
        """Ask a peer for a link; what comes of it is told by events."""

    def receive_on_link(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a PDU that PDCP has verified under a context of one of its links."""

    def make_context_from(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """Make the context that an unverified PDU brings along, for PDCP to verify it by; None if it isn't acceptable.

        Called for PDUs that this profile claims and that name a context nobody holds.
        """

    def admits(self, link: Link, kd_sess_id: int) -> bool:
        """Whether more than the proof that the peer has the keys may come on a context of one of its links."""

    def note_verified(self, link: Link, kd_sess_id: int, now: Instant) -> None:
        """Take into account that a PDU of the peer has verified under a context that `admits` it."""

    def can_renew(self, link: Link) -> bool:
        """Whether `renew` would do something now: the link is up, and no renewal is under way."""

    def renew(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:
        """Get new keys for a link, with a new KD if asked for."""

    def ask_for_renewal(self, link: Link, now: Instant) -> None:
        """Ask the peer to start renewing."""

    def handle_timer(self, link: Link, timer: Timer, now: Instant) -> None:
        """Do what is due on one of its links."""

    def settle(self, link: Link, now: Instant) -> None:
        """End what it has under way beside a link that is about to end."""
