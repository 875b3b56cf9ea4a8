"""FQ-CoDel: the order of RFC 8290 section 4 worked by hand, bounds, marks."""

import pytest

from prose_link.userplane.queueing.codel import CodelConfig
from prose_link.userplane.queueing.fair_queue import DropCounts, FairQueue, FairQueueConfig

PATIENT = CodelConfig(target_s=100.0, interval_s=1000.0)
HASTY = CodelConfig(target_s=0.005, interval_s=0.100, mtu_octets=100)


def packet(flow, octets, number=0):
    return bytes([flow, number]).ljust(octets, b"\0")


def queue_of(*, drops=None, mark=lambda _: None, codel=PATIENT, **bounds):
    config = FairQueueConfig(codel=codel, **bounds)
    return FairQueue(lambda octets: octets[0], mark, config, drops or DropCounts())


def order(queue, now_s=0.0):
    taken = []
    while (octets := queue.pop(now_s)) is not None:
        taken.append((octets[0], octets[1]))
    return taken


def test_deficits_of_unlike_packets():
    """Quantum 300. Flow 1 has packets of 500, flow 2 of 100. New flows first, each until its deficit is used up:

    1: 300-500 = -200, so flow 1 is over and goes to the end of the old ones with 100. Flow 2 sends three: 200, 100, 0,
    goes to the old ones with 300. Flow 1: 100-500 = -400, to the end with -100. Flow 2: three again, to the end. Flow 1
    has -100: it goes to the end with 200; flow 2 sends its last one, is found empty and leaves; flow 1 sends.
    """
    queue = queue_of(quantum_octets=300)
    for number in range(3):
        queue.push(packet(1, 500, number), 0.0)
    for number in range(7):
        queue.push(packet(2, 100, number), 0.0)
    assert order(queue) == [(1, 0), (2, 0), (2, 1), (2, 2), (1, 1), (2, 3), (2, 4), (2, 5), (2, 6), (1, 2)]


def test_a_ping_does_not_wait_for_a_transfer():
    queue = queue_of()
    for number in range(20):
        queue.push(packet(1, 1400, number), 0.0)
    assert queue.pop(0.0) == packet(1, 1400, 0)
    queue.push(packet(2, 100), 0.0)
    assert queue.pop(0.0) == packet(2, 100)


def test_a_flow_can_t_stay_new_by_coming_and_going():
    """RFC 8290 4.2: a new flow that is found empty goes through the old ones once before it may be new again."""
    queue = queue_of(quantum_octets=300)
    for number in range(10):
        queue.push(packet(1, 300, number), 0.0)
    queue.pop(0.0)
    taken = []
    for _ in range(8):
        queue.push(packet(2, 300), 0.0)
        taken.append(queue.pop(0.0)[0])
    assert taken.count(1) >= 3


def test_the_longest_queue_makes_room_and_loses_its_oldest():
    drops = DropCounts()
    queue = queue_of(max_packets=6, drops=drops)
    queue.push(packet(2, 100), 0.0)
    for number in range(9):
        queue.push(packet(1, 1000, number), 0.0)
    assert (len(queue), drops.overflow, drops.early) == (6, 4, 0)
    taken = order(queue)
    assert (2, 0) in taken and [number for flow, number in taken if flow == 1] == [4, 5, 6, 7, 8]


def test_octets_are_bounded():
    drops = DropCounts()
    queue = queue_of(max_octets=5000, drops=drops)
    for number in range(9):
        queue.push(packet(1, 1000, number), 0.0)
    assert (queue.octets, len(queue), drops.overflow) == (5000, 5, 4)
    queue.push(packet(1, 9000), 0.0)
    assert queue.octets <= 5000


def test_a_standing_queue_loses_packets_and_they_are_counted():
    drops = DropCounts()
    queue = queue_of(codel=HASTY, drops=drops)
    for number in range(200):
        queue.push(packet(1, 100, number), 0.0)
    taken = [queue.pop(0.2 + 0.001 * tick)[1] for tick in range(150)]
    assert drops.early == 200 - 150 - len(queue) > 0
    assert taken == sorted(taken)


def test_a_packet_that_can_be_marked_is_marked_and_sent():
    drops = DropCounts()
    queue = queue_of(codel=HASTY, drops=drops, mark=lambda octets: b"\xff" + octets[1:])
    for number in range(200):
        queue.push(packet(1, 100, number), 0.0)
    taken = [queue.pop(0.2 + 0.001 * tick) for tick in range(150)]
    assert (drops.early, len(queue)) == (0, 50)
    assert drops.marked == sum(octets[0] == 0xFF for octets in taken) > 0


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_left_of_an_empty_queue(n):
    queue = queue_of()
    for _ in range(n):
        queue.push(packet(1, 100), 0.0)
        assert queue.pop(0.0) is not None
    assert queue.pop(0.0) is None
    assert (len(queue), queue.octets) == (0, 0)
