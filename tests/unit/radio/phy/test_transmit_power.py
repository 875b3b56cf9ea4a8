"""What P0 does to the samples: measured in the waveform, channel by channel, against the formulas' decibels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsdchTx, PsschTx, SlssTx, Transmission
from radio.phy.lte.channels.waveform import subframe_waveform
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.grid.riv import encode_riv
from radio.phy.lte.grid.tbs import transport_block_size
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SidelinkPools, SyncConfig
from radio.phy.lte.pools.power_control import SlTxParameters
from radio.phy.lte.pools.transmit_power import transmit_amplitude
from radio.phy.lte.ue_phy import UePhy

N_PRB = 25
CARRIER = Carrier(N_PRB)
LIMIT_P0_DBM = 23 - 10 * math.log10(N_PRB)
"""The density of a UE that has 23 dBm over the whole channel."""
PRBS = (3, 4, 5, 6, 7, 8)
MCS = 5

POOLS = SidelinkPools(
    n_prb=N_PRB,
    sync=SyncConfig(offset_indicators=(0,)),
    comm=(
        CommPool(
            n_rb_sl=N_PRB,
            sc_bitmap="0111100000000000000000000000000000000000",
            sc_prb_num=12,
            sc_prb_start=0,
            sc_prb_end=24,
            data_offset=5,
            data_bitmap="1111111111111111111111111111111100000000",
            data_prb_num=12,
            data_prb_start=0,
            data_prb_end=24,
        ),
    ),
    disc=(DiscPool(n_rb_sl=N_PRB, disc_period=16, bitmap="1" * 40, prb_num=12, prb_start=0, prb_end=24),),
)
SENT: dict[str, Transmission] = {
    "slss": SlssTx(n_sl_id=168, mib=MibSl(bandwidth_prb=N_PRB, dfn=3, subframe=4, in_coverage=False)),
    "psdch": PsdchTx(prb=4, rv=0, message=bytes(29)),
    "pscch": PscchTx(
        prb=7,
        sci=SciFormat0(riv=encode_riv(3, 6, N_PRB), i_trp=0, mcs=MCS, group_destination_id=7),
    ),
    "pssch": PsschTx(
        prbs=PRBS,
        mcs=MCS,
        n_id_sa=7,
        n_ssf=1,
        rv=0,
        transport_block=bytes(transport_block_size(MCS, len(PRBS)) // 8),
    ),
}


def with_p0(channel: str, p0_dbm: int, max_tx_power_dbm: int = 23) -> SidelinkPools:
    tx = SlTxParameters(p0_dbm=p0_dbm)
    pools = replace(POOLS, max_tx_power_dbm=max_tx_power_dbm)
    match channel:
        case "slss":
            return replace(pools, sync=replace(pools.sync, tx=tx))
        case "psdch":
            return replace(pools, disc=(replace(pools.disc[0], tx=tx),))
        case "pscch":
            return replace(pools, comm=(replace(pools.comm[0], sc_tx=tx),))
        case _:
            return replace(pools, comm=(replace(pools.comm[0], data_tx=tx),))


def sent(pools: SidelinkPools, *channels: str):
    phy = UePhy(CARRIER, pools)
    phy.become_sync_ref(168, 0)
    return phy.transmit(0, [SENT[channel] for channel in channels])[0]


def power_db(iq) -> float:
    return 10 * math.log10(float(np.mean(np.abs(iq.astype(np.complex128)) ** 2)))


@pytest.mark.parametrize("channel", SENT)
def test_without_p0_the_samples_are_those_of_unit_elements(channel: str) -> None:
    assert np.array_equal(sent(POOLS, channel), subframe_waveform(CARRIER, [SENT[channel]]))


@pytest.mark.parametrize("channel", SENT)
@pytest.mark.parametrize("p0_dbm", [-126, -20, 0, 9])
def test_p0_below_the_limit_lowers_its_own_channel_by_so_much(channel: str, p0_dbm: int) -> None:
    pools = with_p0(channel, p0_dbm)
    lowered = power_db(sent(pools, channel)) - power_db(sent(POOLS, channel))
    assert lowered == pytest.approx(min(0.0, p0_dbm - LIMIT_P0_DBM), abs=1e-3)
    for other in SENT.keys() - {channel}:
        assert np.array_equal(sent(pools, other), sent(POOLS, other))


@pytest.mark.parametrize("channel", SENT)
def test_no_p0_raises_anything_above_the_limit(channel: str) -> None:
    for p0_dbm in (math.ceil(LIMIT_P0_DBM), 23, 31):
        assert np.array_equal(sent(with_p0(channel, p0_dbm), channel), sent(POOLS, channel))


def test_the_maximum_power_is_what_p0_is_held_against() -> None:
    """A stronger UE sends the same power with less of what it has; a weaker one is at its limit sooner."""
    assert transmit_amplitude(with_p0("pssch", 0, 33), SENT["pssch"]) == pytest.approx(
        10 ** ((0 - (33 - 10 * math.log10(N_PRB))) / 20)
    )
    assert transmit_amplitude(with_p0("pssch", 0, 10), SENT["pssch"]) == 1.0


def test_two_transmissions_of_one_subframe_have_each_its_own_power() -> None:
    pools = with_p0("pscch", 0)
    apart = sent(pools, "pscch") + sent(pools, "pssch")
    pssch = replace(SENT["pssch"], prbs=(10, 11, 12, 13, 14, 15))
    phy = UePhy(CARRIER, pools)
    phy.become_sync_ref(168, 0)
    both = phy.transmit(0, [SENT["pscch"], pssch])[0]
    alone = phy.transmit(0, [pssch])[0]
    assert np.allclose(both, sent(pools, "pscch") + alone, atol=1e-6)
    assert apart.shape == both.shape
