"""What the group roles of a PC5-S entity tell their owner; `group` is a group identity, no event holds a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochStarted:
    """Keyer: a new key, which goes to each recipient in a keying message of its own."""

    group: str
    group_l2: int
    epoch: int
    pgk_id: int
    mode: int
    expiry_ntp_s: int
    """When the key expires, seconds since 1900."""
    recipients: tuple[str, ...]
    """Identities that are sent it: members, or the group's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeySent:
    """Keyer: a keying message was put out for the first time."""

    group: str
    epoch: int
    recipient: str
    peer_l2: int
    octets: int
    """Size of the keying message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyDelivered:
    """Keyer: a member has proved by its receipt that it holds the key; to a group identity: it was sent as planned."""

    group: str
    epoch: int
    recipient: str
    receipt: bool
    """A receipt came; to a group identity there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyUndelivered:
    """Keyer: no receipt came."""

    group: str
    epoch: int
    recipient: str
    cause: int | None
    """That of an unauthenticated Reject, None without one."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyReceived:
    """Member: a keyer's message passed every check, and its key is in use."""

    group: str
    group_l2: int
    epoch: int
    pgk_id: int
    mode: int
    eea: int
    keyer: str
    """Identity of the keyer."""
    peer_l2: int
    octets: int
    """Size of the keying message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeysWiped:
    """A group's last key went: it expired, or this UE left."""

    group: str
    why: str


GroupEvent: TypeAlias = (
    GroupEpochStarted | GroupKeySent | GroupKeyDelivered | GroupKeyUndelivered | GroupKeyReceived | GroupKeysWiped
)
