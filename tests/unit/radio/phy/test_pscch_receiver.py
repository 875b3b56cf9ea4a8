"""PSCCH reception with the pool known: both transmissions of an SCI together, and what is never added up."""

from __future__ import annotations

import numpy as np
import pytest

from radio.arrays import Grid
from radio.phy.lte.channels.pscch import MIN_COHERENCE, map_pscch, pscch_candidates, receive_pscch
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import CommPool
from radio.phy.lte.pscch_receiver import _MIN_AGREEMENT_SIGMAS, ControlReceiver, _attempts, _partners

CARRIER = Carrier(25)
POOL = CommPool(
    n_rb_sl=25,
    sc_bitmap="01111",
    sc_prb_num=12,
    sc_prb_start=0,
    sc_prb_end=24,
    data_offset=5,
    data_bitmap="1" * 32 + "0" * 8,
    data_prb_num=12,
    data_prb_start=0,
    data_prb_end=24,
)


def sci_of(rng: np.random.Generator) -> SciFormat0:
    return SciFormat0(
        riv=int(rng.integers(300)), i_trp=40, mcs=int(rng.integers(20)), group_destination_id=int(rng.integers(256))
    )


def heard_at(rng: np.random.Generator, snr_db: float, sent: list[tuple[SciFormat0, int]]) -> Grid:
    """One subframe with SCIs on PRBs, each with a phase and the slope of a window opened early, and noise."""
    grid = np.zeros((CARRIER.n_symbols, CARRIER.n_subcarriers), dtype=np.complex64)
    for sci, prb in sent:
        map_pscch(grid, CARRIER, sci, prb)
    grid *= np.exp(1j * (rng.uniform(0, 2 * np.pi) - 0.11 * np.arange(grid.shape[1])))
    noise = rng.normal(size=(*grid.shape, 2)) @ (1, 1j) * 10 ** (-snr_db / 20) / np.sqrt(2)
    return (grid + noise).astype(np.complex64)


def copies(receiver: ControlReceiver, rng: np.random.Generator, snr_db: float, n: int, period: int = 0) -> list[bool]:
    """Whether an SCI on PSCCH resource `n` is found at its first and at its second transmission, and nothing else."""
    sci = sci_of(rng)
    found = []
    for index, prb in sorted(POOL.pscch_resource(n)):
        received = receiver.receive(POOL.pscch_subframes(period)[index], heard_at(rng, snr_db, [(sci, prb)]))
        assert {(one.prb, one.sci) for one in received} <= {(prb, sci)}
        found.append(bool(received))
    return found


def test_both_together_are_worth_more_than_2_db() -> None:
    """At -4 dB: one transmission in 5, both by themselves in 2 of 5, together in 9 of 10."""
    rng = np.random.default_rng(5)
    found = [copies(ControlReceiver(CARRIER, POOL), rng, -4.0, n % 48) for n in range(150)]
    alone = np.mean([first for first, _ in found])
    together = np.mean([first or second for first, second in found])
    assert alone <= 0.35
    assert together >= 0.82


def test_what_is_heard_at_once_is_told_at_both_places() -> None:
    rng = np.random.default_rng(6)
    receiver = ControlReceiver(CARRIER, POOL)
    for period in range(5):
        assert copies(receiver, rng, 20.0, 3 + period, period) == [True, True]


def test_halves_of_different_periods_are_not_added_up() -> None:
    """The first of one period and the second of the next: each alone is hopeless at -3.5 dB, together they are not."""
    rng = np.random.default_rng(7)
    n_same = n_other = 0
    for n in range(40):
        sci = sci_of(rng)
        (first, prb), (second, other_prb) = sorted(POOL.pscch_resource(n))
        for later in (0, 1):
            receiver = ControlReceiver(CARRIER, POOL)
            earlier = receiver.receive(POOL.pscch_subframes(0)[first], heard_at(rng, -3.5, [(sci, prb)]))
            heard = receiver.receive(POOL.pscch_subframes(later)[second], heard_at(rng, -3.5, [(sci, other_prb)]))
            n_same += bool(heard) and not earlier and later == 0
            n_other += bool(heard) and not earlier and later == 1
    assert n_same >= n_other + 10


@pytest.mark.parametrize("snr_db", [-2.0, 6.0])
def test_two_scis_on_one_place_are_not_mixed_up(snr_db: float) -> None:
    """Places that belong to the same resource but carry different SCIs give each what is its own, or nothing."""
    rng = np.random.default_rng(8)
    for n in range(30):
        one, other = sci_of(rng), sci_of(rng)
        receiver = ControlReceiver(CARRIER, POOL)
        for sci, (index, prb) in zip((one, other), sorted(POOL.pscch_resource(n)), strict=True):
            received = receiver.receive(POOL.pscch_subframes(0)[index], heard_at(rng, snr_db, [(sci, prb)]))
            assert {found.sci for found in received} <= {sci}


def test_attempts_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(9)
    partner_subframe, partner_column = _partners(POOL)
    e = 264
    kept = rng.normal(size=(4, 24, e)).astype(np.float32)
    llrs = rng.normal(size=(24, e)).astype(np.float32)
    llrs[:12] += kept[partner_subframe[2, :12], partner_column[2, :12]]
    is_waiting = rng.random((4, 24)) < 0.8
    is_likely = rng.random(24) < 0.5
    columns = np.arange(24)
    rows, batch = _attempts(llrs, is_likely, columns, partner_subframe[2], partner_column[2], kept, is_waiting)
    wanted = [(i, llrs[i]) for i in range(24) if is_likely[i]]
    for i in range(24):
        other = kept[partner_subframe[2, i], partner_column[2, i]]
        agreement = llrs[i] @ other / np.linalg.norm(llrs[i]) / np.linalg.norm(other) * np.sqrt(e)
        if is_waiting[partner_subframe[2, i], partner_column[2, i]] and agreement > _MIN_AGREEMENT_SIGMAS:
            wanted.append((i, llrs[i] + other))
    assert rows.tolist() == [i for i, _ in wanted]
    assert np.allclose(batch, [soft for _, soft in wanted], atol=1e-5)
    assert len(wanted) > int(is_likely.sum()) + 5


def test_partners_are_those_of_the_pool_both_ways() -> None:
    subframes, columns = _partners(POOL)
    for index in range(4):
        for column in range(24):
            other = subframes[index, column], columns[index, column]
            assert other[0] != index
            assert (subframes[other], columns[other]) == (index, column)
            assert POOL.pscch_resource_at(index, POOL.pscch_prbs[column]) == POOL.pscch_resource_at(
                int(other[0]), POOL.pscch_prbs[other[1]]
            )


def test_alone_the_same_is_found_as_without_the_pool() -> None:
    rng = np.random.default_rng(10)
    grid = heard_at(rng, 3.0, [(sci_of(rng), POOL.pscch_prbs[i]) for i in (0, 5, 13, 20)])
    receiver = ControlReceiver(CARRIER, POOL)
    expected = receive_pscch(CARRIER, grid, POOL.pscch_prbs)
    got = receiver.receive(POOL.pscch_subframes(0)[0], grid)
    assert [(one.prb, one.sci, one.crc) for one in got] == [(one.prb, one.sci, one.crc) for one in expected]
    assert len(got) == 4
    faint = pscch_candidates(CARRIER, grid, POOL.pscch_prbs, min_coherence=0.0)
    assert (faint.coherences < MIN_COHERENCE).any()
