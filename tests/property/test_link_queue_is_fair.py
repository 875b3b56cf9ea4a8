"""Queues of a link under any load: bounded, in order within a flow, nothing lost uncounted, fair between busy flows."""

from collections import Counter, defaultdict, deque
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from prose_link.userplane.ipv6 import Datagram, encode_datagram, link_local_address
from prose_link.userplane.queueing.codel import CodelConfig
from prose_link.userplane.queueing.fair_queue import FairQueueConfig
from prose_link.userplane.queueing.ip_header import flow_hash
from prose_link.userplane.queueing.link_queue import LinkQueue, QueueSettings
from prose_link.userplane.queueing.priorities import PRIORITIES

HERE, THERE = link_local_address(1), link_local_address(2)
BOUNDS = FairQueueConfig(max_packets=24, max_octets=12_000)
SETTINGS = QueueSettings(fair_queue=BOUNDS, perturbation=b"p")
PUSH = st.tuples(st.integers(0, 9), st.sampled_from([0, 8, 46]), st.integers(0, 1300))
"""(flow, DSCP, octets)."""
STEPS = st.lists(st.one_of(PUSH, st.floats(0.0, 0.3), st.none()), max_size=200)
"""A packet that comes, time that passes, a packet that is taken out."""


def datagram(flow, number, dscp, octets):
    data = number.to_bytes(4, "big").ljust(octets, b"\0")
    return encode_datagram(HERE, THERE, Datagram(source_port=flow, destination_port=flow, data=data), dscp=dscp)


def name_of(packet):
    """(flow, DSCP), number."""
    return (packet[40:42], packet[:2]), int.from_bytes(packet[48:52])


@given(STEPS)
@settings(max_examples=60)
def test_any_load(steps):
    queue, now_s, number = LinkQueue(SETTINGS), 0.0, 0
    sent, taken = Counter(), []
    for step in steps:
        if step is None:
            for pppp in queue.waiting[:1]:
                packet = queue.pop(pppp, now_s)
                taken += [] if packet is None else [packet]
        elif isinstance(step, float):
            now_s += step
        else:
            flow, dscp, octets = step
            packet = datagram(flow, number, dscp, octets)
            sent[name_of(packet)] += 1
            queue.push(packet, now_s)
            number += 1
        assert all(queue.octets(pppp) <= BOUNDS.max_octets for pppp in PRIORITIES)
        assert len(queue) <= BOUNDS.max_packets * 3
    for pppp in queue.waiting:
        while (packet := queue.pop(pppp, now_s)) is not None:
            taken.append(packet)
    drops = queue.take_drops()
    assert len(queue) == 0 and not any(queue.octets(pppp) for pppp in PRIORITIES)
    assert len(taken) + drops.early + drops.overflow == number
    assert Counter(map(name_of, taken)) <= sent
    orders = defaultdict(list)
    for packet in taken:
        flow, place = name_of(packet)
        orders[flow].append(place)
    assert all(order == sorted(order) for order in orders.values())


@given(st.lists(st.integers(0, 1300), min_size=2, max_size=8), st.binary(min_size=1, max_size=16))
@settings(max_examples=60)
def test_flows_that_always_have_something_get_the_same(sizes, perturbation):
    """Deficit round robin: two busy flows never differ by more than a packet and a quantum each."""
    patient = replace(BOUNDS, codel=CodelConfig(target_s=1e6, interval_s=1e7), max_packets=1000, max_octets=10**6)
    queue = LinkQueue(QueueSettings(fair_queue=patient, perturbation=perturbation))
    hashes = {flow_hash(datagram(flow, 0, 0, size), perturbation) % 64 for flow, size in enumerate(sizes)}
    if len(hashes) < len(sizes):
        return  # two flows share a queue, and so a share
    waiting = {flow: deque(datagram(flow, n, 0, size) for n in range(3)) for flow, size in enumerate(sizes)}
    for packets in waiting.values():
        for packet in packets:
            queue.push(packet, 0.0)
    got = Counter()
    for n in range(300):
        packet = queue.pop(7, 0.0)
        flow = int.from_bytes(packet[40:42])
        got[flow] += len(packet)
        queue.push(datagram(flow, n + 3, 0, sizes[flow]), 0.0)
        longest = max(sizes) + 52
        assert max(got.values()) - min(got[flow] for flow in waiting) <= 2 * (longest + patient.quantum_octets)
