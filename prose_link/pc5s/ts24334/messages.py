"""The messages of the `ts24334` profile as values (TS 24.334 11.4, 12.5; tables as third-party code has them).

Keepalives, Release and their answers are those of `prose_link.pc5s.wire.messages`: both profiles write them alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from prose_link.pc5s.wire.messages import (
    ChosenAlgorithms,
    IpAddressConfig,
    Keepalive,
    KeepaliveAck,
    MessageType,
    Release,
    ReleaseAccept,
    SecurityCapabilities,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """DIRECT_COMMUNICATION_REQUEST, UE_1 to UE_2. `signature` 129 octets; it names no target but a layer-2 id."""

    TYPE: ClassVar[MessageType] = MessageType.REQUEST
    sequence_number: int
    user_info: str
    ip_address_config: IpAddressConfig
    maximum_inactivity_period_s: int
    nonce_1: bytes
    capabilities: SecurityCapabilities
    kd_sess_id_msb: int
    kd_id: int | None = None
    relay_service_code: int | None = None
    signature: bytes | None = None
    link_local: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedAccept:
    """DIRECT_COMMUNICATION_ACCEPT: comes last, under the new context, and carries no keys."""

    TYPE: ClassVar[MessageType] = MessageType.ACCEPT
    sequence_number: int
    ip_address_config: IpAddressConfig
    link_local: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainReject:
    """DIRECT_COMMUNICATION_REJECT: a cause, and nothing that tells which request; unauthenticated."""

    TYPE: ClassVar[MessageType] = MessageType.REJECT
    sequence_number: int
    cause: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityModeCommand:
    """DIRECT_SECURITY_MODE_COMMAND, UE_2 to UE_1: capabilities replayed; KD in `encrypted_payload`, SAKKE to UE_1."""

    TYPE: ClassVar[MessageType] = MessageType.SECURITY_MODE_COMMAND
    sequence_number: int
    capabilities: SecurityCapabilities
    nonce_2: bytes
    algorithms: ChosenAlgorithms
    kd_sess_id_lsb: int
    kd_id_msb: int | None = None
    kd_freshness: bytes | None = None
    gpi: bytes | None = None
    user_info: str | None = None
    signature: bytes | None = None
    encrypted_payload: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityModeComplete:
    """DIRECT_SECURITY_MODE_COMPLETE, UE_1 to UE_2, ciphered under the new context."""

    TYPE: ClassVar[MessageType] = MessageType.SECURITY_MODE_COMPLETE
    sequence_number: int
    kd_id_lsb: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityModeReject:
    """DIRECT_SECURITY_MODE_REJECT, UE_1 to UE_2; unauthenticated. `rand`, `auts` are of UICC-based keys."""

    TYPE: ClassVar[MessageType] = MessageType.SECURITY_MODE_REJECT
    sequence_number: int
    cause: int
    rand: bytes | None = None
    auts: bytes | None = None


ModeMessage: TypeAlias = (
    SignedRequest
    | ProtectedAccept
    | PlainReject
    | Keepalive
    | KeepaliveAck
    | Release
    | ReleaseAccept
    | SecurityModeCommand
    | SecurityModeComplete
    | SecurityModeReject
)
