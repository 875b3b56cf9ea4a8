"""The description of a group key in a keying message, besides its SSV (PROFILE 11), and the GMKs of other systems.

The Group info element names the group, the key index, epoch, expiry, algorithm, mode and tag. The *tag* is derived from
the SSV, the keyer's identity and the element itself with its tag zero, so it binds them: a member recomputes it after
it has opened the SSV. The *mark* (epoch, tag) orders the keys of a group in the same way for all members, whatever
order messages come in. Each keyer has key indices of its own, by its place in the group's list of keyers, so that keys
of two keyers never share an index. An epoch is at least the number of seconds from 2020-01-01 to its making, so that a
keyer without its record does not fall behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from security.ciphers.algorithms import Eea
from security.groups.errors import GroupError, TagMismatch
from security.identifiers import identity_octets
from security.link.key_ladder import TAG_OCTETS, derive_pgk, derive_pgk_tag
from security.mikey.i_message import IMessage
from security.mikey.key_derivation import guk_id
from security.mikey.profile_form import EXTENSION_TYPE

PGK_INDEX_BITS: Final = 0x1F
"""The PGK index of a PDCP header: the 5 LSB of the PGK ID (TS 36.323 6.3.12)."""
MAX_EPOCH: Final = 0xFFFFFFFF
EPOCHS_BEGIN_NTP_S: Final = 3_786_825_600
"""2020-01-01T00:00:00Z: an epoch is at least the seconds from then to its making (PROFILE 11)."""
MAX_L2_ID: Final = 0xFFFFFF
MAX_KEYERS: Final = 8
"""Keyers of a group: each has PGK indices of its own by its place in the group's list (PROFILE 11)."""
TAG_BITS: Final = 8 * TAG_OCTETS
GMK_TAG: Final = 0x0
"""Purpose tag of a GMK (TS 33.180 5.2)."""


class KeyingMode(IntEnum):
    """The identity to which a group's key is encapsulated (P)."""

    GROUP_IDENTITY = 0
    """Once, to the group identity: every holder of its RSK opens it, and can't be excluded before the period ends."""
    PER_MEMBER = 1
    """The same SSV to each member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKeying:
    """A group key's description, the fields of the Group info IE: 24-bit layer-2 id, epoch and expiry of 32 bits.

    `tag`: 8 octets that bind it to its SSV; zero until it is made.
    """

    group_identity: str
    group_l2: int
    pgk_id: int
    epoch: int
    expiry_ntp_s: int
    eea: int
    mode: int
    tag: bytes = bytes(TAG_OCTETS)

    def __post_init__(self) -> None:
        identity_octets(self.group_identity)
        if len(self.tag) != TAG_OCTETS:
            raise GroupError(f"a tag of {len(self.tag)} octets")
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
        """The part of the PGK ID in PDCP headers (5 bits)."""
        return self.pgk_id & PGK_INDEX_BITS

    @property
    def mark(self) -> int:
        """(epoch, tag) as one integer of 96 bits: of two keys of a group the greater one counts, for all members."""
        return mark_of(self.epoch, self.tag)

    @property
    def octets(self) -> bytes:
        """The value of the Group info IE."""
        numbers = self.group_l2.to_bytes(3) + bytes([self.pgk_id]) + self.epoch.to_bytes(4)
        rest = self.expiry_ntp_s.to_bytes(4) + bytes([self.eea, self.mode, 0, 0])
        return numbers + rest + self.tag + self.group_identity.encode("ascii")

    def tagged(self, ssv: bytes, keyer: str) -> GroupKeying:
        """The same with the tag that belongs to an SSV and a keyer."""
        blank = replace(self, tag=bytes(TAG_OCTETS))
        return replace(self, tag=derive_pgk_tag(ssv, keyer=keyer, group_info=blank.octets))

    def derive_pgk(self, ssv: bytes, keyer: str) -> bytes:
        """The PGK, 32 octets. Raises TagMismatch if the tag belongs to another SSV or keyer."""
        if self.tagged(ssv, keyer).tag != self.tag:
            raise TagMismatch(f"the tag of epoch {self.epoch} of {self.group_identity} belongs to another key")
        return derive_pgk(ssv, keyer=keyer, group_info=self.octets)


def mark_of(epoch: int, tag: bytes) -> int:
    """(epoch, tag) as one integer."""
    return epoch << TAG_BITS | int.from_bytes(tag)


def mark_name(group_identity: str) -> str:
    """The name in the record of the greatest known mark of a group."""
    return f"group {group_identity} mark"


def place_of(pgk_id: int) -> int:
    """The place of the keyer, in its group's list, to which a PGK ID belongs."""
    return ((pgk_id & PGK_INDEX_BITS) - 1) % MAX_KEYERS


def pgk_ids_of(place: int) -> tuple[int, ...]:
    """The PGK IDs of a keyer by its place 0..7; the keyer takes them one after the other."""
    return tuple(index for index in range(1, PGK_INDEX_BITS + 1) if place_of(index) == place)


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
