"""A group's keyer: it makes the next key, and decides which member gets which key (PROFILE 11).

A key's epoch is above the greatest one known, and at least the seconds from 2020 to its making. So a keyer whose record
is lost does not stay behind. The PGK ID is one of those that belong to the keyer's place in the group's list, one after
the other, so that no two keys held at once share an index. The tag binds the fields of the message to the SSV.

There are two ways to send a key. To the group identity: one message, which every holder of that identity's receiver key
opens; no member can be excluded before the key period ends. Per member: one message to each. A new member gets the
current key, or, with backward secrecy, all members get a new one. When a member leaves there is always a new epoch, per
member, since that member could open a message to the group identity. Removals are recorded and travel with each key
from then on. A removed member is never given a key, whichever keyer removed it, until it is let in again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from security.groups.errors import GroupError
from security.groups.keying import (
    MAX_EPOCH,
    MAX_KEYERS,
    TAG_BITS,
    GroupKeying,
    KeyingMode,
    epoch_at,
    mark_name,
    pgk_ids_of,
)
from security.groups.marks import Marks
from security.groups.removals import RemovalList, RemovalRecord, member_hash
from security.identifiers import identity_octets
from security.link.key_ladder import SSV_OCTETS
from security.random_source import RandomSource


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyingOrder:
    """One I_MESSAGE of kind 3 to make for each recipient, all with this SSV. The SSV doesn't show in repr."""

    keying: GroupKeying
    ssv: bytes = field(repr=False)
    removals: RemovalList
    recipients: tuple[str, ...]


class SsvSource(Protocol):
    """Source of a group's SSVs: they must suit the members that get them."""

    def draw(self, recipients: tuple[str, ...]) -> bytes:
        """A fresh SSV of 16 octets for these identities."""

    def suits(self, ssv: bytes, recipient: str) -> bool:
        """Whether an SSV in use may go to one more identity."""


class GroupKeyer:
    """Makes the keys of one group. Removing a member always uses the per-member form.

    `keyers`: all keyers of the group in the order of their places, `identity` among them. `members` leaves out
    `identity`; the other keyers get each key too. `marks` is the device's record. Between epochs the SSV is kept for
    members that join or ask, unless `backward_secrecy` makes a new epoch for a new member. SSVs come from `ssvs`, else
    from `random`.
    """

    def __init__(
        self,
        *,
        identity: str,
        keyers: tuple[str, ...],
        group_identity: str,
        group_l2: int,
        eea: int,
        mode: KeyingMode,
        members: Iterable[str],
        marks: Marks,
        random: RandomSource,
        ssvs: SsvSource | None = None,
        backward_secrecy: bool = True,
    ) -> None:
        self._listed = frozenset(members) - {identity}
        for member in self._listed:
            identity_octets(member)
        if len(keyers) > MAX_KEYERS or identity not in keyers or group_identity in keyers:
            raise GroupError(f"{identity} is not one of up to {MAX_KEYERS} keyers of {group_identity}")
        self._configured_mode = mode
        self._identity, self._keyers = identity, keyers
        self._group, self._group_l2, self._eea = group_identity, group_l2, eea
        self._marks, self._backward_secrecy = marks, backward_secrecy
        self._random, self._ssvs = random, ssvs
        self._removals = RemovalRecord(marks, group_identity)
        self._current: KeyingOrder | None = None

    def __repr__(self) -> str:
        return f"GroupKeyer({self._group}, {len(self._listed)} members listed)"

    @property
    def members(self) -> frozenset[str]:
        """The identities that get the group's keys, without keyers that aren't listed as members."""
        out = {entry.member for entry in self._removals.entries() if entry.is_out}
        return frozenset(member for member in self._listed if member_hash(member) not in out)

    @property
    def mode(self) -> KeyingMode:
        """How keys are sent: per member as soon as a member has been removed."""
        out = any(entry.is_out for entry in self._removals.entries())
        return KeyingMode.PER_MEMBER if out else self._configured_mode

    @property
    def current(self) -> KeyingOrder | None:
        """The key made last, None before the first one and after a wipe."""
        return self._current

    def serves(self, identity: str) -> bool:
        """Whether an identity gets the group's keys."""
        return identity != self._identity and (identity in self.members or identity in self._keyers)

    def new_epoch(self, *, expiry_ntp_s: int, now_ntp_s: float = 0.0, above: int = 0) -> KeyingOrder:
        """A fresh key for all members; its epoch is above `above` too.

        The caller installs it, which records its mark, before any message is sent. Raises GroupError if epochs or the
        list of removals are used up, RecordError if nothing can be recorded. `now_ntp_s` 0 is for a keyer without a
        clock: it counts.
        """
        known = max(self._marks.mark(mark_name(self._group)) >> TAG_BITS, above)
        epoch = max(known + 1, epoch_at(now_ntp_s))
        if epoch > MAX_EPOCH:
            raise GroupError(f"all epochs of {self._group} are used: it needs another group identity")
        removals = self._removals.listed(now_ntp_s)
        mode = self.mode
        others = frozenset(self._keyers) - {self._identity}
        recipients = (self._group,) if mode == KeyingMode.GROUP_IDENTITY else tuple(sorted(self.members | others))
        ssv = self._fresh_ssv(recipients)
        keying = GroupKeying(
            group_identity=self._group,
            group_l2=self._group_l2,
            pgk_id=self._next_pgk_id(),
            epoch=epoch,
            expiry_ntp_s=expiry_ntp_s,
            eea=self._eea,
            mode=mode,
        ).tagged(ssv, self._identity)
        self._current = KeyingOrder(keying=keying, ssv=ssv, removals=removals, recipients=recipients)
        return self._current

    def add(self, member: str, *, expiry_ntp_s: int, now_ntp_s: float = 0.0) -> KeyingOrder:
        """The key for a new member: the current one, for that member only; with backward secrecy a new epoch for all.

        There is a new epoch as well if the current SSV doesn't suit the new member, if it had been removed, or if
        another keyer's key is current.
        """
        identity_octets(member)
        self._check_is_person(member)
        was_out = self._removals.is_out(member)
        if was_out:
            self._removals.note(member, is_out=False, now_ntp_s=now_ntp_s)
        self._listed |= {member}
        current = self._current
        if self._backward_secrecy or was_out or current is None or self.mode == KeyingMode.GROUP_IDENTITY:
            return self.new_epoch(expiry_ntp_s=expiry_ntp_s, now_ntp_s=now_ntp_s)
        if self._ssvs is not None and not self._ssvs.suits(current.ssv, member):
            return self.new_epoch(expiry_ntp_s=expiry_ntp_s, now_ntp_s=now_ntp_s)
        return KeyingOrder(keying=current.keying, ssv=current.ssv, removals=current.removals, recipients=(member,))

    def remove(self, member: str, *, expiry_ntp_s: int, now_ntp_s: float = 0.0) -> KeyingOrder:
        """A new epoch, one I_MESSAGE for each member that stays; the group is keyed per member from then on.

        The removed member could open a message to the group identity: it holds that RSK until the key period ends.
        Raises GroupError for an identity that is no member, or is a keyer, whose signature would remain valid.
        """
        if member in self._keyers:
            raise GroupError(f"{member} is a keyer of {self._group}: take it off every member's list of keyers first")
        if member not in self.members:
            raise GroupError(f"{member} is no member of {self._group}")
        self._removals.note(member, is_out=True, now_ntp_s=now_ntp_s)
        return self.new_epoch(expiry_ntp_s=expiry_ntp_s, now_ntp_s=now_ntp_s)

    def missing_from(self, removals: RemovalList) -> RemovalList:
        """The recorded removals that a key's list lacks."""
        return self._removals.missing_from(removals)

    def name_of(self, member: bytes) -> str:
        """The identity for a hash in a removal, or the hash in hex if this keyer doesn't know the identity."""
        known = (identity for identity in self._listed if member_hash(identity) == member)
        return next(known, member.hex())

    def wipe(self) -> None:
        """Drop the current key."""
        self._current = None

    def _check_is_person(self, member: str) -> None:
        if member == self._group:
            raise GroupError(f"{member} is the group itself")

    def _next_pgk_id(self) -> int:
        """The next of this keyer's PGK IDs: another one than that of its last keys, also after restarts."""
        own = pgk_ids_of(self._keyers.index(self._identity))
        name = f"group {self._group} keys made"
        made = self._marks.mark(name) or self._random(1)[0]
        self._marks.raise_mark(name, made + 1)
        return own[made % len(own)]

    def _fresh_ssv(self, recipients: tuple[str, ...]) -> bytes:
        return self._random(SSV_OCTETS) if self._ssvs is None else self._ssvs.draw(recipients)
