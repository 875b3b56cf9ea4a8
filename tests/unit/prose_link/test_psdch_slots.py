"""Discovery messages stay away from the resources of others."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from prose_link.config.preconfiguration import load_pools
from prose_link.discovery.entity import DiscoveryEntity
from prose_link.discovery.filters import DiscoveryConfig
from prose_link.discovery.messages import GroupMemberAnnouncement
from prose_link.instant import Instant
from radio.access.protocol import Announcement
from radio.access.psdch_slots import PsdchSlots
from tests.doubles.discovery_period import sent_in_period

POOL = load_pools(Path("preconfigurations/first_light_5mhz.toml")).disc[0]
NOW = Instant(mono_s=0.0, utc_s=1_773_144_000.0)


class Announcer:
    """A UE's discovery and the slots of its access, as the two work together."""

    def __init__(self, entity: DiscoveryEntity) -> None:
        self.slots = PsdchSlots(POOL)
        self._entity = entity

    def sync_signal(self, subframe: int) -> None:
        return None

    def announcements(self, n_resources: int, *, n_t: int, avoid: Collection[int]) -> list[Announcement]:
        due = sent_in_period(self._entity, n_resources, NOW, n_t=n_t, avoid=avoid)
        return [Announcement(resource=one.n_psdch, message=one.data) for one in due]


def announcer(seed: int = 5) -> Announcer:
    entity = DiscoveryEntity(DiscoveryConfig(user_info_id=1, prose_ue_id=2), np.random.default_rng(seed))
    entity.announce(GroupMemberAnnouncement(discovery_group_id=1, user_info_id=1, prose_ue_id=2))
    return Announcer(entity)


def places_used(announcing: Announcer, period: int) -> set[tuple[int, int]]:
    subframes = range(POOL.period_start(period), POOL.period_start(period + 1))
    sent = {subframe: announcing.slots.transmission(subframe, announcing) for subframe in subframes}
    return {(subframe, tx.prb) for subframe, tx in sent.items() if tx is not None}


def test_one_message_goes_out_in_all_its_transmissions() -> None:
    assert len(places_used(announcer(), 1)) == POOL.num_retx + 1


def test_only_the_resource_nobody_was_heard_on_is_left() -> None:
    announcing = announcer()
    for n_psdch in range(POOL.n_resources - 1):
        subframe, prb, _, _ = POOL.transmissions(0, n_psdch)[0]
        announcing.slots.note_heard((subframe,), prb)
    free = {(at, prb) for at, prb, _, _ in POOL.transmissions(1, POOL.n_resources - 1)}
    assert places_used(announcing, 1) == free


def test_what_was_heard_long_ago_does_not_count() -> None:
    announcing = announcer()
    for n_psdch in range(POOL.n_resources):
        subframe, prb, _, _ = POOL.transmissions(0, n_psdch)[0]
        announcing.slots.note_heard((subframe,), prb)
    assert len(places_used(announcing, 9)) == POOL.num_retx + 1
    assert not announcing.slots._taken


PERIODS = 1500
BLIND = 1 / POOL.n_resources
"""How often two meet who choose at random and don't listen."""


def meetings(pair: tuple[Announcer, Announcer], *, hear_each_other: bool) -> tuple[float, float, int]:
    """Periods in which two collide, those in which they are deaf to each other, and the longest row of collisions."""
    collisions = deaf = row = longest = 0
    for period in range(1, PERIODS + 1):
        one, other = (places_used(announcing, period) for announcing in pair)
        collided = bool(one & other)
        same_subframes = {at for at, _ in one} & {at for at, _ in other}
        row = row + 1 if collided else 0
        collisions, deaf, longest = collisions + collided, deaf + bool(same_subframes), max(longest, row)
        if hear_each_other and not same_subframes:
            for announcing, heard in ((pair[0], other), (pair[1], one)):
                at, prb = min(heard)
                announcing.slots.note_heard((at,), prb)
    return collisions / PERIODS, deaf / PERIODS, longest


@pytest.mark.parametrize("seed", [1, 2])
def test_two_announcers_that_hear_each_other_collide_less_than_blind_ones(seed: int) -> None:
    collisions, deaf, longest = meetings((announcer(seed), announcer(seed + 100)), hear_each_other=True)
    assert 0 < collisions < 0.75 * BLIND
    assert abs(deaf - 1 / POOL.n_t) < 0.05
    assert longest <= 12


def test_hidden_terminals_collide_as_often_as_blind_ones_and_come_apart_again() -> None:
    collisions, _, longest = meetings((announcer(3), announcer(4)), hear_each_other=False)
    assert abs(collisions - BLIND) < 0.3 * BLIND
    assert longest <= 12


def test_every_resource_is_used_as_often_as_the_others() -> None:
    announcing = announcer(9)
    counts = Counter(min(places_used(announcing, period))[1] for period in range(1, PERIODS + 1))
    assert len(counts) == POOL.n_f
    assert all(abs(count - PERIODS / POOL.n_f) < 0.35 * PERIODS / POOL.n_f for count in counts.values())
