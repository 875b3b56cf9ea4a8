"""Keys that a KMS issues and a UE holds: keys of group identities and discovery groups, and their allowed uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Use(StrEnum):
    """Allowed uses of an identity's keys. The KMS sends them with the keys; the UE obeys them."""

    ONE_TO_ONE = "one-to-one"
    GROUP = "group"
    OUT_OF_COVERAGE = "out-of-coverage"


ALL_USES: Final = frozenset(Use)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The right of a user to keys for one identity: for which uses, from and to when (NTP s; None: open)."""

    uri: str
    uses: frozenset[Use] = ALL_USES
    not_before_ntp_s: int | None = None
    not_after_ntp_s: int | None = None

    def covers(self, ntp_s: int) -> bool:
        """Whether the grant holds at a time."""
        return (self.not_before_ntp_s or 0) <= ntp_s and (self.not_after_ntp_s is None or ntp_s < self.not_after_ntp_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """The key of a group identity that each member holds: its RSK (257 octets) of a period; there is no signing key."""

    group_uri: str
    kms_uri: str
    uid: bytes
    key_period_no: int
    rsk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryKeys:
    """The keys of a discovery group or restricted code for a period, which each member or user holds; 32 octets each.

    DUIK makes MICs, DUSK scrambles, DUCK hides the bits under a mask (TS 33.303 6.1.3).
    """

    group: str
    kms_uri: str
    key_period_no: int
    duik: bytes = field(repr=False)
    dusk: bytes = field(repr=False)
    duck: bytes = field(repr=False)
