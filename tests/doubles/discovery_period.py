"""A discovery period of one entity, as the owner of a UE drives it."""

from __future__ import annotations

from collections.abc import Collection

from prose_link.discovery.entity import DiscoveryEntity, DiscoveryTransmission
from prose_link.instant import Instant


def sent_in_period(
    entity: DiscoveryEntity, n_resources: int, now: Instant, *, n_t: int | None = None, avoid: Collection[int] = ()
) -> list[DiscoveryTransmission]:
    """What an entity sends in the period that begins."""
    entity.open_period(n_resources, now, n_t=n_t, avoid=avoid)
    return entity.pdus_to_send(now)
