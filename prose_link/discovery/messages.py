"""PC5_DISCOVERY messages as values (TS 24.334 11.2.5; layouts of group member and relay bodies unconfirmed).

Codes are 23 octets; user info ids 48 bits; ProSe UE ids 24 bits: they are the sender's layer-2 id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, TypeAlias


class DiscoveryType(IntEnum):
    """First octet: discovery type (2 bits), content type (4), model (2)."""

    OPEN_ANNOUNCEMENT = 0x41
    RESTRICTED_ANNOUNCEMENT = 0x81
    RESTRICTED_RESPONSE = 0x82
    RESTRICTED_QUERY = 0x86
    RELAY_ANNOUNCEMENT = 0x91
    RELAY_RESPONSE = 0x92
    RELAY_SOLICITATION = 0x96
    GROUP_MEMBER_ANNOUNCEMENT = 0x99
    GROUP_MEMBER_RESPONSE = 0x9A
    GROUP_MEMBER_SOLICITATION = 0x9E


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAnnouncement:
    """Model A: a ProSe application code that any UE may read."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.OPEN_ANNOUNCEMENT
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedAnnouncement:
    """Model A: a restricted code."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.RESTRICTED_ANNOUNCEMENT
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedQuery:
    """Model B: asks for the UEs that have this query code."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.RESTRICTED_QUERY
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedResponse:
    """Model B: the response code to a query."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.RESTRICTED_RESPONSE
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMemberAnnouncement:
    """Model A: a member of a discovery group is here."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.GROUP_MEMBER_ANNOUNCEMENT
    discovery_group_id: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMemberSolicitation:
    """Model B: is this member of the group here; `target_user_info_id` 0 asks for any member."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.GROUP_MEMBER_SOLICITATION
    discovery_group_id: int
    user_info_id: int
    target_user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMemberResponse:
    """Model B: a member of the group answers."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.GROUP_MEMBER_RESPONSE
    discovery_group_id: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAnnouncement:
    """Model A: a relay offers a service."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.RELAY_ANNOUNCEMENT
    relay_service_code: int
    user_info_id: int
    prose_ue_id: int
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySolicitation:
    """Model B: is there a relay for a service."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.RELAY_SOLICITATION
    relay_service_code: int
    user_info_id: int
    prose_ue_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayResponse:
    """Model B: a relay answers."""

    TYPE: ClassVar[DiscoveryType] = DiscoveryType.RELAY_RESPONSE
    relay_service_code: int
    user_info_id: int
    prose_ue_id: int
    status: int


DiscoveryMessage: TypeAlias = (
    OpenAnnouncement
    | RestrictedAnnouncement
    | RestrictedQuery
    | RestrictedResponse
    | GroupMemberAnnouncement
    | GroupMemberSolicitation
    | GroupMemberResponse
    | RelayAnnouncement
    | RelaySolicitation
    | RelayResponse
)
