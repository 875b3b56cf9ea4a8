"""Standing grants: which UE gets one, for how long, and which gives it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from radio.l2.blocks import AddressPair, Demand
from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.neighbours import HeardGrant
from radio.l2.lte_mode2.pscch_plan import Seat
from radio.l2.lte_mode2.standing_grant import StandingGrant
from radio.l2.pdcp import PdcpSdu, SduType
from radio.phy.lte.channels.transmissions import PsschTx

A, B, C = 0xABCDEF, 0x123456, 0x223456
Make = Callable[..., Any]
PAIR = AddressPair(A, B)


def demand_of(octets: int, signalling_octets: int = 0, pair: AddressPair = PAIR) -> Demand:
    return Demand(pair=pair, octets=octets, signalling_octets=signalling_octets, to_group=False)


def user_data(n_octets: int = 100, dst: int = B) -> PdcpSdu:
    return PdcpSdu(dst_l2=dst, lcid=1, sdu_type=SduType.IP, data=bytes(n_octets), kd_sess_id=0x2107)


def play(stack: Any, period: int, send_at: int | None = None) -> tuple[Any, list[int]]:
    """The grant of a period, and the subframes of it in which data went out."""
    grant = stack.start_period(period)
    sent = []
    for subframe in range(40):
        if subframe == send_at:
            stack.send(user_data())
        if any(isinstance(tx, PsschTx) for tx in stack.transmissions(40 * period + subframe)):
            sent.append(subframe)
    return grant, sent


def test_it_ends_some_periods_after_the_last_block() -> None:
    standing = StandingGrant(5)
    assert standing.block_octets(0) == 0
    standing.note_demand(demand_of(130), 10)
    assert [standing.block_octets(period) for period in (9, 10, 14, 15)] == [0, 130, 130, 0]
    standing.note_block(PAIR, 12)
    assert [standing.block_octets(period) for period in (16, 17)] == [130, 0]
    standing.note_block(AddressPair(A, C), 16)
    assert standing.block_octets(17) == 0, "another peer's block keeps nothing"


def test_signalling_alone_takes_none() -> None:
    standing = StandingGrant(5)
    standing.note_demand(demand_of(130, signalling_octets=130), 10)
    assert standing.block_octets(10) == 0
    standing.note_demand(demand_of(230, signalling_octets=130), 11)
    assert standing.block_octets(11) == 100


def test_blocks_are_as_long_as_what_was_sent_within_bounds() -> None:
    standing = StandingGrant(5)
    for period, (octets, expected) in enumerate([(10, 64), (200, 200), (100, 200), (9000, 320), (100, 320)]):
        standing.note_demand(demand_of(octets), period)
        assert standing.block_octets(period) == expected
    standing.note_demand(demand_of(100), 40)
    assert standing.block_octets(40) == 100, "after a pause it is measured anew"
    standing.note_demand(demand_of(80, pair=AddressPair(A, C)), 41)
    assert (standing.block_octets(41), standing.pair) == (80, AddressPair(A, C))


@pytest.mark.parametrize("send_at", [7, 12, 20, 27])
def test_a_packet_in_mid_period_goes_with_the_next_block(make_stack: Make, send_at: int) -> None:
    a = make_stack(A)
    a.send(user_data())
    play(a, 0)
    grant, sent = play(a, 1, send_at)
    assert grant is not None and grant.n_tb == 4
    assert send_at <= sent[0] <= send_at + 12
    assert len(sent) == 4, "what was not used is silent"
    assert play(make_stack(A, mode_2=Mode2Config(standing_ms=0)), 1, send_at)[1] == []


def test_it_is_given_up_in_time_and_while_others_claim_the_pool(make_stack: Make) -> None:
    a = make_stack(A, mode_2=Mode2Config(standing_ms=400))
    a.send(user_data())
    grants = [play(a, period)[0] for period in range(14)]
    assert [grant is not None for grant in grants] == [True] * 10 + [False] * 4
    for n_prb, stays in ((8, True), (50, False)):
        a = make_stack(A)
        a.send(user_data())
        assert play(a, 0)[0] is not None
        theirs = HeardGrant(seat=Seat(True, 0, 0), first_prb=0, n_prb=n_prb, i_trp=70, group_destination_id=1)
        a.scheduler._neighbours.note(theirs, 0)
        assert (play(a, 1)[0] is not None) is stays


def test_what_waits_for_others_goes_first(make_stack: Make) -> None:
    a = make_stack(A)
    a.send(user_data())
    play(a, 0)
    a.send(user_data(dst=C))
    grant, _ = play(a, 1)
    assert grant.dst_l2 == C
    assert play(a, 2)[0].dst_l2 == C, "and holds it from now on"
