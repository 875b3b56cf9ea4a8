"""A grant of transmission mode 1: from a UE to another that knows the pool, and to a survey that does not."""

from __future__ import annotations

import numpy as np
import pytest

from radio.arrays import Iq
from radio.phy.lte.channels.indications import SciReceived, TransportBlockReceived
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.grid.hopping import HoppingConfig, join_hopping_field
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.geometry import PoolError
from radio.phy.lte.pools.mode1 import ScheduledPool
from radio.phy.lte.pools.mode2 import SidelinkPools, SyncConfig
from radio.phy.lte.survey.survey import survey_recording
from radio.phy.lte.ue_phy import UePhy

CARRIER = Carrier(25)
STEP = CARRIER.samples_per_subframe
POOL = ScheduledPool(
    n_rb_sl=25,
    sc_bitmap="01100",
    sc_prb_num=5,
    sc_prb_start=2,
    sc_prb_end=20,
    hopping=HoppingConfig(rb_offset=2),
)
POOLS = SidelinkPools(n_prb=25, sync=SyncConfig(offset_indicators=(0,)), scheduled=(POOL,))
FIRST, WIDTH, MCS, TARGET = 7, 6, 7, 130
N_SL_ID = 44


def control(*, hopping: bool) -> SciFormat0:
    riv = encode_riv(FIRST, WIDTH, 25)
    return SciFormat0(
        hopping=hopping,
        riv=join_hopping_field(0, riv, 25) if hopping else riv,
        i_trp=40,
        mcs=MCS,
        timing_advance=21,
        group_destination_id=TARGET,
    )


def sent(sci: SciFormat0) -> tuple[Iq, list[bytes]]:
    """One SC period of a granted UE that is the synchronisation reference too, and its blocks."""
    rng = np.random.default_rng(8)
    mib = MibSl(bandwidth_prb=25, dfn=0, subframe=0, in_coverage=True)
    plan: dict[int, list[Transmission]] = {0: [SlssTx(n_sl_id=N_SL_ID, mib=mib)]}
    for index, prb in POOL.pscch_resource(3):
        plan.setdefault(POOL.pscch_subframes(0)[index], []).append(PscchTx(prb=prb, sci=sci))
    blocks: dict[int, bytes] = {}
    for subframe, n_ssf, index, rv in POOL.pssch_transmissions(0, sci.i_trp):
        block = blocks.setdefault(index, rng.bytes(transport_block_size(MCS, WIDTH) // 8))
        prbs = POOL.prbs(FIRST, WIDTH, n_ssf, POOL.hopping_bits(sci))
        tx = PsschTx(prbs=prbs, mcs=MCS, n_id_sa=TARGET, n_ssf=n_ssf, rv=rv, transport_block=block)
        plan.setdefault(subframe, []).append(tx)
    sender = UePhy(CARRIER, POOLS)
    sender.become_sync_ref(N_SL_ID, 0)
    period = [sender.transmit(n, plan.get(n, ()))[0] for n in range(POOL.sc_period)]
    return np.concatenate(period), list(blocks.values())


def on_air(iq: Iq) -> Iq:
    rng = np.random.default_rng(9)
    late = np.concatenate((np.zeros(777, dtype=np.complex64), iq, np.zeros(STEP, dtype=np.complex64)))
    noise = rng.normal(size=(late.size, 2)).astype(np.float32).view(np.complex64)[:, 0]
    return late + noise * np.float32(0.3)


@pytest.mark.parametrize("hopping", [False, True])
def test_a_ue_with_the_pool_receives_every_block(hopping: bool) -> None:
    sci = control(hopping=hopping)
    iq, blocks = sent(sci)
    heard = UePhy(CARRIER, POOLS).receive(on_air(iq), 0)
    assert [i.sci for i in heard if isinstance(i, SciReceived)] == [sci, sci]
    received = [i.transport_block for i in heard if isinstance(i, TransportBlockReceived)]
    assert len(blocks) > 3
    assert received == blocks


@pytest.mark.parametrize("hopping", [False, True])
def test_a_survey_without_the_pool_finds_every_block(hopping: bool) -> None:
    sci = control(hopping=hopping)
    iq, blocks = sent(sci)
    survey = survey_recording(on_air(iq), CARRIER)
    assert [found.sci for found in survey.sci] == [sci, sci]
    assert [np.packbits(found.bits).tobytes() for found in survey.transport_blocks] == blocks
    assert all(found.rvs == (0, 2, 3, 1) for found in survey.transport_blocks)


def test_a_pool_for_another_carrier_is_refused() -> None:
    with pytest.raises(PoolError, match="a pool for 25 PRB"):
        SidelinkPools(n_prb=50, sync=SyncConfig(offset_indicators=(0,)), scheduled=(POOL,))
