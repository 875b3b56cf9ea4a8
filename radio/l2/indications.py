"""What layer 2 tells the layers above it, and the PDUs it shows to captures."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from radio.l2.pdcp import SduType


class DropReason(enum.Enum):
    """Why something received goes no further."""

    MALFORMED_MAC = "malformed-mac"
    NOT_ADDRESSED = "not-addressed"
    OWN_L2_ID = "own-l2-id"
    SENDER_TAKEN = "sender-taken"
    """From the layer-2 id that this UE sent to its groups from; it sends from another one now."""
    """The source is this UE's own layer-2 id: another UE uses it."""
    RESERVED_LCID = "reserved-lcid"
    MALFORMED_RLC = "malformed-rlc"
    MALFORMED_PDCP = "malformed-pdcp"
    UNPROTECTED = "unprotected"
    NOT_VERIFIED = "not-verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class SduReceived:
    """An SDU that passed PDCP; `protected` tells whether a security context vouches for it."""

    src_l2: int
    dst_l2: int
    lcid: int
    sdu_type: SduType
    kd_sess_id: int
    data: bytes
    protected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Something received was dropped; fields that are not known yet are 0."""

    reason: DropReason
    detail: str
    src_l2: int = 0
    dst_l2: int = 0
    lcid: int = 0


L2Indication: TypeAlias = SduReceived | Dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class PduSeen:
    """One PDU as it crossed a layer: `layer` is mac, rlc or pdcp, `direction` tx or rx, `data` as on the air."""

    layer: str
    direction: str
    src_l2: int
    dst_l2: int
    lcid: int
    data: bytes


Observer: TypeAlias = Callable[[PduSeen], None]
