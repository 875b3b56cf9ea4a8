"""One-to-many security: group keys with epochs, the ladder PGK -> PTK -> PEK, and the numbers of group traffic.

Group traffic has no integrity and no proof of its sender (TS 33.303 has none): any member can pose as any other, and
an outsider can flip bits of what is read.
"""

from security.groups.errors import EpochAheadError, GroupError, GroupExhausted, GroupReplay
from security.groups.keyer import GroupKeyer, KeyingOrder
from security.groups.keying import GroupKeying, KeyingMode, imported_gmk_id
from security.groups.membership import GroupMembership, Marks
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
    "Marks",
    "imported_gmk_id",
]
