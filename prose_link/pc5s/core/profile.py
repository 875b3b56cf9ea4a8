"""The port between the entity and a link profile, which makes links, keeps them and renews their keys.

A profile is one way to make a link: its messages, its set-up, its contexts and how they are renewed. The entity does
not refer to any profile by name. It gets functions that make profiles, asks each profile which PDUs it claims, and
passes every PDU, timer and request of the owner to exactly one profile. So a new profile is a folder with a
`profile.py`, and a line in `pc5s/profiles.py`.

The calls, and when they come:

1. **A PDU without a context** (LCID 28): the entity asks every taker of PDUs, the profiles and the groups, how surely
   it claims the PDU. `claims` looks at the octets and at open requests, and changes nothing. The taker with the surest
   claim gets the PDU by `receive`; no other one sees it.
2. **A PDU that names a context**: the context belongs to a link, the link to a profile, and the `receive_on_link` of
   that profile gets the PDU after PDCP has verified it. A PDU may bring its keys itself: if PDCP has no context for it,
   the entity calls `make_context_from` of the profile that claims the PDU.
3. **Timers** of a link go to `handle_timer` of its profile. It handles its own timers and passes the others to the part
   that all profiles share.
4. **User data** that PDCP has verified shows that the peer is alive: `note_verified`. `admits` answers whether the data
   may be passed up; it changes nothing.
5. **Requests of the owner**: `connect`, `renew`, `ask_for_renewal`. `settle` says that a link is about to end.

Input from a peer never raises out of a profile; a fault in it becomes an event in the entity's outbox.
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
    """The PDU does not belong to this taker."""
    BY_TYPE = 1
    """Logical channel and message type are this taker's; the rest of the PDU is not examined."""
    BY_FORM = 2
    """The PDU decodes as a message of this taker and of no other one, or answers one of its open messages."""


class PduTaker(Protocol):
    """A part that takes PDUs that came without a context: a profile, or the groups."""

    def claims(self, pdu: ReceivedPdu) -> Claim:
        """How surely a PDU belongs to this taker. Changes nothing."""

    def receive(self, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a PDU that this taker claims. Every fault in it becomes an event."""


class LinkProfile(PduTaker, Protocol):
    """One way to make links and to keep them."""

    @property
    def name(self) -> Profile:
        """Its name in the policy; each of its links carries this name."""

    @property
    def protected_lcids(self) -> frozenset[int]:
        """The logical channels on which it accepts PC5-S under a context (TS 36.321 6.2.4)."""

    def message_name(self, octets: bytes) -> str:
        """The type of a message in words; empty if this profile has no such type."""

    def run(self, link: Link, event: Enum, now: Instant, why: str = "") -> bool:
        """Run one of its links through its state table.

        Returns False if the input has no effect in the link's state.
        """

    def connect(self, party: Party, now: Instant) -> None:
        """Start a set-up with a peer; events report its result."""

    def receive_on_link(self, link: Link, pdu: ReceivedPdu, now: Instant) -> None:
        """Take a PDU that PDCP has verified under a context of one of its links."""

    def make_context_from(self, pdu: ReceivedPdu, now: Instant) -> SecurityContext | None:
        """Make the context that an unverified PDU brings with it, so that PDCP can verify the PDU with it.

        Returns None if the context isn't acceptable. The entity calls this for PDUs that this profile claims and that
        name an unknown context.
        """

    def admits(self, link: Link, kd_sess_id: int) -> bool:
        """Whether a context of one of its links may carry more than the proof that the peer has the keys."""

    def note_verified(self, link: Link, kd_sess_id: int, now: Instant) -> None:
        """Take note that a PDU of the peer has verified under a context that `admits` it."""

    def can_renew(self, link: Link) -> bool:
        """Whether `renew` would have an effect now: the link is up, and no renewal is in progress."""

    def renew(self, link: Link, now: Instant, *, new_kd: bool = False) -> None:
        """Get new keys for a link, with a new KD if the caller asks for it."""

    def ask_for_renewal(self, link: Link, now: Instant) -> None:
        """Ask the peer to start renewing."""

    def handle_timer(self, link: Link, timer: Timer, now: Instant) -> None:
        """Do the work of an expired timer of one of its links."""

    def settle(self, link: Link, now: Instant) -> None:
        """End all procedures that run beside a link that is about to end."""
