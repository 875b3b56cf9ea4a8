"""What a UE knows beforehand of a group: identity, addresses, keyers, how its keys are given out (PROFILE 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.messages import GroupInfo
from security.groups import GroupKeying, KeyingMode

KEY_LIFETIME_S: Final = 24 * 3600
"""How long a group key is used without a new epoch: as long as a KD (PROFILE 2)."""


class GroupConfigError(ProseLinkError):
    """A group that contradicts itself, or an order that its keying mode cannot carry out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """One group at one UE.

    `keyers` are the only identities whose keys are taken. `members` is the keyer's list of who gets keys at first.
    `receipts`: whether this UE answers a message of its own (mode 1) with a DCA.
    """

    identity: str
    l2_id: int
    keyers: tuple[str, ...]
    members: tuple[str, ...] = ()
    eea: int = 2
    mode: KeyingMode = KeyingMode.PER_MEMBER
    backward_secrecy: bool = True
    lifetime_s: int = KEY_LIFETIME_S
    receipts: bool = True


def info_of(keying: GroupKeying) -> GroupInfo:
    """The Group info IE that describes a key."""
    return GroupInfo(
        group_l2_id=keying.group_l2,
        pgk_id=keying.pgk_id,
        epoch=keying.epoch,
        expiry_ntp_s=keying.expiry_ntp_s,
        eea=keying.eea,
        mode=keying.mode,
        group_identity=keying.group_identity,
    )


def keying_of(info: GroupInfo) -> GroupKeying:
    """The key a Group info IE describes; raises security.groups.GroupError or IdentityError where it can't be one."""
    return GroupKeying(
        group_identity=info.group_identity,
        group_l2=info.group_l2_id,
        pgk_id=info.pgk_id,
        epoch=info.epoch,
        expiry_ntp_s=info.expiry_ntp_s,
        eea=info.eea,
        mode=info.mode,
    )
