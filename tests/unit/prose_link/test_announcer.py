"""Discovery messages stay away from the resources of others."""

from pathlib import Path

import numpy as np

from prose_link.announcer import Announcer
from prose_link.discovery.entity import DiscoveryConfig, DiscoveryEntity
from prose_link.discovery.messages import GroupMemberAnnouncement
from prose_link.instant import Instant
from prose_link.preconfiguration import load_pools
from prose_link.sightings import Sightings

POOL = load_pools(Path("preconfigurations/first_light.toml")).disc[0]
NOW = Instant(mono_s=0.0, utc_s=1_773_144_000.0)


def announcer() -> Announcer:
    entity = DiscoveryEntity(DiscoveryConfig(user_info_id=1, prose_ue_id=2), np.random.default_rng(5))
    entity.announce(GroupMemberAnnouncement(discovery_group_id=1, user_info_id=1, prose_ue_id=2))
    return Announcer(POOL, entity, Sightings(lambda event: None, lambda: 0))


def places_used(announcing: Announcer, period: int) -> set[tuple[int, int]]:
    subframes = range(POOL.period_start(period), POOL.period_start(period + 1))
    sent = {subframe: announcing.transmission(subframe, NOW) for subframe in subframes}
    return {(subframe, tx.prb) for subframe, tx in sent.items() if tx is not None}


def test_one_message_goes_out_in_all_its_transmissions() -> None:
    assert len(places_used(announcer(), 1)) == POOL.num_retx + 1


def test_only_the_resource_nobody_was_heard_on_is_left() -> None:
    announcing = announcer()
    for n_psdch in range(POOL.n_resources - 1):
        subframe, prb, _, _ = POOL.transmissions(0, n_psdch)[0]
        announcing.note_heard((subframe,), prb)
    free = {(at, prb) for at, prb, _, _ in POOL.transmissions(1, POOL.n_resources - 1)}
    assert places_used(announcing, 1) == free


def test_what_was_heard_long_ago_does_not_count() -> None:
    announcing = announcer()
    for n_psdch in range(POOL.n_resources):
        subframe, prb, _, _ = POOL.transmissions(0, n_psdch)[0]
        announcing.note_heard((subframe,), prb)
    assert len(places_used(announcing, 9)) == POOL.num_retx + 1
    assert not announcing._taken
