"""What other UEs have announced: grants heard on PSCCH, remembered while they can be expected to go on.

An SCI names no sender. Grants announced from the same seat of the PSCCH plan are taken for the same UE's, and so is a
grant for the same place that comes from another seat while its own is silent. A UE that sends is deaf: a grant that
could not have been heard in a period is not held to be over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from radio.l2.lte_mode2.pscch_plan import PscchPlan, Seat

_MAX_GRANTS = 64
_LONGEST_UNHEARD_PERIODS = 8
_MISSES = 2
"""Periods in which a grant could have been heard and was not, after which it is over: one SCI may collide."""
_COUNTED_PERIODS = 3
_SETTLED_PERIODS = 4
_AUDIBLE_PERIODS = 128
"""How long a UE that was heard from a seat counts as one that can be heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardGrant:
    """One SCI heard: where it was announced, and what it announced. PRBs are counted inside the PSSCH pool."""

    seat: Seat
    first_prb: int
    n_prb: int
    i_trp: int
    group_destination_id: int

    def is_same_place(self, other: HeardGrant) -> bool:
        """Whether both announce the same resources for the same destination."""
        return replace(self, seat=other.seat) == other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    grant: HeardGrant
    heard_in: int
    first_in: int
    guest_at: Seat | None = None
    """The other seat it was last announced from."""


class Neighbours:
    """Grants of others by seat; bounded."""

    def __init__(self, plan: PscchPlan) -> None:
        self._plan = plan
        self._known: dict[Seat, _Known] = {}
        self._counts: dict[int, set[Seat]] = {}
        self._audible: dict[Seat, int] = {}
        self._own: dict[int, frozenset[int]] = {}

    def note(self, grant: HeardGrant, period: int) -> None:
        """Take a grant whose SCI was heard in `period`; the second transmission of an SCI tells nothing new."""
        self._audible[grant.seat] = period
        host = None if grant.seat in self._known else self._host_of(grant, period)
        if host is not None and self._known[host].heard_in == period:
            return
        if host is not None and self._known[host].guest_at != grant.seat:
            self._known[host] = replace(self._known[host], heard_in=period, guest_at=grant.seat)
            self._counts.setdefault(period, set()).add(host)
            return
        first_in = period
        if host is not None:
            first_in = self._known.pop(host).first_in
        elif grant.seat in self._known:
            first_in = self._known[grant.seat].first_in
        elif len(self._known) >= _MAX_GRANTS:
            del self._known[min(self._known, key=lambda seat: self._known[seat].heard_in)]
        self._known[grant.seat] = _Known(grant=grant, heard_in=period, first_in=first_in)
        self._counts.setdefault(period, set()).add(grant.seat)

    def note_own(self, pscch_subframes: Collection[int], period: int) -> None:
        """This UE was deaf in these PSCCH subframes of `period`."""
        self._own[period] = frozenset(pscch_subframes)

    def grants(self, period: int) -> tuple[HeardGrant, ...]:
        """Grants to be expected in `period`, in the order in which they became known."""
        self._forget(period)
        return tuple(known.grant for known in self._known.values())

    def audible(self, period: int) -> Collection[Seat]:
        """Seats from which this UE has heard others lately; as many as a pool has at most."""
        self._audible = {seat: q for seat, q in self._audible.items() if 0 <= period - q <= _AUDIBLE_PERIODS}
        return self._audible.keys()

    def settled_grants(self, period: int) -> tuple[HeardGrant, ...]:
        """Those of `grants` whose UE was first heard some periods ago: no UE that just looks from another seat."""
        self._forget(period)
        return tuple(known.grant for known in self._known.values() if period - known.first_in >= _SETTLED_PERIODS)

    def n_senders(self, period: int) -> int:
        """How many others send in a period: the median of the last ones, those counted that could not be heard."""
        self._forget(period)
        counts = [self._n_in(q) for q in range(period - _COUNTED_PERIODS, period)]
        return sorted(counts)[len(counts) // 2]

    def _n_in(self, period: int) -> int:
        heard = self._counts.get(period, set())
        return len(heard) + sum(self._is_hidden(seat, period) for seat in self._known.keys() - heard)

    def _host_of(self, grant: HeardGrant, period: int) -> Seat | None:
        """The seat of a known grant for the same place, unless that was itself heard in this period."""
        for seat, known in self._known.items():
            announced_at_home = known.heard_in == period and known.guest_at != grant.seat
            if known.grant.is_same_place(grant) and not announced_at_home:
                return seat
        return None

    def _forget(self, period: int) -> None:
        for old in [q for q in self._counts if not 0 <= period - q <= _COUNTED_PERIODS]:
            del self._counts[old]
        for old in [q for q in self._own if not 0 <= period - q <= _LONGEST_UNHEARD_PERIODS]:
            del self._own[old]
        for seat, known in list(self._known.items()):
            if not 0 <= period - known.heard_in <= _LONGEST_UNHEARD_PERIODS or self._is_over(seat, known, period):
                del self._known[seat]

    def _is_over(self, seat: Seat, known: _Known, period: int) -> bool:
        missed = [q for q in range(known.heard_in + 1, period) if not self._is_hidden(seat, q)]
        return len(missed) >= _MISSES

    def _is_hidden(self, seat: Seat, period: int) -> bool:
        return self._plan.subframes(seat, period) <= self._own.get(period, frozenset[int]())
