"""The air of PDCP PDUs: who hears what and when, what is lost, and that an access on it keeps the port's bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest

from lab_scripts.runs.cell_plan import PRECONFIGURATION
from lab_scripts.runs.pdu_air import LATENCY_S, MAX_QUEUED_OCTETS, PduAccess, PduAir, silence
from prose_link.config.preconfiguration import load_pools
from prose_link.config.ue import shipped_path
from radio.access.protocol import AccessIndication, Announcement, AnnouncementReceived, PdusReceived, SyncSignal
from radio.l2.mac import QueueFull
from radio.l2.pdcp_entity import PdcpPdu
from radio.phy.lte.channels.indications import Synchronised

A, B, C, GROUP = 0x0A0001, 0x0B0002, 0x0C0003, 0x00BEEF
POOLS = load_pools(shipped_path(PRECONFIGURATION))
STEP_S = 0.01


class Quiet:
    """Broadcasts what it is told to."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages

    def sync_signal(self, subframe: int) -> SyncSignal | None:
        return None

    def announcements(self, n_resources: int, *, n_t: int, avoid: Collection[int]) -> Iterable[Announcement]:
        return [Announcement(resource=0, message=message) for message in self.messages]


class World:
    """Three accesses that take their steps in turn."""

    def __init__(self, *, loss: float = 0.0, sources: dict[str, Quiet] | None = None) -> None:
        self.air = PduAir(1, loss=loss)
        self.ues = {name: PduAccess(self.air, name, l2, POOLS) for name, l2 in (("a", A), ("b", B), ("c", C))}
        self.sources = sources or {}
        self.heard: dict[str, list[tuple[float, AccessIndication]]] = {name: [] for name in self.ues}
        self.at = 0
        self.ues["a"].become_sync_ref(1, 0)

    def run(self, for_s: float) -> None:
        samples = silence(round(STEP_S * self.ues["a"].sample_rate_hz))
        for _ in range(round(for_s / STEP_S)):
            for name, access in self.ues.items():
                now_s = (self.at + len(samples)) / access.sample_rate_hz
                self.heard[name] += [(now_s, one) for one in access.receive(samples, self.at)]
                access.bursts(self.sources.get(name, Quiet()))
            self.at += len(samples)

    def pdus(self, name: str) -> list[tuple[float, bytes]]:
        found = [(at_s, one) for at_s, one in self.heard[name] if isinstance(one, PdusReceived)]
        return [(at_s, item.data) for at_s, one in found for item in one.items]


def pdu(dst: int, data: bytes = b"x", *, lcid: int = 4, src: int = A) -> PdcpPdu:
    return PdcpPdu(src_l2=src, dst_l2=dst, lcid=lcid, to_group=dst == GROUP, data=data)


def test_followers_synchronise_to_the_reference_and_say_so_once() -> None:
    world = World()
    world.run(0.2)
    assert [sum(isinstance(one, Synchronised) for _, one in world.heard[name]) for name in "abc"] == [0, 1, 1]


def test_a_pdu_is_heard_by_whom_it_is_for_after_the_latency() -> None:
    world = World()
    world.run(0.05)
    world.ues["a"].offer(pdu(B))
    world.run(0.2)
    ((at_s, data),) = world.pdus("b")
    assert data == b"x" and at_s == pytest.approx(0.05 + STEP_S + LATENCY_S, abs=STEP_S)
    assert not world.pdus("a") and not world.pdus("c")


def test_a_group_hears_it_but_for_its_sender() -> None:
    world = World()
    for name in "abc":
        world.ues[name].join_group(GROUP)
    world.run(0.05)
    world.ues["a"].offer(pdu(GROUP))
    world.run(0.2)
    assert [len(world.pdus(name)) for name in "abc"] == [0, 1, 1]


def test_loss_is_that_share_of_what_is_offered_and_is_counted() -> None:
    world = World(loss=0.3)
    world.run(0.5)
    for _ in range(1000):
        world.ues["a"].offer(pdu(B))
    world.run(0.5)
    counts = world.air.user_data
    assert counts.offered == 1000 and len(world.pdus("b")) == 1000 - counts.lost
    assert 250 < counts.lost < 350


def test_signalling_is_lost_alike_but_is_no_user_data() -> None:
    world = World(loss=0.3)
    world.run(0.5)
    for _ in range(100):
        world.ues["a"].offer(pdu(B, lcid=28))
    world.run(0.5)
    assert world.air.user_data.offered == 0 and 50 < len(world.pdus("b")) < 90


def test_what_is_cut_comes_through_neither_as_pdu_nor_as_announcement() -> None:
    world = World(sources={"a": Quiet(b"here")})
    world.run(0.05)
    world.air.cut = lambda to, of: "b" in (to, of)
    world.heard["b"].clear()
    world.ues["a"].offer(pdu(B))
    world.run(1.0)
    assert not world.heard["b"]
    assert any(isinstance(one, AnnouncementReceived) for _, one in world.heard["c"])


def test_who_has_left_hears_nothing() -> None:
    world = World()
    world.run(0.05)
    world.air.leave("b")
    world.ues["a"].offer(pdu(B))
    world.run(0.2)
    assert not world.pdus("b")


def test_the_queue_is_bounded_and_forgets_groups_from_an_id_given_up() -> None:
    access = World().ues["a"]
    access.offer(pdu(B, bytes(1000)))
    access.offer(pdu(GROUP, bytes(1000)))
    with pytest.raises(QueueFull):
        access.offer(pdu(B, bytes(MAX_QUEUED_OCTETS - 1999)))
    assert access.queued_octets(B) == 1000
    access.forget_groups_from(A)
    assert (access.queued_octets(B), access.queued_octets(GROUP)) == (1000, 0)
