"""What a KMS hands out and a UE holds: keys of group identities and discovery groups, and what keys may be used for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Use(StrEnum):
    """What an identity's keys may be used for. The KMS tells it with the keys; the UE keeps to it."""

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
    """What each member of a group identity holds: its RSK (257 octets) of a period, and no key to sign as the group."""

    group_uri: str
    kms_uri: str
    uid: bytes
    key_period_no: int
    rsk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryKeys:
    """What each member of a discovery group, or user of a restricted code, holds for a period; 32 octets each.

    DUIK makes MICs, DUSK scrambles, DUCK hides the bits under a mask (TS 33.303 6.1.3).
    """

    group: str
    kms_uri: str
    key_period_no: int
    duik: bytes = field(repr=False)
    dusk: bytes = field(repr=False)
    duck: bytes = field(repr=False)
