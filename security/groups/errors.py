"""Errors of a group's keys and traffic."""

from __future__ import annotations

from security.errors import SecurityError


class GroupError(SecurityError):
    """A group key, keying message or group PDU can't be accepted or made."""


class GroupExhausted(GroupError):
    """Every PTK ID is used under this key: sending stops until a keyer gives a new epoch."""


class GroupReplay(GroupError):
    """A group PDU with this sender, PTK ID and SN came before."""


class EpochAheadError(GroupError):
    """An epoch is further ahead of the clock than it may be: a keyer must not jump to the end of all epochs."""


class RemovalAheadError(GroupError):
    """A removal is dated further ahead of the clock than it may be: it could never be taken back."""


class LowerMarkError(GroupError):
    """The key's mark is below the greatest known: the group has a newer key."""


class WrongIndexError(GroupError):
    """The PGK ID isn't one of those of its keyer."""


class TagMismatch(GroupError):
    """The tag of a Group info doesn't belong to the SSV that came with it."""


class NoKeyHeld(GroupError):
    """No key is held for the PGK index of a PDU of this group."""
