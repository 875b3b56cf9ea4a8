"""Grants of mode 2: size from backlog and quality, and what is played out when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radio.l2.config import L2Config, L2ConfigError
from radio.l2.lte_mode2.allocation import is_dft_size, least_mcs, size_allocation
from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.grant import ActiveGrant, least_sn_cycle_subframes
from radio.l2.lte_mode2.link_quality import LinkQuality, capacity_snr_db
from radio.l2.lte_mode2.neighbours import Neighbours
from radio.l2.lte_mode2.pscch_plan import pscch_plan
from radio.l2.lte_mode2.selection import GrantSelector
from radio.phy.lte.channels.transmissions import PscchTx, PsschTx
from radio.phy.lte.grid.riv import decode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import CommPool

OWN, PEER = 0xABCDEF, 0x123456
CONFIG = Mode2Config()


def selector_of(pool: CommPool) -> GrantSelector:
    return GrantSelector(OWN, pool, CONFIG, Neighbours(pscch_plan(pool)), np.random.default_rng(3))


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


def test_signalling_takes_width_and_mcs_before_more_blocks() -> None:
    sizes = {
        (needed, limit): size_allocation(needed, mcs_limit=limit, max_prb=25, max_tb=4, config=CONFIG, is_compact=True)
        for needed, limit in [(100, 20), (260, 20), (700, 20), (700, 9), (700, 2), (4000, 20)]
    }
    assert {key: one.n_tb for key, one in sizes.items()} == {
        (100, 20): 1,
        (260, 20): 1,
        (700, 20): 1,
        (700, 9): 2,
        (700, 2): 4,
        (4000, 20): 4,
    }
    assert sizes[100, 20].mcs == sizes[260, 20].mcs == CONFIG.robust_mcs
    assert sizes[700, 20].mcs == 13, "the least that carries it in one block"
    assert sizes[700, 2].mcs == 2


def test_blocks_for_what_may_come_are_as_many_as_can_be() -> None:
    standing = size_allocation(0, mcs_limit=14, max_prb=50, max_tb=4, config=CONFIG, block_octets=130)
    assert (standing.mcs, standing.n_tb) == (5, 4)
    assert 130 <= transport_block_size(5, standing.n_prb) // 8 - 8 < 160
    backlog = size_allocation(1500, mcs_limit=14, max_prb=50, max_tb=4, config=CONFIG, block_octets=130)
    assert backlog.n_tb * (transport_block_size(backlog.mcs, backlog.n_prb) // 8 - 8) >= 1500


def test_signalling_goes_at_what_surely_arrives() -> None:
    """The robust MCS while it is carried four times; above it only with a margin for fading; below it where it must."""
    limits = []
    for snr_db in (-8.0, -5.0, -3.0, 3.0, 12.0, 16.0, 30.0):
        quality = LinkQuality(CONFIG)
        quality.note(PEER, snr_db)
        limits.append(quality.signalling_mcs_limit(PEER))
    assert limits == [1, 4, 5, 5, 11, 15, 20]
    quality = LinkQuality(CONFIG)
    assert quality.signalling_mcs_limit(PEER) == CONFIG.robust_mcs, "nobody was heard"
    for snr_db in (30.0, -8.0, 25.0, float("nan")):
        quality.note_anyone(snr_db)
    assert quality.signalling_mcs_limit(PEER) == 1, "the weakest may be the one that is called"
    for snr_db in (30.0, 30.0, -8.0):
        quality.note(PEER, snr_db)
    assert quality.signalling_mcs_limit(PEER) == 20, "one bad measurement passes"


def test_a_grant_says_in_its_sci_what_it_does(pool: CommPool) -> None:
    grant = selector_of(pool).select(7, PEER, 500, 14)
    assert decode_riv(grant.sci.riv, 50) == (grant.first_prb, grant.n_prb)
    assert grant.sci.group_destination_id == PEER & 0xFF
    assert [s for s, *_ in grant.pssch] == [s for s, *_ in pool.pssch_transmissions(7, grant.sci.i_trp)]
    assert {s for s, _ in grant.pscch} <= set(pool.pscch_subframes(7))
    assert len({s for s, _ in grant.pscch}) == 2


def test_a_given_place_takes_the_least_mcs_that_carries_the_backlog() -> None:
    mcs = [least_mcs(needed, mcs_limit=14, n_prb=10, n_tb=4, config=CONFIG) for needed in (50, 800, 1500, 10**6)]
    assert mcs[0] == CONFIG.robust_mcs < mcs[1] < mcs[2] <= mcs[3] == 14
    assert least_mcs(10**6, mcs_limit=3, n_prb=10, n_tb=4, config=CONFIG) == 3


def test_mcs_follows_the_snr() -> None:
    quality = LinkQuality(Mode2Config(max_mcs=20))
    assert quality.mcs_limit(PEER) == 10
    assert quality.signalling_mcs_limit(PEER) == 5
    limits = []
    for snr_db in (-20.0, 0.0, 5.0, 10.0, 40.0):
        for _ in range(40):
            quality.note(PEER, snr_db)
        limits.append(quality.mcs_limit(PEER))
    assert limits == sorted(limits)
    assert (limits[0], limits[-1]) == (0, 20)
    assert all(capacity_snr_db(mcs) < capacity_snr_db(mcs + 1) for mcs in range(20) if mcs != 10)
    quality.note(PEER, float("nan"))
    assert quality.mcs_limit(PEER) == 20


def test_a_block_is_built_when_its_first_transmission_is_due(pool: CommPool) -> None:
    grant = selector_of(pool).select(0, PEER, 1500, 5)
    assert grant.n_tb == 4
    blocks = iter([b"one", b"two", None, None])
    built_at: list[int] = []
    subframe = 0

    def build(size: int, at: int) -> bytes | None:
        assert at == subframe
        built_at.append(at)
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


@pytest.mark.parametrize(("sc_period", "n_data"), [(40, 32), (40, 20), (80, 72), (320, 312), (40, 3)])
def test_33_blocks_on_no_number_comes_sooner_than_the_cycle_says(pool: CommPool, sc_period: int, n_data: int) -> None:
    """Against the pool itself: every block of the densest grants, from its last chance to arrive to its first."""
    bitmap = "1" * n_data + "0" * (sc_period - 5 - n_data)
    odd = replace(pool, sc_period=sc_period, data_bitmap=bitmap[: max(40, len(bitmap))].ljust(40, "0"))
    least = least_sn_cycle_subframes(odd)
    for i_trp in (36, 70, 105):
        blocks = []
        for period in range(80):
            grant = odd.pssch_transmissions(period, i_trp)
            blocks += [[s for s, *_ in grant[i : i + 4]] for i in range(0, len(grant), 4)]
        gaps = [later[0] - earlier[-1] for earlier, later in zip(blocks, blocks[33:], strict=False)]
        assert min(gaps, default=least) >= least
    assert least >= 128


@pytest.mark.parametrize(
    "change", [{"sn_cycle_subframes": 127}, {"um_window_size": 8}, {"max_destinations": 0}, {"max_queue_octets": 100}]
)
def test_settings_of_layer_2_out_of_range_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(L2ConfigError):
        L2Config(**change)


@pytest.mark.parametrize("change", [{"max_mcs": 29}, {"robust_mcs": 21}, {"comfortable_prb": 0}])
def test_settings_of_the_scheduler_out_of_range_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(L2ConfigError):
        Mode2Config(**change)


def test_no_width_below_one_is_a_dft_size():
    assert not any(is_dft_size(n) for n in (0, -1, -6))
    assert [n for n in range(1, 13) if is_dft_size(n)] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 12]
