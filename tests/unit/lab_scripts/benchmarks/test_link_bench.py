"""The link bench: what the pool can carry, and figures worked out of events."""

from pathlib import Path

import pytest

from lab_scripts.benchmarks import link
from lab_scripts.demo.crowd_plan import PRECONFIGURATION, CrowdPlan
from prose_link.config import shipped_path
from prose_link.preconfiguration import load_pools
from radio.phy.tbs import transport_block_size


def event(name, source, ms, **fields):
    return {"event": name, "source": source, "utc_ns": ms * 1_000_000, **fields}


def test_capacity_of_the_shipped_pool():
    pool = load_pools(shipped_path(PRECONFIGURATION)).comm[0]
    block_bits = transport_block_size(14, 24)
    assert link.one_way_capacity_bit_s(pool) == pytest.approx(4 * block_bits / 0.04)
    assert link.pool_capacity_bit_s(pool) == pytest.approx(8 * block_bits / 0.04)


def test_air_times_of_a_pair():
    plan = CrowdPlan(seed=1, n_ues=2, group=False, folder=Path())
    events = [
        event("powered-on", "ue-a", 0),
        event("powered-on", "ue-b", 50),
        event("synchronised", "ue-b", 90),
        event("connecting", "ue-a", 200),
        event("link-established", "ue-b", 350),
        event("link-established", "ue-a", 370),
        event("first-protected", "ue-b", 400),
    ]
    assert link.air_times_ms(plan, events) == {
        "power-on to sync": [40.0],
        "both on to discovered": [150.0],
        "decision to connected": [170.0],
        "decision to first protected packet": [200.0],
    }


def test_who_got_nowhere_counts_for_nothing():
    plan = CrowdPlan(seed=1, n_ues=2, group=False, folder=Path())
    assert not any(link.air_times_ms(plan, [event("powered-on", "ue-a", 0)]).values())
    assert link.aggregate_rate_bit_s([]) == 0.0


def test_places_follow_the_seed():
    plans = [CrowdPlan(seed=seed, n_ues=16, group=True, folder=Path()).scenario() for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert len(plans[0]["ue"]) == 16 and len(plans[0]["link"]) == 120
