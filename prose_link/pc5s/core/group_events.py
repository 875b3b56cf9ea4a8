"""What the group roles of a PC5-S entity tell their owner; `group` is a group identity, no event holds a key.

`member` and `removed` are identities, or the hash in hex by which a keyer knows somebody whom another one removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEpochStarted:
    """Keyer: a new key, of which each of `recipients` is told by a keying message of its own."""

    group: str
    group_l2: int
    epoch: int
    pgk_id: int
    mode: int
    expiry_ntp_s: int
    recipients: tuple[str, ...]
    members_out: tuple[str, ...] = ()
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
    """Keyer: a keying message of `octets` octets was put out for the first time."""

    group: str
    epoch: int
    recipient: str
    peer_l2: int
    octets: int
    answers_ask: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyDelivered:
    """Keyer: a member has proved by its receipt that it holds the key; to a group identity: it was sent as planned."""

    group: str
    epoch: int
    recipient: str
    receipt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeyUndelivered:
    """Keyer: no receipt came; `cause` is that of an unauthenticated Reject, if any."""

    group: str
    epoch: int
    recipient: str
    cause: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRemovalsLearnt:
    """Keyer: another keyer's message says who is out, and this one goes by it from now on."""

    group: str
    keyer: str
    members_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRemovalDone:
    """Keyer: a member has shown that it holds a key that the removed one does not get."""

    group: str
    removed: str
    member: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAskAnswered:
    """Keyer: a member asked for the key and is sent it; `new_epoch`: a new one was made for it."""

    group: str
    member: str
    epoch: int
    new_epoch: bool


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
    how: str = "a new key is held"
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
    """Member: it asks a keyer for the group's key, for the `tries`-th time in a row."""

    group: str
    keyer: str
    why: str
    tries: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAskFailed:
    """Member: an ask can't be made; it is tried again."""

    group: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUnsure:
    """Member: its key may be an old one. `speaks`: whether it sends under it all the same."""

    group: str
    speaks: bool
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
