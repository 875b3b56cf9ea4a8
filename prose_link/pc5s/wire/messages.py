"""The PC5 signalling messages of the `identity` profile as values (PROFILE 3; TS 24.334 12.5.1.1 for the types).

Fields stand in the order of the wire. Identities are URIs in canonical form, layer-2 ids 24-bit integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, Self, TypeAlias

PROFILE_VERSION: Final = 2
"""Low nibble of the profile octet: the second edition of the profile (PROFILE 3)."""
FIRST_EDITION: Final = 1
"""The earlier version. Its requests are decoded, so that the refusal can name the version (PROFILE 3)."""
GROUP_TAG_OCTETS: Final = 8
"""Octets of the tag in Group info (PROFILE 11)."""


class Worded(IntEnum):
    """Numbers of the wire, each with a name in words for dissectors, summaries and docs."""

    words: str

    def __new__(cls, number: int, words: str) -> Self:
        """A member from its number and its words."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.words = words
        return member

    @classmethod
    def words_by_number(cls) -> dict[int, str]:
        """The words of each number."""
        return {int(member): member.words for member in cls}


class MessageType(Worded):
    """First octet of a PC5-S message (TS 24.334 12.5.1.1); 0xF0 and 0xF1 are the lab's own."""

    REQUEST = 1, "Direct Connection Request"
    ACCEPT = 2, "Direct Connection Accept"
    REJECT = 3, "Direct Connection Reject"
    KEEPALIVE = 4, "Keepalive"
    KEEPALIVE_ACK = 5, "Keepalive Ack"
    RELEASE = 6, "Release"
    RELEASE_ACCEPT = 7, "Release Accept"
    SECURITY_MODE_COMMAND = 12, "Direct Security Mode Command"
    SECURITY_MODE_COMPLETE = 13, "Direct Security Mode Complete"
    SECURITY_MODE_REJECT = 14, "Direct Security Mode Reject"
    REKEYING_REQUEST = 15, "Rekeying Request"
    REKEYING_RESPONSE = 16, "Rekeying Response"
    REKEYING_TRIGGER = 17, "Rekeying Trigger"
    RELAY_FRAME = 0xF0, "Relay frame"
    RELAYED_PDCP = 0xF1, "Relayed PDCP PDU"


class Cause(Worded):
    """Why a request is refused; 1..7 of TS 24.334 (unconfirmed numbers), 0x80 up of the `identity` profile.

    8 and 9 stand in the Security Mode Reject of `ts24334` only (their meaning is unconfirmed).
    """

    NOT_ALLOWED = 1, "not allowed"
    AUTHENTICATION_FAILURE = 2, "authentication failure"
    L2_ID_CONFLICT = 3, "layer-2 id conflict"
    LACK_OF_RESOURCES = 4, "lack of resources"
    IP_VERSION_MISMATCH = 5, "IP version mismatch"
    OTHER = 6, "other"
    ALGORITHMS_MISMATCH = 7, "algorithms mismatch"
    KD_SESS_ID_CONFLICT = 8, "KD-sess ID conflict"
    UNSPECIFIED = 9, "unspecified"
    TIME_OR_KEY_PERIOD = 0x80, "time or key period"
    MUTUAL_AUTHENTICATION_POLICY = 0x81, "mutual authentication policy"
    PROFILE_VERSION = 0x82, "version of the profile"


class ReleaseReason(Worded):
    """Why a link is released (TS 24.334, values as third-party code has them)."""

    NO_LONGER_NEEDED = 1, "no longer needed"
    NO_LONGER_ALLOWED = 2, "no longer allowed"
    NO_LONGER_AVAILABLE = 3, "no longer available"


class IpAddressConfig(Worded):
    """What a UE offers for IP address allocation on the link."""

    DHCPV4_SERVER = 1, "DHCPv4 server"
    IPV6_ROUTER = 2, "IPv6 router"
    DHCPV4_SERVER_AND_IPV6_ROUTER = 3, "DHCPv4 server and IPv6 router"
    NOT_SUPPORTED = 4, "not supported"


class UserInfoType(Worded):
    """First octet of the value of User Info (PROFILE 2, unconfirmed)."""

    UPPER_LAYER = 1, "upper layer"


class Kdf(Worded):
    """High nibble of the profile octet: which table of FC numbers makes the keys."""

    FC33303 = 0, "fc33303"
    FC33536 = 1, "fc33536"


class Mutual(Worded):
    """Bits 1-2 of the flags octet: whether the sender asks for the responder's own I_MESSAGE."""

    NOT_WANTED = 0, "not wanted"
    WANTED = 1, "wanted"
    REQUIRED = 2, "required"


class Purpose(Worded):
    """Bits 3-4 of the flags octet."""

    ONE_TO_ONE = 0, "one-to-one"
    GROUP = 1, "group"
    GROUP_ASK = 2, "asks for a group's key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileAndFlags:
    """IE 0x42: the version of the profile with its table of FC numbers, and the purpose of the link."""

    version: int = PROFILE_VERSION
    kdf: Kdf = Kdf.FC33303
    mutual: Mutual
    purpose: Purpose = Purpose.ONE_TO_ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityCapabilities:
    """The algorithms a UE offers: numbers 0..7 of EEA and EIA."""

    eea: frozenset[int]
    eia: frozenset[int]

    @classmethod
    def of(cls, eea: Iterable[int], eia: Iterable[int]) -> Self:
        """Capabilities from any iterables of algorithm numbers."""
        return cls(eea=frozenset(eea), eia=frozenset(eia))

    def __and__(self, other: SecurityCapabilities) -> SecurityCapabilities:
        """The algorithms that both offer."""
        return SecurityCapabilities(eea=self.eea & other.eea, eia=self.eia & other.eia)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAlgorithms:
    """The ciphering and integrity algorithm of a context."""

    eea: int
    eia: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """IE 0x46: the group key that an I_MESSAGE brings, or for which an ask asks (PROFILE 11).

    `expiry_ntp_s`: NTP seconds, 32 bits; `tag`: 8 octets that bind the key to its SSV.
    """

    group_l2_id: int
    pgk_id: int
    epoch: int
    expiry_ntp_s: int
    eea: int
    mode: int
    group_identity: str
    tag: bytes = bytes(GROUP_TAG_OCTETS)


class MemberState(Worded):
    """Last octet of an entry of Group members out (PROFILE 11)."""

    OUT = 0, "out"
    IN_AGAIN = 1, "in again"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOut:
    """An entry of IE 0x79: a member that was removed from a group or let in again, and the NTP second (32 bits).

    `member`: the first 8 octets of a hash of the identity.
    """

    member: bytes
    ntp_s: int
    state: MemberState


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRequest:
    """DCR: Direct Connection Request, UE-A to UE-B. `nonce_1` 16 octets, `link_local` 16 octets or None.

    `request_hash` (32 octets) stands only in the answer to an ask for a group's key: HR of that ask.
    """

    TYPE: ClassVar[MessageType] = MessageType.REQUEST
    sequence_number: int
    user_info: str
    ip_address_config: IpAddressConfig
    maximum_inactivity_period_s: int
    nonce_1: bytes
    capabilities: SecurityCapabilities
    kd_sess_id_msb: int
    link_local: bytes | None = None
    target_user_info: str
    link_l2_id: int
    profile: ProfileAndFlags
    request_hash: bytes | None = None
    group_info: GroupInfo | None = None
    members_out: tuple[MemberOut, ...] | None = None
    i_message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAccept:
    """DCA: Direct Connection Accept, UE-B to UE-A. `request_hash` (HR) 32, `nonce_2` and conf_R 16 octets each.

    `key_proof` (8 octets) shows beside an I_MESSAGE, at the cost of a hash, that its sender could open the request's.
    """

    TYPE: ClassVar[MessageType] = MessageType.ACCEPT
    sequence_number: int
    ip_address_config: IpAddressConfig
    link_local: bytes | None = None
    user_info: str
    link_l2_id: int
    profile: ProfileAndFlags
    request_hash: bytes
    nonce_2: bytes
    algorithms: ChosenAlgorithms
    kd_sess_id_lsb: int
    i_message: bytes | None = None
    key_proof: bytes | None = None
    confirmation: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectReject:
    """Refusal of a request. `request_hash`: first 8 octets of HR; `cause`: a number, which may be unknown here."""

    TYPE: ClassVar[MessageType] = MessageType.REJECT
    sequence_number: int
    cause: int
    request_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """Keepalive; with counter 0 and `confirmation` (conf_I, 16 octets) it is the Confirm."""

    TYPE: ClassVar[MessageType] = MessageType.KEEPALIVE
    sequence_number: int
    counter: int
    confirmation: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepaliveAck:
    """Answer to a Keepalive, or with counter 0 to a Confirm."""

    TYPE: ClassVar[MessageType] = MessageType.KEEPALIVE_ACK
    sequence_number: int
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Ends a link."""

    TYPE: ClassVar[MessageType] = MessageType.RELEASE
    sequence_number: int
    reason: ReleaseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAccept:
    """Answer to a Release."""

    TYPE: ClassVar[MessageType] = MessageType.RELEASE_ACCEPT
    sequence_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyingRequest:
    """Asks for a new context of a link; with `i_message` also for a new KD. `nonce_1` has 16 octets."""

    TYPE: ClassVar[MessageType] = MessageType.REKEYING_REQUEST
    sequence_number: int
    capabilities: SecurityCapabilities
    nonce_1: bytes
    kd_sess_id_msb: int
    i_message: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyingResponse:
    """Answer to a Rekeying Request. `request_hash` 32, `nonce_2` 16, `confirmation` (conf_R) 16 octets."""

    TYPE: ClassVar[MessageType] = MessageType.REKEYING_RESPONSE
    sequence_number: int
    request_hash: bytes
    nonce_2: bytes
    algorithms: ChosenAlgorithms
    kd_sess_id_lsb: int
    i_message: bytes | None = None
    confirmation: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyingTrigger:
    """Asks the peer to send a Rekeying Request."""

    TYPE: ClassVar[MessageType] = MessageType.REKEYING_TRIGGER
    sequence_number: int


Message: TypeAlias = (
    DirectRequest
    | DirectAccept
    | DirectReject
    | Keepalive
    | KeepaliveAck
    | Release
    | ReleaseAccept
    | RekeyingRequest
    | RekeyingResponse
    | RekeyingTrigger
)
