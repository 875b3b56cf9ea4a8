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
    members_out: tuple[str, ...] = ()
    """Identities that the key keeps out."""
    why: str = "planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochFailed:
    """Keyer: a key that was due can't be made; it is tried again."""

    group: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochYielded:
    """Keyer: another keyer's key has the greater mark, so this one's is given out no more."""

    group: str
    epoch: int
    keyer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeySent:
    """Keyer: a keying message was put out for the first time."""

    group: str
    epoch: int
    recipient: str
    peer_l2: int
    octets: int
    """Size of the keying message."""
    answers_ask: bool = False
    """The message answers an ask of the recipient."""


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
class GroupRemovalsLearnt:
    """Keyer: another keyer's message says who is out, and this one goes by it from now on."""

    group: str
    keyer: str
    members_out: tuple[str, ...]
    """Who is out: identities, or their hashes in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRemovalDone:
    """Keyer: a member has shown that it holds a key that the removed one does not get."""

    group: str
    removed: str
    """Who is out: an identity, or its hash in hex where another keyer removed it."""
    member: str
    """Identity of the member that holds the key."""
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAskAnswered:
    """Keyer: a member asked for the key and is sent it."""

    group: str
    member: str
    """Identity of the member."""
    epoch: int
    new_epoch: bool
    """A new key was made for the ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyReceived:
    """Member: a keyer's message passed every check, and its key is held."""

    group: str
    group_l2: int
    epoch: int
    pgk_id: int
    mode: int
    eea: int
    keyer: str
    peer_l2: int
    octets: int
    """Size of the keying message."""
    how: str = "a new key is held"
    """What became of it, in words."""
    reads_only: bool = False
    """The message was old: the key may be superseded, and nothing is sent under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyConfirmed:
    """Member: the key held may be sent under; a fresh message or an answer has named it."""

    group: str
    epoch: int
    keyer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRestarted:
    """Member: it holds the key of before its restart again; `why` says what it can't tell from now on."""

    group: str
    epoch: int
    why: str = "PDUs received before the restart can't be told from new ones"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAsked:
    """Member: it asks a keyer for the group's key."""

    group: str
    keyer: str
    why: str
    tries: int
    """How often in a row."""
    octets: int
    """Size of the ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAskFailed:
    """Member: an ask can't be made; it is tried again."""

    group: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUnsure:
    """Member: its key may be an old one."""

    group: str
    speaks: bool
    """It sends under the key all the same."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeysWiped:
    """A group's last key went: it expired, or this UE left."""

    group: str
    why: str


GroupEvent: TypeAlias = (
    GroupEpochStarted
    | GroupEpochFailed
    | GroupEpochYielded
    | GroupKeySent
    | GroupKeyDelivered
    | GroupKeyUndelivered
    | GroupRemovalsLearnt
    | GroupRemovalDone
    | GroupAskAnswered
    | GroupKeyReceived
    | GroupKeyConfirmed
    | GroupRestarted
    | GroupAsked
    | GroupAskFailed
    | GroupUnsure
    | GroupKeysWiped
)
