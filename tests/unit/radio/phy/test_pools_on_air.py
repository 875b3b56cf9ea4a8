"""Resource pools end to end: a receiver that knows the pool alone finds what a transmitter put where the pool says."""

from __future__ import annotations

import numpy as np
import pytest

from radio.phy.dsp.bitfields import bits_to_bytes
from radio.phy.lte.channels.pscch import map_pscch, receive_pscch
from radio.phy.lte.channels.psdch import MESSAGE_BITS, map_psdch, receive_psdch
from radio.phy.lte.channels.pssch import map_pssch, receive_pssch
from radio.phy.lte.channels.sci import SciFormat0, SciFormat1
from radio.phy.lte.channels.sl_sch import SlSchSoftBuffer
from radio.phy.lte.channels.transmissions import PsdchTx, PsschTx
from radio.phy.lte.channels.v2x_pscch import map_v2x_pscch, receive_v2x_pscch
from radio.phy.lte.grid.hopping import HoppingConfig, join_hopping_field
from radio.phy.lte.grid.layout import Mode
from radio.phy.lte.grid.numerology import Carrier, Cp
from radio.phy.lte.grid.riv import decode_riv, encode_riv
from radio.phy.lte.grid.tbs import (
    modulation_order,
    transport_block_size,
    v2x_modulation_order,
    v2x_transport_block_size,
)
from radio.phy.lte.pools.mode1 import ScheduledPool
from radio.phy.lte.pools.mode2 import CommPool, DiscPool, SyncConfig
from radio.phy.lte.pools.v2x import V2xPool
from radio.phy.lte.pools.v2x_subframes import V2X_SYNC_PERIOD

UPLINK = {0: (2, 3, 4, 7, 8, 9), 1: (2, 3, 7, 8), 2: (2, 7), 3: (2, 3, 4), 4: (2, 3), 5: (2,), 6: (2, 3, 4, 7, 8)}
CONTROL = {"n_rb_sl": 25, "sc_prb_num": 6, "sc_prb_start": 1, "sc_prb_end": 22, "hopping": HoppingConfig(rb_offset=2)}
DATA = {"data_prb_num": 10, "data_prb_start": 2, "data_prb_end": 23, "data_bitmap": "11110" * 8}


class Air:
    """Grids by subframe; what is never written is silence."""

    def __init__(self, carrier):
        self.carrier = carrier
        self.grids = {}

    def grid(self, subframe):
        shape = (self.carrier.n_symbols, self.carrier.n_subcarriers)
        return self.grids.setdefault(subframe, np.zeros(shape, np.complex64))


def transmit(air, pool, period, sci, n_pscch, blocks):
    control = pool.pscch_subframes(period)
    for i, prb in pool.pscch_resource(n_pscch):
        map_pscch(air.grid(control[i]), air.carrier, sci, prb)
    first, length = pool.allocation(sci)
    for subframe, n_ssf, index, rv in pool.pssch_transmissions(period, sci.i_trp):
        tx = PsschTx(
            prbs=pool.prbs(first, length, n_ssf, pool.hopping_bits(sci)),
            mcs=sci.mcs,
            n_id_sa=sci.group_destination_id,
            n_ssf=n_ssf,
            rv=rv,
            transport_block=blocks[index],
        )
        map_pssch(air.grid(subframe), air.carrier, tx)


def receive(air, pool, period):
    """Blocks of the one SCI of a period, all their transmissions combined."""
    control = [
        pool_sci
        for s in pool.pscch_subframes(period)
        for pool_sci in receive_pscch(air.carrier, air.grid(s), pool.pscch_prbs)
    ]
    assert len(control) == 2
    (sci,) = {received.sci for received in control}
    first, length = pool.allocation(sci)
    buffers = {}
    for subframe, n_ssf, index, rv in pool.pssch_transmissions(period, sci.i_trp):
        prbs = pool.prbs(first, length, n_ssf, pool.hopping_bits(sci))
        received = receive_pssch(air.carrier, air.grid(subframe), prbs, sci.mcs, sci.group_destination_id, n_ssf)
        buffer = buffers.setdefault(index, SlSchSoftBuffer(transport_block_size(sci.mcs, length)))
        buffer.combine(received.llrs, modulation_order(sci.mcs), rv)
    return [bits_to_bytes(buffer.decode().bits) for buffer in buffers.values()]


def pool_of(mode, **parameters):
    if mode == 1:
        return ScheduledPool(**CONTROL, **parameters)
    return CommPool(**CONTROL, **DATA, data_offset=9, **parameters)


@pytest.mark.parametrize("cp", list(Cp))
@pytest.mark.parametrize("hopping", [False, True])
@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.parametrize("tdd_config", [None, *range(7)])
def test_a_grant_in_every_kind_of_pool(mode, tdd_config, hopping, cp):
    period_length = {5: 280, 2: 160, 4: 160}.get(tdd_config, 140)
    pool = pool_of(mode, sc_period=period_length, sc_offset=7, sc_bitmap="0110", tdd_config=tdd_config, cp=cp)
    rng = np.random.default_rng(mode)
    period = 3
    i_trp = pool.i_trps[len(pool.i_trps) * 2 // 3]
    riv = encode_riv(3, 6, 25)
    sci = SciFormat0(
        hopping=hopping,
        riv=join_hopping_field(0, riv, 25) if hopping else riv,
        i_trp=i_trp,
        mcs=12,
        group_destination_id=200,
    )
    transmissions = pool.pssch_transmissions(period, i_trp)
    if tdd_config is not None:
        assert {s % 10 for s, *_ in transmissions} <= set(UPLINK[tdd_config])
    assert [rv for *_, rv in transmissions] == [0, 2, 3, 1] * (len(transmissions) // 4)
    blocks = [rng.bytes(transport_block_size(12, 6) // 8) for _ in range(len(transmissions) // 4)]
    assert blocks
    air = Air(Carrier(25, cp))
    transmit(air, pool, period, sci, 5, blocks)
    assert receive(air, pool, period) == blocks
    places = {pool.prbs(3, 6, n_ssf, pool.hopping_bits(sci)) for _, n_ssf, _, _ in transmissions}
    assert len(places) == (2 if hopping and len({n % 2 for _, n, _, _ in transmissions}) == 2 else 1)


@pytest.mark.parametrize("num_retx", range(4))
@pytest.mark.parametrize("cp", list(Cp))
def test_every_resource_of_a_discovery_pool(cp, num_retx):
    """All messages of a period at once, each on its own resource; all are heard, none twice."""
    pool = DiscPool(
        n_rb_sl=15, bitmap="0011010010", num_repetition=4, num_retx=num_retx, prb_num=4, prb_start=0, prb_end=14, cp=cp
    )
    air = Air(Carrier(15, cp))
    rng = np.random.default_rng(num_retx)
    messages = {n: rng.bytes(MESSAGE_BITS // 8) for n in range(pool.n_resources)}
    for n, message in messages.items():
        for subframe, prb, _, rv in pool.transmissions(2, n):
            map_psdch(air.grid(subframe), air.carrier, PsdchTx(prb=prb, rv=rv, message=message))
    for n, message in messages.items():
        buffer = SlSchSoftBuffer(MESSAGE_BITS)
        for subframe, prb, _, rv in pool.transmissions(2, n):
            buffer.combine(receive_psdch(air.carrier, air.grid(subframe), prb).llrs, 2, rv)
        assert bits_to_bytes(buffer.decode().bits) == message


def test_a_scheduled_discovery_resource_moves_on():
    """Type 2B: from period to period by discPRB-Index, discSF-Index and the hopping parameters."""
    pool = DiscPool(n_rb_sl=15, bitmap="1111111111", num_retx=1, prb_num=4, prb_start=0, prb_end=14)
    a, b = 1, 3
    places, seen = [], []
    for n_periods in (1, 2, 3):
        a, b = pool.type_2b_step(a, b, (2, 7, 5), n_periods)
        places.append((a, b))
        seen.append([(subframe % 320, prb) for subframe, prb, _, _ in pool.transmissions_at(n_periods, a, b)])
    # N_f = 4, N_t = 5: a = ((7 + n') mod 10 + floor((a + 4 b) / 5)) mod 4 and b = (2 + 5 a + 4 b) mod 5
    assert places == [(2, 4), (0, 3), (2, 4)]
    # pairs of PRBs start at 0, 2, 11, 13; the second transmission is two pairs on
    assert seen == [[(8, 11), (9, 0)], [(6, 0), (7, 11)], [(8, 11), (9, 0)]]


@pytest.mark.parametrize("transmission_format", [0, 1])
@pytest.mark.parametrize("adjacency", [True, False])
def test_both_transmissions_of_a_v2x_grant(adjacency, transmission_format):
    pool = V2xPool(
        n_rb_sl=50,
        sl_subframe="1" * 10 + "0" * 10,
        adjacency=adjacency,
        size_subchannel=8,
        num_subchannel=5,
        start_rb_subchannel=10,
        start_rb_pscch_pool=None if adjacency else 0,
        sync=SyncConfig(offset_indicators=(4,), period=V2X_SYNC_PERIOD),
    )
    air, rng = Air(Carrier(50)), np.random.default_rng(1)
    rows = {
        "priority": 0,
        "resource_reservation": 0,
        "time_gap": 3,
        "mcs": 17,
        "transmission_format": transmission_format,
    }
    initial = SciFormat1(frequency_location=pool.frequency_location(3, 2), retransmission_index=0, **rows)
    repeat = SciFormat1(frequency_location=pool.frequency_location(1, 2), retransmission_index=1, **rows)
    resources = pool.resources(initial, 3, 1)
    assert [r.subframe for r in resources] == [3, 7]
    block = rng.bytes(v2x_transport_block_size(17, len(resources[0].pssch_prbs), transmission_format) // 8)
    for sci, m, resource in zip((initial, repeat), (1, 3), resources, strict=True):
        grid = air.grid(resource.subframe)
        n_id_x = map_v2x_pscch(grid, air.carrier, sci, resource.pscch_prb, pool.num_subchannel, 3 * m)
        tx = PsschTx(
            prbs=resource.pssch_prbs,
            mcs=17,
            n_id_sa=n_id_x,
            n_ssf=resource.n_ssf,
            rv=resource.rv,
            transport_block=block,
        )
        map_pssch(grid, air.carrier, tx, Mode.TM34, transmission_format)

    buffer = SlSchSoftBuffer(len(block) * 8)
    heard = []
    for subframe in range(12):
        if not pool.is_pool_subframe(subframe):
            continue
        for found in receive_v2x_pscch(air.carrier, air.grid(subframe), pool.pscch_prbs, pool.num_subchannel):
            m = pool.pscch_prbs.index(found.prb)
            (resource,) = [r for r in pool.resources(found.sci, subframe, m) if r.subframe == subframe]
            received = receive_pssch(
                air.carrier,
                air.grid(subframe),
                resource.pssch_prbs,
                found.sci.mcs,
                found.crc,
                resource.n_ssf,
                Mode.TM34,
                transmission_format=found.sci.transmission_format,
            )
            qm = v2x_modulation_order(found.sci.mcs, found.sci.transmission_format)
            buffer.combine(received.llrs, qm, resource.rv)
            heard.append((subframe, decode_riv(found.sci.frequency_location, 5), resource.rv))
    assert heard == [(3, (3, 2), 0), (7, (1, 2), 2)]
    assert bits_to_bytes(buffer.decode().bits) == block
