"""Packets of every priority over one link of two whole UEs: logical channels, numbers, order, short queues below."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from lab_scripts.events.selection import AnyEvent, pdus_of
from lab_scripts.runs.cell import Cell
from lab_scripts.runs.cell_plan import CrowdPlan
from prose_link.config.ue import UeConfig
from prose_link.instant import Instant
from prose_link.userplane.addresses import IpAddresses, own_addresses
from prose_link.userplane.ipv6 import Datagram, decode_datagram, encode_datagram
from prose_link.userplane.packet_end import PACKETS_AT_ONCE
from prose_link.userplane.queueing.priorities import PRIORITIES, PriorityRule
from radio.l2.pdcp import decode_one_to_one

DSCP_OF = {1: 48, 2: 46, 3: 40, 4: 34, 5: 26, 6: 18, 7: 0, 8: 8}
"""One DSCP of each priority."""
N_EACH, OCTETS = 6, 500
PORT = 7
PDCP_OVERHEAD_OCTETS = 9
"""Header of five octets and MAC-I (PROFILE 5)."""


class Bursts:
    """A `PacketInterface` whose one end sends packets of all priorities at once, least urgent first, and notes."""

    name = "bursts"

    def __init__(self, config: UeConfig) -> None:
        self.own = own_addresses(config.l2_id, ipv4=False).link_local
        self.heard: list[tuple[int, int]] = []
        """(priority, number) in order of arrival."""
        self.waiting: list[bytes] = []
        self.held_back_octets = 0

    def attach(self, peer_l2: int, peer: IpAddresses) -> Bursts:
        self.waiting = [
            encode_datagram(
                self.own,
                peer.link_local,
                Datagram(source_port=PORT, destination_port=PORT, data=bytes([pppp, number]).ljust(OCTETS, b"\0")),
                dscp=DSCP_OF[pppp],
            )
            for pppp in reversed(PRIORITIES)
            for number in range(N_EACH)
        ]
        return self

    def pdus_to_send(self, now: Instant, /, *, room: int = PACKETS_AT_ONCE) -> list[bytes]:
        out, self.waiting = self.waiting[:PACKETS_AT_ONCE], self.waiting[PACKETS_AT_ONCE:]
        return out

    def receive(self, packet: bytes, now: Instant) -> None:
        data = decode_datagram(packet[40:]).data
        self.heard.append((data[0], data[1]))

    def next_timer(self) -> None:
        return None

    def handle_timer(self, now: Instant) -> None:
        return None

    def next_event(self) -> None:
        return None

    def close(self, now: Instant | None = None) -> None:
        return None


class Run:
    """Both UEs send their bursts; how much waits below is looked at every 40 ms."""

    def __init__(self) -> None:
        self.ends: dict[str, Bursts] = {}
        nothing = {"traffic": {"pings": 0, "push_octets": 0, "release_when_done": False}}
        plan = CrowdPlan(seed=7, n_ues=2, group=False, folder=Path())
        self.cell = Cell(plan, nothing, interface_of=self._end)
        self.most_below = 0
        self.cell.run(6.0, self._is_over)

    def _end(self, config: UeConfig) -> Bursts:
        self.ends[config.name] = Bursts(config)
        return self.ends[config.name]

    def _is_over(self, _: list[AnyEvent]) -> bool:
        for name, peer in (("ue-a", "ue-b"), ("ue-b", "ue-a")):
            access, peer_l2 = self.cell.node(name)._access, self.cell.node(peer)._config.l2_id
            below = max(access.queued_octets(peer_l2, lcid) - access.block_octets(peer_l2) for lcid in range(1, 11))
            self.most_below = max(self.most_below, below)
        return all(len(end.heard) >= N_EACH * len(PRIORITIES) for end in self.ends.values())


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def test_every_packet_arrives_once(run: Run) -> None:
    expected = sorted((pppp, number) for pppp in PRIORITIES for number in range(N_EACH))
    for end in run.ends.values():
        assert sorted(end.heard) == expected


def test_the_most_urgent_arrive_first_though_they_were_sent_last(run: Run) -> None:
    for end in run.ends.values():
        last_of = {pppp: max(end.heard.index((pppp, n)) for n in range(N_EACH)) for pppp in PRIORITIES}
        assert sorted(PRIORITIES, key=last_of.__getitem__) == list(PRIORITIES)
        for pppp in PRIORITIES:
            assert [number for one, number in end.heard if one == pppp] == list(range(N_EACH))


def test_each_priority_has_a_bearer_with_numbers_of_its_own(run: Run) -> None:
    numbers: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for one in pdus_of(run.cell.events, "pdcp", "tx"):
        pdu = decode_one_to_one(one.event.data)
        if pdu.kd_sess_id:
            numbers[one.source, pdu.kd_sess_id, one.event.lcid].append(pdu.sn)
            assert len(pdu.mac_i) == 4 and any(pdu.mac_i)
    user = {key: sns for key, sns in numbers.items() if key[2] <= 10}
    rule = PriorityRule()
    assert {lcid for _, _, lcid in user} == {rule.lcid(pppp) for pppp in PRIORITIES} == {1, 2, 3, 4, 5, 6, 7, 9}
    assert all(sns == list(range(1, N_EACH + 1)) for sns in user.values())
    assert all(len(set(sns)) == len(sns) for sns in numbers.values()), "no (key, COUNT, BEARER) twice"


def test_the_receiver_opens_each_bearer(run: Run) -> None:
    for source in ("ue-a", "ue-b"):
        lcids = [
            one.event.lcid
            for one in pdus_of(run.cell.events, "ip", "rx")
            if one.source == source and len(one.event.data) > OCTETS
        ]
        assert {lcid: lcids.count(lcid) for lcid in set(lcids)} == dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 9), N_EACH)


def test_no_more_is_sealed_than_the_next_block_takes(run: Run) -> None:
    """Less than a block, and the packet that fills it up."""
    assert 0 < run.most_below <= OCTETS + 48 + PDCP_OVERHEAD_OCTETS
