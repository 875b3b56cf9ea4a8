"""A member's group keys: which keying message is taken, how long a key lives, when it is wiped (PROFILE 11).

What is asked of a verified keying message, cheapest first and before its SAKKE payload is opened: an epoch above the
last on record, not far ahead of the clock, a time T not behind the last one's, not expired, and a layer-2 id that no
other group has. A copy of the message that is held changes nothing. When a key is taken, its marks (epoch, T) go to
disk first: a crash after that loses a key, never the order. The key before is received under for T_old more, and
keys are wiped when their time is over, with all that was derived from them.

A member whose record was lost can't tell old messages from new. It takes none dated before its start plus a window,
unless it comes over a link with the keyer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from security.groups.errors import EpochAheadError, GroupError
from security.groups.keying import GroupKeying, epoch_at
from security.link.key_ladder import derive_pgk

T_OLD_S: Final = 2.0
"""How long the PGK before the last is still received under (P)."""
WINDOW_S: Final = 300
"""W of the profile: a member whose marks are lost takes no message dated less than this after its start, and nobody an
epoch further ahead of its clock (P)."""


class Marks(Protocol):
    """Values that only rise and are on disk when `raise_mark` returns; `security.device.record.DeviceRecord` is one."""

    def mark(self, name: str) -> int:
        """The highest value ever raised for this name; 0 if none."""

    def raise_mark(self, name: str, value: int) -> None:
        """Bring a higher value to the disk; raises a SecurityError unless it is higher and was written."""


@dataclass(slots=True, kw_only=True)
class GroupKey:
    """A PGK in use (32 octets), and when its use ends."""

    keying: GroupKeying
    pgk: bytes | None = field(repr=False)
    signed_part_hash: bytes = field(repr=False)
    ends_ntp_s: float

    @property
    def live_pgk(self) -> bytes:
        """The PGK; raises GroupError once it is wiped."""
        if self.pgk is None:
            raise GroupError(f"the PGK of epoch {self.keying.epoch} of {self.keying.group_identity} is wiped")
        return self.pgk


class GroupMembership:
    """The group keys a UE holds. The caller has checked the message (form, keyer, signature) and opened its SSV.

    `marks_lost_at_ntp_s`: when the record was found lost; None while it is whole.
    """

    def __init__(self, *, marks: Marks, marks_lost_at_ntp_s: float | None = None, t_old_s: float = T_OLD_S) -> None:
        self._marks = marks
        self._t_old_s = t_old_s
        self._marks_lost_at_ntp_s = marks_lost_at_ntp_s
        self._keys: dict[int, list[GroupKey]] = {}
        self.on_wiped: Callable[[], None] = lambda: None
        """Called when PGKs were wiped, so that what was derived from them goes at the same time."""

    def check(
        self,
        keying: GroupKeying,
        *,
        signed_part_hash: bytes,
        t_ntp_s: float,
        now_ntp_s: float,
        over_link: bool = False,
    ) -> bool:
        """Whether a verified keying message brings a new key; False for a copy of the one that is held.

        Costs nothing, so that it can be asked before the SAKKE payload is opened. Raises GroupError: an epoch that
        does not rise, T behind the group's last, an expired key, a layer-2 id of another group, or marks that are
        lost and a message that may be older than they (`over_link`: it came over a link with the keyer).
        EpochAheadError: an epoch that jumps ahead of the clock.
        """
        held = self._current(keying.group_l2)
        if held is not None and held.signed_part_hash == signed_part_hash:
            return False
        name = keying.group_identity
        last = self._marks.mark(f"group {name} epoch")
        if keying.epoch <= last:
            raise GroupError(f"epoch {keying.epoch} of {name} is not above {last}")
        if keying.epoch > epoch_at(now_ntp_s) + WINDOW_S:
            raise EpochAheadError(f"epoch {keying.epoch} of {name} is further ahead of the clock than it may be")
        if int(t_ntp_s) < self._marks.mark(f"group {name} T"):
            raise GroupError(f"the keying message of {name} is older than the last one taken")
        if keying.expiry_ntp_s <= now_ntp_s:
            raise GroupError(f"epoch {keying.epoch} of {name} has expired")
        if held is not None and held.keying.group_identity != name:
            raise GroupError(f"group layer-2 id 0x{keying.group_l2:06x} is in use by {held.keying.group_identity}")
        lost = self._marks_lost_at_ntp_s
        if lost is not None and last == 0 and not over_link and t_ntp_s <= lost + WINDOW_S:
            raise GroupError(f"marks are lost, and this message of {name} may have been taken before")
        return True

    def install(
        self,
        keying: GroupKeying,
        ssv: bytes,
        *,
        signed_part_hash: bytes,
        t_ntp_s: float,
        now_ntp_s: float,
        over_link: bool = False,
    ) -> bool:
        """Take a group key: marks go to disk first, the key before is received under for T_old more.

        True if the key is new; False, and nothing at all changes, for a copy of the held one. Raises as `check`, and
        RecordError.
        """
        new = self.check(
            keying, signed_part_hash=signed_part_hash, t_ntp_s=t_ntp_s, now_ntp_s=now_ntp_s, over_link=over_link
        )
        if not new:
            return False
        pgk = derive_pgk(
            ssv,
            group_identity=keying.group_identity,
            group_l2=keying.group_l2.to_bytes(3, "big"),
            pgk_id=keying.pgk_id,
            epoch=keying.epoch,
        )
        self._marks.raise_mark(f"group {keying.group_identity} epoch", keying.epoch)
        if int(t_ntp_s) > self._marks.mark(f"group {keying.group_identity} T"):
            self._marks.raise_mark(f"group {keying.group_identity} T", int(t_ntp_s))
        for old in self._keys.get(keying.group_l2, [])[1:]:
            _wipe(old)
        kept = self._keys.get(keying.group_l2, [])[:1]
        for old in kept:
            old.ends_ntp_s = min(old.ends_ntp_s, now_ntp_s + self._t_old_s)
            if old.keying.pgk_index == keying.pgk_index:
                _wipe(old)
        ends_ntp_s = float(keying.expiry_ntp_s)
        key = GroupKey(keying=keying, pgk=pgk, signed_part_hash=signed_part_hash, ends_ntp_s=ends_ntp_s)
        self._keys[keying.group_l2] = [key, *(old for old in kept if old.pgk is not None)]
        self.on_wiped()
        return True

    def sending_key(self, group_l2: int) -> GroupKey:
        """The key to send under: the last epoch's; raises GroupError where none is held."""
        held = self._current(group_l2)
        if held is None:
            raise GroupError(f"no group key is held for 0x{group_l2:06x}")
        return held

    def receiving_key(self, group_l2: int, pgk_index: int) -> GroupKey:
        """The key a PDU's PGK index names; raises GroupError where none is held."""
        for key in self._keys.get(group_l2, []):
            if key.keying.pgk_index == pgk_index:
                return key
        raise GroupError(f"no group key with PGK index {pgk_index} is held for 0x{group_l2:06x}")

    @property
    def next_deadline_ntp_s(self) -> float | None:
        """When `expire` next has something to wipe."""
        return min((key.ends_ntp_s for keys in self._keys.values() for key in keys), default=None)

    def expire(self, now_ntp_s: float) -> None:
        """Wipe keys whose time is over: expired ones, and old ones T_old after their successor came."""
        for group_l2, keys in list(self._keys.items()):
            for key in keys:
                if key.ends_ntp_s <= now_ntp_s:
                    _wipe(key)
            self._keep(group_l2, [key for key in keys if key.pgk is not None])
        self.on_wiped()

    def wipe(self, group_l2: int) -> None:
        """Leave a group: all its keys go."""
        for key in self._keys.pop(group_l2, []):
            _wipe(key)
        self.on_wiped()

    def _keep(self, group_l2: int, keys: list[GroupKey]) -> None:
        if keys:
            self._keys[group_l2] = keys
        else:
            self._keys.pop(group_l2, None)

    def _current(self, group_l2: int) -> GroupKey | None:
        keys = self._keys.get(group_l2)
        return keys[0] if keys else None


def _wipe(key: GroupKey) -> None:
    key.pgk = None
