"""Receiver's side of hearing reports: notices senders that collide at this UE, and tells one what is heard here.

UEs that hear each other part by themselves. Those that don't, hidden terminals, collide until one of them happens to
draw another place. Their receiver sees it: blocks of a grant fail in subframes that the SCI of another grant claims
too. When that has gone on for three periods, longer than UEs that hear each other mostly need, the receiver sends one
of the two a report of all grants it hears (`hearing_report`), with the word that its blocks are lost. That UE draws a
new place at once; it knows the others' now. The receiver asks one of those that meet, not all, and leaves it time
before it looks at it again. So there is no crowd that all jump at once.

A sender goes on to need what it can't hear: it draws a new place every 10 to 30 periods. One that finds grants in a
report that it can't hear answers so, and is told again every second or so, and when something has changed. One that
does not answer hears the others well: it parts by itself, and a report only takes the air, so that it gets few.

An SCI names no sender. Which layer-2 id a seat belongs to is learnt from blocks that came through. A report to a sender
that is not known is not sent; it is learnt from the first block that does come through.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, field

from radio.l2.lte_mode2.neighbours import HeardGrant
from radio.l2.lte_mode2.pscch_plan import Seat
from radio.phy.lte.pools.mode2 import CommPool

_REMEMBERED_PERIODS = 5
_EVIDENT_PERIODS = 3
"""Of the last ones, in which blocks of a grant were lost to another: UEs that hear each other have parted by then."""
_SETTLING_PERIODS = 5
"""From a report until the UE that was told has moved, and its new place has been heard."""
_REFRESH_PERIODS = 25
_LEAST_BETWEEN_PERIODS = 8
_RARELY_PERIODS = 160
"""Between reports to a sender that has not said that it needs them: it may hear the others well."""
_SILENT_PERIODS = 64
"""A sender from which no block has come for so long needs no reports."""
_MAX_SENDERS = 64


@dataclass(slots=True, kw_only=True)
class _Told:
    """A sender that needs reports."""

    due_in: int
    places: frozenset[tuple[Seat, int, int, int]] = frozenset()


@dataclass(slots=True)
class _Lost:
    """By period, the seats of those that took blocks away from a grant."""

    hit_by: dict[int, set[Seat]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReport:
    """Whom to tell, and whether its blocks are lost."""

    peer_l2: int
    loses_blocks: bool


class HearingWatch:
    """Which senders are to be told what is heard here; bounded, no chance in it.

    Args:
        pool: the pool that blocks are received in.
        own_id: the group destination id under which grants to this UE are announced.
    """

    def __init__(self, pool: CommPool, own_id: int) -> None:
        self._pool = pool
        self._own_id = own_id
        self._sender_of: dict[Seat, int] = {}
        self._known: OrderedDict[int, int] = OrderedDict()
        """Senders that blocks have come from, and the last period in which; the one longest unheard or asked first."""
        self._lost: dict[Seat, _Lost] = {}
        self._asked_in: dict[Seat, int] = {}
        self._told: dict[int, _Told] = {}
        self._told_in: dict[int, int] = {}
        self._needy_in: dict[int, int] = {}

    def note_block(
        self,
        period: int,
        heard: Sequence[HeardGrant],
        *,
        subframes: Sequence[int],
        prbs: Sequence[int],
        peer_l2: int | None,
    ) -> None:
        """A block to this UE was received, or lost after its last transmission.

        Args:
            period: the SC period.
            heard: grants expected in it.
            subframes: those of its transmissions.
            prbs: where it stood.
            peer_l2: its sender, None where it was lost.
        """
        mine = [grant for grant in heard if self._announced(grant, period, subframes, prbs)]
        if peer_l2 is not None:
            if peer_l2 in self._known and peer_l2 not in self._sender_of.values():
                self._expect_to_tell(peer_l2, period)
            if len(mine) == 1:
                self._learn(mine[0].seat, peer_l2)
            self._know(peer_l2, period)
            return
        hitting = {grant.seat for grant in heard if self._hits(grant, period, subframes, prbs)}
        hitting = {seat for seat in hitting if not self._is_settling(seat, period)}
        for seat in (grant.seat for grant in mine):
            if hitting - {seat} and not self._is_settling(seat, period):
                lost = self._lost.setdefault(seat, _Lost())
                lost.hit_by.setdefault(period, set()).update(hitting - {seat})

    def due_report(
        self, period: int, heard: Sequence[HeardGrant], known_seats: Collection[Seat] = ()
    ) -> DueReport | None:
        """The sender to tell at the end of `period`, or None; the one that is named counts as told.

        `heard` are the grants that a report would name, `known_seats` all that may be in use.
        """
        seats = {grant.seat for grant in heard}
        self._forget(period, {*seats, *known_seats})
        for seat, lost in self._lost.items():
            if len(lost.hit_by) < _EVIDENT_PERIODS or not any(hit_by & seats for hit_by in lost.hit_by.values()):
                continue
            asked = self._asked_of(seat, lost)
            if asked is None:
                continue
            moving, peer_l2 = asked
            if not self._may_tell(peer_l2, period):
                continue
            others = {self._sender_of.get(other) for hit_by in lost.hit_by.values() for other in hit_by}
            self._asked_in[moving] = period
            self._drop_evidence_about(moving)
            self._tell(peer_l2, period, heard)
            for other_l2 in sorted(known for known in others if known not in (None, peer_l2)):
                self._expect_to_tell(other_l2, period + _SETTLING_PERIODS + 1)
            return DueReport(peer_l2=peer_l2, loses_blocks=True)
        for peer_l2, told in [] if self._asked_in else list(self._told.items()):
            if period < told.due_in and (told.places == _places(heard) or not self._is_needy(peer_l2, period)):
                continue
            if not self._is_sending(peer_l2, period) or len(heard) < 2:
                del self._told[peer_l2]
            elif self._may_tell(peer_l2, period):
                self._tell(peer_l2, period, heard)
                return DueReport(peer_l2=peer_l2, loses_blocks=False)
        return None

    def note_need(self, peer_l2: int, period: int) -> None:
        """A sender answers a report: there are some among these that it can't hear."""
        self._needy_in.pop(peer_l2, None)
        if len(self._needy_in) >= _MAX_SENDERS:
            del self._needy_in[next(iter(self._needy_in))]
        self._needy_in[peer_l2] = period

    def _asked_of(self, seat: Seat, lost: _Lost) -> tuple[Seat, int] | None:
        """(seat, sender) to move: the one that loses blocks, or one that takes them, or one of unknown place."""
        hitting = sorted({other for hit_by in lost.hit_by.values() for other in hit_by}, key=astuple)
        for one in (seat, *hitting):
            if one in self._sender_of:
                return one, self._sender_of[one]
        placed = set(self._sender_of.values())
        unplaced = next((peer_l2 for peer_l2 in self._known if peer_l2 not in placed), None)
        if unplaced is None:
            return None
        self._known.move_to_end(unplaced)
        return seat, unplaced

    def _may_tell(self, peer_l2: int, period: int) -> bool:
        """Whether it is time to tell a sender something: rarely, where it has not answered that it needs that."""
        last_in = self._told_in.get(peer_l2, -_RARELY_PERIODS)
        return period - last_in >= (_LEAST_BETWEEN_PERIODS if self._is_needy(peer_l2, period) else _RARELY_PERIODS)

    def _is_needy(self, peer_l2: int, period: int) -> bool:
        return period - self._needy_in.get(peer_l2, -_SILENT_PERIODS) < _SILENT_PERIODS

    def _is_sending(self, peer_l2: int, period: int) -> bool:
        return period - self._known.get(peer_l2, -_SILENT_PERIODS) < _SILENT_PERIODS

    def _drop_evidence_about(self, seat: Seat) -> None:
        """One that is going to move takes and loses no more blocks where it was."""
        self._lost.pop(seat, None)
        for other, lost in list(self._lost.items()):
            lost.hit_by = {q: by for q, hit_by in lost.hit_by.items() if (by := hit_by - {seat})}
            if not lost.hit_by:
                del self._lost[other]

    def _tell(self, peer_l2: int, period: int, heard: Sequence[HeardGrant]) -> None:
        self._told.pop(peer_l2, None)
        if len(self._told) >= _MAX_SENDERS:
            del self._told[next(iter(self._told))]
        self._told[peer_l2] = _Told(due_in=period + _REFRESH_PERIODS, places=_places(heard))
        self._told_in.pop(peer_l2, None)
        if len(self._told_in) >= _MAX_SENDERS:
            del self._told_in[next(iter(self._told_in))]
        self._told_in[peer_l2] = period

    def _expect_to_tell(self, peer_l2: int | None, due_in: int) -> None:
        if peer_l2 is None or (peer_l2 not in self._told and len(self._told) >= _MAX_SENDERS):
            return
        known = self._told.setdefault(peer_l2, _Told(due_in=due_in))
        known.due_in = min(known.due_in, due_in)

    def _learn(self, seat: Seat, peer_l2: int) -> None:
        self._sender_of.pop(seat, None)
        if len(self._sender_of) >= _MAX_SENDERS:
            del self._sender_of[next(iter(self._sender_of))]
        self._sender_of[seat] = peer_l2

    def _know(self, peer_l2: int, period: int) -> None:
        self._known[peer_l2] = period
        self._known.move_to_end(peer_l2)
        if len(self._known) > _MAX_SENDERS:
            self._known.popitem(last=False)

    def _forget(self, period: int, seats: set[Seat]) -> None:
        for seat, lost in list(self._lost.items()):
            lost.hit_by = {q: by for q, by in lost.hit_by.items() if 0 <= period - q < _REMEMBERED_PERIODS}
            if not lost.hit_by:
                del self._lost[seat]
        self._asked_in = {seat: q for seat, q in self._asked_in.items() if 0 <= period - q < _SETTLING_PERIODS}
        self._sender_of = {seat: peer_l2 for seat, peer_l2 in self._sender_of.items() if seat in seats}

    def _is_settling(self, seat: Seat, period: int) -> bool:
        return seat in self._asked_in and 0 <= period - self._asked_in[seat] <= _SETTLING_PERIODS

    def _announced(self, grant: HeardGrant, period: int, subframes: Sequence[int], prbs: Sequence[int]) -> bool:
        """Whether a block that stood in `subframes` and `prbs` may be of a grant: whole, or cut short by its CRC."""
        if grant.group_destination_id != self._own_id or tuple(prbs) != self._prbs_of(grant):
            return False
        blocks: dict[int, set[int]] = {}
        for subframe, _, index, _ in self._pool.pssch_transmissions(period, grant.i_trp):
            blocks.setdefault(index, set()).add(subframe)
        return any(set(subframes) <= block for block in blocks.values())

    def _hits(self, grant: HeardGrant, period: int, subframes: Sequence[int], prbs: Sequence[int]) -> bool:
        used = {subframe for subframe, *_ in self._pool.pssch_transmissions(period, grant.i_trp)}
        return bool(used & set(subframes)) and bool(set(self._prbs_of(grant)) & set(prbs))

    def _prbs_of(self, grant: HeardGrant) -> tuple[int, ...]:
        return self._pool.pssch_prbs[grant.first_prb : grant.first_prb + grant.n_prb]


def _places(heard: Sequence[HeardGrant]) -> frozenset[tuple[Seat, int, int, int]]:
    return frozenset((grant.seat, grant.first_prb, grant.n_prb, grant.i_trp) for grant in heard)
