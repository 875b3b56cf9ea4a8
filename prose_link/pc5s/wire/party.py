"""Addresses of PC5-S: the traits of a carrier, a way by it, and the party at the end of the way.

A *carrier* transports PC5-S PDUs between UEs: direct radio, a proxy, and others. This package knows a carrier by its
`CarrierTraits` only, a plain value. A `Via` is a way by a carrier: only that carrier understands its address; all other
code compares and stores it. An answer goes back along the via by which the question came, so no other part has to
understand an address.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from prose_link.errors import ProseLinkError

DIRECT: Final = "direct"
"""The carrier that is the sidelink itself."""
UNKNOWN_L2: Final = 0
"""Stands for an unknown layer-2 id: no UE can have it."""
N4100: Final = 4
"""Transmissions of a Request on carriers that repeat for themselves, and of a key to a whole group (PROFILE 2)."""
MAX_SDU_OCTETS: Final = 8188
"""Longest PDU of PDCP (TS 36.323 4.3.1): no carrier has to transport more."""


class CarrierError(ProseLinkError):
    """A carrier that is impossible, can't be opened, or doesn't suit the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierTraits:
    """Properties of a carrier, the same for every user of it. Raises CarrierError for impossible traits."""

    name: str
    """Its name in configuration, events and captures."""
    addresses_count: bool
    """The layer-2 ids of its PDUs are those of radios, and the sender's id in a message must agree with them. If they
    don't count, any party can put any id into an envelope, and only a signed id is trusted.
    """
    knows_sources: bool
    """No party can send as another source: then each source has a bucket of its own (PROFILE 2)."""
    repeats_by_itself: bool
    """A PDU arrives, or the carrier reports a loss. Without this, only the sender's repetitions help."""
    bears_links: bool
    """It transports the protected PDUs of a link. If not, they use direct radio, whatever carrier brought the set-up
    (PROFILE 12).
    """
    t4100_s: float = 10.0
    """How long a Request waits for its answer before it goes out again (PROFILE 2)."""
    n4100: int = N4100
    """How often a Request goes out."""
    t4111_s: float = 30.0
    """Life of a provisional link whose Request came by it (PROFILE 2)."""
    max_pdu_octets: int = MAX_SDU_OCTETS
    """Longest PC5-S message that it transports."""

    def __post_init__(self) -> None:
        if not self.name or min(self.t4100_s, self.t4111_s) <= 0:
            raise CarrierError(f"carrier {self.name!r}: a name and durations above 0 are needed")
        if not 1 <= self.max_pdu_octets <= MAX_SDU_OCTETS:
            raise CarrierError(f"carrier {self.name}: {self.max_pdu_octets} octets are not from 1 to {MAX_SDU_OCTETS}")
        if self.n4100 < (1 if self.repeats_by_itself else 2):
            raise CarrierError(f"carrier {self.name} repeats nothing by itself, and n4100 = {self.n4100} neither does")


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """A way by a carrier: where an answer goes. Only the carrier understands its address."""

    traits: CarrierTraits
    address: Hashable
    source: Hashable = None
    """The sender as the carrier knows it, if one sender has several addresses: ports, dialogs."""

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
        """The key of this way for the buckets of single sources."""
        return self.traits.name, self.address if self.source is None else self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A peer at the end of a way: its identity ("" while it is not known), its layer-2 id or None, and the way."""

    identity: str
    l2_id: int | None
    via: Via


def by_radio(direct: CarrierTraits, identity: str, l2_id: int) -> Party:
    """A party at a layer-2 id of the sidelink, which is its address there."""
    return Party(identity=identity, l2_id=l2_id, via=Via(traits=direct, address=l2_id))
