"""A member's group keys: which key is accepted, how long it lives, and when it is used to send (PROFILE 11).

Of two keys of a group the one with the greater mark (epoch, tag) counts, for members and keyers alike, whichever comes
first. The greatest accepted mark is on disk before its key is used, and never falls: a crash after that loses a key,
never the order. So the same key may be installed again only by a UE that holds none of it, after a restart.

These checks of a verified keying message come before its SAKKE payload is opened: a mark not below the recorded one, an
epoch and removals not far ahead of the clock, a PGK ID of its keyer, an expiry in the future, and a layer-2 id that no
other group has. Opening it shows whether the tag belongs to the SSV.

A key replaces the one before it in three steps. It opens PDUs at once. It is used to send a second after its time, so
that most members have it by then; or at once if the lists of removed members differ, since the removed member must read
no more PDUs. The old key is never used to send again. It opens PDUs for a minute, or for T_old if the lists differ, and
is then wiped with all keys derived from it.

A key whose message is older than W may have been held back on its way and be superseded: it opens PDUs only, until a
fresh message or an answer to an ask of this UE names its mark.

Nothing is sent under a key whose list lacks a recorded removal (G3). Its keyer doesn't know of the removal, so the
removed member has the key. Such a key opens PDUs only, whatever names its mark. A key that is held already is not used
to send any more, until there is one with the removal.
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
"""Time for which the old key still opens PDUs if a member was removed (P)."""
OLD_READ_S: Final = 60.0
"""Time for which the old key still opens PDUs otherwise: keying many members takes time (PROFILE 11)."""
SEND_AFTER_S: Final = 1.0
"""Time from the time of a keying message until a member sends under its key (PROFILE 11)."""
WINDOW_S: Final = 300
"""W of the profile: largest lead of an epoch or a removal over the clock, and greatest age of a key for sending (P)."""
KEYS_KEPT: Final = 4
"""Keys of a group held at one time, the current one included (P)."""


class Taken(Enum):
    """The result of a keying message."""

    NEW = "a new key is held"
    AGAIN = "a key from before a restart is held again"
    CONFIRMED = "the key that is held may be sent under now"
    HELD = "the key is held, nothing changes"


@dataclass(slots=True, kw_only=True)
class GroupKey:
    """A PGK in use (32 octets) with its keyer, its list of removed members, its first time to send, and its end.

    `send_from_ntp_s` is infinite for a key that opens PDUs only.
    """

    keying: GroupKeying
    pgk: bytes | None = field(repr=False)
    keyer: str
    removals: RemovalList = ()
    send_from_ntp_s: float
    ends_ntp_s: float
    leaves_out: bool = False
    """Whether its list lacks a recorded removal, so that the removed member has this key."""

    @property
    def live_pgk(self) -> bytes:
        """The PGK. Raises GroupError if it is wiped."""
        if self.pgk is None:
            raise GroupError(f"the PGK of epoch {self.keying.epoch} of {self.keying.group_identity} is wiped")
        return self.pgk

    @property
    def reads_only(self) -> bool:
        """Whether the key is never used to send: it may be superseded, leaves out a removal, or has been replaced."""
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
        """Called when PGKs were wiped, so that the keys derived from them are wiped at the same time."""

    def known_mark(self, group_identity: str) -> int:
        """The greatest accepted mark of a group; 0 if there is none."""
        return self._marks.mark(mark_name(group_identity))

    def check(self, keying: GroupKeying, *, place: int, removals: RemovalList, now_ntp_s: float) -> None:
        """Check a verified keying message of the keyer at a place of the group's list.

        The check is cheap, so it comes before the SAKKE payload is opened. Raises EpochAheadError, RemovalAheadError,
        WrongIndexError, LowerMarkError, or GroupError for an expired key or a layer-2 id of another group.
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
        """Install a group key; its mark is written to disk first.

        `fresh`: the key is this UE's own, or answers an ask of this UE. Raises as `check`, TagMismatch, and
        RecordError; nothing has changed then.
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
        """Record the removals in a keyer's verified message. Returns True if one is new.

        They are recorded before anything else happens; then nothing is sent under keys that leave them out. Raises
        RecordError, or GroupError without room.
        """
        is_new = RemovalRecord(self._marks, group_identity).merge(removals, keyers=keyers)
        self.mind_removals(group_l2)
        return is_new

    def mind_removals(self, group_l2: int) -> None:
        """Send nothing from now on under keys of a group that leave out a recorded removal."""
        for key in self._keys.get(group_l2, []):
            missing = RemovalRecord(self._marks, key.keying.group_identity).missing_from(key.removals)
            key.leaves_out = bool(missing)
            if missing:
                key.send_from_ntp_s = math.inf
                if self._sending.get(group_l2) is key:
                    del self._sending[group_l2]

    def newest(self, group_l2: int) -> GroupKey | None:
        """The key of a group with the greatest mark; None if no key is held."""
        keys = self._keys.get(group_l2)
        return keys[0] if keys else None

    def sending_key(self, group_l2: int) -> GroupKey:
        """The key to send under. Raises GroupError if there is none, or if it may be superseded."""
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
        """The key for a PDU's PGK index. Raises NoKeyHeld if none is held."""
        for key in self._keys.get(group_l2, []):
            if key.keying.pgk_index == pgk_index:
                return key
        raise NoKeyHeld(f"no group key with PGK index {pgk_index} is held for 0x{group_l2:06x}")

    @property
    def next_deadline_ntp_s(self) -> float | None:
        """The time when `expire` has to be called next."""
        waiting = [
            key.send_from_ntp_s
            for group_l2, keys in self._keys.items()
            for key in keys[:1]
            if self._sending.get(group_l2) is not key and not key.reads_only
        ]
        ends = [key.ends_ntp_s for keys in self._keys.values() for key in keys]
        return min(waiting + ends, default=None)

    def expire(self, now_ntp_s: float) -> None:
        """Wipe expired keys, and start to send under keys whose time has come."""
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
        """Leave a group: wipe all its keys."""
        for key in self._keys.get(group_l2, []):
            _wipe(key)
        self._keep(group_l2, [])
        self._on_hold.discard(group_l2)
        self.on_wiped()

    def _replace(self, key: GroupKey, *, old_ends_ntp_s: float) -> None:
        """Put a key before those held. A held key of the same index is dropped, and so is the oldest of too many."""
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
