"""Where PC5-S goes to and comes from: the traits of a carrier, a way by it, and the party at the way's end.

A *carrier* takes PC5-S PDUs between UEs: direct radio, a proxy, and others. What this package has to know of one is its
`CarrierTraits`, a value. A `Via` is a way by a carrier: its address means something to that carrier alone, and the rest
of the house compares and keeps it. An answer goes back by the via that the question came by, so no part has to know
what an address is.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from prose_link.errors import ProseLinkError

DIRECT: Final = "direct"
"""The carrier that is the sidelink itself."""
UNKNOWN_L2: Final = 0
"""Stands where a layer-2 id is not known: no UE can have it."""
N4100: Final = 4
"""Transmissions of a Request on carriers that repeat for themselves, and of a key to a whole group (PROFILE 2)."""
MAX_SDU_OCTETS: Final = 8188
"""The longest that PDCP takes (TS 36.323 4.3.1): no carrier has to take more."""


class CarrierError(ProseLinkError):
    """A carrier that can't be, can't be opened, or isn't fit for what is asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierTraits:
    """What is true of a carrier, whoever uses it. Raises CarrierError for traits that can't be."""

    name: str
    """Its name in configuration, events and captures."""
    addresses_count: bool
    """The layer-2 ids of its PDUs are those of radios: what a message says of its sender's must agree with them.

    Where they don't count, anybody can put any id into an envelope: then only a signed id is believed.
    """
    knows_sources: bool
    """Nobody can send in another's place: then each source has a bucket of its own (PROFILE 2)."""
    repeats_by_itself: bool
    """What is handed to it arrives, or it says so; else the sender's repetitions are all there is."""
    bears_links: bool
    """Protected PDUs of a link go by it; else they go by direct radio, whatever brought the set-up (PROFILE 12)."""
    t4100_s: float = 10.0
    """How long a Request waits for its answer before it goes out again (PROFILE 2)."""
    n4100: int = N4100
    """How often a Request goes out."""
    t4111_s: float = 30.0
    """Life of a provisional link whose Request came by it (PROFILE 2)."""
    max_pdu_octets: int = MAX_SDU_OCTETS
    """The longest PC5-S message that it takes."""

    def __post_init__(self) -> None:
        if not self.name or min(self.t4100_s, self.t4111_s) <= 0:
            raise CarrierError(f"carrier {self.name!r}: a name and durations above 0 are needed")
        if not 1 <= self.max_pdu_octets <= MAX_SDU_OCTETS:
            raise CarrierError(f"carrier {self.name}: {self.max_pdu_octets} octets are not from 1 to {MAX_SDU_OCTETS}")
        if self.n4100 < (1 if self.repeats_by_itself else 2):
            raise CarrierError(f"carrier {self.name} repeats nothing by itself, and n4100 = {self.n4100} neither does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """A way by a carrier: where an answer goes. Its address is opaque to all but the carrier."""

    traits: CarrierTraits
    address: Hashable
    source: Hashable = None
    """Whom the carrier holds for the sender, where one sender has several addresses: ports, dialogs."""

    @property
    def carrier(self) -> str:
        """The name of the carrier."""
        return self.traits.name

    @property
    def is_direct(self) -> bool:
        """Whether it is the sidelink itself."""
        return self.traits.name == DIRECT

    @property
    def bucket(self) -> Hashable:
        """What the buckets of single sources go by."""
        return self.traits.name, self.address if self.source is None else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody at the end of a way: its identity ("" while it is not known), its layer-2 id or None, and the way."""

    identity: str
    l2_id: int | None
    via: Via


def by_radio(direct: CarrierTraits, identity: str, l2_id: int) -> Party:
    """A party at a layer-2 id of the sidelink, which is its address there."""
    return Party(identity=identity, l2_id=l2_id, via=Via(traits=direct, address=l2_id))
