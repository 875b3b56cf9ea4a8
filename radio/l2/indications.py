"""Indications of layer 2 to the layers above it, and the PDUs it shows to captures."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from radio.l2.pdcp import SduType


class DropReason(enum.Enum):
    """Reasons why received data are dropped."""

    MALFORMED_MAC = "malformed-mac"
    NOT_ADDRESSED = "not-addressed"
    OWN_L2_ID = "own-l2-id"
    """The source is this UE's own layer-2 id: another UE uses it."""
    SENDER_TAKEN = "sender-taken"
    """The source is the layer-2 id from which this UE sends to its groups: another UE uses it, so this UE must draw a
    new one.
    """
    OWN_REPEATED = "own-repeated"
    """A block of this UE to a group, repeated unchanged: any sender can do that, so the id need not be in use
    elsewhere.
    """
    RESERVED_LCID = "reserved-lcid"
    MALFORMED_RLC = "malformed-rlc"
    MALFORMED_PDCP = "malformed-pdcp"
    UNPROTECTED = "unprotected"
    NOT_VERIFIED = "not-verified"
    SDU_TYPE = "sdu-type"
    """Of a type that nothing above PDCP takes, such as ARP where the user plane is IP (TS 36.323 6.3.14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SduReceived:
    """An SDU that passed PDCP; `protected` tells whether a security context vouches for it, `sn` is PDCP's number."""

    src_l2: int
    dst_l2: int
    lcid: int
    sdu_type: SduType
    kd_sess_id: int
    data: bytes
    protected: bool
    sn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Something received was dropped; fields that are not known yet are 0."""

    reason: DropReason
    detail: str
    src_l2: int = 0
    dst_l2: int = 0
    lcid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PduReceived:
    """A PDCP PDU that RLC has put together."""

    src_l2: int
    dst_l2: int
    lcid: int
    to_group: bool
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAddressed:
    """A transport block was meant for this UE or a group of its; `src_l2` sent it."""

    src_l2: int


MacIndication: TypeAlias = BlockAddressed | PduReceived | Dropped
"""What MAC and RLC tell the layer above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PduSeen:
    """One PDU as it crossed a layer, as on the air.

    `layer` is mib_sl, discovery, mac, rlc or pdcp, `direction` tx or rx; `subframe` is None for the present one.
    """

    layer: str
    direction: str
    src_l2: int
    dst_l2: int
    lcid: int
    data: bytes
    subframe: int | None = None


Observer: TypeAlias = Callable[[PduSeen], None]
