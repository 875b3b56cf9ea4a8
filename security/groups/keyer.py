"""A group's keyer: epochs that only rise, and which member gets which key when members come and go (PROFILE 11).

A group key has an epoch, a number that only rises: a member takes a keying message only if its epoch is above the last
one it took, so an old key can't be brought back. The keyer puts an epoch on record before the key goes out, and takes
at least the time as epoch, so that one whose record is lost does not fall behind.

There are two ways to send a key. To the group identity: one message, opened by every holder of that identity's receiver
key, who can't be excluded before the key period ends. Per member: one message to each. A member that joins gets the
current key, or, with backward secrecy, everybody gets a new one. A member that leaves always means a new epoch, per
member, since it could open anything sent to the group identity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from security.groups.errors import GroupError
from security.groups.keying import MAX_EPOCH, PGK_INDEX_BITS, GroupKeying, KeyingMode, epoch_at
from security.groups.membership import Marks
from security.identifiers import identity_octets
from security.link.key_ladder import SSV_OCTETS
from security.random_source import RandomSource


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyingOrder:
    """One I_MESSAGE of kind 3 to make for each recipient, all with this SSV. The SSV doesn't show in repr."""

    keying: GroupKeying
    ssv: bytes = field(repr=False)
    recipients: tuple[str, ...]


class SsvSource(Protocol):
    """Where a group's SSVs come from: they must suit the members that get them."""

    def draw(self, recipients: tuple[str, ...]) -> bytes:
        """A fresh SSV of 16 octets for these identities."""

    def suits(self, ssv: bytes, recipient: str) -> bool:
        """Whether an SSV in use may go to one more identity."""


class GroupKeyer:
    """Makes the epochs of one group. Removing a member always takes the per-member form.

    `marks` is the device's record: an epoch is on disk before its key goes out. Between epochs the SSV is kept for
    members that join, unless `backward_secrecy` gives a joiner a new epoch. SSVs come from `ssvs`, else from `random`.
    """

    def __init__(
        self,
        *,
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
        self.members = frozenset(members)
        for member in self.members:
            identity_octets(member)
        self.mode = mode
        self._identity, self._group_l2, self._eea = group_identity, group_l2, eea
        self._marks, self._backward_secrecy = marks, backward_secrecy
        self._random, self._ssvs = random, ssvs
        self._current: KeyingOrder | None = None

    def __repr__(self) -> str:
        return f"GroupKeyer({self._identity}, {len(self.members)} members)"

    def new_epoch(self, *, expiry_ntp_s: int, now_ntp_s: float = 0.0) -> KeyingOrder:
        """A fresh key for all members; raises GroupError where epochs are used up, RecordError where none is kept.

        The epoch is at least the time of its making, so that a keyer whose record is lost is not behind for ever.
        `now_ntp_s` 0 is for a keyer without a clock: it counts.
        """
        known = max(self._marks.mark(self._mark_name), self._marks.mark(f"group {self._identity} epoch"))
        epoch = max(known + 1, epoch_at(now_ntp_s))
        if epoch > MAX_EPOCH:
            raise GroupError(f"all epochs of {self._identity} are used: it needs another group identity")
        keying = GroupKeying(
            group_identity=self._identity,
            group_l2=self._group_l2,
            pgk_id=self._free_pgk_id(epoch, known),
            epoch=epoch,
            expiry_ntp_s=expiry_ntp_s,
            eea=self._eea,
            mode=self.mode,
        )
        self._marks.raise_mark(self._mark_name, epoch)
        everyone = (self._identity,) if self.mode == KeyingMode.GROUP_IDENTITY else tuple(sorted(self.members))
        self._current = KeyingOrder(keying=keying, ssv=self._fresh_ssv(everyone), recipients=everyone)
        return self._current

    def _free_pgk_id(self, epoch: int, known: int) -> int:
        """A PGK ID whose index is another than that of the key before, which is still received under for a while."""
        before = self._current.keying.pgk_id if self._current else known % PGK_INDEX_BITS + 1
        pgk_id = epoch % PGK_INDEX_BITS + 1
        return pgk_id if pgk_id != before else pgk_id % PGK_INDEX_BITS + 1

    def add(self, member: str, *, expiry_ntp_s: int, now_ntp_s: float = 0.0) -> KeyingOrder:
        """A joiner's key: the current one, to the joiner alone; a new epoch for all with backward secrecy.

        Also where the current SSV doesn't suit the joiner.
        """
        identity_octets(member)
        self.members |= {member}
        current = self._current
        if self._backward_secrecy or current is None or self.mode == KeyingMode.GROUP_IDENTITY:
            return self.new_epoch(expiry_ntp_s=expiry_ntp_s, now_ntp_s=now_ntp_s)
        if self._ssvs is not None and not self._ssvs.suits(current.ssv, member):
            return self.new_epoch(expiry_ntp_s=expiry_ntp_s, now_ntp_s=now_ntp_s)
        return KeyingOrder(keying=current.keying, ssv=current.ssv, recipients=(member,))

    def remove(self, member: str, *, expiry_ntp_s: int, now_ntp_s: float = 0.0) -> KeyingOrder:
        """A new epoch, one I_MESSAGE for each member that stays; the group is keyed per member from then on.

        A message to the group identity would be opened by the member that leaves: it holds that RSK until the key
        period ends. Raises GroupError for an identity that is no member.
        """
        if member not in self.members:
            raise GroupError(f"{member} is no member of {self._identity}")
        self.members -= {member}
        self.mode = KeyingMode.PER_MEMBER
        return self.new_epoch(expiry_ntp_s=expiry_ntp_s, now_ntp_s=now_ntp_s)

    def wipe(self) -> None:
        """Let go of the current key."""
        self._current = None

    def _fresh_ssv(self, recipients: tuple[str, ...]) -> bytes:
        return self._random(SSV_OCTETS) if self._ssvs is None else self._ssvs.draw(recipients)

    @property
    def _mark_name(self) -> str:
        return f"group {self._identity} keyer"
