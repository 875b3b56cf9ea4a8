"""One-to-many security: group keys with epochs, the ladder PGK -> PTK -> PEK, and the numbers of group traffic.

Group traffic has no integrity and no proof of its sender (TS 33.303 has none): any member can pose as any other, and
an outsider can flip bits of what is read.
"""

from security.groups.errors import (
    EpochAheadError,
    GroupError,
    GroupExhausted,
    GroupReplay,
    LowerMarkError,
    NoKeyHeld,
    RemovalAheadError,
    TagMismatch,
    WrongIndexError,
)
from security.groups.keyer import GroupKeyer, KeyingOrder
from security.groups.keying import GroupKeying, KeyingMode, imported_gmk_id
from security.groups.marks import Marks
from security.groups.membership import GroupMembership, Taken
from security.groups.removals import Removal, RemovalList, member_hash
from security.groups.traffic import GroupTraffic

__all__ = [
    "EpochAheadError",
    "GroupError",
    "GroupExhausted",
    "GroupKeyer",
    "GroupKeying",
    "GroupMembership",
    "GroupReplay",
    "GroupTraffic",
    "KeyingMode",
    "KeyingOrder",
    "LowerMarkError",
    "Marks",
    "NoKeyHeld",
    "Removal",
    "RemovalAheadError",
    "RemovalList",
    "TagMismatch",
    "Taken",
    "WrongIndexError",
    "imported_gmk_id",
    "member_hash",
]
