"""Sender's side of hearing reports: what peers say they hear, as grants to keep clear of towards them.

What a peer reports counts for what is sent to that peer alone, and for a while only: a peer that says untrue things
makes nothing worse but its own reception. The grants of this UE itself are told by their seats. A report in which the
seat that it keeps does not stand, though it sent all the while, says that its SCIs are not heard: another UE has the
same seat.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from radio.l2.lte_mode2.neighbours import HeardGrant
from radio.l2.lte_mode2.pscch_plan import Seat

_MAX_PEERS = 64
_VALID_PERIODS = 60
"""How long a report counts: more than two of the receiver's refreshments."""
_OWN_SEATS_PERIODS = 16
"""For how long after its last use a seat may still stand in a report for this UE's own."""
_HEARD_OF_PERIODS = 4
"""A receiver that has not heard this UE for so many periods, in which it sent, does not hear its SCIs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    grants: tuple[HeardGrant, ...]
    came_in: int


class ReportedGrants:
    """Grants that peers have reported, by peer; bounded."""

    def __init__(self) -> None:
        self._reports: OrderedDict[int, _Report] = OrderedDict()
        self._asked: set[int] = set()
        self._own: dict[Seat, int] = {}
        self._home: Seat | None = None
        self._unheard = False
        self._sent_in: dict[int, list[int]] = {}

    def note_own(self, seat: Seat, home: Seat | None, period: int, peer_l2: int) -> None:
        """This UE announced a grant for a peer from a seat; `home` is the one it keeps."""
        self._own[seat] = period
        if home != self._home:
            self._home = home
            self._sent_in.clear()
        self._own = {known: used_in for known, used_in in self._own.items() if period - used_in <= _OWN_SEATS_PERIODS}
        recent = [q for q in self._sent_in.pop(peer_l2, []) if 0 <= period - q <= _OWN_SEATS_PERIODS]
        self._sent_in[peer_l2] = [*recent, period]
        if len(self._sent_in) > _MAX_PEERS:
            del self._sent_in[next(iter(self._sent_in))]

    def note(self, peer_l2: int, grants: Collection[HeardGrant], *, loses_blocks: bool, period: int) -> None:
        """Take a report of a peer that came in `period`."""
        is_heard = any(grant.seat == self._home for grant in grants)
        sent_lately = [q for q in self._sent_in.get(peer_l2, ()) if 0 <= period - q <= 2 * _HEARD_OF_PERIODS]
        self._unheard |= not is_heard and len(sent_lately) >= _HEARD_OF_PERIODS
        self._reports.pop(peer_l2, None)
        if len(self._reports) >= _MAX_PEERS:
            self._reports.popitem(last=False)
        others = tuple(grant for grant in grants if grant.seat not in self._own)
        self._reports[peer_l2] = _Report(grants=others, came_in=period)
        if loses_blocks:
            self._asked.add(peer_l2)
        self._asked &= set(self._reports)

    def grants_at(self, peer_l2: int, period: int) -> tuple[HeardGrant, ...]:
        """What a peer hears beside this UE, as far as its report still counts."""
        report = self._reports.get(peer_l2)
        if report is None or not 0 <= period - report.came_in <= _VALID_PERIODS:
            return ()
        return report.grants

    def take_request(self, peer_l2: int) -> bool:
        """Whether a peer has said since the last call that what it is sent collides."""
        is_asked = peer_l2 in self._asked
        self._asked.discard(peer_l2)
        return is_asked

    def take_unheard(self) -> bool:
        """Whether a report since the last call has shown that this UE's SCIs are not heard."""
        unheard, self._unheard = self._unheard, False
        return unheard
