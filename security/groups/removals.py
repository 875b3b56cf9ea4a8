"""The removed members of a group: a list that travels with every key, merges, and never shrinks (PROFILE 11).

A removal by one keyer must hold for the keys of all others; otherwise the next key of another keyer lets the member in
again. So each keying message carries the list. Keyers and members merge the lists of all configured keyers, on disk
before they act. A keyer repeats the list in its own messages, and no member sends under a key whose list lacks a
recorded removal. For each member the later second counts, and at equal seconds "out" does: a value of the second and
the state, which only rises. So the result of merging does not depend on the order of messages, and is kept as rising
marks of the device's record.

No entry ever leaves the list: a keyer that lost its record could not learn of it any more. It would let the member in
again, under keys that no member with knowledge of the removal would use. A full list means a new group identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from security.groups.errors import GroupError
from security.groups.marks import Marks
from security.link.key_ladder import label

MEMBER_HASH_OCTETS: Final = 8
MAX_LISTED: Final = 16
"""Most entries of a keying message."""
MAX_KEPT: Final = 64
"""Most entries kept for one group, so that bad keyers don't fill the record (P)."""


def member_hash(identity: str) -> bytes:
    """The value that names a member in a list: the first 8 octets of H(L("member") || identity)."""
    return hashlib.sha256(label("member") + identity.encode("ascii")).digest()[:MEMBER_HASH_OCTETS]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Removal:
    """A member was removed (`is_out`) or let in again, at an NTP second."""

    member: bytes
    ntp_s: int
    is_out: bool

    @property
    def rank(self) -> int:
        """The greater one of the same member counts."""
        return self.ntp_s << 1 | self.is_out


RemovalList = tuple[Removal, ...]
"""The entries of one keying message, sorted, each member once."""


class RemovalRecord:
    """The removals of one group that a UE knows; every change is recorded when a call returns."""

    def __init__(self, marks: Marks, group_identity: str) -> None:
        self._marks = marks
        self._prefix = f"group {group_identity} out "

    def entries(self) -> RemovalList:
        """All known entries. Raises RecordError without a record."""
        return tuple(
            sorted(
                Removal(member=bytes.fromhex(name.removeprefix(self._prefix)), ntp_s=rank >> 1, is_out=bool(rank & 1))
                for name, rank in self._marks.marks_named(self._prefix).items()
            )
        )

    def listed(self, now_ntp_s: float) -> RemovalList:
        """The entries for a keying message. Raises GroupError if the list is full.

        An entry from a time when this keyer's clock was ahead is dated now: no member accepts one from the future.
        """
        entries = self.entries()
        if len(entries) > MAX_LISTED:
            raise GroupError(f"the list of members out is full with {MAX_LISTED}: the group needs another identity")
        now_s = int(now_ntp_s)
        return tuple(replace(entry, ntp_s=now_s) if 0 < now_s < entry.ntp_s else entry for entry in entries)

    def merge(self, entries: Iterable[Removal], *, keyers: Collection[str] = ()) -> bool:
        """Merge a keyer's list. Returns True if an entry is new. Raises RecordError, or GroupError without room.

        An entry that removes one of the `keyers` is ignored: its signature would remain valid.
        """
        stay = {member_hash(keyer) for keyer in keyers}
        known = {entry.member: entry for entry in self.entries()}
        said = (entry for entry in entries if entry.member not in stay)
        new = [entry for entry in said if entry.member not in known or entry.rank > known[entry.member].rank]
        if len(known.keys() | {entry.member for entry in new}) > MAX_KEPT:
            raise GroupError(f"more than {MAX_KEPT} members out")
        for entry in new:
            self._marks.raise_mark(self._prefix + entry.member.hex(), entry.rank)
        return bool(new)

    def is_out(self, identity: str) -> bool:
        """Whether a member is removed."""
        member = member_hash(identity)
        return any(entry.is_out for entry in self.entries() if entry.member == member)

    def note(self, identity: str, *, is_out: bool, now_ntp_s: float) -> None:
        """Remove a member, or let it in again. Raises RecordError, or GroupError if the list has no room for it."""
        member = member_hash(identity)
        known = {entry.member: entry for entry in self.entries()}
        if member not in known and len(known) >= MAX_LISTED:
            raise GroupError(f"the list of members out is full with {MAX_LISTED}: the group needs another identity")
        second = max(int(now_ntp_s), known[member].ntp_s + 1 if member in known else 0)
        self.merge((Removal(member=member, ntp_s=second, is_out=is_out),))

    def missing_from(self, listed: RemovalList) -> RemovalList:
        """The removals that a key's list lacks, or contradicts with an older entry."""
        by_member = {entry.member: entry for entry in listed}

        def is_missing(entry: Removal) -> bool:
            of_key = by_member.get(entry.member)
            return of_key is None or (not of_key.is_out and of_key.rank < entry.rank)

        return tuple(entry for entry in self.entries() if entry.is_out and is_missing(entry))
