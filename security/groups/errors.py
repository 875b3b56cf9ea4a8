"""What can go wrong with a group's keys and traffic."""

from __future__ import annotations

from security.errors import SecurityError


class GroupError(SecurityError):
    """A group key, keying message or group PDU can't be taken or made."""


class GroupExhausted(GroupError):
    """Every PTK ID of this epoch is used: sending stops until a keyer gives a new epoch."""


class GroupReplay(GroupError):
    """A group PDU with this sender, PTK ID and SN came before."""


class EpochAheadError(GroupError):
    """An epoch is further ahead of the clock than it may be: a keyer must not jump to the end of all epochs."""
