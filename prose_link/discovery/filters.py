"""The discovery filters of a UE: the codes it listens for, and its own ids in its discovery groups."""

from __future__ import annotations

from dataclasses import dataclass

from prose_link.discovery.codec import BODY_OCTETS
from prose_link.discovery.key_periods import UNPROTECTED, KeyPeriods
from prose_link.discovery.messages import DiscoveryType


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFilter:
    """Codes to listen for in messages of one type: 23 octets, compared where the mask has ones (TS 24.334 11.2.2).

    `answer`: the 23-octet response code to queries. `valid_until_utc_s`: when the validity timer runs out (TS 24.334
    6.2), None for never.
    """

    type: DiscoveryType
    code: bytes
    mask: bytes = b"\xff" * BODY_OCTETS
    keys: KeyPeriods = UNPROTECTED
    answer: bytes | None = None
    valid_until_utc_s: float | None = None

    def passes(self, code: bytes) -> bool:
        """Whether this filter asks for a code."""
        ours, theirs, mask = (int.from_bytes(value) for value in (self.code, code, self.mask))
        return (ours ^ theirs) & mask == 0

    def valid_at(self, utc_s: float) -> bool:
        """Whether the validity timer still runs."""
        return self.valid_until_utc_s is None or utc_s < self.valid_until_utc_s


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryConfig:
    """The ids of this UE in discovery, and the messages that it listens for.

    `user_info_id` 48 bits, `prose_ue_id` the own layer-2 id. `keys` protect group member and relay messages. `monitor`:
    it accepts announcements (Model A); `respond`: it answers solicitations of its groups (Model B). `validity_s`: time
    for which a received message counts as present. `transmit_probability`: of each announcement in each discovery
    period.
    """

    user_info_id: int = 0
    prose_ue_id: int = 0
    group_ids: frozenset[int] = frozenset()
    relay_service_codes: frozenset[int] = frozenset()
    keys: KeyPeriods = UNPROTECTED
    codes: tuple[CodeFilter, ...] = ()
    monitor: bool = True
    respond: bool = True
    validity_s: float = 30.0
    transmit_probability: float = 1.0
