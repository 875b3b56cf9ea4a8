"""Events of the group roles of a PC5-S entity; `group` is a group identity, and no event holds a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochStarted:
    """Keyer: it made a new key, and sends each recipient a keying message of its own."""

    group: str
    group_l2: int
    epoch: int
    pgk_id: int
    mode: int
    expiry_ntp_s: int
    """When the key expires, seconds since 1900."""
    recipients: tuple[str, ...]
    """Identities that get the key: members, or the identity of the group."""
    members_out: tuple[str, ...] = ()
    """Identities that don't get the key."""
    why: str = "planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochFailed:
    """Keyer: it can't make a key that was due; it will try again."""

    group: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochYielded:
    """Keyer: another keyer's key has the greater mark, so this keyer distributes its own no more."""

    group: str
    epoch: int
    keyer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeySent:
    """Keyer: it sent a keying message for the first time."""

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
    """Keyer: a member proved by its receipt that it holds the key; for a group identity: all copies were sent."""

    group: str
    epoch: int
    recipient: str
    receipt: bool
    """Whether a receipt came; a message to a group identity gets none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyUndelivered:
    """Keyer: no receipt came."""

    group: str
    epoch: int
    recipient: str
    cause: int | None
    """Cause of an unauthenticated Reject, None without one."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRemovalsLearnt:
    """The UE recorded removals from a keyer's message. It sends under no key that leaves out one of them."""

    group: str
    keyer: str
    members_out: tuple[str, ...]
    """The removed members: identities, or their hashes in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRemovalDone:
    """Keyer: a member has shown that it holds a key that the removed member does not get."""

    group: str
    removed: str
    """The removed member: its identity, or its hash in hex if another keyer removed it."""
    member: str
    """Identity of the member that holds the key."""
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAskAnswered:
    """Keyer: a member asked for the key, and the keyer sends it."""

    group: str
    member: str
    """Identity of the member."""
    epoch: int
    new_epoch: bool
    """Whether the keyer made a new key for the ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyReceived:
    """Member: a keyer's message passed every check, and the member now holds its key."""

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
    """What the member did with the key, in words."""
    reads_only: bool = False
    """Whether nothing is sent under the key: its message was old, so that the key may be superseded, or it leaves out a
    removal.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyConfirmed:
    """Member: it may send under the key that it holds, since a fresh message or an answer has named it."""

    group: str
    epoch: int
    keyer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRestarted:
    """Member: it holds the key from before its restart again; `why` says what it can't distinguish from now on."""

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
    """Member: it can't make an ask; it will try again."""

    group: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUnsure:
    """Member: its key may be old, or leaves out a removal that this UE has learnt."""

    group: str
    speaks: bool
    """Whether it sends under the key nevertheless."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeysWiped:
    """The last key of a group is wiped: it expired, or this UE left the group."""

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
