"""What `LteSidelink` asks of the PHY of its UE: `UePhy` over samples, or a model of it over whole subframes.

A model lets scheduler, layer 2 and all above run as they are at a hundredth of the cost, for crowds: it says which SCI
and which block is heard, not what the samples were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from radio.arrays import Iq
from radio.phy.lte.channels.indications import Indication, SlssDetected, Synchronised
from radio.phy.lte.channels.transmissions import Transmission
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools


class SidelinkPhy(Protocol):
    """The PHY of one UE; see `UePhy` for what each method does."""

    @property
    def carrier(self) -> Carrier:
        """Its channel: width and rate."""

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""

    def receive(self, iq: Iq, first_sample: int) -> Iterable[Indication]:
        """Take samples in, any number of them."""

    def transmit(self, subframe: int, transmissions: Sequence[Transmission]) -> tuple[Iq, int]:
        """The burst of a subframe, and its first sample."""

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:
        """Be a synchronisation reference."""

    def follow(self, source: SlssDetected) -> Synchronised:
        """Take a source that was detected as reference."""

    def scan(self, n_subframes: int) -> None:
        """Search the next subframes for sources."""


PhyMaker: TypeAlias = Callable[[SidelinkPools, frozenset[int]], SidelinkPhy]
"""(pools, group destination ids whose PSSCH is received) -> a PHY."""
