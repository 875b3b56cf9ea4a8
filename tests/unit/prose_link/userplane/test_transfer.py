"""The bulk transfer delivers every octet over a pipe that loses datagrams."""

import numpy as np
import pytest

from prose_link.instant import Instant
from prose_link.userplane import ipv6
from prose_link.userplane.endpoint import IpEndpoint
from prose_link.userplane.events import PingLost, PingReply, TransferFailed, TransferReceived, TransferSent

A, B = ipv6.link_local_address(0x0A0B0C), ipv6.link_local_address(0x0D0E0F)


def run(loss: float, octets: int = 64 * 1024, steps: int = 4000, seed: int = 1, pings: int = 0) -> list[object]:
    """Two endpoints joined by a pipe with loss, stepped every 10 ms of virtual time."""
    rng = np.random.default_rng(seed)
    a, b = IpEndpoint(A, B), IpEndpoint(B, A)
    content = rng.bytes(octets)
    a.push(1, content, Instant(0.0, 0.0))
    if pings:
        a.ping(pings, Instant(0.0, 0.0))
    events: list[object] = []
    for step in range(steps):
        now = step * 0.01
        for source, sink in ((a, b), (b, a)):
            source.handle_timer(Instant(now, now))
            for packet in source.pdus_to_send(Instant(now, now), room=4):
                if rng.random() >= loss:
                    sink.receive(packet, Instant(now, now))
        for endpoint in (a, b):
            while (event := endpoint.next_event()) is not None:
                events.append(event)
    return events


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.4])
def test_everything_arrives(loss: float) -> None:
    events = run(loss)
    sent = [e for e in events if isinstance(e, TransferSent)]
    received = [e for e in events if isinstance(e, TransferReceived)]
    assert len(sent) == len(received) == 1
    assert sent[0].sha256 == received[0].sha256 and received[0].octets == 64 * 1024
    assert sent[0].chunks_sent >= 56


def test_a_dead_pipe_ends_in_a_failure() -> None:
    assert [e for e in run(1.0) if isinstance(e, TransferFailed)]


def test_pings_are_answered_or_given_up() -> None:
    assert sum(isinstance(e, PingReply) for e in run(0.0, octets=10, pings=5)) == 5
    assert sum(isinstance(e, PingLost) for e in run(1.0, octets=10, pings=5)) == 5
