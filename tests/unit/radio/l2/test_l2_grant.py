"""Grants of mode 2: size from backlog and quality, T-RPT against half duplex, what is played out when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.l2.config import L2Config, L2ConfigError
from radio.l2.grant import MIN_FREE_TRANSMISSIONS, ActiveGrant, GrantSelector, is_dft_size, size_allocation
from radio.l2.link_quality import LinkQuality, capacity_snr_db
from radio.l2.neighbours import Neighbours
from radio.phy.pools import CommPool
from radio.phy.riv import decode_riv
from radio.phy.sci import SciFormat0
from radio.phy.tbs import transport_block_size
from radio.phy.transmissions import PscchTx, PsschTx
from radio.phy.trpt import trp_bitmap

OWN, PEER = 0xABCDEF, 0x123456
CONFIG = L2Config()


def selector_of(pool: CommPool, neighbours: Neighbours | None = None, seed: int = 3) -> GrantSelector:
    return GrantSelector(OWN, pool, CONFIG, neighbours or Neighbours(), np.random.default_rng(seed))


def sci_of(i_trp: int, group_destination_id: int = 1, riv: int = 0) -> SciFormat0:
    return SciFormat0(riv=riv, i_trp=i_trp, mcs=5, group_destination_id=group_destination_id)


@given(st.integers(1, 20000), st.integers(0, 20), st.integers(4, 50), st.integers(1, 4))
def test_size_carries_the_backlog_where_anything_does(needed: int, limit: int, max_prb: int, max_tb: int) -> None:
    allocation = size_allocation(needed, mcs_limit=limit, max_prb=max_prb, max_tb=max_tb, config=CONFIG)
    assert is_dft_size(allocation.n_prb)
    assert allocation.n_prb <= max_prb
    assert allocation.n_tb <= max_tb
    assert allocation.mcs <= limit
    carried = allocation.n_tb * (transport_block_size(allocation.mcs, allocation.n_prb) // 8 - 8)
    widest = max(n for n in range(1, max_prb + 1) if is_dft_size(n))
    most = max_tb * (transport_block_size(limit, widest) // 8 - 8)
    assert carried >= min(needed, most)


def test_small_messages_are_robust_and_narrow_bulk_is_wide() -> None:
    ping = size_allocation(100, mcs_limit=14, max_prb=50, max_tb=4, config=CONFIG)
    request = size_allocation(720, mcs_limit=14, max_prb=50, max_tb=4, config=CONFIG)
    bulk = size_allocation(10**6, mcs_limit=14, max_prb=50, max_tb=4, config=CONFIG)
    assert (ping.mcs, ping.n_tb) == (5, 1)
    assert ping.n_prb <= 15
    assert request.mcs == 5
    assert request.n_prb <= 25
    assert (bulk.mcs, bulk.n_prb, bulk.n_tb) == (14, 50, 4)


def test_a_grant_says_in_its_sci_what_it_does(pool: CommPool) -> None:
    grant = selector_of(pool).select(7, PEER, 500, 14)
    assert decode_riv(grant.sci.riv, 50) == (grant.first_prb, grant.n_prb)
    assert grant.sci.group_destination_id == PEER & 0xFF
    assert [s for s, *_ in grant.pssch] == [s for s, *_ in pool.pssch_transmissions(7, grant.sci.i_trp)]
    assert {s for s, _ in grant.pscch} <= set(pool.pscch_subframes(7))
    assert len({s for s, _ in grant.pscch}) == 2


def test_k_trp_follows_the_backlog_while_nobody_is_heard(pool: CommPool) -> None:
    k_of = {}
    for needed in (80, 450, 1500):
        grant = selector_of(pool).select(0, PEER, needed, 5)
        k_of[needed] = sum(trp_bitmap(grant.sci.i_trp))
    assert k_of == {80: 1, 450: 2, 1500: 4}


def test_places_are_uniform(pool: CommPool) -> None:
    selector = selector_of(pool)
    grants = [selector.select(period, PEER, 10**6, 14) for period in range(4000)]
    n_pscch = Counter(grant.n_pscch for grant in grants)
    i_trp = Counter(grant.sci.i_trp for grant in grants)
    assert set(n_pscch) == set(range(pool.n_pscch_resources))
    assert set(i_trp) == set(range(36, 106))
    assert max(n_pscch.values()) < 2 * 4000 / pool.n_pscch_resources
    assert max(i_trp.values()) < 2 * 4000 / 70


@pytest.mark.parametrize("heard", [0, 8, 36, 70, 105])
def test_pattern_leaves_both_ends_two_transmissions_free(pool: CommPool, heard: int) -> None:
    neighbours = Neighbours()
    neighbours.note(sci_of(heard), 4)
    selector = selector_of(pool, neighbours)
    for _ in range(100):
        grant = selector.select(5, PEER, 100, 14)
        for mine, theirs in ((grant.sci.i_trp, heard), (heard, grant.sci.i_trp)):
            subframes = [s for s, *_ in pool.pssch_transmissions(5, mine)]
            taken = {s for s, *_ in pool.pssch_transmissions(5, theirs)}
            blocks = [set(subframes[i : i + 4]) for i in range(0, len(subframes), 4)]
            free = min(len(block - taken) for block in blocks)
            assert free >= (0 if heard < 8 and mine == heard else MIN_FREE_TRANSMISSIONS)


def test_a_pattern_nothing_is_clear_of_still_gives_a_grant(pool: CommPool) -> None:
    neighbours = Neighbours()
    neighbours.note(sci_of(106), 0)
    assert selector_of(pool, neighbours).select(1, PEER, 100, 14).n_tb >= 1


def test_ues_that_hear_others_take_their_share(pool: CommPool) -> None:
    neighbours = Neighbours()
    selector = selector_of(pool, neighbours)
    widths = []
    for n_others in (0, 1, 3, 30):
        for i in range(n_others):
            neighbours.note(sci_of(40 + i, group_destination_id=i), 0)
        widths.append(selector.select(0, PEER, 10**6, 14).n_prb)
    assert widths == [50, 25, 12, 4]


def test_the_peer_answering_takes_nothing_away(pool: CommPool) -> None:
    neighbours = Neighbours()
    neighbours.note(sci_of(40, group_destination_id=OWN & 0xFF), 0)
    assert selector_of(pool, neighbours).select(1, PEER, 10**6, 14).n_prb == 50


def test_neighbours_are_forgotten_and_bounded() -> None:
    neighbours = Neighbours()
    for period in range(50):
        for riv in range(100):
            neighbours.note(sci_of(riv % 100, riv=riv), period)
    assert neighbours.n_others(49, 0) == 32
    assert len(neighbours._heard) <= 3
    assert neighbours.i_trps(60) == ()


def test_mcs_follows_the_snr() -> None:
    quality = LinkQuality(L2Config(max_mcs=20))
    assert quality.mcs_limit(PEER, robust=False) == 10
    assert quality.mcs_limit(PEER, robust=True) == 5
    limits = []
    for snr_db in (-20.0, 0.0, 5.0, 10.0, 40.0):
        for _ in range(40):
            quality.note(PEER, snr_db)
        limits.append(quality.mcs_limit(PEER, robust=False))
    assert limits == sorted(limits)
    assert (limits[0], limits[-1]) == (0, 20)
    assert all(capacity_snr_db(mcs) < capacity_snr_db(mcs + 1) for mcs in range(20) if mcs != 10)
    quality.note(PEER, float("nan"))
    assert quality.mcs_limit(PEER, robust=False) == 20


def test_a_block_is_built_when_its_first_transmission_is_due(pool: CommPool) -> None:
    grant = selector_of(pool).select(0, PEER, 1500, 5)
    assert grant.n_tb == 4
    blocks = iter([b"one", b"two", None, None])
    built_at: list[int] = []
    subframe = 0

    def build(size: int) -> bytes | None:
        built_at.append(subframe)
        assert size == grant.tb_octets
        return next(blocks)

    active = ActiveGrant(grant, pool, build)
    sent: list[PscchTx | PsschTx] = []
    for subframe in range(40):
        sent += active.transmissions(subframe)
    data = [tx for tx in sent if isinstance(tx, PsschTx)]
    assert [tx.rv for tx in data] == [0, 2, 3, 1] * 2
    assert [tx.transport_block for tx in data] == [b"one"] * 4 + [b"two"] * 4
    assert built_at == [s for s, _, _, rv in grant.pssch if rv == 0]
    assert sum(isinstance(tx, PscchTx) for tx in sent) == 2
    assert {tx.sci for tx in sent if isinstance(tx, PscchTx)} == {grant.sci}


@pytest.mark.parametrize(
    "change",
    [{"max_mcs": 29}, {"robust_mcs": 15}, {"um_window_size": 8}, {"max_destinations": 0}, {"max_queue_octets": 100}],
)
def test_settings_out_of_range_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(L2ConfigError):
        L2Config(**change)  # type: ignore[arg-type]


def test_stack_keeps_clear_of_reserved_patterns(make_stack: Callable[..., object]) -> None:
    stack = make_stack(OWN)
    for i_trp in range(128):
        stack.note_sci(sci_of(i_trp), 0)  # type: ignore[attr-defined]
    assert max(stack._neighbours.i_trps(0)) <= 106  # type: ignore[attr-defined]
