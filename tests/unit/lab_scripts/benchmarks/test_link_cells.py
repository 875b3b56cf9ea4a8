"""The link bench: what the pool can carry, and figures worked out of events."""

from pathlib import Path

import pytest

from lab_scripts.benchmarks import link_cells
from lab_scripts.runs.cell_plan import PRECONFIGURATION, CrowdPlan
from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import shipped_path
from prose_link.event_stream import PduSeen
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.pc5s.wire.messages import MessageType
from prose_link.ue.events import Connecting, FirstProtected, PoweredOn
from prose_link.userplane.transfer import CHUNK_OCTETS
from radio.phy.lte.channels.indications import Synchronised
from radio.phy.lte.grid.tbs import transport_block_size
from tests.samples.events import an_event, at


def event(kind, source, ms, **fields):
    return at(an_event(kind, **fields), source, ms)


def packet(source, src_l2, ms, octets):
    return event(PduSeen, source, ms, layer="ip", direction="rx", src_l2=src_l2, data=octets)


def chunk(source, src_l2, ms, tag):
    return packet(source, src_l2, ms, tag.to_bytes(2) + bytes(link_cells._CHUNK_OVERHEAD_OCTETS + CHUNK_OCTETS - 2))


def test_capacity_of_the_shipped_pool():
    """A sender's densest pattern takes half of the subframes; two or more can fill the pool."""
    pool = load_pools(shipped_path(PRECONFIGURATION)).comm[0]
    block_bits = transport_block_size(20, 24)
    assert link_cells.senders_capacity_bit_s(pool, 1) == pytest.approx(4 * block_bits / 0.04)
    assert link_cells.senders_capacity_bit_s(pool, 2) == pytest.approx(8 * block_bits / 0.04)
    assert link_cells.senders_capacity_bit_s(pool, 16) == pytest.approx(8 * block_bits / 0.04)


def test_goodput_counts_from_when_all_are_busy_and_nothing_twice():
    events = [
        chunk("ue-b", 1, 100, 1),
        chunk("ue-b", 1, 200, 2),
        chunk("ue-d", 3, 300, 1),
        chunk("ue-b", 1, 1400, 3),
        chunk("ue-b", 1, 1500, 3),
        chunk("ue-d", 3, 1600, 2),
        packet("ue-b", 1, 1700, bytes(104)),
        chunk("ue-d", 3, 2400, 3),
    ]
    assert link_cells.busy_rates_bit_s(events, 1.0) == [CHUNK_OCTETS * 8, CHUNK_OCTETS * 8]
    assert link_cells.busy_rates_bit_s([], 1.0) == []


def test_fairness_is_jains():
    assert link_cells.fairness([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert link_cells.fairness([5.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert link_cells.fairness([]) == 0.0


def test_air_times_of_a_pair():
    plan = CrowdPlan(seed=1, n_ues=2, group=False, folder=Path())
    events = [
        event(PoweredOn, "ue-a", 0),
        event(PoweredOn, "ue-b", 50),
        event(Synchronised, "ue-b", 90),
        event(Connecting, "ue-a", 200),
        event(LinkEstablished, "ue-b", 350),
        event(LinkEstablished, "ue-a", 370),
        event(FirstProtected, "ue-b", 400),
    ]
    assert link_cells.air_times_ms(plan, events) == {
        "power-on to sync": [40.0],
        "both on to discovered": [150.0],
        "decision to connected": [170.0],
        "decision to first protected packet": [200.0],
    }


def test_who_got_nowhere_counts_for_nothing():
    plan = CrowdPlan(seed=1, n_ues=2, group=False, folder=Path())
    assert not any(link_cells.air_times_ms(plan, [event(PoweredOn, "ue-a", 0)]).values())


def test_places_follow_the_seed():
    plans = [CrowdPlan(seed=seed, n_ues=16, group=True, folder=Path()).scenario() for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert len(plans[0]["ue"]) == 16 and len(plans[0]["link"]) == 120


def test_sizes_of_the_messages_that_set_a_link_up():
    sent = [
        event(PduSeen, "ue-a", 1, layer="pc5s", direction=direction, data=bytes([kind]) + bytes(size))
        for kind, direction, size in (
            (MessageType.REQUEST, "tx", 99),
            (MessageType.REQUEST, "rx", 98),
            (MessageType.ACCEPT, "tx", 49),
            (MessageType.KEEPALIVE, "tx", 5),
        )
    ]
    assert link_cells.octets(sent) == {"Direct Connection Request": [100], "Direct Connection Accept": [50]}
