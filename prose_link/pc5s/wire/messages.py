"""The PC5 signalling messages of the `identity` profile as values (PROFILE 3; TS 24.334 12.5.1.1 for the types).

Fields stand in the order of the wire. Identities are URIs in canonical form, layer-2 ids 24-bit integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self, TypeAlias


class MessageType(IntEnum):
    """First octet of a PC5-S message (TS 24.334 12.5.1.1)."""

    REQUEST = 1
    ACCEPT = 2
    REJECT = 3
    KEEPALIVE = 4
    KEEPALIVE_ACK = 5
    RELEASE = 6
    RELEASE_ACCEPT = 7
    REKEYING_REQUEST = 15
    REKEYING_RESPONSE = 16
    REKEYING_TRIGGER = 17


class Cause(IntEnum):
    """Why a request is refused; 1..7 of TS 24.334 (unconfirmed numbers), 0x80 up of this profile."""

    NOT_ALLOWED = 1
    AUTHENTICATION_FAILURE = 2
    L2_ID_CONFLICT = 3
    LACK_OF_RESOURCES = 4
    IP_VERSION_MISMATCH = 5
    OTHER = 6
    ALGORITHMS_MISMATCH = 7
    TIME_OR_KEY_PERIOD = 0x80
    MUTUAL_AUTHENTICATION_POLICY = 0x81


class ReleaseReason(IntEnum):
    """Why a link is released (TS 24.334, values as third-party code has them)."""

    NO_LONGER_NEEDED = 1
    NO_LONGER_ALLOWED = 2
    NO_LONGER_AVAILABLE = 3


class IpAddressConfig(IntEnum):
    """What a UE offers for IP address allocation on the link."""

    DHCPV4_SERVER = 1
    IPV6_ROUTER = 2
    DHCPV4_SERVER_AND_IPV6_ROUTER = 3
    NOT_SUPPORTED = 4


class Kdf(IntEnum):
    """High nibble of the profile octet: which table of FC numbers makes the keys."""

    FC33303 = 0
    FC33536 = 1


class Mutual(IntEnum):
    """Bits 1-2 of the flags octet: is the responder's own I_MESSAGE asked for."""

    NOT_WANTED = 0
    WANTED = 1
    REQUIRED = 2


class Purpose(IntEnum):
    """Bits 3-4 of the flags octet."""

    ONE_TO_ONE = 0
    GROUP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileAndFlags:
    """IE 0x42: profile version 1 with its table of FC numbers, and what the link is for."""

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
    """IE 0x46: which group key an I_MESSAGE brings (PROFILE 11). `expiry_ntp_s`: NTP seconds, 32 bits."""

    group_l2_id: int
    pgk_id: int
    epoch: int
    expiry_ntp_s: int
    eea: int
    mode: int
    group_identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRequest:
    """DCR: Direct Connection Request, UE-A to UE-B. `nonce_1` 16 octets, `link_local` 16 octets or None."""

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
    group_info: GroupInfo | None = None
    i_message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAccept:
    """DCA: Direct Connection Accept, UE-B to UE-A. `request_hash` (HR) 32, `nonce_2` and conf_R 16 octets each."""

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
    confirmation: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectReject:
    """Refusal of a request. `request_hash`: first 8 octets of HR; `cause`: a number, since it may be unknown here."""

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
    """Asks for a new context of a link; with `i_message` for a new KD too. `nonce_1` 16 octets."""

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
