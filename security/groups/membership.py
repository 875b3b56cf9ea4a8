"""A member's group keys: which key is taken, how long it lives, from when on it is sent under (PROFILE 11).

Of two keys of a group the one with the greater mark (epoch, tag) counts, for members and keyers alike, whichever comes
first. The greatest mark ever taken is on disk before its key is used, and never falls: a crash after that loses a key,
never the order. So the same key may be installed again only by a UE that holds none of it, after a restart.

What is asked of a verified keying message before its SAKKE payload is opened: a mark not below the one on record, an
epoch and removals not far ahead of the clock, a PGK ID of its keyer's, not expired, and a layer-2 id that no other
group has. Opening it shows whether the tag belongs to the SSV.

A key replaces the one before it in three steps. It is read under at once. It is sent under a second after its time, so
that most members have it by then; at once where the list of who is out differs, since nothing more may be sent that the
removed member reads. The old key is never sent under again, is read for a minute, or for T_old where the lists differ,
and is then wiped with all that was derived from it.

A key whose message is older than W may have been held back on its way, and have been superseded meanwhile: it is read
under only, until a fresh message or an answer to an ask of this UE names its mark.

Nothing is sent under a key whose list lacks a removal that is on record (G3). Its keyer doesn't know of the removal, so
the removed member has the key. Such a key is read under only, whatever names its mark, and a key that is held already
is sent under no more, until one comes that has the removal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from security.groups.errors import (
    EpochAheadError,
    GroupError,
    LowerMarkError,
    NoKeyHeld,
    RemovalAheadError,
    WrongIndexError,
)
from security.groups.keying import GroupKeying, epoch_at, mark_name, place_of
from security.groups.marks import Marks
from security.groups.removals import RemovalList, RemovalRecord

T_OLD_S: Final = 2.0
"""How long the old key is still received under where somebody was removed (P)."""
OLD_READ_S: Final = 60.0
"""How long the old key is still received under else: keying many members takes its time (PROFILE 11)."""
SEND_AFTER_S: Final = 1.0
"""A member sends under a new key so long after the time of its message (PROFILE 11)."""
WINDOW_S: Final = 300
"""W of the profile: how far ahead of the clock an epoch or a removal may be, and how old a key that is sent under (P).
"""
KEYS_KEPT: Final = 4
"""Keys of a group held at one time, the current one included (P)."""


class Taken(Enum):
    """What became of a keying message."""

    NEW = "a new key is held"
    AGAIN = "a key from before a restart is held again"
    CONFIRMED = "the key that is held may be sent under now"
    HELD = "the key is held, nothing changes"


@dataclass(slots=True, kw_only=True)
class GroupKey:
    """A PGK in use (32 octets), who made it, who is out by its list, when it is sent under, and when its use ends.

    `send_from_ntp_s` is infinite for a key that is read under only.
    """

    keying: GroupKeying
    pgk: bytes | None = field(repr=False)
    keyer: str
    removals: RemovalList = ()
    send_from_ntp_s: float
    ends_ntp_s: float
    leaves_out: bool = False
    """Its list lacks a removal on record: the removed member has it."""

    @property
    def live_pgk(self) -> bytes:
        """The PGK; raises GroupError once it is wiped."""
        if self.pgk is None:
            raise GroupError(f"the PGK of epoch {self.keying.epoch} of {self.keying.group_identity} is wiped")
        return self.pgk

    @property
    def reads_only(self) -> bool:
        """Whether nothing is sent under it: it may be superseded, leaves out a removal, or has given way."""
        return math.isinf(self.send_from_ntp_s)


class GroupMembership:
    """The group keys a UE holds. The caller has checked the message (form, keyer, signature) and opened its SSV."""

    def __init__(self, *, marks: Marks, t_old_s: float = T_OLD_S) -> None:
        self._marks = marks
        self._t_old_s = t_old_s
        self._keys: dict[int, list[GroupKey]] = {}
        """By group layer-2 id, the greatest mark first."""
        self._sending: dict[int, GroupKey] = {}
        self._on_hold: set[int] = set()
        self.on_wiped: Callable[[], None] = lambda: None
        """Called when PGKs were wiped, so that what was derived from them goes at the same time."""

    def known_mark(self, group_identity: str) -> int:
        """The greatest mark ever taken of a group; 0 if none."""
        return self._marks.mark(mark_name(group_identity))

    def check(self, keying: GroupKeying, *, place: int, removals: RemovalList, now_ntp_s: float) -> None:
        """Whether a verified keying message of the keyer at a place of the group's list may be taken.

        Costs nothing, so that it can be asked before the SAKKE payload is opened. Raises EpochAheadError,
        RemovalAheadError, WrongIndexError, LowerMarkError, or GroupError for an expired key or a layer-2 id of another
        group.
        """
        name = keying.group_identity
        if keying.epoch > epoch_at(now_ntp_s) + WINDOW_S:
            raise EpochAheadError(f"epoch {keying.epoch} of {name} is further ahead of the clock than it may be")
        if any(entry.ntp_s > now_ntp_s + WINDOW_S for entry in removals):
            raise RemovalAheadError(f"a removal of {name} is further ahead of the clock than it may be")
        if place_of(keying.pgk_id) != place:
            raise WrongIndexError(f"PGK ID {keying.pgk_id} of {name} is not one of the keyer at place {place}")
        if keying.expiry_ntp_s <= now_ntp_s:
            raise GroupError(f"epoch {keying.epoch} of {name} has expired")
        newest = self.newest(keying.group_l2)
        if newest is not None and newest.keying.group_identity != name:
            raise GroupError(f"group layer-2 id 0x{keying.group_l2:06x} is in use by {newest.keying.group_identity}")
        if keying.mark < self.known_mark(name):
            raise LowerMarkError(f"epoch {keying.epoch} of {name} is below the greatest one taken")

    def install(
        self,
        keying: GroupKeying,
        ssv: bytes,
        *,
        keyer: str,
        place: int,
        removals: RemovalList = (),
        t_ntp_s: float,
        now_ntp_s: float,
        fresh: bool = False,
    ) -> Taken:
        """Take a group key: its mark goes to disk first. `fresh`: it is this UE's own, or answers an ask of this UE.

        Raises as `check`, TagMismatch, and RecordError; then nothing has changed.
        """
        self.check(keying, place=place, removals=removals, now_ntp_s=now_ntp_s)
        pgk = keying.derive_pgk(ssv, keyer)
        newest = self.newest(keying.group_l2)
        is_fresh = fresh or t_ntp_s >= now_ntp_s - WINDOW_S
        if newest is not None and newest.keying.mark == keying.mark:
            is_confirmed = (fresh or (is_fresh and newest.reads_only)) and newest.send_from_ntp_s > now_ntp_s
            if newest.leaves_out or not is_confirmed:
                return Taken.HELD
            newest.send_from_ntp_s = now_ntp_s
            self.expire(now_ntp_s)
            return Taken.CONFIRMED
        known = self.known_mark(keying.group_identity)
        if keying.mark > known:
            self._marks.raise_mark(mark_name(keying.group_identity), keying.mark)
        differs = newest is not None and newest.removals != removals
        send_from_ntp_s = now_ntp_s
        if not is_fresh:
            send_from_ntp_s = math.inf
        elif not (fresh or differs or newest is None):
            send_from_ntp_s = min(max(now_ntp_s, t_ntp_s + SEND_AFTER_S), now_ntp_s + SEND_AFTER_S)
        self._replace(
            GroupKey(
                keying=keying,
                pgk=pgk,
                keyer=keyer,
                removals=removals,
                send_from_ntp_s=send_from_ntp_s,
                ends_ntp_s=float(keying.expiry_ntp_s),
            ),
            old_ends_ntp_s=now_ntp_s + (self._t_old_s if differs else OLD_READ_S),
        )
        self.mind_removals(keying.group_l2)
        self.expire(now_ntp_s)
        return Taken.NEW if keying.mark > known else Taken.AGAIN

    def learn(self, group_identity: str, group_l2: int, removals: RemovalList, *, keyers: Collection[str]) -> bool:
        """Take what a keyer's verified message says of who is out; True if something is new.

        It is on record before anything else happens; then nothing is sent under keys that leave it out. Raises
        RecordError, GroupError without room.
        """
        is_new = RemovalRecord(self._marks, group_identity).merge(removals, keyers=keyers)
        self.mind_removals(group_l2)
        return is_new

    def mind_removals(self, group_l2: int) -> None:
        """Send nothing from now on under keys of a group that leave out a removal on record."""
        for key in self._keys.get(group_l2, []):
            missing = RemovalRecord(self._marks, key.keying.group_identity).missing_from(key.removals)
            key.leaves_out = bool(missing)
            if missing:
                key.send_from_ntp_s = math.inf
                if self._sending.get(group_l2) is key:
                    del self._sending[group_l2]

    def newest(self, group_l2: int) -> GroupKey | None:
        """The key with the greatest mark that is held of a group, None without any."""
        keys = self._keys.get(group_l2)
        return keys[0] if keys else None

    def sending_key(self, group_l2: int) -> GroupKey:
        """The key to send under; raises GroupError where there is none, or where it may have been superseded."""
        key = self._sending.get(group_l2)
        if key is None:
            raise GroupError(f"nothing is sent to 0x{group_l2:06x}: {_why_silent(self.newest(group_l2))}")
        if group_l2 in self._on_hold:
            raise GroupError(
                f"nothing is sent to 0x{group_l2:06x}: this UE has asked whether its key is the current one"
            )
        return key

    def hold_sending(self, group_l2: int) -> None:
        """Send nothing to a group for now: it may have a newer key."""
        self._on_hold.add(group_l2)

    def go_on_sending(self, group_l2: int) -> None:
        """Send to a group again."""
        self._on_hold.discard(group_l2)

    def receiving_key(self, group_l2: int, pgk_index: int) -> GroupKey:
        """The key a PDU's PGK index names; raises NoKeyHeld where none is held."""
        for key in self._keys.get(group_l2, []):
            if key.keying.pgk_index == pgk_index:
                return key
        raise NoKeyHeld(f"no group key with PGK index {pgk_index} is held for 0x{group_l2:06x}")

    @property
    def next_deadline_ntp_s(self) -> float | None:
        """When `expire` next has something to do."""
        waiting = [
            key.send_from_ntp_s
            for group_l2, keys in self._keys.items()
            for key in keys[:1]
            if self._sending.get(group_l2) is not key and not key.reads_only
        ]
        ends = [key.ends_ntp_s for keys in self._keys.values() for key in keys]
        return min(waiting + ends, default=None)

    def expire(self, now_ntp_s: float) -> None:
        """Wipe keys whose time is over, and send under those whose time to be sent under has come."""
        for group_l2, keys in list(self._keys.items()):
            for key in keys:
                if key.ends_ntp_s <= now_ntp_s:
                    _wipe(key)
            self._keep(group_l2, [key for key in keys if key.pgk is not None])
            newest = self.newest(group_l2)
            if newest is not None and newest.send_from_ntp_s <= now_ntp_s:
                self._sending[group_l2] = newest
        self.on_wiped()

    def wipe(self, group_l2: int) -> None:
        """Leave a group: all its keys go."""
        for key in self._keys.get(group_l2, []):
            _wipe(key)
        self._keep(group_l2, [])
        self._on_hold.discard(group_l2)
        self.on_wiped()

    def _replace(self, key: GroupKey, *, old_ends_ntp_s: float) -> None:
        """Put a key in front of those held. A held one of the same index goes at once; so does the oldest of many."""
        group_l2 = key.keying.group_l2
        kept = self._keys.get(group_l2, [])
        for place, old in enumerate(kept):
            old.ends_ntp_s = min(old.ends_ntp_s, old_ends_ntp_s)
            old.send_from_ntp_s = math.inf
            if old.keying.pgk_index == key.keying.pgk_index or place >= KEYS_KEPT - 1:
                _wipe(old)
        if key.reads_only or (kept and kept[0].removals != key.removals):
            self._sending.pop(group_l2, None)
        self._keep(group_l2, [key, *(old for old in kept if old.pgk is not None)])

    def _keep(self, group_l2: int, keys: list[GroupKey]) -> None:
        if keys:
            self._keys[group_l2] = keys
        else:
            self._keys.pop(group_l2, None)
        sending = self._sending.get(group_l2)
        if not any(key is sending for key in keys):
            self._sending.pop(group_l2, None)


def _why_silent(newest: GroupKey | None) -> str:
    if newest is None:
        return "no group key is held"
    if newest.leaves_out:
        return "the key held leaves out a removal that is on record"
    return "the key held may have been superseded"


def _wipe(key: GroupKey) -> None:
    key.pgk = None
