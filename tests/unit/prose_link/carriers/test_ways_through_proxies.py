"""Ways through proxies on wires: rows, rings, a proxy that dies, and what an owner does not consent to. No radio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from prose_link.carriers.direct import Direct
from prose_link.carriers.events import DataHandedOn, FrameHandedOn, FramesNotHandedOn
from prose_link.carriers.protocol import Carried, CarrierParts
from prose_link.carriers.proxy.carrier import ProxyCarrier, ProxyOptions
from prose_link.carriers.proxy.end import ProxyEnd
from prose_link.carriers.proxy.frames import (
    DATA_FRAME_OCTETS,
    FRAME_OCTETS,
    MAX_HOPS,
    RelayedPdcp,
    RelayFrameError,
    decode,
    encode,
    frame_in,
    headed,
)
from prose_link.carriers.proxy.next_hops import MAX_KNOWN, REMEMBERED_S, SILENCE_S, NextHops
from prose_link.instant import Instant
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.wire.party import CarrierError, Via
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.pdcp_entity import PdcpPdu
from tests.benches.pc5s_bench import seeded
from tests.doubles.wire_access import WireAccess

A, P, Q, R, B = 0x0A0001, 0x0F0001, 0x0F0002, 0x0F0003, 0x0B0002
SEALED = b"\x00\x21\x07\x00\x01sealed" + bytes(4)
DCR, DCA = b"\x01\x00\x01request", b"\x02\x00\x01answer"
ENDS = {"relay_data": True}
SERVES = {"serve": True, "relay_data": True}


@dataclass
class Row:
    """UEs on wires: each hears its neighbours only. `options` has the proxy options of each UE."""

    options: dict[int, dict[str, Any]]
    neighbours: set[frozenset[int]]
    now_s: float = 10.0
    off: set[int] = field(default_factory=set)
    sent: Counter[int] = field(default_factory=Counter)
    """PDUs that each UE has put on the air."""
    vias: dict[tuple[int, int], Any] = field(default_factory=dict)
    """(UE, origin) -> the way that its last frame came."""
    ups: dict[int, ProxyCarrier] = field(init=False)
    access: dict[int, tuple[WireAccess, Direct]] = field(init=False)
    events: dict[int, list[object]] = field(init=False)

    def __post_init__(self) -> None:
        self.access, self.ups, self.events = {}, {}, {}
        for l2_id, options in self.options.items():
            wire = WireAccess()
            direct = Direct(wire, TimerValues().direct)
            told: list[object] = []
            parts = CarrierParts(
                identity="",
                l2_id=l2_id,
                direct=direct,
                now=lambda: Instant(self.now_s, 1_790_000_000.0 + self.now_s),
                random_bytes=seeded(str(l2_id)),
                emit=told.append,
            )
            self.access[l2_id], self.events[l2_id] = (wire, direct), told
            self.ups[l2_id] = ProxyCarrier(ProxyOptions(**options), parts)

    def send(self, src: int, dst: int, data: bytes, lcid: int = 28) -> None:
        up = self.ups[src]
        to = next((one.via for one in [up.reaches("", dst)] if one), None)
        if to is None:  # an answer: by the way that the frame came
            to = self.vias[src, dst]
        up.check_room(to, AddressPair(src, dst), lcid, len(data))
        up.send(PdcpPdu(src_l2=src, dst_l2=dst, lcid=lcid, to_group=False, data=data), to)

    def carry(self, rounds: int = 8) -> None:
        """Let what was sent arrive, and what is handed on after it."""
        for _ in range(rounds):
            for l2_id, (wire, _) in self.access.items():
                queued, wire.queued = wire.queued, []
                self.sent[l2_id] += len(queued)
                for pdu in queued if l2_id not in self.off else ():
                    self._deliver(l2_id, pdu)

    def _deliver(self, src: int, pdu: PdcpPdu) -> None:
        if frozenset((src, pdu.dst_l2)) in self.neighbours and pdu.dst_l2 not in self.off:
            heard = PduReceived(src_l2=src, dst_l2=pdu.dst_l2, lcid=pdu.lcid, to_group=False, data=pdu.data)
            self.access[pdu.dst_l2][1].heard(heard)

    def received(self, l2_id: int) -> list[Carried]:
        self.carry()
        taken = self.ups[l2_id].receive()
        for one in taken:
            self.vias[l2_id, one.pdu.src_l2] = one.via
        return taken


def row(*l2_ids: int) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in pairwise(l2_ids)}


def in_a_row(*proxies: int) -> Row:
    options: dict[int, dict[str, Any]] = {A: {"proxies": (proxies[0],), **ENDS}, B: dict(ENDS)}
    for proxy, beyond in zip(proxies, (*proxies[1:], None), strict=True):
        options[proxy] = {**SERVES, "proxies": (beyond,) if beyond else ()}
    return Row(options, row(A, *proxies, B))


def data_of(taken: Iterable[Carried]) -> list[bytes]:
    return [one.pdu.data for one in taken]


@pytest.mark.parametrize("proxies", [(P,), (P, Q), (P, Q, R)], ids=len)
def test_a_set_up_and_its_data_go_there_and_back(proxies: tuple[int, ...]) -> None:
    air = in_a_row(*proxies)
    air.send(A, B, headed(DCR))
    (came,) = air.received(B)
    assert came.pdu.data == headed(DCR) and came.pdu.src_l2 == A and came.pdu.dst_l2 == B and came.pdu.lcid == 28
    air.send(B, A, headed(DCA))
    assert data_of(air.received(A)) == [headed(DCA)]
    for n in range(20):
        for src, dst in ((A, B), (B, A)):
            air.send(src, dst, SEALED + bytes([n]), lcid=1)
            (sealed,) = air.received(dst)
            assert sealed.pdu.data == SEALED + bytes([n]) and sealed.pdu.lcid == 1 and sealed.pdu.src_l2 == src
    for proxy in proxies:
        told = air.events[proxy]
        messages = [event.message for event in told if isinstance(event, FrameHandedOn)]
        assert list(dict.fromkeys(messages)) == ["Direct Connection Request", "Direct Connection Accept"]
        assert messages.count("Direct Connection Accept") == 1, "its way is known"
        assert sum(isinstance(event, DataHandedOn) for event in told) == 2 and len(told) == len(messages) + 2


def test_more_proxies_than_hops_end_it() -> None:
    further = [0x0F0010 + n for n in range(MAX_HOPS)]
    air = in_a_row(*further)
    air.send(A, B, headed(DCR))
    assert not air.received(B)
    assert air.events[further[-1]][-1] == FramesNotHandedOn(why="hop limit", frames=1, neighbour_l2=further[-2])


def test_a_ring_of_proxies_ends_by_itself() -> None:
    ring = {P: (Q,), Q: (R,), R: (P,)}
    options = {A: {"proxies": (P,), **ENDS}, **{l2: {**SERVES, "proxies": beyond} for l2, beyond in ring.items()}}
    air = Row(options, row(A, P, Q, R, P))
    air.send(A, B, headed(DCR))
    air.carry(rounds=40)
    assert sum(air.sent.values()) <= 2 * MAX_HOPS, "B is nowhere, and the frame does not go round"


def test_another_proxy_is_tried_when_one_is_silent_and_the_link_lives_on() -> None:
    options = {A: {"proxies": (P, Q), **ENDS}, B: {"proxies": (Q, P), **ENDS}, P: SERVES, Q: SERVES}
    air = Row(options, row(A, P, B) | row(A, Q, B))
    air.send(A, B, headed(DCR))
    assert data_of(air.received(B)) == [headed(DCR)]
    air.send(B, A, headed(DCA))
    assert data_of(air.received(A)) == [headed(DCA)]
    air.off.add(P)
    air.send(A, B, SEALED, lcid=1)
    assert not air.received(B), "P is off"
    air.now_s += SILENCE_S
    air.send(A, B, SEALED + b"2", lcid=1)
    assert data_of(air.received(B)) == [SEALED + b"2"], "Q takes over"
    air.send(B, A, SEALED + b"3", lcid=1)
    assert data_of(air.received(A)) == [SEALED + b"3"], "B answers by the proxy that it heard last"


def test_a_request_of_one_that_knows_no_proxy_is_answered_only() -> None:
    air = in_a_row(P)
    assert air.ups[B].reaches("", A) is None
    with pytest.raises(CarrierError, match="no proxy"):
        air.ups[B].send(PdcpPdu(src_l2=B, dst_l2=R, lcid=1, to_group=False, data=SEALED), _via(air, B, R))


def _via(air: Row, src: int, dst: int) -> Via:
    return Via(traits=air.ups[src].traits, address=dst)


@pytest.mark.parametrize(
    ("rules", "why"),
    [({"serve_for": (B,)}, "this origin is not served"), ({"relay_data": False}, "data is not handed on")],
    ids=["who", "what"],
)
def test_an_owner_consents_or_nothing_is_handed_on(rules: dict[str, Any], why: str) -> None:
    air = in_a_row(P)
    air.options[P] |= rules
    refused = Row(air.options, air.neighbours)
    refused.send(A, B, SEALED, lcid=1)
    assert not refused.received(B)
    assert refused.events[P] == [FramesNotHandedOn(why=why, frames=1, neighbour_l2=A)]


def test_the_owners_hop_limit_cuts_the_way_short() -> None:
    air = in_a_row(P, Q)
    air.options[P]["hop_limit"] = 1
    short = Row(air.options, air.neighbours)
    short.send(A, B, headed(DCR))
    assert not short.received(B)
    assert short.events[Q][-1] == FramesNotHandedOn(why="hop limit", frames=1, neighbour_l2=P)


def test_one_origin_gets_half_of_the_data_rate_and_a_flood_is_told_seldom() -> None:
    air = in_a_row(P)
    air.options[P]["data_frames_per_s"] = 100
    flooded = Row(air.options, air.neighbours)
    for n in range(400):
        flooded.send(A, B, SEALED + n.to_bytes(2), lcid=1)
        flooded.carry(rounds=2)
    assert len(flooded.received(B)) == 50
    told = [event for event in flooded.events[P] if isinstance(event, FramesNotHandedOn)]
    assert [event.frames for event in told] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    flooded.send(B, A, SEALED, lcid=1)
    assert data_of(flooded.received(A)) == [SEALED], "the other origin has its own half"


def test_an_end_that_takes_no_data_leaves_it() -> None:
    air = in_a_row(P)
    air.options[B]["relay_data"] = False
    deaf = Row(air.options, air.neighbours)
    deaf.send(A, B, SEALED, lcid=1)
    assert not deaf.received(B) and deaf.ups[B].counters == {"data is not taken": 1}


def test_data_can_not_pass_as_signalling() -> None:
    """A frame of data that names LCID 28 would come up as PC5-S that no relay frame brought."""
    air = in_a_row(P)
    frame = RelayedPdcp(
        sequence_number=1, hop_limit=2, path_id=3, origin_l2=A, destination_l2=B, lcid=28, pdu=headed(DCR)
    )
    forged = PduReceived(src_l2=P, dst_l2=B, lcid=1, to_group=False, data=headed(encode(frame)))
    air.access[B][1].heard(forged)
    assert not air.ups[B].receive()


# Frames and next hops.


def test_frames_weigh_what_they_say() -> None:
    end = ProxyEnd(A, seeded("end"))
    assert len(end.wrap(DCR, B)) == FRAME_OCTETS + len(DCR)
    octets = end.wrap_pdcp(SEALED, 1, B)
    assert len(octets) == DATA_FRAME_OCTETS + len(SEALED)
    frame = decode(octets)
    assert isinstance(frame, RelayedPdcp) and (frame.origin_l2, frame.destination_l2, frame.lcid) == (A, B, 1)
    assert encode(frame) == octets and frame_in(headed(octets)) == octets
    assert frame_in(SEALED) is None and frame_in(headed(DCR)) is None and frame_in(b"") is None


@pytest.mark.parametrize("lcid", [0, 32, 255])
def test_a_frame_names_a_logical_channel(lcid: int) -> None:
    with pytest.raises(RelayFrameError, match="LCID"):
        ProxyEnd(A, seeded("end")).wrap_pdcp(SEALED, lcid, B)


def test_next_hops_are_bounded_and_forgotten() -> None:
    hops = NextHops(())
    assert hops.choose(B, 0.0) is None and hops.guess(B) is None
    for n in range(2 * MAX_KNOWN):
        hops.learn(n + 1, P, 0.0)
    assert hops.known(1, 0.0) is None and hops.known(2 * MAX_KNOWN, 0.0) == P
    assert hops.known(2 * MAX_KNOWN, REMEMBERED_S) == P and hops.known(2 * MAX_KNOWN, REMEMBERED_S + 1) is None


def test_proxies_are_tried_in_turn_while_nothing_is_heard() -> None:
    hops = NextHops((P, Q))
    assert [hops.choose(B, t * SILENCE_S) for t in range(5)] == [P, Q, P, Q, P]
    assert hops.choose(B, 4 * SILENCE_S + 0.1) == P
    hops.learn(B, R, 20.0)
    assert hops.choose(B, 20.1) == R and hops.choose(B, 20.0 + SILENCE_S) == P
