"""What a group keying message says besides its SSV (PROFILE 11), and the GMKs of other systems."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from security.ciphers.algorithms import Eea
from security.groups.errors import GroupError
from security.identifiers import identity_octets
from security.mikey.i_message import IMessage
from security.mikey.key_derivation import guk_id
from security.mikey.profile_form import EXTENSION_TYPE

PGK_INDEX_BITS: Final = 0x1F
"""The PGK index of a PDCP header: the 5 LSB of the PGK ID (TS 36.323 6.3.12)."""
MAX_EPOCH: Final = 0xFFFFFFFF
EPOCHS_BEGIN_NTP_S: Final = 3_786_825_600
"""2020-01-01T00:00:00Z: an epoch is at least the seconds from then to its making (PROFILE 11)."""
MAX_L2_ID: Final = 0xFFFFFF
GMK_TAG: Final = 0x0
"""Purpose tag of a GMK (TS 33.180 5.2)."""


class KeyingMode(IntEnum):
    """To whom a group's key is encapsulated (P)."""

    GROUP_IDENTITY = 0
    """Once, to the group identity: every holder of its RSK opens it, and can't be excluded before the period ends."""
    PER_MEMBER = 1
    """The same SSV to each member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeying:
    """A group key's description, the fields of the Group info IE: 24-bit layer-2 id, epoch and expiry of 32 bits."""

    group_identity: str
    group_l2: int
    pgk_id: int
    epoch: int
    expiry_ntp_s: int
    eea: int
    mode: int

    def __post_init__(self) -> None:
        identity_octets(self.group_identity)
        if not 1 <= self.group_l2 < MAX_L2_ID:
            raise GroupError(f"group layer-2 id 0x{self.group_l2:x} is not in 1..0xFFFFFE")
        if not 0 <= self.pgk_id <= 0xFF or not self.pgk_id & PGK_INDEX_BITS:
            raise GroupError(f"PGK ID {self.pgk_id} has no PGK index other than 0")
        if not 1 <= self.epoch <= MAX_EPOCH or not 0 <= self.expiry_ntp_s <= 0xFFFFFFFF:
            raise GroupError(f"epoch {self.epoch} or expiry {self.expiry_ntp_s} out of range")
        if self.eea not in tuple(Eea) or self.eea == Eea.EEA0_NULL:
            raise GroupError(f"128-EEA{self.eea} does not cipher group traffic")
        if self.mode not in tuple(KeyingMode):
            raise GroupError(f"group keying mode {self.mode} is neither 0 nor 1")

    @property
    def pgk_index(self) -> int:
        """What PDCP headers show of the PGK ID (5 bits)."""
        return self.pgk_id & PGK_INDEX_BITS


def epoch_at(ntp_s: float) -> int:
    """The epoch that a key made at a time has, unless a higher one was known."""
    return max(0, int(ntp_s) - EPOCHS_BEGIN_NTP_S)


def imported_gmk_id(i_message: IMessage, gmk: bytes, user_uri: str) -> int:
    """GMK-ID of a 33.180 GMK message that a member opened: its CSB-ID is the member's GUK-ID (TS 33.180 5.2, F.1.3).

    Only for groups set up with `import-mcx-gmk`. Raises GroupError for a message with another purpose, or with the
    extension that ties I_MESSAGEs of this profile to their place.
    """
    if i_message.csb_id >> 28 != GMK_TAG:
        raise GroupError(f"CSB-ID 0x{i_message.csb_id:08x} is no GUK-ID: the message brings no GMK")
    if any(extension.kind == EXTENSION_TYPE for extension in i_message.extensions):
        raise GroupError("an I_MESSAGE bound to a link or group of this profile is no GMK message")
    return guk_id(gmk, i_message.csb_id, user_uri)
