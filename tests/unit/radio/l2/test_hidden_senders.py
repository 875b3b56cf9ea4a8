"""Senders that can't hear each other and one receiver that hears all: schedulers over an air of SCIs and blocks.

A block is lost where fewer than two of its transmissions are clean. A report takes as long as it does on the air.
"""

from collections import deque

import numpy as np
import pytest

from radio.l2.blocks import AddressPair, Demand
from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.scheduler import Mode2Scheduler

RECEIVER = 0x5C0001
REPORT_PERIODS = 2
LOADED = 50_000


class Loaded:
    """Always has more to send to the receiver."""

    def __init__(self, own_l2: int) -> None:
        self._pair = AddressPair(own_l2, RECEIVER)

    def next_demand(self) -> Demand:
        return Demand(pair=self._pair, octets=LOADED, signalling_octets=0, to_group=False)

    def build_block(self, pair: AddressPair, n_octets: int, subframe: int) -> bytes:
        return bytes(n_octets)


class Silent:
    def next_demand(self) -> None:
        return None

    def build_block(self, pair: AddressPair, n_octets: int, subframe: int) -> None:
        return None


def shares_lost(pool, seed: int, n_senders: int, n_periods: int, *, reports: bool = True) -> list[float]:
    """The share of blocks lost in each SC period."""
    config = Mode2Config(hearing_reports=reports)
    ids = [0x5C0102 + 0x101 * i for i in range(n_senders)]
    senders = {own: Mode2Scheduler(own, pool, Loaded(own), np.random.default_rng((seed, own)), config) for own in ids}
    receiver = Mode2Scheduler(RECEIVER, pool, Silent(), np.random.default_rng(seed), config)
    for sender in senders.values():
        sender.note_quality(RECEIVER, 40.0)
    under_way: deque[tuple[int, int, bytes]] = deque()
    shares = []
    for period in range(n_periods):
        while under_way and under_way[0][0] <= period:
            _, peer, octets = under_way.popleft()
            senders[peer].take_report(RECEIVER, octets, pool.period_start(period))
        grants = {own: sender.start_period(period) for own, sender in senders.items()}
        announced: dict[tuple[int, int], list[int]] = {}
        for own, grant in grants.items():
            assert grant is not None
            for place in grant.pscch:
                announced.setdefault(place, []).append(own)
        for (subframe, prb), owners in announced.items():
            if len(owners) == 1:
                receiver.note_sci(subframe, prb, grants[owners[0]].sci)
        lost = total = 0
        for own, grant in grants.items():
            prbs = pool.pssch_prbs[grant.first_prb : grant.first_prb + grant.n_prb]
            for index in range(grant.n_tb):
                subframes = [subframe for subframe, _, block, _ in grant.pssch if block == index]
                clean = sum(
                    not any(
                        any(at == subframe for at, *_ in other.pssch)
                        and other.first_prb < grant.first_prb + grant.n_prb
                        and grant.first_prb < other.first_prb + other.n_prb
                        for who, other in grants.items()
                        if who != own
                    )
                    for subframe in subframes
                )
                total += 1
                lost += clean < 2
                octet = grant.sci.group_destination_id
                receiver.note_block(octet, subframes, prbs, own if clean >= 2 else None)
        for own, sender in senders.items():
            answer = sender.due_report(period)
            if answer is not None:
                receiver.take_report(own, answer[1], pool.period_start(period + 1))
        due = receiver.due_report(period)
        if due is not None and due[0] in senders:
            under_way.append((period + REPORT_PERIODS, *due))
        shares.append(lost / total)
    return shares


@pytest.mark.parametrize("seed", range(12))
def test_two_hidden_senders_part(pool, seed):
    """Whatever they drew, they don't go on colliding for ever, and in the long run few blocks are lost."""
    shares = shares_lost(pool, seed, 2, 150)
    bad_in_a_row = longest = 0
    for share in shares[25:]:
        bad_in_a_row = bad_in_a_row + 1 if share else 0
        longest = max(longest, bad_in_a_row)
    assert np.mean(shares[25:]) <= 0.1
    assert longest <= 20


@pytest.mark.parametrize(("n_senders", "part"), [(2, 0.4), (3, 0.7)])
def test_reports_are_what_parts_them(pool, n_senders, part):
    """The same air without reports loses many more blocks."""
    lost = {
        reports: np.mean([np.mean(shares_lost(pool, seed, n_senders, 100, reports=reports)[25:]) for seed in range(6)])
        for reports in (False, True)
    }
    assert lost[False] >= 0.1
    assert lost[True] <= part * lost[False]
