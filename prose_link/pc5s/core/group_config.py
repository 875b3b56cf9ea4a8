"""The configuration of a group at a UE: identity, addresses, keyers, how its keys are distributed (PROFILE 11)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from prose_link.errors import ProseLinkError
from prose_link.pc5s.wire.elements import MAX_GROUP_IDENTITY_OCTETS
from prose_link.pc5s.wire.messages import GroupInfo, MemberOut, MemberState
from security.groups import GroupKeying, KeyingMode, Removal, RemovalList
from security.groups.keying import MAX_KEYERS

KEY_LIFETIME_S: Final = 24 * 3600
"""How long a group key is used without a new epoch: as long as a KD (PROFILE 2)."""


class GroupConfigError(ProseLinkError):
    """A group that contradicts itself, or an order that its keying mode cannot carry out."""


class AfterRestart(Enum):
    """Behaviour of a member that restarts without the key that it had."""

    SAME_KEY = "same-key"
    """It accepts the same key again."""
    ASK_NEW = "ask-new"
    """It asks for a new one: PDUs from before the restart then can't be accepted a second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """One group at one UE.

    `keyers` are the only identities whose keys this UE accepts; their order gives each its place. `members` is the
    keyer's list of identities that get keys at first. `receipts`: whether this UE answers a message that is addressed
    to it (mode 1) with a DCA. `asks`: whether a member that may be deaf asks for the key. `speak_unsure`: whether it
    sends under a key that may be old if no keyer answers. `deliver_when_heard`: whether a keyer sends its key again to
    a member that it could not reach, once discovery hears that member. `deferred_delivery`: whether it accepts keying
    messages older than W, to read only. Raises GroupConfigError.
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
    asks: bool = True
    restart: AfterRestart = AfterRestart.SAME_KEY
    speak_unsure: bool = False
    deliver_when_heard: bool = True
    deferred_delivery: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.keyers) <= MAX_KEYERS or len(set(self.keyers)) != len(self.keyers):
            raise GroupConfigError(f"{self.identity}: {len(self.keyers)} keyers; from 1 to {MAX_KEYERS} different ones")
        if self.identity in (*self.keyers, *self.members):
            raise GroupConfigError(f"{self.identity} is the group's own identity and can be neither keyer nor member")
        if len(self.identity) > MAX_GROUP_IDENTITY_OCTETS:
            raise GroupConfigError(f"a group identity of {len(self.identity)} octets; {MAX_GROUP_IDENTITY_OCTETS} fit")


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
        tag=keying.tag,
    )


def keying_of(info: GroupInfo) -> GroupKeying:
    """The key that a Group info IE describes.

    Raises security.groups.GroupError or IdentityError if there can be no such key.
    """
    return GroupKeying(
        group_identity=info.group_identity,
        group_l2=info.group_l2_id,
        pgk_id=info.pgk_id,
        epoch=info.epoch,
        expiry_ntp_s=info.expiry_ntp_s,
        eea=info.eea,
        mode=info.mode,
        tag=info.tag,
    )


def entries_of(removals: RemovalList) -> tuple[MemberOut, ...] | None:
    """The Group members out IE of a list of removals; None for an empty list."""
    entries = (
        MemberOut(member=one.member, ntp_s=one.ntp_s, state=MemberState.OUT if one.is_out else MemberState.IN_AGAIN)
        for one in removals
    )
    return tuple(entries) or None


def removals_of(entries: tuple[MemberOut, ...] | None) -> RemovalList:
    """The list of removals in a Group members out IE, sorted."""
    return tuple(
        sorted(
            Removal(member=one.member, ntp_s=one.ntp_s, is_out=one.state is MemberState.OUT) for one in entries or ()
        )
    )
