"""The interface between layer 2 and a scheduler of any radio technology: demands and blocks of octets.

A scheduler calls `next_demand` for the pair to serve, chooses resources for it by its own rules, and then calls
`build_block` for each transport block of n octets when its first transmission is due. Blocks from the PHY come back as
a `ReceivedBlock`. Layer 2 has neither pools nor modulation; a scheduler has neither logical channels nor headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class AddressPair(NamedTuple):
    """Source and destination of MAC PDUs: what one destination is sent from two layer-2 ids goes in PDUs of two."""

    src_l2: int
    dst_l2: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The pair to serve next, and with how much: `octets` would empty its queues, headers counted.

    `signalling_octets` of them are PC5 signalling and go first.
    """

    pair: AddressPair
    octets: int
    signalling_octets: int
    to_group: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedBlock:
    """A transport block whose CRC held.

    `destination_octet` is the lowest octet of the destination, which travels beside the block (SCI format 0 in LTE,
    TS 36.213 14.1.1); `subframe` is that of its last transmission.
    """

    octets: bytes
    destination_octet: int
    subframe: int


class BlockSource(Protocol):
    """The source of a scheduler's transport blocks: the layer-2 stack.

    The scheduler calls `next_demand` once for each chance to take new resources, and `build_block` once for each block
    it sends, in the order of their first transmissions.
    """

    def next_demand(self) -> Demand | None:
        """The pair to serve now, None where nothing waits; a pair that is named counts as served."""

    def build_block(self, pair: AddressPair, n_octets: int, subframe: int) -> bytes | None:
        """The next transport block of `n_octets` for a pair, None where nothing waits for it any more.

        `subframe` is that of its first transmission.
        """
